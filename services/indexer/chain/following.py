"""Follows the trees of every collection: reads what the finalized chain did to them and says it as `observed`.

One task beside the projectors. A tree is read from where the log says it was read to, so a crash at any line costs what
was not said yet and nothing else; a tree that was never read is read from its making, in the same way. Finalized only:
no fork takes anything back. Account compression numbers a tree's changes without holes. What a node does not show is a
hole: it is looked for further back, as far as the slot of the last change, and at the next node. As long as nobody
shows it, what comes behind it is not said, the missing numbers are, and the next look asks again.

Whoever hears that a tree has changed calls `wake`; when nothing is heard, all trees are looked at every `interval`
seconds all the same. Not done here: one look at one node (`reading`), what the changes mean for the tables (`assets`),
and comparisons (`reconciling`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from solders.pubkey import Pubkey

from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable, SequenceConflict
from chassis.telemetry import get_logger
from contracts.collection import CollectionCreated
from contracts.observation import CollectionObserved
from contracts.registry import UndecodableMessage
from services.indexer.chain.listing import History
from services.indexer.chain.reading import Followed, Place, TreeReading
from services.indexer.ports import ChainUnavailable, CreatedCollections, StoreUnavailable
from services.indexer.preference import Preference

GATHER_SECONDS: Final = 2.0
"""How long what is heard of is gathered into one look: a tree that is minted into changes with every block."""
MAX_HOLE_PAUSE: Final = 3600.0
"""Seconds, at most, until a tree with a hole is read again."""
TREES: Final = 4
"""Trees read at once."""
COLLECTIONS: Final = 50
"""Collections read from the tables at once."""
_NO_ID: Final = UUID(int=0)

_log = get_logger(__name__)


class TreeFollower:
    """Keeps the log's observations of every tree up to the finalized chain. `interval` is in seconds.

    `histories` are the nodes', in the operator's order: the next one is asked for what one does not show.
    """

    def __init__(
        self,
        log: EventLog,
        histories: Sequence[History],
        collections: CreatedCollections,
        clock: Clock,
        *,
        interval: float = 15.0,
    ) -> None:
        self._log = log
        self._histories = histories
        self._preference = Preference(len(histories), clock)
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

    async def catch_up(self, collection: UUID, tree: str, up_to: int = 0) -> Followed:
        """Read a tree to the end of the finalized chain and say what is new.

        A node that does not show the first `up_to` changes, or shows a hole, is followed by the next one. Raises
        ChainUnavailable when no node answers, and LogUnavailable; what was said until then stays said.
        """
        async with self._lock(tree):
            looks: list[Followed] = []
            reasons: list[str] = []
            for position in self._preference.order():
                try:
                    look = await self._look(self._histories[position], collection, tree, up_to)
                except ChainUnavailable as error:
                    # Ask the next node; when there is none, the caller comes again.
                    self._preference.failed(position)
                    reasons.append(str(error))
                    continue
                if look.shows(up_to):
                    return look
                looks.append(look)
                # What waits behind a hole is there: the next node has to show it as well.
                up_to = max(up_to, *(hole.stop for hole in look.missing), 0)
            if not looks:
                raise ChainUnavailable("; ".join(reasons))
            followed = max(looks, key=lambda look: (look.seq, len(look.missing)))
            if followed.missing:
                _log.error(
                    "changes of a tree are missing",
                    collection=str(collection),
                    tree=tree,
                    observed=followed.seq,
                    missing=[(hole.start, hole.stop - 1) for hole in followed.missing[:10]],
                )
            return followed

    async def _look(self, history: History, collection: UUID, tree: str, up_to: int) -> Followed:
        """Read what one node shows that is not on the log yet, and say it."""
        try:
            reading = await self._begin(history, collection, tree)
        except (UndecodableMessage, ValueError) as error:
            # Stop with this tree: nothing can follow on a message that cannot be read; an operator has to look.
            _log.error("a tree cannot be followed", collection=str(collection), tree=tree, reason=str(error))
            return Followed(collection, tree, 0)
        try:
            await reading.read_on()
            if not reading.followed().shows(up_to):
                # The node may have listed what is missing later than what it was read up to.
                await reading.read_behind()
        except SequenceConflict:
            # Stop: another follower has just said it, and this one's position is the past.
            return Followed(collection, tree, reading.place.seq)
        if reading.place.done is not None:
            self._read_to[tree] = (reading.place.log_sequence, reading.place.done)
        return reading.followed()

    async def _begin(self, history: History, collection: UUID, tree: str) -> TreeReading:
        """Where the log says that the tree was read to. Raises ValueError for a tree that is no address."""
        last = await self._log.last(CollectionObserved, collection=collection, tree=tree)
        cause = await self._log.last(CollectionCreated, collection=collection)
        log_sequence, seq, done = (last.sequence, last.data.sequence, last.data.signature) if last else (0, 0, None)
        known = self._read_to.get(tree)
        if known is not None and known[0] == log_sequence:
            done = known[1]
        place = Place(log_sequence, seq, last.data.leaves[-1].slot if last else 0, done)
        return TreeReading(
            self._log, history, collection, Pubkey.from_string(tree), place, cause.event if cause else None
        )
