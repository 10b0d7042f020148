"""The projection's tables in memory: `PostgresStore` with dictionaries in place of SQL.

The same fold, the same watermark, the same refusal to move it twice; and rows that no key asked for are not there.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.log import RawMessage
from services.indexer.chain.assets import Asset, ObservedTree, carried_over
from services.indexer.changes import RecordDrift
from services.indexer.entries import Entry, fold
from services.indexer.keys import Keys
from services.indexer.minute_rows import Minute
from services.indexer.ports import Committed, CreatedCollection, Fenced, Refused, SettledOperation
from services.indexer.rows import Rows
from services.indexer.tables import Collection, Item, Operation, Tree


@dataclass
class MemoryTables:
    """The ports `Store`, `SettledOperations` and `CreatedCollections` on dictionaries."""

    operations: dict[UUID, Operation] = field(default_factory=dict[UUID, Operation])
    items: dict[tuple[UUID, int], Item] = field(default_factory=dict[tuple[UUID, int], Item])
    minutes: dict[datetime, Minute] = field(default_factory=dict[datetime, Minute])
    latencies: Counter[tuple[datetime, int]] = field(default_factory=Counter[tuple[datetime, int]])
    collections: dict[UUID, Collection] = field(default_factory=dict[UUID, Collection])
    trees: dict[tuple[UUID, int], Tree] = field(default_factory=dict[tuple[UUID, int], Tree])
    drifts: dict[tuple[UUID, int], RecordDrift] = field(default_factory=dict[tuple[UUID, int], RecordDrift])
    assets: dict[str, Asset] = field(default_factory=dict[str, Asset])
    observed_trees: dict[str, ObservedTree] = field(default_factory=dict[str, ObservedTree])
    log: dict[tuple[str, int], RawMessage] = field(default_factory=dict[tuple[str, int], RawMessage])
    parked: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    watermarks: dict[str, int] = field(default_factory=lambda: {"MINT": 0, "COLLECTION": 0})
    fail_next: list[Exception] = field(default_factory=list[Exception])
    """What the next calls of `apply` raise, in order."""

    async def watermark(self, stream: str) -> int:
        """See `ports.Store.watermark`."""
        return self.watermarks[stream]

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        """See `ports.Store.apply`."""
        if self.fail_next:
            raise self.fail_next.pop(0)
        if self.watermarks[stream] != after:
            raise Fenced(stream)
        rows = self._load(Keys.of(entry.changes for entry in entries))
        parked = fold(rows, entries)
        if any(each.operation.batch_size > 2**31 for each in rows.operations.values()):
            raise Refused("value out of int32 range")
        items = [item for each in rows.operations.values() for item in each.changed_items()]
        counted = [rows.collections[key] for key in rows.changed_collections]
        wide = [number for item in items for number in (item.nonce, item.slot, item.finalized_slot)]
        wide += [
            number for row in counted for number in (row.minted, row.capacity, row.counted_slot, row.minted_before)
        ]
        wide += [tree.minted for tree in rows.trees.changed()]
        if any(item.leaf_index is not None and item.leaf_index >= 2**31 for item in items):
            raise Refused("value out of int32 range")
        if any(number is not None and number >= 2**63 for number in wide):
            raise Refused("value out of int64 range")
        if any(len(row.error_code or "") > 64 for row in counted):
            raise Refused("value too long for type character varying(64)")
        if any(row.seller_fee_basis_points > 10_000 for row in counted):
            raise Refused("new row violates a check constraint")
        self.operations |= {key: each.operation for key, each in rows.operations.items() if each.is_changed}
        for key, each in rows.operations.items():
            self.items |= {(key, item.item_index): item for item in each.changed_items()}
        for at, *changes in rows.minutes.changes():
            self._add_to_minute(at, Minute(*changes))
        for at, up_to, items in rows.minutes.latencies():
            self.latencies[at, up_to] += items
            if not self.latencies[at, up_to]:
                del self.latencies[at, up_to]
        self.collections |= {key: rows.collections[key] for key in rows.changed_collections}
        self.trees |= {(tree.collection_id, tree.number): tree for tree in rows.trees.changed()}
        self.drifts |= {(one.drift.collection, one.sequence): one for one in rows.drifts}
        self.observed_trees |= rows.observed.trees
        for key, asset in rows.observed.assets.items():
            self.assets[key] = carried_over(self.assets[key], asset) if key in self.assets else asset
        self.log |= {(stream, entry.raw.sequence): entry.raw for entry in entries}
        self.parked |= {(stream, entry.raw.sequence): entry.parked or "" for entry in parked}
        self.watermarks[stream] = entries[-1].raw.sequence
        return Committed(
            rows.newly_settled,
            rows.to_count,
            parked,
            frozenset(rows.to_sync),
            {key: each.operation.start_time for key, each in rows.operations.items()},
        )

    def _add_to_minute(self, at: datetime, change: Minute) -> None:
        """A minute of which nothing counts any more leaves."""
        known = self.minutes.pop(at, Minute())
        pairs = zip(astuple(known), astuple(change), strict=True)
        counts = [one + other for one, other in pairs]
        if any(counts):
            self.minutes[at] = Minute(*counts)

    def _load(self, keys: Keys) -> Rows:
        """Copies of exactly the rows that the keys name: what is not asked for is not there."""
        rows = Rows()
        for key in keys.operations.keys() & self.operations.keys():
            rows.add_operation(copy.copy(self.operations[key]))
        rows.collections = {key: copy.copy(self.collections[key]) for key in keys.collections & self.collections.keys()}
        for tree in self.trees.values():
            if tree.collection_id in keys.trees_of:
                rows.trees.load(copy.copy(tree))
        rows.observed.trees = {key: row for key, row in self.observed_trees.items() if key in keys.observed_trees}
        by_index, by_signature = set(keys.items(rows.operations)), set(keys.signatures(rows.operations))
        for key, item in self.items.items():
            if key in by_index or (item.operation_id, item.signature) in by_signature:
                rows.add_item(copy.copy(item))
        return rows

    async def settled_operations(self, after: int, limit: int) -> list[SettledOperation]:
        """See `ports.SettledOperations.settled_operations`."""
        found = [
            SettledOperation(
                id=row.id,
                total=row.total_nfts,
                minted=row.completed_nfts,
                failed=row.failed_nfts,
                cancelled=row.cancelled_nfts,
                sequence=row.settled_sequence,
                subject=self.log["MINT", row.settled_sequence].subject,
                payload=self.log["MINT", row.settled_sequence].payload,
            )
            for row in self.operations.values()
            if row.settled_sequence is not None and row.settled_sequence > after and row.end_time is None
        ]
        return sorted(found, key=lambda settled: settled.sequence)[:limit]

    async def created_collections(
        self, after: UUID, limit: int, among: frozenset[UUID] | None
    ) -> list[CreatedCollection]:
        """See `ports.CreatedCollections.created_collections`."""
        found = [
            CreatedCollection(
                row.id,
                row.standard,
                row.tree_address,
                row.collection_address,
                row.capacity,
                tuple(tree.tree_address for key, tree in sorted(self.trees.items()) if key[0] == row.id and key[1]),
            )
            for row in sorted(self.collections.values(), key=lambda row: row.id)
            if row.tree_address is not None
            and row.standard is not None
            and row.collection_address is not None
            and row.id > after
            and (among is None or row.id in among)
        ]
        return found[:limit]
