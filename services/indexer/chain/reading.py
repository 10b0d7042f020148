"""One look at one tree at one node: what the log does not have yet is read, put into the tree's order and said.

Used by `following`, which says where to begin and what to do when the node does not show everything.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from solders.pubkey import Pubkey

from bubblegum import state
from bubblegum.changes import LeafChange, Unknown
from bubblegum.decode import decode
from bubblegum.errors import DecodeError
from bubblegum.leaf import ChangeLogEvent
from bubblegum.sequence import Sequencer
from bubblegum.state import LeafState, leaf_states
from bubblegum.transaction import ExecutedTransaction
from chassis.log import EventLog
from chassis.telemetry import get_logger
from contracts.fact import Event, Fact
from contracts.observation import MAX_OBSERVED, CollectionObserved, LeafFate, ObservedLeaf
from services.indexer.chain.listing import History, Landed, Span, pages
from services.indexer.ports import ChainUnavailable

FETCHES: Final = 8
"""Transactions of one tree asked for at once."""
BATCH: Final = MAX_OBSERVED - 100
"""Changes that are worth a message while more are read: with what the next transactions bring it still takes all."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Followed:
    """A tree, how far it was observed, and what is missing behind that."""

    collection: UUID
    tree: str
    seq: int
    missing: tuple[range, ...] = ()

    def shows(self, changes: int) -> bool:
        """Whether at least so many changes were observed, and no change that was seen waits for an earlier one."""
        return not self.missing and self.seq >= changes


@dataclass(slots=True)
class Place:
    """Where the observation of a tree stands: on the log, and at the node."""

    log_sequence: int
    """COLLECTION sequence of the last message about the tree."""
    seq: int
    """Changes that were said."""
    slot: int
    """Slot of the last of them: what is missing is in this slot or in a later one."""
    done: str | None
    """The last transaction up to which all was read and nothing waits for an earlier change."""


class TreeReading:
    """Reads a tree from `place` on, which moves along. Raises ChainUnavailable, LogUnavailable and SequenceConflict."""

    def __init__(
        self, log: EventLog, history: History, collection: UUID, tree: Pubkey, place: Place, cause: Event[Fact] | None
    ) -> None:
        """`cause` is what the messages name as theirs."""
        self.place = place
        self._log = log
        self._history = history
        self._collection = collection
        self._tree = tree
        self._cause = cause
        self._floor = place.slot
        self._sequencer = Sequencer[tuple[ChangeLogEvent, LeafState]](place.seq)
        self._batch: list[tuple[ChangeLogEvent, LeafState]] = []
        self._said_to = place.done
        """The last transaction up to which all was said as well."""
        self._oldest: str | None = None
        self._newest: str | None = None
        """The ends of what was read so far."""

    def followed(self) -> Followed:
        """What this look comes to so far."""
        return Followed(self._collection, str(self._tree), self.place.seq, tuple(self._sequencer.missing()))

    async def read_on(self) -> None:
        """Read and say what is newer than what was read before."""
        await self._read(Span(self._floor, until=self.place.done))

    async def read_behind(self) -> None:
        """Read and say what was not listed when it was passed by, as far back as something can be missing."""
        await self._read(Span(self._floor, before=self._oldest))

    async def _read(self, span: Span) -> None:
        try:
            # The listing ends with the loop, also with one that raises.
            async with aclosing(pages(self._history, str(self._tree), span)) as listed:
                async for page in listed:
                    for start in range(0, len(page), FETCHES):
                        chunk = page[start : start + FETCHES]
                        await self._fetch([each for each in chunk if not each.failed])
                        self._oldest = self._oldest or chunk[0].signature
                        if span.before is None:
                            self._newest = chunk[-1].signature
                        await self._say(at_least=BATCH)
        except DecodeError as error:
            # Stop: a hole that more lies behind than is worth holding; `followed` tells of it.
            _log.warning("a tree is not read further", tree=str(self._tree), reason=str(error))
        await self._say(at_least=1)

    async def _fetch(self, listed: Sequence[Landed]) -> None:
        for tx in await asyncio.gather(*map(self._transaction, listed)):
            if tx is not None:
                self._take(tx)

    async def _transaction(self, listed: Landed) -> ExecutedTransaction | None:
        try:
            found = await self._history.transaction(listed.signature)
        except DecodeError as error:
            # Stop with this transaction: these bytes will not change. What it did to the tree shows as a hole.
            _log.error("a transaction cannot be read", signature=listed.signature, reason=str(error))
            return None
        if (found.signature, found.slot) != (listed.signature, listed.slot):
            # Nobody is asked for anything before the slot of the last change: one made up would end all following.
            raise ChainUnavailable("the node tells two different transactions or slots for one signature")
        return found

    def _take(self, tx: ExecutedTransaction) -> None:
        place = state.Place(tx.slot, tx.signature)
        for change in decode(tx):
            if isinstance(change, Unknown):
                _log.error("an instruction on a tree is not understood", signature=tx.signature, reason=change.reason)
                change_logs = [each for each in change.change_logs if each.seq > 0]
            else:
                change_logs = [change.change_log] if isinstance(change, LeafChange) else []
            for change_log, leaf in zip(change_logs, leaf_states(change, place), strict=True):
                if change_log.tree == self._tree:
                    self._sequencer.put(change_log.seq, (change_log, leaf))
        self._batch += (value for _, value in self._sequencer.ready())

    async def _say(self, *, at_least: int) -> None:
        """Publish all that is ready if there are `at_least` so many, in messages of at most MAX_OBSERVED."""
        if self._newest is not None and not self._sequencer.waits:
            self.place.done = self._newest
        if len(self._batch) < at_least:
            return
        while self._batch:
            now, self._batch = self._batch[:MAX_OBSERVED], self._batch[MAX_OBSERVED:]
            fact = CollectionObserved(
                collection=self._collection,
                tree=str(self._tree),
                after=self.place.seq,
                leaves=tuple(observed_leaf(leaf) for _, leaf in now),
                root=now[-1][0].root.hex(),
                # What is left for the next message would be skipped by whoever goes on behind the last transaction.
                signature=self._said_to if self._batch else self.place.done,
            )
            expected = self.place.log_sequence
            self.place.log_sequence = await self._log.publish(fact, cause=self._cause, expected_sequence=expected)
            self.place.seq, self.place.slot = fact.sequence, fact.leaves[-1].slot
            self._said_to = fact.signature


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
