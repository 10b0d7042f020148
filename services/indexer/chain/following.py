"""Follows the trees of every collection: reads what the finalized chain did to them and says it as `observed`.

One task beside the projectors. A tree is read from where the log says it was read to, so a crash at any line costs what
was not said yet and nothing else; a tree that was never read is read from its making, in the same way. Finalized only:
no fork takes anything back. Account compression numbers a tree's changes without holes. What a node does not show is a
hole: what comes behind it is not said, the missing numbers are, and the next look asks again.

Whoever hears that a tree has changed calls `wake`; when nothing is heard, all trees are looked at every `interval`
seconds all the same. Not done here: what the changes mean for the tables (`assets`), and comparisons (`reconciling`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from solders.pubkey import Pubkey

from bubblegum.changes import LeafChange, Unknown
from bubblegum.decode import decode
from bubblegum.errors import DecodeError
from bubblegum.leaf import ChangeLogEvent
from bubblegum.sequence import Sequencer
from bubblegum.state import LeafState, Place, leaf_states
from bubblegum.transaction import ExecutedTransaction
from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable, SequenceConflict
from chassis.telemetry import get_logger
from contracts.collection import CollectionCreated
from contracts.fact import Event, Fact
from contracts.observation import MAX_OBSERVED, CollectionObserved, LeafFate, ObservedLeaf
from contracts.registry import UndecodableMessage
from services.indexer.ports import ChainUnavailable, CreatedCollections, StoreUnavailable

PAGE: Final = 1000
"""Most signatures that getSignaturesForAddress returns at once (Agave)."""
FETCHES: Final = 8
"""Transactions of one tree asked for at once."""
GATHER_SECONDS: Final = 2.0
"""How long what is heard of is gathered into one look: a tree that is minted into changes with every block."""
MAX_HOLE_PAUSE: Final = 3600.0
"""Seconds, at most, until a tree with a hole is read again."""
TREES: Final = 4
"""Trees read at once."""
BATCH: Final = MAX_OBSERVED - 100
"""Changes that are worth a message while more are read: with what the next transactions bring it still takes all."""
COLLECTIONS: Final = 50
"""Collections read from the tables at once."""
_NO_ID: Final = UUID(int=0)

_log = get_logger(__name__)


class History(Protocol):
    """What a node remembers of an address, at commitment `finalized`. Every method may raise ChainUnavailable."""

    async def signatures(self, address: str, before: str | None, until: str | None, limit: int) -> Sequence["Landed"]:
        """Return the newest of those older than `before` and newer than `until`, the newest first."""
        ...

    async def transaction(self, signature: str) -> ExecutedTransaction:
        """Return a transaction that `signatures` told of; raises DecodeError when it is not what it should be."""
        ...


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction that names an address."""

    signature: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """A tree, how far it was observed, and what is missing behind that."""

    collection: UUID
    tree: str
    seq: int
    missing: tuple[range, ...] = ()


@dataclass(slots=True)
class _Reading:
    """How far the reading of one tree is.

    `done` is the last transaction up to which all was read and nothing waits for an earlier change, `said_to` the one
    up to which all was said as well.
    """

    collection: UUID
    tree: Pubkey
    log_sequence: int
    sequencer: Sequencer[tuple[ChangeLogEvent, LeafState]]
    done: str | None
    said_to: str | None
    said: int
    batch: list[tuple[ChangeLogEvent, LeafState]] = field(default_factory=list[tuple[ChangeLogEvent, LeafState]])


class TreeFollower:
    """Keeps the log's observations of every tree up to the finalized chain. `interval` is in seconds."""

    def __init__(
        self, log: EventLog, history: History, collections: CreatedCollections, clock: Clock, *, interval: float = 15.0
    ) -> None:
        self._log = log
        self._history = history
        self._collections = collections
        self._clock = clock
        self._interval = interval
        self._due = asyncio.Event()
        self._news: set[str] = set()
        self._slots = asyncio.Semaphore(TREES)
        self._locks: dict[str, asyncio.Lock] = {}
        self._running: set[str] = set()
        """Trees that are being read or wait for their turn."""
        self._holes_met: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        """By tree with a hole: when it is looked at again, ever later, because all behind the hole is read again."""
        self._read_to: dict[str, tuple[int, str]] = {}
        """By tree: the transaction up to which it was read while its last message was the one at this sequence."""
        self.trees: Mapping[str, UUID] = {}
        """Every tree that is followed, with its collection; new after each look at all of them."""

    def wake(self, trees: Iterable[str]) -> None:
        """Something happened to these trees, or so somebody says."""
        self._news.update(trees)
        self._due.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        next_look = self._clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            while True:
                if self._clock.monotonic() >= next_look:
                    await self._refresh()
                    self._news.update(self.trees)
                    next_look = self._clock.monotonic() + self._interval
                news, self._news = self._news, set()
                self._due.clear()
                # One that is being read hears of what is new when it is read again, at most an interval later.
                for tree in (news & self.trees.keys()) - self._running:
                    if self._not_before.get(tree, 0.0) <= self._clock.monotonic():
                        self._running.add(tree)
                        tasks.create_task(self._follow(self.trees[tree], tree))
                await self._rest(next_look - self._clock.monotonic())
                if self._news:
                    await self._clock.sleep(GATHER_SECONDS)

    def _lock(self, tree: str) -> asyncio.Lock:
        return self._locks.setdefault(tree, asyncio.Lock())

    async def _follow(self, collection: UUID, tree: str) -> None:
        """One look at one tree; a long one does not keep the others waiting, unless `TREES` are long."""
        async with self._slots:
            try:
                followed = await self.catch_up(collection, tree)
            except (ChainUnavailable, LogUnavailable, StoreUnavailable) as error:
                # Retry, at the next look: what was said is on the log, and the rest is looked for again.
                _log.warning("cannot follow a tree", tree=tree, reason=str(error))
                return
            finally:
                self._running.discard(tree)
        met = self._holes_met.get(tree, 0) + 1 if followed.missing else 0
        self._holes_met[tree] = met
        pause = min(MAX_HOLE_PAUSE, self._interval * 2.0**met) if met else 0.0
        self._not_before[tree] = self._clock.monotonic() + pause

    async def _refresh(self) -> None:
        try:
            self.trees = await self._all_trees()
        except StoreUnavailable as error:
            # Retry, at the next look: until then the trees that are known are followed.
            _log.warning("cannot list trees", reason=str(error))

    async def _rest(self, seconds: float) -> None:
        """Until there is news, or for `seconds`."""
        timer = asyncio.ensure_future(self._clock.sleep(max(0.0, seconds)))
        news = asyncio.ensure_future(self._due.wait())
        try:
            await asyncio.wait((timer, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            news.cancel()
            await asyncio.gather(timer, news, return_exceptions=True)

    async def _all_trees(self) -> dict[str, UUID]:
        trees: dict[str, UUID] = {}
        after = _NO_ID
        while found := await self._collections.created_collections(after, COLLECTIONS, None):
            after = found[-1].id
            trees |= {tree: collection.id for collection in found for tree in collection.trees}
        return trees

    async def catch_up(self, collection: UUID, tree: str) -> Followed:
        """Read a tree to the end of the finalized chain and say what is new.

        Raises ChainUnavailable and LogUnavailable; what was said until then stays said.
        """
        async with self._lock(tree):
            try:
                reading, event = await self._begin(collection, tree)
            except (UndecodableMessage, ValueError) as error:
                # Stop with this tree: nothing can follow on a message that cannot be read; an operator has to look.
                _log.error("a tree cannot be followed", collection=str(collection), tree=tree, reason=str(error))
                return Followed(collection, tree, 0)
            try:
                await self._read(reading, event)
            except SequenceConflict:
                # Stop: another follower has just said it, and this one's position is the past.
                return Followed(collection, tree, reading.said)
            except DecodeError as error:
                # Stop: a hole that more lies behind than is worth holding; it is told below.
                _log.warning("a tree is not read further", tree=tree, reason=str(error))
            if reading.done is not None:
                self._read_to[tree] = (reading.log_sequence, reading.done)
            missing = tuple(reading.sequencer.missing())
            if missing:
                _log.error(
                    "changes of a tree are missing",
                    collection=str(collection),
                    tree=tree,
                    observed=reading.said,
                    missing=[(hole.start, hole.stop - 1) for hole in missing[:10]],
                )
            return Followed(collection, tree, reading.said, missing)

    async def _begin(self, collection: UUID, tree: str) -> tuple[_Reading, Event[Fact] | None]:
        """Where the log says that the tree was read to. Raises ValueError for a tree that is no address."""
        last = await self._log.last(CollectionObserved, collection=collection, tree=tree)
        cause = await self._log.last(CollectionCreated, collection=collection)
        log_sequence, seq, done = (last.sequence, last.data.sequence, last.data.signature) if last else (0, 0, None)
        known = self._read_to.get(tree)
        if known is not None and known[0] == log_sequence:
            done = known[1]
        sequencer = Sequencer[tuple[ChangeLogEvent, LeafState]](seq)
        reading = _Reading(collection, Pubkey.from_string(tree), log_sequence, sequencer, done, done, seq)
        return reading, cause.event if cause else None

    async def _read(self, reading: _Reading, cause: Event[Fact] | None) -> None:
        """Read and say everything; raises DecodeError when too much lies behind a hole."""
        async for page in self._pages(str(reading.tree), reading.done):
            for start in range(0, len(page), FETCHES):
                chunk = page[start : start + FETCHES]
                landed = [each.signature for each in chunk if not each.failed]
                for tx in await asyncio.gather(*(self._transaction(signature) for signature in landed)):
                    if tx is not None:
                        self._take(reading, tx)
                await self._say(reading, chunk[-1].signature, cause, at_least=BATCH)
        await self._say(reading, reading.done, cause, at_least=1)

    async def _pages(self, tree: str, until: str | None) -> AsyncIterator[Sequence[Landed]]:
        """Yield what is newer than `until`, the oldest page first and each page from old to new.

        Nodes list from new to old. Only where each page begins is kept, and the older pages are asked for again, so
        that a tree of a million transactions costs no more memory than one of a thousand.
        """
        beginnings: list[str | None] = [None]
        newest = page = await self._history.signatures(tree, None, until, PAGE)
        while len(page) == PAGE:
            beginnings.append(page[-1].signature)
            page = await self._history.signatures(tree, page[-1].signature, until, PAGE)
        for before in reversed(beginnings[1:]):
            yield list(reversed(await self._history.signatures(tree, before, until, PAGE)))
        yield list(reversed(newest))

    async def _transaction(self, signature: str) -> ExecutedTransaction | None:
        try:
            return await self._history.transaction(signature)
        except DecodeError as error:
            # Stop with this transaction: these bytes will not change. What it did to the tree shows as a hole.
            _log.error("a transaction cannot be read", signature=signature, reason=str(error))
            return None

    def _take(self, reading: _Reading, tx: ExecutedTransaction) -> None:
        place = Place(tx.slot, tx.signature)
        for change in decode(tx):
            if isinstance(change, Unknown):
                _log.error("an instruction on a tree is not understood", signature=tx.signature, reason=change.reason)
                change_logs = [each for each in change.change_logs if each.seq > 0]
            else:
                change_logs = [change.change_log] if isinstance(change, LeafChange) else []
            for change_log, state in zip(change_logs, leaf_states(change, place), strict=True):
                if change_log.tree == reading.tree:
                    reading.sequencer.put(change_log.seq, (change_log, state))
        reading.batch += (value for _, value in reading.sequencer.ready())

    async def _say(self, reading: _Reading, read_to: str | None, cause: Event[Fact] | None, *, at_least: int) -> None:
        """Publish all that is ready if there are `at_least` so many, in messages of at most MAX_OBSERVED."""
        if not reading.sequencer.missing():
            reading.done = read_to
        if len(reading.batch) < at_least:
            return
        while reading.batch:
            now, reading.batch = reading.batch[:MAX_OBSERVED], reading.batch[MAX_OBSERVED:]
            fact = CollectionObserved(
                collection=reading.collection,
                tree=str(reading.tree),
                after=reading.said,
                leaves=tuple(observed_leaf(state) for _, state in now),
                root=now[-1][0].root.hex(),
                # What is left for the next message would be skipped by whoever goes on behind the last transaction.
                signature=reading.said_to if reading.batch else reading.done,
            )
            reading.log_sequence = await self._log.publish(fact, cause=cause, expected_sequence=reading.log_sequence)
            reading.said, reading.said_to = fact.sequence, fact.signature


def observed_leaf(state: LeafState) -> ObservedLeaf:
    """Return what one change made of a leaf, as the log tells it."""
    holder, place = state.holder, state.changed.value
    return ObservedLeaf(
        index=state.index,
        asset_id=str(state.asset_id),
        leaf_hash=state.leaf.value.hex(),
        fate=LeafFate(state.fate.value.value),
        signature=place.signature,
        slot=place.slot,
        owner=str(holder.value.owner) if holder else None,
        delegate=str(holder.value.delegate) if holder else None,
        flags=holder.value.flags if holder else None,
        minted=state.minted is not None,
        collection_address=str(state.collection.value) if state.collection and state.collection.value else None,
        collection_changed=state.collection is not None,
    )
