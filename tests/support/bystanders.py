"""Every service that takes from MINT, put on a log on which nothing is left to be done: they must do nothing.

Real handlers on a real log. Whatever they would do outside of it (sign, send, pin) is recorded and refused; what they
would say is found on the log. The chain shows each transaction's newest attempt as final, where the log says it landed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from solders.keypair import Keypair

from chassis.log import Message
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.mint import Attempt
from contracts.streams import (
    CONSUMERS,
    IPFS_MINT,
    MINT,
    MINTER_CANCELLED,
    MINTER_FINALITY,
    MINTER_FIRST,
    MINTER_MINT,
    NOTIFIER_MINT,
    STREAMS,
    Consumer,
)
from services.ipfs.chunk_turns import ChunkTurns
from services.ipfs.handlers import MintContent
from services.ipfs.sessions import Sessions
from services.minter.cancelling import Cancelling
from services.minter.lander import Lander
from services.minter.landing import ChainView, Commitment, SignatureState
from services.minter.minting import Minting
from services.minter.signer import Signer
from services.notifier.directory import Directory
from services.notifier.queueing import Queueing
from tests.support.crashing import LaterClock
from tests.support.ending import end

PATIENCE: Final = 120.0
"""Seconds until a hung test is given up."""
_LOOK: Final = 0.05
_TAKERS: Final = tuple(each for each in CONSUMERS if each.stream == MINT.name)


class Untouchable:
    """Stands for the world outside of the log; keeps what anybody wanted of it."""

    def __init__(self) -> None:
        self.touched: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.touched.append(name)
        raise AssertionError(f"somebody wants {name}")


class FinalChain:
    """Answers for the watcher: the newest attempt of each transaction is final, in the slot that `indexing` says."""

    async def view(self, attempts: Sequence[Attempt]) -> ChainView:
        """See `SignatureWatcher.view`."""
        newest = attempts[-1]
        state = SignatureState(slot=100 + newest.number, commitment=Commitment.FINALIZED)
        return ChainView({newest.signature: state}, finalized_height=10_000, searched=True)


async def sequences(log: Log) -> Mapping[str, int]:
    """The last sequence of every stream."""
    return {stream.name: await log.last_sequence(stream) for stream in STREAMS}


async def everything_again(nats_url: str) -> list[str]:
    """Give every service all of MINT from its first message on; return what they wanted of the world outside.

    Ends when each durable consumer was given everything and has settled it.
    """
    outside = Untouchable()
    async with Log.session(Connection((nats_url,), Producer(name="bystander", version="test"))) as log:
        await log.repair().renew(_TAKERS)
        clock, world = LaterClock(), outside
        chain: Any = FinalChain()
        signer = Signer(Keypair())
        lander = Lander(_any(world), signer, chain, clock, max_in_flight=4)
        minting = Minting(log, _any(world), lander, chain, signer.pubkey, clock)
        directory = Directory(log, clock)
        handlers: Mapping[Consumer, Callable[[Message[Any]], Awaitable[None]]] = {
            IPFS_MINT: MintContent(log, _any(world), Sessions(), _any(world), ChunkTurns(4)).on_requested,
            MINTER_FIRST: minting.on_pinned,
            MINTER_MINT: minting.on_later_pinned,
            MINTER_FINALITY: minting.on_confirmed,
            MINTER_CANCELLED: Cancelling(log).on_cancelled,
            NOTIFIER_MINT: Queueing(log, directory).on_fact,
        }
        assert set(handlers) == set(_TAKERS), "a service that takes from MINT is missing here"
        work = [log.consume(consumer, handler, concurrency=4) for consumer, handler in handlers.items()]
        tasks = [asyncio.create_task(each) for each in (directory.run(), *work)]
        try:
            async with asyncio.timeout(PATIENCE):
                while not all(each.pending == each.in_hand == 0 for each in await log.consumers(MINT)):
                    for task in tasks:
                        assert not task.done(), task.exception()
                    await asyncio.sleep(_LOOK)
        finally:
            await end(tasks)
    return outside.touched


def _any(world: Untouchable) -> Any:
    return world
