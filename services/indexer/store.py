"""The projection's tables in Postgres: loads the rows of a batch, writes them back, moves the watermark.

Used by the projector and the two publishing tasks of this service; the only writer of these tables. Every method is a
fixed number of statements, whatever the batch. What the rows should say is decided in `rows`, not here.
"""

import json
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from chassis.database import UNAVAILABLE, Connection, Pool
from chassis.log import RawMessage
from chassis.migrations import load_migrations
from chassis.queries import load_queries
from services.indexer.chain.asset_store import AssetTables
from services.indexer.columns import (
    COLLECTION,
    ITEM_INSERT,
    ITEM_UPDATE,
    OPERATION_INSERT,
    OPERATION_UPDATE,
    TREE,
    as_columns,
    drift_row,
    parked_row,
)
from services.indexer.entries import Entry, fold
from services.indexer.event_log import EventLogTable, keepable
from services.indexer.keys import Keys
from services.indexer.ports import (
    Committed,
    CreatedCollection,
    Fenced,
    Refused,
    SettledOperation,
    StoreUnavailable,
    TablesChanged,
)
from services.indexer.rows import Rows
from services.indexer.tables import Collection, Item, Operation, Tree

SQL: Final = Path(__file__).parent / "sql"
MIGRATIONS: Final = SQL / "migrations"
_VERSION: Final = load_migrations(MIGRATIONS)[-1].version

T = TypeVar("T", Operation, Item)

# The message is at fault: its values do not fit the columns or break an invariant.
_REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
# The same, found by asyncpg as it encodes: DataError in arguments is an InterfaceError and a ValueError, in COPY
# whatever the codec raised. Other InterfaceErrors are no ValueErrors.
_UNENCODABLE: Final = (ValueError, OverflowError, TypeError)


class _Sql(msgspec.Struct, frozen=True):
    watermark: str
    tables_version: str
    move_watermark: str
    lock_watermark: str
    park_messages: str
    load_operations: str
    load_items: str
    load_collections: str
    update_operations: str
    update_items: str
    put_collections: str
    load_trees: str
    put_trees: str
    add_drifts: str
    count_minutes: str
    count_latencies: str
    settled_operations: str
    created_collections: str


class PostgresStore:
    """Implements the ports `Store`, `SettledOperations` and `CreatedCollections`."""

    def __init__(self, pool: Pool, *, kept_ahead: bool = False) -> None:
        """With `kept_ahead` whoever applies messages has put them into event_log before, by `keep`."""
        self._pool = pool
        self._kept_ahead = kept_ahead
        self._messages = EventLogTable()
        self._sql = load_queries(SQL).into(_Sql)
        self._assets = AssetTables()

    async def watermark(self, stream: str) -> int:
        """See `ports.Store.watermark`."""
        async with self._connection() as connection:
            sequence = await connection.fetchval(self._sql.watermark, stream)
        if sequence is None:
            raise ValueError(f"stream {stream} has no watermark: it is not projected")
        return int(sequence)

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        """See `ports.Store.apply`."""
        first, last = entries[0].raw.sequence, entries[-1].raw.sequence
        async with self._connection() as connection:
            if not self._kept_ahead:
                await self._messages.make_room(connection, stream, first, last)
            try:
                async with connection.transaction():
                    await self._move_watermark(connection, stream, after, last)
                    if not self._kept_ahead:
                        await self._messages.add(connection, stream, [entry.raw for entry in entries])
                    elif await self._messages.count(connection, stream, after, last) != _keepable(entries):
                        raise Fenced(f"messages of {stream} that were kept are gone: another replay is writing")
                    return await self._apply(connection, stream, entries)
            except asyncpg.UniqueViolationError as error:
                # Retry: copies were restored beyond the watermark, into tables that begin anew. They are kept again.
                async with connection.transaction():
                    await self._forget_unapplied(connection, stream)
                raise StoreUnavailable(f"event_log had messages of {stream} beyond the watermark: {error}") from error
            except Refused as refused:
                version = await connection.fetchval(self._sql.tables_version)
                if version != _VERSION:
                    raise TablesChanged(f"migration {version} was applied, not {_VERSION}; {refused}") from refused
                raise

    async def keep(self, stream: str, messages: Sequence[RawMessage]) -> None:
        """Put messages into event_log that are to be applied later; raises Fenced and StoreUnavailable.

        For tables that nobody looks at before all is applied: until then event_log is ahead of the watermark.
        """
        async with self._connection() as connection:
            await self._messages.make_room(connection, stream, messages[0].sequence, messages[-1].sequence)
            try:
                await self._messages.add(connection, stream, messages)
            except asyncpg.UniqueViolationError as error:  # stop: what was there before was forgotten
                raise Fenced(f"messages of {stream} are kept already: another replay is writing") from error

    async def forget_unapplied(self, stream: str) -> None:
        """Remove from event_log what was kept and never applied; raises StoreUnavailable.

        Whoever kept it and wants to apply it yet is fenced: the watermark's row is locked before either looks.
        """
        async with self._connection() as connection, connection.transaction():
            await self._forget_unapplied(connection, stream)

    async def _forget_unapplied(self, connection: Connection, stream: str) -> None:
        watermark = await connection.fetchval(self._sql.lock_watermark, stream)
        await self._messages.forget(connection, stream, watermark)

    async def _apply(self, connection: Connection, stream: str, entries: Sequence[Entry]) -> Committed:
        with _refusing():
            rows = await self._load(connection, Keys.of(entry.changes for entry in entries))
        parked = fold(rows, entries)
        if parked:
            await connection.execute(self._sql.park_messages, stream, *as_columns(parked, parked_row, 3))
        with _refusing():
            await self._write(connection, rows)
        return Committed(
            rows.newly_settled,
            rows.to_count,
            parked,
            frozenset(rows.to_sync),
            {key: each.operation.start_time for key, each in rows.operations.items()},
        )

    async def settled_operations(self, after: int, limit: int) -> list[SettledOperation]:
        """See `ports.SettledOperations.settled_operations`."""
        async with self._connection() as connection:
            found = await connection.fetch(self._sql.settled_operations, after, limit)
        return [
            SettledOperation(
                id=row["id"],
                total=row["total_nfts"],
                minted=row["completed_nfts"],
                failed=row["failed_nfts"],
                cancelled=row["cancelled_nfts"],
                sequence=row["settled_sequence"],
                subject=row["subject"],
                payload=row["payload"],
                headers=json.loads(row["headers"]),
            )
            for row in found
        ]

    async def created_collections(
        self, after: UUID, limit: int, among: frozenset[UUID] | None
    ) -> list[CreatedCollection]:
        """See `ports.CreatedCollections.created_collections`."""
        ids = None if among is None else list(among)
        async with self._connection() as connection:
            found = await connection.fetch(self._sql.created_collections, after, limit, ids)
        return [
            CreatedCollection(
                id=row["id"],
                standard=row["standard"],
                tree_address=row["tree_address"],
                collection_address=row["collection_address"],
                capacity=row["capacity"],
                more_trees=tuple(row["more_trees"]),
            )
            for row in found
        ]

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection, None]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except UNAVAILABLE as error:  # retry: the caller reads the watermark again and goes on from there
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                await self._pool.expire_connections()  # they stay open, and lead to the wrong server
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def _move_watermark(self, connection: Connection, stream: str, after: int, to: int) -> None:
        if await connection.execute(self._sql.move_watermark, stream, after, to) != "UPDATE 1":
            raise Fenced(f"the watermark of {stream} is no longer at {after}: another indexer is writing")

    async def _load(self, connection: Connection, keys: Keys) -> Rows:
        rows = Rows()
        if keys.operations:
            for row in await connection.fetch(self._sql.load_operations, list(keys.operations)):
                rows.add_operation(Operation(metadata=None, **row))
        # Of an operation that has no row yet there are no items either.
        by_index = as_columns(keys.items(rows.operations), lambda key: key, 2)
        by_signature = as_columns(keys.signatures(rows.operations), lambda key: key, 2)
        if by_index[0] or by_signature[0]:
            for row in await connection.fetch(self._sql.load_items, *by_index, *by_signature):
                rows.add_item(Item(**row))
        if keys.collections:
            for row in await connection.fetch(self._sql.load_collections, list(keys.collections)):
                rows.collections[row["id"]] = Collection(**row)
        if keys.trees_of:
            for row in await connection.fetch(self._sql.load_trees, list(keys.trees_of)):
                rows.trees.load(Tree(**row))
        if keys.observed_trees:
            rows.observed.trees = await self._assets.load_trees(connection, keys.observed_trees)
        return rows

    async def _write(self, connection: Connection, rows: Rows) -> None:
        operations = rows.operations.values()
        new = [each.operation for each in operations if each.is_new]
        new_items = [item for each in operations if each.is_new for item in each.changed_items()]
        known = [each.operation for each in operations if each.is_changed and not each.is_new]
        known_items = [item for each in operations if not each.is_new for item in each.changed_items()]
        collections = [rows.collections[key] for key in rows.changed_collections]
        for table, columns, added in (
            ("mint_operations", OPERATION_INSERT, new),
            ("mint_results", ITEM_INSERT, new_items),
        ):
            if added:
                records = map(attrgetter(*columns), added)
                await connection.copy_records_to_table(table, columns=columns, records=records)
        for statement, columns, changed in (
            (self._sql.update_operations, OPERATION_UPDATE, known),
            (self._sql.update_items, ITEM_UPDATE, known_items),
            (self._sql.put_collections, COLLECTION, collections),
            (self._sql.put_trees, TREE, rows.trees.changed()),
        ):
            if changed:
                arrays = [[getattr(row, column) for row in changed] for column in columns]
                await connection.execute(statement, *arrays)
        if rows.drifts:
            await connection.execute(self._sql.add_drifts, *as_columns(rows.drifts, drift_row, 11))
        if minutes := rows.minutes.changes():
            await connection.execute(self._sql.count_minutes, *as_columns(minutes, lambda minute: minute, 5))
        if latencies := rows.minutes.latencies():
            await connection.execute(self._sql.count_latencies, *as_columns(latencies, lambda latency: latency, 3))
        await self._assets.write(connection, rows.observed)


@contextmanager
def _refusing() -> Generator[None]:
    try:
        yield
    except (*_REFUSED, *_UNENCODABLE) as error:  # stop: the same values would be refused again
        raise Refused(f"{type(error).__name__}: {error}") from error


def _keepable(entries: Sequence[Entry]) -> int:
    return sum(keepable(entry.raw) for entry in entries)
