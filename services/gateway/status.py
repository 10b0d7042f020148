"""What a caller is told of an operation or a collection, from rows or from the log's own facts. Pure.

Used by `handlers.py`. The formulas are the source document's (section 9); where the log alone answers, only what single
reads by subject can tell is told.
"""

from collections.abc import Sequence
from datetime import datetime

from chassis.log import Message
from contracts.collection import (
    CollectionCounted,
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
    CollectionRequested,
    CollectionUpdated,
)
from contracts.mint import Completed, Image, ImageUri, Requested
from services.gateway.ports import Collection, CollectionState, Operation, OperationState


def percentage(operation: Operation) -> int:
    """Return the share of minted items in percent, halves rounded up."""
    return (200 * operation.completed + operation.total) // (2 * operation.total)


def seconds_left(operation: Operation, now: datetime) -> int | None:
    """Return the estimated seconds until every item is settled, at the speed so far; None when nothing tells."""
    settled = operation.completed + operation.failed + operation.cancelled
    if operation.status != "processing" or operation.completed == 0:
        return None
    elapsed = max(0.0, (now - operation.start_time).total_seconds())
    remaining = operation.total - settled
    return -int(-(remaining * elapsed) // settled)


def operation_from_log(requested: Message[Requested], completed: Message[Completed] | None) -> Operation:
    """Return what the first and the last fact of an operation tell of it; the facts between are the projection's."""
    request = requested.data
    if completed is None:
        return Operation(
            id=request.operation,
            status="pending",
            total=request.total,
            caller=request.caller,
            completed=0,
            failed=0,
            start_time=requested.event.time,
        )
    closing = completed.data
    return Operation(
        id=request.operation,
        status=closing_status(closing),
        total=closing.total,
        caller=request.caller,
        completed=closing.minted,
        failed=closing.failed,
        cancelled=closing.cancelled,
        start_time=requested.event.time,
        end_time=completed.event.time,
        error=f"{closing.failed} of {closing.total} NFTs failed" if closing.failed else None,
    )


def closing_status(closing: Completed) -> OperationState:
    """Return how an operation with these closing totals ended."""
    if closing.cancelled:
        return "cancelled"
    return "completed" if closing.minted else "failed"


def collection_from_log(
    requested: Message[CollectionRequested] | Message[CollectionImportRequested] | None,
    ended: Message[CollectionCreated] | Message[CollectionFailed] | None,
    counted: Message[CollectionCounted] | None,
    updated: Message[CollectionUpdated] | None = None,
) -> Collection | None:
    """Return what the facts of a collection tell of it; None when nobody asked for it and nobody made it.

    `ended` is how its making ended, None while it goes on.
    """
    created = ended.data if ended is not None and isinstance(ended.data, CollectionCreated) else None
    failed = ended.data if ended is not None and isinstance(ended.data, CollectionFailed) else None
    if failed and requested and ended and requested.sequence > ended.sequence:
        failed = None  # it was asked for again since
    said = created or (requested.data if requested else None)
    times = [message.event.time for message in (requested, ended, counted, updated) if message is not None]
    if said is None:
        return None
    if isinstance(said, CollectionImportRequested):
        return _import_under_way(said, failed, times)
    count = counted.data if counted else None
    flags = updated.data if updated else said
    capacity = count.capacity if count else said.tree.capacity
    minted = count.minted if count else 0
    return Collection(
        id=said.collection,
        name=said.name,
        description=said.description,
        symbol=said.symbol,
        standard=said.standard.value,
        capacity=capacity,
        minted=minted,
        has_valid_tree=count.has_valid_tree if count else False,
        supports_das=count.supports_das if count else False,
        status=_collection_status(created, open_=flags.allow_minting, full=minted >= capacity),
        stage="created" if created else "failed" if failed else "requested",
        is_public=flags.is_public,
        allow_minting=flags.allow_minting,
        created_at=times[0],
        updated_at=max(times),
        tree_address=created.tree_address if created else None,
        collection_address=created.collection_address if created else None,
        creator_address=created.creator_address if created else None,
        image_url=said.image_uri if isinstance(said, CollectionCreated) else _published(said.image),
        external_url=said.external_url,
        error_code=failed.code if failed else None,
        error_message=failed.reason if failed else None,
    )


def _import_under_way(
    request: CollectionImportRequested, failed: CollectionFailed | None, times: Sequence[datetime]
) -> Collection:
    """Return a collection of which nothing was read yet, or nothing that could be taken over."""
    return Collection(
        id=request.collection,
        name=request.collection_address,
        description="",
        symbol=request.symbol or "",
        standard=None,
        capacity=0,
        minted=0,
        has_valid_tree=False,
        supports_das=False,
        status="paused",
        stage="failed" if failed else "requested",
        is_public=request.is_public,
        allow_minting=request.allow_minting,
        created_at=times[0],
        updated_at=max(times),
        error_code=failed.code if failed else None,
        error_message=failed.reason if failed else None,
    )


def _collection_status(created: CollectionCreated | None, *, open_: bool, full: bool) -> CollectionState:
    if created is None:
        return "paused"
    if full:
        return "completed"
    return "active" if open_ else "paused"


def _published(image: Image | None) -> str | None:
    return image.uri if isinstance(image, ImageUri) else None
