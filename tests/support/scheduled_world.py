"""A whole little world in one process, driven by one seed: the real ipfs, minter and indexer parts, a log, a chain with
its nodes, tables; and weather in which every one of their calls may be lost, late, repeated or the last.

`scheduled_run` lives through it and `scheduled_checks` judges it. `Program` names the parts that mutations exchange.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar, cast
from uuid import UUID

from solders.keypair import Keypair

from contracts.fact import Event, Fact
from contracts.mint import Completed, Confirmed, Failed, Finalized, Requested, Signed
from contracts.streams import COLLECTION, IPFS_MINT, MINT, MINTER_CANCELLED, MINTER_FINALITY, MINTER_MINT
from services.indexer.closing import Closer
from services.indexer.ports import Committed, Fenced, SettledOperations, Store
from services.indexer.projector import Projector
from services.ipfs.content import ContentPinner
from services.ipfs.domain import Outcome, Placed
from services.ipfs.domain import Refusal as PinRefusal
from services.ipfs.handlers import MintContent
from services.ipfs.ports import PinUnavailable
from services.ipfs.sessions import Sessions
from services.ipfs.uploads import WaitingUploads
from services.minter.adapters.node import Guard, Node
from services.minter.adapters.pool import PoolOptions, RpcPool
from services.minter.cancelling import Cancelling
from services.minter.lander import Lander
from services.minter.minting import Minting
from services.minter.ports import Chain
from services.minter.signer import Signer
from services.minter.watcher import SignatureWatcher
from tests.support.crashing import CrashingChain, CrashingLog, Fuse, crashed
from tests.support.ending import end
from tests.support.forking_chain import BLOCK_SECONDS, FaultyNode, ForkingChain
from tests.support.memory_log import MemoryLog, MemoryUploads
from tests.support.scheduled_wires import Durable, FaultyLog, FaultyTables, consume
from tests.support.virtual_time import LoopClock
from tests.support.weather import Weather

T = TypeVar("T")


class Violation(Exception):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Program:
    """The parts of the program that mutations exchange."""

    lander: type[Lander] = Lander
    minting: type[Minting] = Minting
    tables: type[FaultyTables] = FaultyTables
    chain: Callable[[Chain], Chain] = lambda chain: chain


class WrongClock(LoopClock):
    """A process's own wall clock: set wrong now and then, by seconds or by an hour, and right when it is calm."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._error = timedelta(0)

    def now(self) -> datetime:
        if self._weather.happens("clock_jump"):
            self._error = timedelta(seconds=self._weather.clock_error())
        return super().now() + (timedelta(0) if self._weather.calm else self._error)


class WitnessedLog(MemoryLog):
    """Remembers what was intended, so that every send can be held to it."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(now=clock.now)
        self.intended: set[str] = set()

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `MemoryLog.publish`, which decides before it first lets others run."""
        before = len(self.streams[MINT.name])
        publishing = super().publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)
        try:
            return await publishing
        finally:
            if isinstance(fact, Signed) and len(self.streams[MINT.name]) > before:
                self.intended.add(fact.attempt.signature)


class Mortal(Fuse):
    """A fuse that blows when the weather says so, at any call, before or after its effect."""

    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self._weather = weather

    async def around(self, call: str, effect: Awaitable[T]) -> T:
        """See `Fuse.around`."""
        if self._weather.happens("crash"):
            self.call, self.nth = call, self.calls[call] + 1
            self.when = self._weather.random.choice(["before", "after"])
        return await super().around(call, effect)


@dataclass
class Pinning:
    """Stands for `services.ipfs.content.ContentPinner`: content is pinned, refused for good, or not now."""

    weather: Weather
    refused: frozenset[str]
    retrieved_from: str | None = None

    async def place_nfts(
        self, request: Requested, positions: list[int], collection: object, session: object
    ) -> dict[int, Outcome]:
        """See `ContentPinner.place_nfts`."""
        await self.weather.pass_time()
        if self.weather.happens("pin_lost"):
            raise PinUnavailable("no answer")
        return {position: self._place(request.nfts[position].name) for position in positions}

    def _place(self, name: str) -> Outcome:
        if name in self.refused:
            return PinRefusal(cast("Any", "image_refused"), "No picture.", "Send one.")
        return Placed(name, "RVR", f"ipfs://{name}", "ipfs://image")


@dataclass
class World:
    """What outlives every process."""

    weather: Weather
    program: Program
    clock: LoopClock
    log: WitnessedLog
    chain: ForkingChain
    tables: FaultyTables
    consumers: dict[str, Durable]
    refused: set[str] = field(default_factory=set[str])
    found: list[str] = field(default_factory=list[str])
    """Violations seen on the way."""
    deaths: int = 0

    @classmethod
    def drawn(cls, seed: int, program: Program) -> "World":
        """The world of a seed."""
        weather, clock = Weather.drawn(Random(seed)), LoopClock()
        log, tables = WitnessedLog(clock), program.tables()
        tables.weather = weather
        ack_wait = weather.random.choice([6.0, 6.0, 30.0])
        consumers = {
            each.name: Durable(log, each, ack_wait)
            for each in (IPFS_MINT, MINTER_MINT, MINTER_CANCELLED, MINTER_FINALITY)
        }
        world = cls(weather, program, clock, log, ForkingChain(weather), tables, consumers)
        world.chain.on_send = world.sent
        return world

    def sent(self, signature: str) -> None:
        """Hold a send to the log."""
        if signature not in self.log.intended:
            self.found.append("a transaction was sent before its intent was on the log")

    def unfinished(self) -> str | None:
        """Say what has not come to its end; None when everything has."""
        completed = {fact.operation for fact in self.log.facts(Completed)}
        if waiting := [fact for fact in self.log.facts(Requested) if fact.operation not in completed]:
            return f"{len(waiting)} operations are not completed"
        for name, durable in self.consumers.items():
            if durable.unsettled:
                return f"{name} has messages in hand"
        for stream in (MINT, COLLECTION):
            if self.tables.watermarks[stream.name] != len(self.log.streams[stream.name]):
                return f"{stream.name} is not projected to its end"
        confirmed = {fact.signature for fact in self.last_words().values() if isinstance(fact, Confirmed)}
        final = {fact.signature for fact in self.log.facts(Finalized)}
        return None if confirmed <= final else "what is confirmed is not final"

    def last_words(self) -> dict[tuple[UUID, int, int], Confirmed | Failed]:
        """What the log says last of each transaction's outcome; a fork may have it say another."""
        facts = (*self.log.messages(Confirmed), *self.log.messages(Failed))
        ordered = sorted(facts, key=lambda message: message.sequence)
        return {(each.data.operation, each.data.chunk, each.data.tx): each.data for each in ordered}


# The processes -------------------------------------------------------------------------------------------------------

Parts = Callable[[World, Fuse, contextlib.AsyncExitStack], Awaitable[list[Coroutine[Any, Any, None]]]]


async def ipfs(world: World, fuse: Fuse, _: contextlib.AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
    """The parts of `services.ipfs.main` that mints need, before a pinning service that is none."""
    log = CrashingLog(FaultyLog(world.log, world.weather), fuse)
    pinner = cast("ContentPinner", Pinning(world.weather, frozenset(world.refused)))
    content = MintContent(log, pinner, Sessions(), WaitingUploads(MemoryUploads(), world.clock))
    return [consume(world.consumers[IPFS_MINT.name], content.on_requested, world.weather, world.clock, 4)]


async def minter(world: World, fuse: Fuse, resources: contextlib.AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
    """The parts of `services.minter.main`, without gate, funds, fees and growth."""
    clock = WrongClock(world.weather)
    guard = Guard("genesis", compare=True)
    rpcs = [FaultyNode(world.chain, forgetful=number == 1) for number in range(3)]
    nodes = [Node.guarded(n, f"https://node{n}.example", rpc, clock, guard) for n, rpc in enumerate(rpcs)]
    pool = RpcPool(nodes, clock, PoolOptions())
    resources.push_async_callback(pool.close)
    chain = world.program.chain(cast("Chain", CrashingChain(pool, fuse)))
    log = CrashingLog(FaultyLog(world.log, world.weather), fuse)
    signer = Signer(Keypair.from_seed(bytes(32)))
    watcher = SignatureWatcher(chain, clock, BLOCK_SECONDS)
    lander = world.program.lander(chain, signer, watcher, clock, max_in_flight=16)
    minting = world.program.minting(log, chain, lander, watcher, signer.pubkey, clock)
    handlers = {
        MINTER_MINT.name: minting.on_pinned,
        MINTER_CANCELLED.name: Cancelling(log).on_cancelled,
        MINTER_FINALITY.name: minting.on_confirmed,
    }
    work = [consume(world.consumers[name], handler, world.weather, clock, 8) for name, handler in handlers.items()]
    return [pool.run(), watcher.run(), *work]


async def indexer(world: World, fuse: Fuse, _: contextlib.AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
    """The parts of `services.indexer.term`: two projectors, and the closer once they have caught up."""
    clock = WrongClock(world.weather)
    log = FaultyLog(world.log, world.weather)
    store = cast("Store", CrashingChain(cast("Chain", world.tables), fuse))
    closer = Closer(CrashingLog(log, fuse), cast("SettledOperations", store), clock)

    def on_commit(committed: Committed) -> None:
        if committed.settled or committed.unheard:
            closer.wake()

    projectors = [
        Projector(stream, log=log, store=store, clock=clock, on_commit=on_commit) for stream in (MINT, COLLECTION)
    ]

    async def close() -> None:
        for projector in projectors:
            await projector.caught_up.wait()
        await closer.run()

    return [*(projector.run() for projector in projectors), close()]


async def live(world: World, parts: Parts) -> None:
    """Run a process, again and again: it starts, and dies of its fuse or of nothing."""
    while True:
        fuse = Mortal(world.weather)
        async with contextlib.AsyncExitStack() as resources:
            tasks = [asyncio.create_task(each) for each in await parts(world, fuse, resources)]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(tasks)
        for task in done:
            error = task.exception()
            if not (crashed(error) or isinstance(error, Fenced)):
                raise Violation(f"a process ended by itself: {error!r}") from error
        world.deaths += 1
        await world.clock.sleep(world.weather.random.uniform(0.0, 15.0))
