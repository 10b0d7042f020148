"""The trees of each collection: which there are by the log, and how full they are by the chain.

Used when a chunk is planned. Kept for a short while and shared by all chunks of a collection, which take their leaves
from the same rooms.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.errors import DecodeError
from bubblegum.merkle import TreeConfig
from chassis.clock import Clock
from chassis.log import EventLog
from contracts.collection import MAX_TREES, CollectionCreated, CollectionTableCreated, CollectionTreeAdded
from services.minter.packing import Rooms, TreeRoom
from services.minter.plan import LookupTable
from services.minter.ports import Chain

MAX_AGE: Final = 2.0
"""Seconds for which a look at the chain is used again. An older one only spreads the work less evenly."""
MAX_COLLECTIONS: Final = 256


@dataclass(slots=True)
class _Known:
    rooms: Rooms
    looked_at: float


class CollectionTrees:
    """Answers `rooms` for the collections that were asked for lately."""

    def __init__(self, log: EventLog, chain: Chain, clock: Clock) -> None:
        self._log = log
        self._chain = chain
        self._clock = clock
        self._known: OrderedDict[UUID, _Known] = OrderedDict()

    async def rooms(self, collection: CollectionCreated) -> Rooms:
        """Return the collection's trees with their room. Raises ChainUnavailable and LogUnavailable."""
        known = self._known.get(collection.collection)
        if known is not None and self._clock.monotonic() - known.looked_at < MAX_AGE:
            return known.rooms
        listed = await self._listed(collection)
        seen = await self._chain.accounts([str(pda.tree_config(Pubkey.from_string(each.address))) for each in listed])
        return self._take_in(collection.collection, listed, seen)

    async def table(self, collection: CollectionCreated, tree: str) -> LookupTable | None:
        """Return the lookup table of one of the collection's trees by the log alone; None when it has none."""
        known = self._known.get(collection.collection)
        if known is not None and (table := known.rooms.table(tree)) is not None:
            return table
        return next((each.table for each in await self._listed(collection) if each.address == tree), None)

    def forget(self, collection: UUID) -> None:
        """Look anew when the collection is asked for next: it has another tree."""
        known = self._known.get(collection)
        if known is not None:
            known.looked_at = float("-inf")

    def _take_in(self, collection: UUID, listed: Sequence[TreeRoom], seen: Sequence[bytes | None]) -> Rooms:
        earlier = self._known.get(collection)
        before = {tree.address: tree for tree in earlier.rooms.trees} if earlier else {}
        trees = [before.get(each.address, each) for each in listed]
        for tree, data in zip(trees, seen, strict=True):
            config = _config(data)
            if config is None:
                continue  # not shown yet, or no tree: the simulation will tell which
            if tree.address not in before:
                tree.minted_at_first = config.num_minted
            tree.capacity = config.total_mint_capacity
            tree.look(config.num_minted)
        self._known[collection] = _Known(Rooms(trees), self._clock.monotonic())
        self._known.move_to_end(collection)
        if len(self._known) > MAX_COLLECTIONS:
            self._known.popitem(last=False)
        return self._known[collection].rooms

    async def _listed(self, collection: CollectionCreated) -> list[TreeRoom]:
        """Return the trees by the log: tree 0 and those that it came with from `created`, the others without a gap."""
        first = await self._table(collection.collection, 0)
        trees = [_empty(0, collection.tree_address, first, collection.tree.capacity)]
        trees += [
            _empty(number, place.tree_address, None, place.tree.capacity)
            for number, place in enumerate(collection.more_trees, 1)
        ]
        for number in range(len(trees), MAX_TREES):
            added = await self._log.last(CollectionTreeAdded, collection=collection.collection, number=number)
            if added is None:
                break
            table = await self._table(collection.collection, number)
            trees.append(_empty(number, added.data.tree_address, table, added.data.tree.capacity))
        return trees

    async def _table(self, collection: UUID, number: int) -> LookupTable | None:
        created = await self._log.last(CollectionTableCreated, collection=collection, number=number)
        if created is None:
            return None
        addresses = tuple(Pubkey.from_string(address) for address in created.data.addresses)
        return LookupTable(Pubkey.from_string(created.data.table_address), addresses)


def _empty(number: int, address: str, table: LookupTable | None, capacity: int) -> TreeRoom:
    return TreeRoom(number, address, table, capacity, minted=0, minted_at_first=0)


def _config(data: bytes | None) -> TreeConfig | None:
    if data is None:
        return None
    try:
        return TreeConfig.parse(data)
    except DecodeError:
        # Stop: another kind of account is no tree, and the mint into it will be refused.
        return None
