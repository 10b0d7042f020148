"""A chain of a few blocks in memory, for landing transactions on it step by step: what is sent, when it arrives, what
nodes remember. Time passes by sleeping: each sleep is one block.

`ToyWorld` lets minters live and die on it, with the program's own lander, transaction and watcher, and judges what has
come of one transaction.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chassis.clock import SystemClock
from chassis.log import RetryLater
from contracts.mint import Signed
from services.minter.lander import Lander, OnChain
from services.minter.landing import Commitment, SignatureState
from services.minter.mint_transaction import MintTransaction
from services.minter.ports import (
    ChainUnavailable,
    ConfirmedTransaction,
    FinalizedHead,
    Look,
    RecentBlockhash,
    Simulation,
)
from services.minter.refusals import Refusal
from services.minter.signer import Signer
from services.minter.watcher import SignatureWatcher
from tests.support import samples
from tests.support.memory_log import MemoryLog

VALIDITY = 10
"""Blocks for which a blockhash is good."""
FINALITY = 4
CONFIRMATION = 2
MEMORY = 15
"""Blocks for which a node knows a signature without searching its history."""
BLOCK_SECONDS = 0.4
MAX_BLOCKS = 500
"""Blocks after which a life that leads nowhere is given up."""


class Crash(BaseException):
    """The process died. No `except Exception` of the program sees it."""


class ToyChain:
    """Implements `services.minter.ports.Chain`.

    `delays` are the blocks that each send of the bytes that were sent first takes, None: it is dropped. Any other send
    takes one block.
    """

    def __init__(self, delays: Mapping[int, int | None] | None = None) -> None:
        self.blocks: list[set[str]] = [set()]
        self.delays = delays or {}
        self.sent: list[str] = []
        self.silent_looks = 0
        """How many more looks are not answered."""
        self.stalls_at = 0
        """The simulation of this number takes until something was sent; 0 for none."""
        self.on_send: Callable[[str], None] = lambda _: None
        """Called with each signature once the network has taken it, before the sender hears of it."""
        self._queue: list[tuple[int, str]] = []
        self._last_valid: dict[str, int] = {}
        self._simulations = 0
        self._sending = asyncio.Event()

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    @property
    def landed(self) -> list[str]:
        """Every signature on chain."""
        return [signature for block in self.blocks for signature in block]

    def pass_blocks(self, count: int) -> None:
        for _ in range(count):
            self.blocks.append(set())
            for due, signature in self._queue:
                # Validators accept 151 blockhashes: one block more than the last valid height says.
                alive = self.height <= self._last_valid[signature] + 1
                if due <= self.height and alive and signature not in self.landed:
                    self.blocks[-1].add(signature)
        if self.height > MAX_BLOCKS:
            raise AssertionError("it led nowhere")

    async def recent_blockhash(self) -> RecentBlockhash:
        self.pass_blocks(1)
        return RecentBlockhash(Hash(self.height.to_bytes(32, "big")), self.height + VALIDITY)

    async def simulate(self, transaction: VersionedTransaction) -> Simulation:
        self._simulations += 1
        if self._simulations == self.stalls_at:
            await self._sending.wait()
        await asyncio.sleep(0)
        return Simulation(None, 50_000)

    async def send(self, wire: bytes) -> None:
        transaction = VersionedTransaction.from_bytes(wire)
        signature = str(transaction.signatures[0])
        made_at = int.from_bytes(bytes(transaction.message.recent_blockhash), "big")
        self._last_valid[signature] = made_at + VALIDITY
        first = signature in self.sent[:1] or not self.sent
        delay = self.delays.get(self.sent.count(signature), 1) if first else 1
        self.sent.append(signature)
        self._sending.set()
        if delay is not None:
            self._queue.append((self.height + delay, signature))
        self.on_send(signature)

    async def finalized_head(self) -> FinalizedHead:
        final = max(0, self.height - FINALITY)
        return FinalizedHead(slot=final, block_height=final)

    async def look(self, signatures: Sequence[str], *, search_history: bool) -> Look:
        if self.silent_looks:
            self.silent_looks -= 1
            raise ChainUnavailable("circuit open")
        found: dict[str, SignatureState] = {}
        for slot, block in enumerate(self.blocks):
            depth = self.height - slot
            if search_history or depth <= MEMORY:
                state = SignatureState(slot, commitment(depth))
                found |= dict.fromkeys(block.intersection(signatures), state)
        return Look(await self.finalized_head(), found)

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        raise NotImplementedError

    async def minimum_rent(self, size: int) -> int:
        raise NotImplementedError

    async def accounts(self, addresses: Sequence[str]) -> Sequence[bytes | None]:
        raise NotImplementedError


def commitment(depth: int) -> Commitment:
    """How settled a block is with so many blocks upon it."""
    if depth >= FINALITY:
        return Commitment.FINALIZED
    return Commitment.CONFIRMED if depth >= CONFIRMATION else Commitment.PROCESSED


class BlockClock(SystemClock):
    """A clock that stands still but for sleepers: each sleep is one block."""

    def __init__(self, chain: ToyChain) -> None:
        self._chain = chain

    def monotonic(self) -> float:
        return self._chain.height * BLOCK_SECONDS

    async def sleep(self, seconds: float) -> None:
        self._chain.pass_blocks(1)
        await asyncio.sleep(0)


@dataclass
class ToyWorld:
    """What outlives the minter's processes, and what they said of one transaction."""

    chain: ToyChain = field(default_factory=ToyChain)
    log: MemoryLog = field(default_factory=MemoryLog)
    make: type[MintTransaction] = MintTransaction
    outcomes: list[OnChain | Refusal] = field(default_factory=list[OnChain | Refusal])

    def transaction(self, wallet: Pubkey) -> MintTransaction:
        cause = samples.event(samples.PINNED)
        planned = samples.PLANNED.transactions[1]
        return self.make(self.log, cause, samples.COLLECTION_CREATED, samples.PINNED, planned, None, wallet)

    async def life(self) -> bool:
        """Let one minter land the transaction; returns whether it lived to see the end."""
        signer, clock = Signer(Keypair.from_seed(bytes(32))), BlockClock(self.chain)
        watcher = SignatureWatcher(self.chain, clock, BLOCK_SECONDS)
        lander = Lander(self.chain, signer, watcher, clock, max_in_flight=1)
        watching = asyncio.create_task(watcher.run())
        try:
            while True:
                try:
                    self.outcomes.append(await lander.land(self.transaction(signer.pubkey)))
                    return True
                except RetryLater:  # delivered again, a block later
                    self.chain.pass_blocks(1)
        except Crash:
            return False
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    def recorded(self) -> set[str]:
        """Every signature that the log knows."""
        return {attempt.signature for fact in self.log.facts(Signed) for attempt in (*fact.earlier, fact.attempt)}

    def judge(self) -> None:
        """Let what may still land do so, and raise if the transaction was doubled, or is on chain and called failed."""
        self.chain.pass_blocks(2 * VALIDITY)
        landed = self.chain.landed
        if len(landed) > 1:
            raise Doubled(landed)
        if landed and any(isinstance(outcome, Refusal) for outcome in self.outcomes):
            raise DeclaredFailed(landed)
        assert landed, "it never landed"


class Doubled(Exception):
    """More than one attempt of one transaction is on chain."""


class DeclaredFailed(Exception):
    """What is on chain was said to have failed."""
