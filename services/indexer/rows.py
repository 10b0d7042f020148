"""The rows of the projection in memory, and what each change does to them: pure, synchronous.

The store loads the rows that a batch of messages touches, this module applies the changes one message after another,
and the store writes the rows that they touched. So the meaning of the log is decided here and nowhere else, and
cutting the log into other batches cannot change it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never, cast
from uuid import UUID

from services.indexer import collection_rows
from services.indexer.chain.assets import ObservationGap, Observed
from services.indexer.changes import (
    AddTree,
    CollectionChange,
    CountCollection,
    CreateCollection,
    FailCollection,
    FlagCollection,
    ObserveLeaves,
    OfOperation,
    OpenCollection,
    OpenImport,
    OpenOperation,
    OperationChange,
    PinCollection,
    RecordDrift,
    RowChange,
    SyncCollection,
    TouchCollection,
)
from services.indexer.minute_rows import MinuteRows
from services.indexer.operation_rows import OperationRows
from services.indexer.tables import Collection, Item, Operation
from services.indexer.tree_rows import TreeRows

_INTRODUCING = (OpenCollection, OpenImport, CreateCollection)
"""Changes of collections that nothing has to be before."""


class UnknownRow(Exception):
    """The message speaks of something that the log never introduced before it."""


@dataclass(slots=True)
class Rows:
    """The loaded rows, and which of them have changed since."""

    operations: dict[UUID, OperationRows] = field(default_factory=dict[UUID, OperationRows])
    collections: dict[UUID, Collection] = field(default_factory=dict[UUID, Collection])
    changed_collections: set[UUID] = field(default_factory=set[UUID])
    trees: TreeRows = field(default_factory=TreeRows)
    drifts: list[RecordDrift] = field(default_factory=list[RecordDrift])
    """What these changes tell of comparisons, each a row of its own."""
    minutes: MinuteRows = field(default_factory=MinuteRows)
    observed: Observed = field(default_factory=Observed)
    """What became of leaves on chain."""
    moved_on_chain: set[UUID] = field(default_factory=set[UUID])
    """Collections whose numbers on chain have moved by what changes of their own tell."""
    to_sync: set[UUID] = field(default_factory=set[UUID])
    """Collections that a caller wants counted."""

    @property
    def newly_settled(self) -> frozenset[UUID]:
        """Operations whose last item was settled by these changes."""
        return frozenset(each.operation.id for each in self.operations.values() if each.newly_settled)

    @property
    def to_count(self) -> frozenset[UUID]:
        """Collections whose numbers on chain have moved by what these changes tell."""
        moved = (each.operation.collection_id for each in self.operations.values() if each.moved_chain)
        return frozenset(self.moved_on_chain).union(moved)

    def add_operation(self, operation: Operation) -> None:
        """Take in a stored operation; its items come after it."""
        self.operations[operation.id] = OperationRows(operation, self.minutes)

    def add_item(self, item: Item) -> None:
        """Take in a stored item."""
        self.operations[item.operation_id].items[item.item_index] = item

    def apply(self, changes: Sequence[RowChange]) -> None:
        """Carry out the changes of one message, all or none; raises UnknownRow with the rows as they were."""
        if changes and isinstance(changes[0], OfOperation):  # then all of them are, and of the same one
            self._apply_to_operation(cast("Sequence[OperationChange]", changes))
            return
        others = cast("Sequence[CollectionChange | ObserveLeaves | RecordDrift]", changes)
        for change in others:
            self._check(change)
        for change in others:
            if isinstance(change, ObserveLeaves):
                self.observed.apply(change)
            elif isinstance(change, RecordDrift):
                self.drifts.append(change)
            else:
                self._apply_to_collection(change)

    def _apply_to_operation(self, changes: Sequence[OperationChange]) -> None:
        """Carry out changes of one and the same operation."""
        opening = changes[0]
        rows = self.operations.get(opening.operation)
        if rows is None:
            if not isinstance(opening, OpenOperation):
                raise UnknownRow(f"no operation {opening.operation} was requested before this message")
            # A request says nothing else, so nothing below can refuse it.
            rows = self.operations[opening.operation] = OperationRows.opened(opening, self.minutes)
        for change in changes:
            for index in change.indexes:
                if index not in rows.items:
                    raise UnknownRow(f"operation {change.operation} has no item {index}")
        for change in changes:
            rows.apply(change)
        rows.finish()

    def _check(self, change: CollectionChange | ObserveLeaves | RecordDrift) -> None:
        if isinstance(change, ObserveLeaves):
            try:
                self.observed.check(change)
            except ObservationGap as error:  # stop: what is missing is not before this message
                raise UnknownRow(str(error)) from error
        elif isinstance(change, RecordDrift):
            return
        elif change.collection not in self.collections and not isinstance(change, _INTRODUCING):
            raise UnknownRow(f"no collection {change.collection} was requested before this message")

    def _apply_to_collection(self, change: CollectionChange) -> None:
        self.changed_collections.add(change.collection)
        if isinstance(change, OpenCollection):
            self.collections.setdefault(change.collection, collection_rows.opened(change))
            return
        if isinstance(change, OpenImport):
            before = self.collections.get(change.collection)
            if before is None or before.stage == "failed":
                self.collections[change.collection] = collection_rows.import_opened(change, before)
            return
        if isinstance(change, CreateCollection):
            self.collections[change.collection] = collection_rows.created(
                change, self.collections.get(change.collection)
            )
            self.trees.add(change.collection, 0, change.tree_address, change.tree, change.at)
            self.moved_on_chain.add(change.collection)
            return
        row = self.collections[change.collection]
        row.updated_at = max(row.updated_at, change.at)
        match change:
            case PinCollection():
                row.stage = "pinned" if row.stage == "requested" else row.stage
                row.uri, row.image_url = change.uri, change.image_url or row.image_url
            case AddTree():
                # The chain's count takes it in; until then the row's capacity is the earlier one.
                self.trees.add(change.collection, change.number, change.tree_address, change.tree, change.at)
                self.moved_on_chain.add(change.collection)
            case FailCollection():
                if row.stage != "created":
                    row.stage, row.error_code, row.error_message = "failed", change.code, change.reason
            case CountCollection():
                row.minted, row.capacity = change.minted, change.capacity
                row.has_valid_tree, row.supports_das = change.has_valid_tree, change.supports_das
                row.counted_slot = change.slot
                self.trees.count(change.collection, change.trees)
            case FlagCollection():
                row.is_public, row.allow_minting = change.is_public, change.allow_minting
            case SyncCollection():
                self.to_sync.add(change.collection)
            case TouchCollection():
                pass
            case _:
                assert_never(change)
        row.status = collection_rows.status_of(row)
