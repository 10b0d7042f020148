"""One operation's rows in memory, its own and those of its items, and what each change does to them: pure.

Used by `rows`, which finds the operation that a message speaks of. An item only ever moves up: pending, then failed,
then success. The chain has the last word, so a confirmed leaf overrules a failure, and a later confirmation (after a
fork) an earlier one; back goes only what a failure names as dropped by a fork for good. The operation's sums move only
with its items, so a message that is said twice counts once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self, assert_never

from contracts.mint import FailureCode
from services.indexer.changes import (
    CancelOperation,
    CloseOperation,
    FailItems,
    FinalizeItems,
    MintItems,
    OpenOperation,
    OperationChange,
    PinItems,
    StartOperation,
)
from services.indexer.minute_rows import MinuteRows
from services.indexer.tables import Item, Operation


@dataclass(slots=True)
class OperationRows:
    """The operation, those of its items that were asked for, and what of them has changed."""

    operation: Operation
    minutes: MinuteRows
    items: dict[int, Item] = field(default_factory=dict[int, Item])
    is_new: bool = False
    """It was opened by these changes, and its items with it."""
    is_changed: bool = False
    changed: set[int] = field(default_factory=set[int])
    """Indexes of the items that have changed."""
    newly_settled: bool = False
    """Its last item was settled by these changes."""
    moved_chain: bool = False
    """The numbers on chain of its collection have moved by what these changes tell."""
    _moved_at: datetime | None = None
    """The sums have moved since `finish`, by a message of this time."""

    @classmethod
    def opened(cls, change: OpenOperation, minutes: MinuteRows) -> Self:
        """Return the rows of an operation that is asked for."""
        operation = Operation(
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
        items = {
            index: Item(key, change.operation, index, name, created_at=change.at, updated_at=change.at)
            for index, (key, name) in enumerate(zip(change.ids, change.names, strict=True))
        }
        minutes.count_operation(change.at, len(change.names))
        return cls(operation, minutes, items, is_new=True, is_changed=True, changed=set(items))

    def changed_items(self) -> Iterator[Item]:
        """Yield the items that have changed."""
        return (self.items[index] for index in self.changed)

    def apply(self, change: OperationChange) -> None:
        """Carry out one change; whoever is through with a message calls `finish`."""
        match change:
            case StartOperation():
                self._touch(change.at)
                if self.operation.status == "pending":
                    self.operation.status = "processing"
            case MintItems():
                self._mint(change)
            case FinalizeItems():
                self._finalize(change)
            case PinItems():
                for pinned in change.items:
                    item = self._item(pinned.index, change.at)
                    item.ipfs_uri, item.ipfs_hash = pinned.ipfs_uri, pinned.ipfs_hash
                    item.image_uri = pinned.image_uri
            case FailItems():
                self._fail(change)
            case CloseOperation():
                # Its totals are those of when it was decided on; what was said since stands in the sums of the items.
                self._touch(change.at)
                self.operation.end_time = self.operation.end_time or change.at
                self.moved_chain = True
                self._moved_at = change.at
            case CancelOperation():
                self._touch(change.at)
            case OpenOperation():
                pass  # said again
            case _:
                assert_never(change)

    def finish(self) -> None:
        """Bring what follows from the sums up to date, once a message: status, error message, expected end."""
        if self._moved_at is None:
            return
        operation, at = self.operation, self._moved_at
        self._moved_at = None
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

    def _mint(self, change: MintItems) -> None:
        self._touch(change.at)
        operation = self.operation
        for minted in change.items:
            item = self._item(minted.index, change.at)
            if item.status != "success":
                operation.completed_nfts += 1
            if item.status == "failed":
                if item.error_code == FailureCode.CANCELLED:
                    operation.cancelled_nfts -= 1
                else:
                    operation.failed_nfts -= 1
            if item.signature != change.signature:
                item.finalized_slot = None
            self.minutes.count_item(item, -1)
            item.status, item.settled_at = "success", change.at
            item.signature, item.asset_id = change.signature, minted.asset_id
            item.leaf_index, item.nonce = minted.leaf_index, minted.nonce
            item.tree_address, item.slot = change.tree_address, change.slot
            item.error_code = item.error_message = None
            self._settle(item, change)

    def _fail(self, change: FailItems) -> None:
        self._touch(change.at)
        operation = self.operation
        for index in change.items:
            item = self._item(index, change.at)
            if item.status == "success" and change.dropped is not None and item.signature == change.dropped:
                self._take_back(item)
            if item.status != "pending":
                continue
            if change.code == FailureCode.CANCELLED:
                operation.cancelled_nfts += 1
            else:
                operation.failed_nfts += 1
                operation.first_error = operation.first_error or change.reason
            item.status, item.settled_at = "failed", change.at
            item.error_code, item.error_message = change.code, change.reason
            self._settle(item, change)

    def _take_back(self, item: Item) -> None:
        self.operation.completed_nfts -= 1
        self.minutes.count_item(item, -1)
        item.status, item.settled_at = "pending", None
        item.signature = item.asset_id = item.tree_address = None
        item.leaf_index = item.nonce = item.slot = None
        # The operation's end counted it in, so what was counted of its collection is no longer so.
        self.moved_chain = True

    def _settle(self, item: Item, change: MintItems | FailItems) -> None:
        self.minutes.count_item(item, 1)
        if self.operation.settled_sequence is None and self.operation.settled == self.operation.total_nfts:
            self.operation.settled_sequence = change.sequence
            self.newly_settled = True
        self._moved_at = change.at

    def _finalize(self, change: FinalizeItems) -> None:
        for index, item in self.items.items():
            if item.signature == change.signature:
                item.finalized_slot = change.slot
                item.updated_at = max(item.updated_at, change.at)
                self.changed.add(index)
        # What was counted when the operation ended may have stood on a fork that is gone.
        self.moved_chain = True

    def _touch(self, at: datetime) -> None:
        if at > self.operation.updated_at:
            self.operation.updated_at = at
        self.is_changed = True

    def _item(self, index: int, at: datetime) -> Item:
        item = self.items[index]
        if at > item.updated_at:
            item.updated_at = at
        self.changed.add(index)
        return item


def _estimate(operation: Operation, at: datetime) -> datetime | None:
    """When the operation ends if it goes on at its mean rate so far; None when that is beyond all calendars."""
    elapsed = max(at, operation.start_time) - operation.start_time
    try:
        return operation.start_time + elapsed * operation.total_nfts // operation.settled
    except OverflowError:  # stop: an estimate is optional
        return None
