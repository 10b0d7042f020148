"""The bodies of lists, timelines and statistics, in the names of the source document where it has them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from services.gateway import ports
from services.gateway.api.cursors import write_cursor
from services.gateway.api.responses import Answer
from services.gateway.api.timeline import whole
from services.gateway.ports import OperationState
from services.gateway.stats import Totals

LAMPORTS_PER_SOL: Final = 1_000_000_000


class OperationView(Answer):
    """One operation of a list."""

    transaction_id: str
    caller: str
    """Who asked for it; empty when that was not kept yet."""
    collection_id: str
    recipient: str
    operation_type: Literal["mint", "batch_mint"]
    status: OperationState
    total: int
    completed: int
    failed: int
    cancelled: int
    start_time: datetime
    end_time: datetime | None = None
    error: str | None = None


class OperationListView(Answer):
    """One page of operations, the newest first. `nextCursor` is there when there may be more."""

    operations: list[OperationView]
    next_cursor: str | None = None

    @classmethod
    def of(cls, found: Sequence[ports.OperationSummary], limit: int) -> "OperationListView":
        """Return the view of up to `limit` operations; one more than that in `found` tells of another page."""
        page = found[:limit]
        more = len(found) > limit
        return cls(
            operations=[_operation(one) for one in page],
            next_cursor=write_cursor(page[-1].start_time, page[-1].id) if more else None,
        )


def _operation(one: ports.OperationSummary) -> OperationView:
    return OperationView(
        transaction_id=str(one.id),
        caller=one.caller,
        collection_id=str(one.collection),
        recipient=one.recipient,
        operation_type=one.operation_type,
        status=one.status,
        total=one.total,
        completed=one.completed,
        failed=one.failed,
        cancelled=one.cancelled,
        start_time=one.start_time,
        end_time=one.end_time,
        error=one.error,
    )


class ProducerView(Answer):
    """The program that wrote an event."""

    name: str
    version: str


class EventView(Answer):
    """One event as it is on the log. `causationId` is the id of the event that led to it; a command has none."""

    sequence: int
    id: UUID
    type: str
    time: datetime
    causation_id: UUID | None = None
    producer: ProducerView
    data: dict[str, Any]


class TimelineView(Answer):
    """Events of one operation in the order of the log. `nextAfter` is there when there may be more by now."""

    events: list[EventView]
    position: int
    """The MINT sequence up to which events were looked for."""
    next_after: int | None = None

    @classmethod
    def of(cls, history: ports.History, limit: int) -> "TimelineView":
        """Return the view of up to `limit` events."""
        events = [EventView.model_validate(whole(event)) for event in history.events]
        full = len(events) == limit
        position = events[-1].sequence if full else history.position
        return cls(events=events, position=position, next_after=position if full else None)


class RecentView(Answer):
    """What happened in the last 24 hours. `successRate` is in percent of the items that ended; 0 when none did."""

    minted: int
    operations: int
    success_rate: float


class OverviewView(Answer):
    """Totals over all collections on chain."""

    total_collections: int
    total_minted: int
    total_capacity: int
    active_operations: int
    last_24_hours: RecentView
    wallet_balance: float | None = None
    """SOL, at most CACHE_TTL seconds old; left out when no node tells it."""

    @classmethod
    def of(cls, totals: Totals) -> "OverviewView":
        """Return the view of the totals."""
        found = totals.overview
        ended = found.recent_minted + found.recent_failed
        return cls(
            total_collections=found.collections,
            total_minted=found.minted,
            total_capacity=found.capacity,
            active_operations=found.active_operations,
            last_24_hours=RecentView(
                minted=found.recent_minted,
                operations=found.recent_operations,
                success_rate=round(100 * found.recent_minted / ended, 2) if ended else 0.0,
            ),
            wallet_balance=None if totals.balance is None else totals.balance / LAMPORTS_PER_SOL,
        )


class UpdatedView(Answer):
    """The chain's own numbers of a collection."""

    minted: int
    capacity: int
    has_valid_tree: bool


class SyncView(Answer):
    """A collection that was counted on chain just now."""

    updated: UpdatedView
