"""The rows of the projection in memory, and what each change does to them: pure, synchronous.

The store loads the rows that a batch of messages touches, this module applies the changes one message after another,
and the store writes the rows that they touched. So the meaning of the log is decided here and nowhere else, and
cutting the log into other batches cannot change it.

An item only ever moves up: pending, then failed, then success. The chain has the last word, so a confirmed leaf
overrules a failure, and a later confirmation (after a fork) an earlier one; back goes only what a failure names as
dropped by a fork for good. An operation's sums move only with its items, so a message that is said twice counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from contracts.mint import FailureCode
from services.indexer.chain.assets import ObservationGap, Observed
from services.indexer.changes import (
    AddTree,
    CancelOperation,
    CloseOperation,
    CollectionChange,
    CountCollection,
    CreateCollection,
    FailCollection,
    FailItem,
    FinalizeItems,
    FlagCollection,
    ItemChange,
    MintItem,
    ObserveLeaves,
    OpenCollection,
    OpenImport,
    OpenOperation,
    OperationChange,
    PinCollection,
    PinItem,
    RecordDrift,
    RowChange,
    StartOperation,
    SyncCollection,
    TouchCollection,
)
from services.indexer.minute_rows import MinuteRows
from services.indexer.tables import Collection, Item, Operation
from services.indexer.tree_rows import TreeRows


class UnknownRow(Exception):
    """The message speaks of something that the log never introduced before it."""


@dataclass(slots=True)
class Rows:
    """The loaded rows, and which of them have changed since."""

    operations: dict[UUID, Operation] = field(default_factory=dict[UUID, Operation])
    items: dict[UUID, dict[int, Item]] = field(default_factory=dict[UUID, dict[int, Item]])
    collections: dict[UUID, Collection] = field(default_factory=dict[UUID, Collection])
    new_operations: set[UUID] = field(default_factory=set[UUID])
    """Operations that these changes opened; their items are new with them."""
    changed_operations: set[UUID] = field(default_factory=set[UUID])
    changed_items: set[tuple[UUID, int]] = field(default_factory=set[tuple[UUID, int]])
    changed_collections: set[UUID] = field(default_factory=set[UUID])
    trees: TreeRows = field(default_factory=TreeRows)
    drifts: list[RecordDrift] = field(default_factory=list[RecordDrift])
    """What these changes tell of comparisons, each a row of its own."""
    minutes: MinuteRows = field(default_factory=MinuteRows)
    observed: Observed = field(default_factory=Observed)
    """What became of leaves on chain."""
    newly_settled: set[UUID] = field(default_factory=set[UUID])
    """Operations whose last item was settled by these changes."""
    to_count: set[UUID] = field(default_factory=set[UUID])
    """Collections whose numbers on chain have moved by what these changes tell."""
    to_sync: set[UUID] = field(default_factory=set[UUID])
    """Collections that a caller wants counted."""

    def add_item(self, item: Item) -> None:
        """Take in a stored item."""
        self.items.setdefault(item.operation_id, {})[item.item_index] = item

    def apply(self, changes: Sequence[RowChange]) -> None:
        """Carry out the changes of one message, all or none; raises UnknownRow with the rows as they were."""
        for change in changes:
            self._check(change)
        for change in changes:
            if isinstance(change, ObserveLeaves):
                self.observed.apply(change)
            elif isinstance(change, RecordDrift):
                self.drifts.append(change)
            elif isinstance(change, CollectionChange):
                self._apply_to_collection(change)
            else:
                self._apply_to_operation(change)

    def _check(self, change: RowChange) -> None:
        if isinstance(change, OpenOperation | OpenCollection | CreateCollection | RecordDrift):
            return
        if isinstance(change, ObserveLeaves):
            try:
                self.observed.check(change)
            except ObservationGap as error:  # stop: what is missing is not before this message
                raise UnknownRow(str(error)) from error
            return
        if isinstance(change, CollectionChange):
            if change.collection not in self.collections:
                raise UnknownRow(f"no collection {change.collection} was requested before this message")
            return
        if change.operation not in self.operations:
            raise UnknownRow(f"no operation {change.operation} was requested before this message")
        if isinstance(change, ItemChange) and change.index not in self.items.get(change.operation, {}):
            raise UnknownRow(f"operation {change.operation} has no item {change.index}")

    def _apply_to_operation(self, change: OperationChange) -> None:
        match change:
            case OpenOperation():
                self._open(change)
            case StartOperation():
                operation = self._operation(change)
                if operation.status == "pending":
                    operation.status = "processing"
            case PinItem():
                item = self._item(change)
                item.ipfs_uri, item.ipfs_hash = change.ipfs_uri, change.ipfs_hash
                item.image_uri = change.image_uri
            case MintItem():
                self._mint(change)
            case FailItem():
                self._fail(change)
            case CancelOperation():
                self._operation(change)
            case FinalizeItems():
                self._finalize(change)
            case CloseOperation():
                operation = self._operation(change)
                operation.cancelled_nfts = change.cancelled
                operation.end_time = operation.end_time or change.at
                self.to_count.add(operation.collection_id)
                _refresh(operation, change.at)
            case _:
                assert_never(change)

    def _open(self, change: OpenOperation) -> None:
        if change.operation in self.operations:
            return
        self.operations[change.operation] = Operation(
            id=change.operation,
            collection_id=change.collection,
            recipient=change.recipient,
            caller=change.caller,
            operation_type=change.operation_type,
            total_nfts=len(change.names),
            batch_size=change.batch_size,
            metadata=change.metadata,
            start_time=change.at,
            updated_at=change.at,
        )
        self.new_operations.add(change.operation)
        self.changed_operations.add(change.operation)
        self.minutes.count_operation(change.at, len(change.names))
        for index, name in enumerate(change.names):
            self.add_item(Item(change.operation, index, name, created_at=change.at, updated_at=change.at))
            self.changed_items.add((change.operation, index))

    def _mint(self, change: MintItem) -> None:
        operation, item = self._operation(change), self._item(change)
        if item.status != "success":
            operation.completed_nfts += 1
            cancelled = item.error_code == FailureCode.CANCELLED
            operation.cancelled_nfts -= item.status == "failed" and cancelled
            operation.failed_nfts -= item.status == "failed" and not cancelled
        if item.signature != change.signature:
            item.finalized_slot = None
        self.minutes.count_item(item, -1)
        item.status, item.settled_at = "success", change.at
        item.signature, item.asset_id = change.signature, change.asset_id
        item.leaf_index, item.nonce = change.leaf_index, change.nonce
        item.tree_address, item.slot = change.tree_address, change.slot
        item.error_code = item.error_message = None
        self.minutes.count_item(item, 1)
        self._after_item(operation, change)

    def _fail(self, change: FailItem) -> None:
        operation, item = self._operation(change), self._item(change)
        if item.status == "success" and change.dropped is not None and item.signature == change.dropped:
            self._take_back(operation, item)
        if item.status != "pending":
            return
        if change.code == FailureCode.CANCELLED:
            operation.cancelled_nfts += 1
        else:
            operation.failed_nfts += 1
            operation.first_error = operation.first_error or change.reason
        item.status, item.settled_at = "failed", change.at
        item.error_code, item.error_message = change.code, change.reason
        self.minutes.count_item(item, 1)
        self._after_item(operation, change)

    def _take_back(self, operation: Operation, item: Item) -> None:
        operation.completed_nfts -= 1
        self.minutes.count_item(item, -1)
        item.status, item.settled_at = "pending", None
        item.signature = item.asset_id = item.tree_address = None
        item.leaf_index = item.nonce = item.slot = None
        # The operation's end counted it in, so what was counted of its collection is no longer so.
        self.to_count.add(operation.collection_id)

    def _after_item(self, operation: Operation, change: MintItem | FailItem) -> None:
        if operation.settled_sequence is None and operation.settled == operation.total_nfts:
            operation.settled_sequence = change.sequence
            self.newly_settled.add(operation.id)
        _refresh(operation, change.at)

    def _finalize(self, change: FinalizeItems) -> None:
        for index, item in self.items.get(change.operation, {}).items():
            if item.signature == change.signature:
                item.finalized_slot = change.slot
                item.updated_at = max(item.updated_at, change.at)
                self.changed_items.add((change.operation, index))
        # What was counted when the operation ended may have stood on a fork that is gone.
        self.to_count.add(self.operations[change.operation].collection_id)

    def _operation(self, change: OperationChange) -> Operation:
        operation = self.operations[change.operation]
        operation.updated_at = max(operation.updated_at, change.at)
        self.changed_operations.add(operation.id)
        return operation

    def _item(self, change: ItemChange) -> Item:
        item = self.items[change.operation][change.index]
        item.updated_at = max(item.updated_at, change.at)
        self.changed_items.add((change.operation, change.index))
        return item

    def _apply_to_collection(self, change: CollectionChange) -> None:
        self.changed_collections.add(change.collection)
        if isinstance(change, OpenCollection):
            self.collections.setdefault(change.collection, _opened(change))
            return
        if isinstance(change, OpenImport):
            before = self.collections.get(change.collection)
            if before is None or before.stage == "failed":
                self.collections[change.collection] = _import_opened(change, before)
            return
        if isinstance(change, CreateCollection):
            self.collections[change.collection] = _created(change, self.collections.get(change.collection))
            self.trees.add(change.collection, 0, change.tree_address, change.tree, change.at)
            self.to_count.add(change.collection)
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
                self.to_count.add(change.collection)
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
        row.status = _collection_status(row)


def _refresh(operation: Operation, at: datetime) -> None:
    """Bring what follows from the sums up to date: status, error message, expected end."""
    failed, total = operation.failed_nfts, operation.total_nfts
    operation.error_message = f"{failed} of {total} NFTs failed: {operation.first_error}" if failed else None
    if operation.end_time is None:
        operation.estimated_completion = _estimate(operation, at)
        return
    operation.estimated_completion = operation.end_time
    if operation.cancelled_nfts:
        operation.status = "cancelled"
    else:
        operation.status = "completed" if operation.completed_nfts else "failed"


def _estimate(operation: Operation, at: datetime) -> datetime | None:
    """When the operation ends if it goes on at its mean rate so far; None when that is beyond all calendars."""
    elapsed = max(at, operation.start_time) - operation.start_time
    try:
        return operation.start_time + elapsed * operation.total_nfts // operation.settled
    except OverflowError:  # stop: an estimate is optional
        return None


def _opened(change: OpenCollection) -> Collection:
    return Collection(
        id=change.collection,
        name=change.name,
        symbol=change.symbol,
        standard=change.standard,
        description=change.description,
        image_url=change.image_url,
        external_url=change.external_url,
        capacity=change.capacity,
        seller_fee_basis_points=change.seller_fee_basis_points,
        is_public=change.is_public,
        allow_minting=change.allow_minting,
        created_at=change.at,
        updated_at=change.at,
    )


def _import_opened(change: OpenImport, before: Collection | None) -> Collection:
    """The row of a collection of which nothing is read yet, or not again."""
    return Collection(
        id=change.collection,
        name=change.address,
        symbol="",
        standard=None,
        description="",
        image_url=None,
        external_url=None,
        capacity=0,
        seller_fee_basis_points=0,
        is_public=change.is_public,
        allow_minting=change.allow_minting,
        created_at=before.created_at if before else change.at,
        updated_at=max(before.updated_at, change.at) if before else change.at,
        imported=True,
    )


def _created(change: CreateCollection, before: Collection | None) -> Collection:
    """The row of a collection on chain; what was counted before stays, everything else is the event's."""
    row = Collection(
        id=change.collection,
        name=change.name,
        symbol=change.symbol,
        standard=change.standard,
        description=change.description,
        image_url=change.image_url or (before.image_url if before else None),
        external_url=change.external_url,
        capacity=change.tree.capacity,
        seller_fee_basis_points=change.seller_fee_basis_points,
        is_public=change.is_public,
        allow_minting=change.allow_minting,
        created_at=before.created_at if before else change.at,
        updated_at=max(before.updated_at, change.at) if before else change.at,
        stage="created",
        uri=change.uri,
        tree_address=change.tree_address,
        collection_address=change.collection_address,
        creator_address=change.creator_address,
        imported=change.imported,
        minted_before=change.minted_before,
    )
    if before is not None and before.counted_slot is not None:
        row.minted, row.capacity, row.counted_slot = before.minted, before.capacity, before.counted_slot
        row.has_valid_tree, row.supports_das = before.has_valid_tree, before.supports_das
    row.status = _collection_status(row)
    return row


def _collection_status(row: Collection) -> str:
    if row.stage != "created":
        return "paused"
    if row.minted >= row.capacity:
        return "completed"
    return "active" if row.allow_minting else "paused"
