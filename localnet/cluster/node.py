"""The running cluster: makes slots on a timer or on demand, stores each before showing it, and tells who listens.

The asyncio shell around the ledger and the store; used by the RPC methods, the WebSocket hub and tests. The ledger is
touched on the event loop only; the store by one worker thread only. Exactly one slot or fork is under way at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.cluster.faults import FaultInjector, Faults
from localnet.cluster.ledger import Ledger, genesis_snapshot
from localnet.cluster.model import (
    SLOT_HASHES_ENTRIES,
    Block,
    Commitment,
    ExecutedTransaction,
    Fork,
    Genesis,
    LedgerLimits,
    SealedSlot,
)
from localnet.cluster.programs import NO_PROGRAMS, ProgramSet
from localnet.cluster.store import Store
from localnet.cluster.svm import Svm

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)

LAMPORTS_PER_SOL = 1_000_000_000
FAUCET_LAMPORTS = 500_000_000 * LAMPORTS_PER_SOL
# Transactions executed before other clients get the event loop again: a few milliseconds of mints.
_BATCH = 8


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest block of each commitment level at one moment."""

    processed: Block
    confirmed: Block
    finalized: Block

    def at(self, commitment: Commitment) -> Block:
        """The newest block of one level."""
        match commitment:
            case Commitment.PROCESSED:
                return self.processed
            case Commitment.CONFIRMED:
                return self.confirmed
            case Commitment.FINALIZED:
                return self.finalized


@dataclass(frozen=True, slots=True)
class Advance:
    """One change of the chain: a new block, or a fork that dropped some."""

    before: Heads
    after: Heads
    fork: Fork | None = None


Listener = Callable[[Advance], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How a node runs. `slot_seconds` None is the stepped mode: slots pass only when asked for."""

    data: Path | None = None
    slot_seconds: float | None = 0.4
    limits: LedgerLimits = field(default_factory=LedgerLimits)
    seed: bytes = b""
    clock: Callable[[], float] = time.time


class Node:
    """A cluster of one. Create with `open`, then `run` (timed) or `step` (stepped), then `close`."""

    def __init__(
        self, ledger: Ledger, store: Store, options: NodeOptions, faucet: Keypair, programs: ProgramSet
    ) -> None:
        self.ledger = ledger
        self.faucet = faucet
        self.programs = programs
        self.options = options
        self.faults = FaultInjector()
        self._store = store
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-store")
        self._lock = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._listeners: list[Listener] = []
        self._unpruned: dict[int, list[Pubkey]] = {}

    @classmethod
    async def open(cls, options: NodeOptions, programs: ProgramSet = NO_PROGRAMS) -> Node:
        """Load the ledger of `options.data`, or begin a new chain. Raises StoreError, ValueError (bad program)."""
        return await asyncio.to_thread(cls._open, options, programs)

    @classmethod
    def _open(cls, options: NodeOptions, programs: ProgramSet) -> Node:
        store = Store(options.data / "ledger.sqlite3" if options.data is not None else None)
        limits = options.limits
        kept_roots = limits.status_cache_roots + limits.finalized_after
        snapshot = store.load(max(SLOT_HASHES_ENTRIES, kept_roots) + 1, max(store.head_height() - kept_roots, 0))
        if snapshot is None:
            store.put_meta("seed", options.seed or hashlib.sha256(str(options.clock()).encode()).digest())
        faucet = Keypair.from_seed(hashlib.sha256(b"faucet" + (store.meta("seed") or b"")).digest())
        if snapshot is None:
            account = Account(FAUCET_LAMPORTS, b"", Pubkey.default())
            seed = store.meta("seed") or b""
            snapshot = genesis_snapshot(Genesis(int(options.clock()), seed, {faucet.pubkey(): account}))
            store.begin_chain(snapshot)
        ledger = Ledger(Svm(programs.by_address()), snapshot, limits, store.last_slot)
        node = cls(ledger, store, options, faucet, programs)
        for slot, key, _ in snapshot.accounts:
            node._unpruned.setdefault(slot, []).append(key)
        return node

    async def close(self) -> None:
        """Stop making slots, let the one under way finish, and close the ledger file."""
        self._stopping.set()
        async with self._lock:
            await self.in_store(lambda store: store.close())
        self._worker.shutdown(wait=True)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called after every change of the chain, before the next one begins."""
        self._listeners.append(listener)

    @property
    def heads(self) -> Heads:
        """The newest block of each commitment level, now."""
        chain = self.ledger.chain
        return Heads(chain.at(Commitment.PROCESSED), chain.at(Commitment.CONFIRMED), chain.at(Commitment.FINALIZED))

    def set_faults(self, faults: Faults) -> None:
        """Put faults in force."""
        self.faults.set(faults)

    # Making slots

    async def run(self) -> None:
        """Make a slot every `slot_seconds` until closed. A slow slot delays the next; there is no catching up."""
        period = self.options.slot_seconds
        if period is None:
            await self._stopping.wait()
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + period
        while not await self._stopped_before(due - loop.time()):
            await self.step()
            due = max(due + period, loop.time())

    async def _stopped_before(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._stopping.wait()
        except TimeoutError:  # the normal case: it is time for the next slot
            return False
        return True

    async def step(self, slots: int = 1) -> Block:
        """Make `slots` slots now; returns the head. An error of the store ends the node: nothing may go unstored."""
        for _ in range(slots):
            async with self._lock:
                if self._stopping.is_set():
                    break
                await self._make_slot()
                if self.faults.forks():
                    await self._fork(self.faults.faults.fork_blocks)
        return self.ledger.chain.head

    async def _make_slot(self) -> None:
        if self.faults.skips_slot():
            self.ledger.chain.skip()
            return
        before = self.heads
        builder = self.ledger.begin_slot(int(self.options.clock()))
        while builder.execute_some(_BATCH):  # noqa: ASYNC110 - work, not waiting
            await asyncio.sleep(0)
        sealed = builder.seal()
        await self.in_store(lambda store: store.append(sealed))
        self.ledger.publish(sealed)
        await self._prune(sealed)
        await self._tell(Advance(before, self.heads))

    async def _prune(self, sealed: SealedSlot) -> None:
        """Forget account versions that became unreadable, as the ledger does in memory."""
        if sealed.changes:
            self._unpruned[sealed.block.slot] = list(sealed.changes)
        horizon = self.ledger.history_horizon
        ready = [slot for slot in self._unpruned if slot <= horizon]
        addresses = {address for slot in ready for address in self._unpruned.pop(slot)}
        if addresses:
            await self.in_store(lambda store: store.prune(addresses, horizon))

    async def fork(self, depth: int) -> Fork:
        """Drop the newest `depth` blocks, as when the cluster settles on another fork; finalized ones stay."""
        async with self._lock:
            return await self._fork(depth)

    async def _fork(self, depth: int) -> Fork:
        before = self.heads
        fork = self.ledger.fork(depth)
        last_slot = self.ledger.chain.last_slot
        await self.in_store(lambda store: store.rollback(fork.head.slot, last_slot))
        for slot in fork.dropped_slots:
            self._unpruned.pop(slot, None)
        _log.warning("fork", dropped_slots=len(fork.dropped_slots), dropped_transactions=len(fork.dropped))
        await self._tell(Advance(before, self.heads, fork))
        return fork

    async def _tell(self, advance: Advance) -> None:
        for listener in self._listeners:
            await listener(advance)

    # Reading what the ledger no longer holds

    async def in_store(self, work: Callable[[Store], _T]) -> _T:
        """Run `work` on the store in its own thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, self._store)

    async def transaction(self, signature: str) -> ExecutedTransaction | None:
        """A landed transaction of any age, or None."""
        recent = self.ledger.recent_transaction(signature)
        if recent is not None:
            return recent
        return await self.in_store(lambda store: store.transaction(signature))

    async def block(self, slot: int) -> Block | None:
        """A published block of any age, or None."""
        return self.ledger.chain.block(slot) or await self.in_store(lambda store: store.block(slot))
