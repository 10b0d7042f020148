"""Publishes `collection.counted`: what the chain itself says of each collection, when it has changed.

One task beside the projectors: after a collection was created, after an operation has ended, after its transactions
became final (a fork may have taken leaves away, and given them back, since), when a caller asks for it
(`collection.sync_requested`, which is always answered by a count), and on a slow schedule.
The numbers reach Postgres only through the log, so a replay gives them too. Two counters cannot overwrite each other: a
count is published by compare-and-set on the last one, and one that was read from an older slot is dropped.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from chassis.clock import Clock
from chassis.log import EventLog, Message, SequenceConflict
from chassis.telemetry import get_logger
from contracts.collection import CollectionCounted, CollectionCreated, CollectionSyncRequested, CountedTree
from contracts.fact import Event, Fact
from contracts.registry import UndecodableMessage
from services.indexer.ports import (
    Accounts,
    Chain,
    ChainUnavailable,
    CreatedCollection,
    CreatedCollections,
)
from services.indexer.rounds import Partly, Rounds
from services.indexer.slots import is_older
from services.indexer.trees import TreeCount, config_address, count_tree, sum_counts

BATCH: Final = 3
"""Collections whose accounts are asked for at once: a tree account with a deep canopy can be a megabyte."""
LISTED: Final = 500
"""Collections of which only the ids are asked for at once."""
_NO_ID: Final = UUID(int=0)

_log = get_logger(__name__)


class Counter:
    """Keeps the chain's counts of every created collection on the log. Intervals are in seconds.

    `interval` is how often everything is counted; `pause` the least time between two rounds, so that a burst of
    operations costs one question to the node and not one each.
    """

    def __init__(
        self,
        log: EventLog,
        chain: Chain,
        collections: CreatedCollections,
        clock: Clock,
        *,
        interval: float = 300.0,
        pause: float = 1.0,
    ) -> None:
        self._log = log
        self._chain = chain
        self._collections = collections
        self._asked: set[UUID] = set()
        self._any_asked = True
        """Any collection may have been asked for; at first, because an earlier process may have projected a request."""
        self._rounds = Rounds(self.count, clock, interval=interval, pause=pause, name="count collections")

    def wake(self, collections: Iterable[UUID]) -> None:
        """The numbers of these collections have moved."""
        self._rounds.wake(collections)

    def sync(self, collections: Iterable[UUID]) -> None:
        """A caller waits for the counts of these collections, also when they have not moved."""
        asked = frozenset(collections)
        self._asked |= asked
        self.wake(asked)

    def missed(self) -> None:
        """Somebody may have asked, and nobody was told for which collections: the log tells whether it was answered."""
        self._any_asked = True
        self._rounds.wake_all()

    async def run(self) -> None:
        """Count until cancelled."""
        await self._rounds.run()

    async def count(self, among: frozenset[UUID] | None) -> None:
        """Count these collections, or all when None, and publish what has changed.

        Raises Partly, LogUnavailable and StoreUnavailable.
        """
        after, failed = _NO_ID, dict[UUID, ChainUnavailable]()
        if among is None and self._any_asked:
            self._asked.update(await self._all())
            self._any_asked = False
        while found := await self._collections.created_collections(after, BATCH, among):
            after = found[-1].id
            try:
                accounts = await self._chain.accounts(_addresses(found))
            except ChainUnavailable as error:  # retry, by the caller, after the others
                failed |= dict.fromkeys((collection.id for collection in found), error)
                continue
            for collection in found:
                try:
                    await self._publish(collection, accounts)
                except ChainUnavailable as error:  # the same: one that cannot be counted keeps nobody waiting
                    failed[collection.id] = error
        if failed:
            raise Partly(failed, next(iter(failed.values())))

    async def _all(self) -> set[UUID]:
        every, after = set[UUID](), _NO_ID
        while found := await self._collections.created_collections(after, LISTED, None):
            after = found[-1].id
            every.update(collection.id for collection in found)
        return every

    async def _publish(self, collection: CreatedCollection, accounts: Accounts) -> None:
        try:
            last = await self._log.last(CollectionCounted, collection=collection.id)
            cause = await self._log.last(CollectionCreated, collection=collection.id)
            asked = await self._unanswered(collection.id, last)
        except UndecodableMessage as error:  # stop: nothing can be compared with it; an operator has to look
            _log.error("a count on the log cannot be read", collection=str(collection.id), reason=str(error))
            return
        least = max(last.data.slot if last else 0, cause.data.slot if cause else 0)
        if is_older(accounts.slot, least):
            try:
                # The node that answered is behind what is known; another one may be not.
                accounts = await self._chain.accounts(_addresses([collection]), min_slot=least)
            except ChainUnavailable:
                if asked is None:
                    return  # stop: nobody waits for it, and the next round counts again
                raise
        counts = _counts(collection, accounts)
        known, count = last.data if last else None, sum_counts(counts)
        fact = CollectionCounted(
            collection=collection.id,
            minted=count.minted if count.minted is not None else (known.minted if known else 0),
            capacity=count.capacity if count.capacity is not None else collection.capacity,
            has_valid_tree=count.valid,
            supports_das=await self._supports_das(collection, known),
            slot=accounts.slot,
            trees=tuple(
                CountedTree(tree_address=address, minted=tree.minted, valid=tree.valid)
                for address, tree in zip(collection.trees, counts, strict=True)
            ),
        )
        if known is None or asked is not None or not _same(fact, known):
            reason = asked or cause
            await self._say(fact, last, reason.event if reason else None)
        self._asked.discard(collection.id)

    async def _unanswered(
        self, collection: UUID, last: Message[CollectionCounted] | None
    ) -> Message[CollectionSyncRequested] | None:
        """Return the newest request for a count, if the last count is older."""
        if collection not in self._asked:
            return None
        asked = await self._log.last(CollectionSyncRequested, collection=collection)
        return asked if asked and asked.sequence > (last.sequence if last else 0) else None

    async def _supports_das(self, collection: CreatedCollection, known: CollectionCounted | None) -> bool:
        try:
            return await self._chain.answers_das(collection.collection_address)
        except ChainUnavailable as error:
            # Go on with what was known: DAS may be another provider, and the tree's numbers do not depend on it.
            _log.warning("cannot tell whether DAS answers", collection=str(collection.id), reason=str(error))
            return known.supports_das if known else False

    async def _say(
        self,
        fact: CollectionCounted,
        last: Message[CollectionCounted] | None,
        cause: Event[Fact] | None,
    ) -> None:
        expected = last.sequence if last else 0
        try:
            await self._log.publish(fact, cause=cause, expected_sequence=expected)
        except SequenceConflict:  # stop: another counter has just said it
            return
        _log.info(
            "collection counted",
            collection=str(fact.collection),
            minted=fact.minted,
            capacity=fact.capacity,
            has_valid_tree=fact.has_valid_tree,
            supports_das=fact.supports_das,
            slot=fact.slot,
        )


def _addresses(collections: Sequence[CreatedCollection]) -> list[str]:
    addresses: list[str] = []
    for collection in collections:
        for tree in collection.trees:
            config = config_address(tree)
            if config is not None:
                addresses += (config, tree)
    return addresses


def _counts(collection: CreatedCollection, accounts: Accounts) -> Sequence[TreeCount]:
    return [_count_tree(collection.standard, tree, accounts) for tree in collection.trees]


def _count_tree(standard: str, tree: str, accounts: Accounts) -> TreeCount:
    config = config_address(tree)
    if config is None:
        return TreeCount(None, None, valid=False)
    found = accounts.by_address
    return count_tree(standard, found.get(config), found.get(tree))


def _same(one: CollectionCounted, other: CollectionCounted) -> bool:
    """Whether two counts differ in nothing but the slot."""
    return msgspec.structs.replace(one, slot=other.slot) == other
