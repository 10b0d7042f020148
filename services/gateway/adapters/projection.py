"""The indexer's tables in Postgres, read through its read-only role.

Used through `ports.Projection`. SQL is in `projection.sql`. Not done here: writing, migrations, and what to answer when
the database is away.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from chassis.database import Row
from chassis.postgres import Connection, Pool, load_queries
from chassis.telemetry import get_logger
from contracts.observation import Difference
from services.gateway.ports import (
    Collection,
    CollectionPage,
    CollectionQuery,
    CollectionTree,
    Drift,
    FailedItem,
    History,
    Interval,
    LoggedEvent,
    Operation,
    OperationQuery,
    OperationSummary,
    Overview,
    ProjectionUnavailable,
    Result,
)

ACQUIRE_SECONDS = 3.0
"""How long a caller waits for a connection; a status that is late is better read from the log."""
STATEMENT_SECONDS = 5.0
PLANS = {"plan_cache_mode": "force_custom_plan"}
"""Server settings of the pool: a list's filters are each optional, and a plan for any of them uses no index."""

_log = get_logger(__name__)
_results = msgspec.json.Decoder(tuple[Result, ...])
_trees = msgspec.json.Decoder(tuple[CollectionTree, ...])
_differences = msgspec.json.Decoder(tuple[Difference, ...])


class _Sql(msgspec.Struct, frozen=True):
    """The texts of `projection.sql`."""

    operation: str
    collection: str
    drifts: str
    collection_at: str
    collections: str
    collections_total: str
    operations: str
    history: str
    failed_items: str
    watermarks: str
    series: str
    overview: str


def whole_minute(since: datetime) -> datetime:
    """Return the beginning of the first minute that lies whole beyond `since`; `mint_minutes` has nothing smaller."""
    return since.replace(second=0, microsecond=0) + timedelta(minutes=1)


class PostgresProjection:
    """Implements `ports.Projection` on a pool that belongs to the caller."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries(__package__ or "services.gateway.adapters").into(_Sql)

    async def operation(self, operation: UUID) -> Operation | None:
        """See `ports.Projection.operation`."""
        async with self._connection() as connection:
            row = await connection.fetchrow(self._sql.operation, operation, timeout=STATEMENT_SECONDS)
        if row is None:
            return None
        return Operation(
            id=row["id"],
            status=row["status"],
            caller=row["caller"],
            total=row["total_nfts"],
            completed=row["completed_nfts"],
            failed=row["failed_nfts"],
            cancelled=row["cancelled_nfts"],
            start_time=row["start_time"],
            end_time=row["end_time"],
            error=row["error_message"],
            current_item=row["current_item"],
            results=_results.decode(row["results"]),
        )

    async def collection(self, collection: UUID) -> Collection | None:
        """See `ports.Projection.collection`."""
        async with self._connection() as connection:
            row = await connection.fetchrow(self._sql.collection, collection, timeout=STATEMENT_SECONDS)
        if row is None:
            return None
        values = dict(row)
        values["trees"] = _trees.decode(values["trees"])
        return Collection(**values)

    async def drifts(self, collection: UUID, limit: int) -> Sequence[Drift]:
        """See `ports.Projection.drifts`."""
        async with self._connection() as connection:
            rows = await connection.fetch(self._sql.drifts, collection, limit, timeout=STATEMENT_SECONDS)
        drifts = [dict(row) for row in rows]
        for values in drifts:
            values["differences"] = _differences.decode(values["differences"])
        return [Drift(**values) for values in drifts]

    async def collection_at(self, address: str) -> UUID | None:
        """See `ports.Projection.collection_at`."""
        async with self._connection() as connection:
            return await connection.fetchval(self._sql.collection_at, address, timeout=STATEMENT_SECONDS)

    async def collections(self, query: CollectionQuery) -> CollectionPage:
        """See `ports.Projection.collections`."""
        conditions = (query.status, query.allow_minting)
        offset = (query.page - 1) * query.limit
        async with self._connection() as connection:
            total = await connection.fetchval(self._sql.collections_total, *conditions, timeout=STATEMENT_SECONDS)
            rows = await connection.fetch(
                self._sql.collections, *conditions, query.limit, offset, timeout=STATEMENT_SECONDS
            )
        return CollectionPage(collections=[Collection(**dict(row)) for row in rows], total=total)

    async def operations(self, query: OperationQuery) -> Sequence[OperationSummary]:
        """See `ports.Projection.operations`."""
        start_time, last = query.before or (None, None)
        async with self._connection() as connection:
            rows = await connection.fetch(
                self._sql.operations,
                query.status,
                query.collection,
                query.recipient,
                query.caller,
                start_time,
                last,
                query.limit,
                query.asset,
                query.signature,
                timeout=STATEMENT_SECONDS,
            )
        return [OperationSummary(**dict(row)) for row in rows]

    async def history(self, operation: UUID, after: int, limit: int) -> History:
        """See `ports.Projection.history`."""
        async with self._connection() as connection:
            rows = await connection.fetch(self._sql.history, str(operation), after, limit, timeout=STATEMENT_SECONDS)
        (position,) = (row["sequence"] for row in rows if row["subject"] is None)
        events = sorted(
            (LoggedEvent(**dict(row)) for row in rows if row["subject"] is not None), key=lambda event: event.sequence
        )
        return History(events=tuple(events), position=position)

    async def failed_items(self, operation: UUID) -> Sequence[FailedItem]:
        """See `ports.Projection.failed_items`."""
        async with self._connection() as connection:
            rows = await connection.fetch(self._sql.failed_items, operation, timeout=STATEMENT_SECONDS)
        return [FailedItem(**dict(row)) for row in rows]

    async def series(self, since: datetime, step: timedelta) -> Sequence[Interval]:
        """See `ports.Projection.series`."""
        async with self._connection() as connection:
            rows = await connection.fetch(self._sql.series, since, step, timeout=STATEMENT_SECONDS)
        return [
            Interval(
                at=row["at"],
                accepted=row["accepted"],
                confirmed=row["confirmed"],
                failed=row["failed"],
                latencies=tuple(zip(row["up_to_ms"], row["items"], strict=True)),
            )
            for row in rows
        ]

    async def watermarks(self) -> Mapping[str, int]:
        """See `ports.Projection.watermarks`."""
        async with self._connection() as connection:
            rows = await connection.fetch(self._sql.watermarks, timeout=STATEMENT_SECONDS)
        return {row["stream"]: row["sequence"] for row in rows}

    async def overview(self, since: datetime) -> Overview:
        """See `ports.Projection.overview`."""
        async with self._connection() as connection:
            row = await connection.fetchrow(self._sql.overview, since, whole_minute(since), timeout=STATEMENT_SECONDS)
        assert row is not None, "a SELECT without FROM has one row"
        return Overview(**dict(row))

    async def fetch(self, query: str, /, *args: object) -> list[Row]:
        """See `audit.gathering.Tables.fetch`; raises ProjectionUnavailable."""
        async with self._connection() as connection:
            return await connection.fetch(query, *args, timeout=STATEMENT_SECONDS)

    async def check(self) -> None:
        """See `ports.Projection.check`."""
        async with self._connection() as connection:
            await connection.fetchval("SELECT 1", timeout=STATEMENT_SECONDS)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection]:
        """A connection. Whatever Postgres, the network or asyncpg has against it becomes ProjectionUnavailable."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,  # an idle connection that the server ended at the moment of its next use
            OSError,
            TimeoutError,
        ) as error:
            # Stop: the caller falls back to the log or answers 503; the next request tries again by itself.
            _log.warning("projection not readable", reason=type(error).__name__, text=str(error))
            raise ProjectionUnavailable(type(error).__name__) from error
