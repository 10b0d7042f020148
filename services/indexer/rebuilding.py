"""Rebuilding the tables beside the live ones, comparing the two, and exchanging them while the projector works.

Everything happens in one database: the rebuilt tables are in a schema of their own. What makes it safe is the table
`watermarks`: whoever holds its lock knows where the projector stands and that it stands still. In an exchange the
projector waits for the last few messages, then goes on with the exchanged tables as if they were its own, because in
them it finds the watermark that it left. Used by `mintstream replay`. Not done here: applying messages (`replaying`).
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import asyncpg

from chassis import postgres
from chassis.database import Connection, OwnedConnection, connect, quoted
from chassis.log import LogReader
from chassis.migrations import MigrationError
from chassis.redaction import Secret
from contracts.streams import COLLECTION, MINT
from services.indexer.comparing import Difference, comparable_tables, differences, tables_of
from services.indexer.deferring import Made, defer, restore
from services.indexer.planning import RARELY, plan_here, planning_apart
from services.indexer.replaying import Progress, replay
from services.indexer.store import MIGRATIONS, PostgresStore

STREAMS: Final = (MINT, COLLECTION)
APART: Final = 20_000
"""Messages from which on they are planned in a process of its own, which takes half a second to start."""
TRIES: Final = 60
PAUSE: Final = 0.5
"""Seconds between two tries to exchange."""
LOCK_TIMEOUT: Final = "700ms"
"""Less than Postgres's deadlock_timeout (1 s): in a tangle of locks we step back, never a reader or the projector."""
_NAME: Final = "mintstream-replay"
_APART: Final = "mintstream_exchange"

_OCCUPIED: Final = """
SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1)
"""

_MIGRATIONS: Final = "SELECT version, checksum FROM {}.schema_migrations ORDER BY version"
# Tables and partitions, which move one by one; indexes and constraints go with their tables.
_RELATIONS: Final = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND (c.relname = ANY($2) OR c.relispartition)
ORDER BY c.relname
"""


class RebuildRefused(Exception):
    """The schema cannot be used for this; the sentence says why."""


class Busy(Exception):
    """The live tables were never free, or never as far as the rebuilt ones, for the moment that is needed."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Tables in schema `into`, beside the live ones of the same database."""

    dsn: Secret
    into: str
    history: LogReader

    async def prepare(self, *, fresh: bool) -> None:
        """Make the schema with its tables, or find it as an earlier replay left it; with `fresh`, empty.

        Raises RebuildRefused.
        """
        async with self._connected() as connection:
            if self.into == await _live_schema(connection):
                raise RebuildRefused(f"schema {self.into} has the live tables; a replay goes into another one")
            ours = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{quoted(self.into)}.watermarks")
            if not ours and await connection.fetchval(_OCCUPIED, self.into):
                raise RebuildRefused(f"schema {self.into} has tables of somebody else; name another one")
            if fresh:
                await connection.execute(f"DROP SCHEMA IF EXISTS {quoted(self.into)} CASCADE")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.into)}")
        async with self._rebuilt() as connection:
            await restore(connection, _say_nothing)  # migrations speak of indexes by their names
            try:
                await postgres.migrate(connection, MIGRATIONS)
            except MigrationError as error:  # stop: another version has made it
                raise RebuildRefused(f"schema {self.into} cannot be used: {error}; start afresh") from error

    async def catch_up(self, progress: Progress, made: Made | None = None) -> None:
        """Apply everything that the log holds now. Raises what `replaying.replay` raises.

        `made` is told of indexes that are made at the end, when there was more to apply than was there before.
        """
        ends = {stream: await self.history.last_sequence(stream) for stream in STREAMS}
        async with self._store(kept_ahead=True) as store:
            there = sum([await store.watermark(stream.name) for stream in STREAMS])
            missing = sum(ends.values()) - there
            if missing > there:
                async with self._rebuilt() as connection:
                    await defer(connection)
            async with planning_apart() if missing > APART else nullcontext(plan_here) as planning:
                for stream, end in ends.items():
                    await store.forget_unapplied(stream.name)  # an earlier catch-up may have been interrupted
                    with _rare_collections():
                        await replay(self.history, store, stream, end, progress, planning, store.keep)
        async with self._rebuilt() as connection:
            await restore(connection, made or _say_nothing)
            for table in await tables_of(connection, self.into):
                # Whoever exchanges them asks at once, long before autovacuum has looked at them. Messages are found by
                # their keys alone, and there are too many of them.
                if table.name != "event_log":
                    await connection.execute(f"ANALYZE {quoted(table.name)}")

    async def verify(self) -> AsyncIterator[Difference]:
        """Yield every difference from the live tables, both at the watermarks that the live ones have now.

        Raises Incomparable and Busy. The projector waits only for as long as the last messages take, not while the rows
        are compared: those are one snapshot's.
        """
        async with self._connected() as connection, self._connected() as comparing:
            live = await _live_schema(connection)
            tables = await comparable_tables(connection, live, self.into)
            async with comparing.transaction(isolation="repeatable_read", readonly=True):
                async with self._level(connection, live, "SHARE", ["watermarks"]):
                    await comparing.fetchval("SELECT 1")  # the first statement takes the snapshot
                for table in tables:
                    async for difference in differences(comparing, table, live, self.into):
                        yield difference

    async def exchange(self) -> None:
        """Make the rebuilt tables the live ones, and the live ones those of the schema, in one transaction.

        Raises RebuildRefused, Incomparable and Busy; then nothing has changed.
        """
        async with self._connected() as connection:
            live = await _live_schema(connection)
            names = [table.name for table in await comparable_tables(connection, live, self.into)]
            one, other = [
                [tuple(row.values()) for row in await connection.fetch(_MIGRATIONS.format(quoted(schema)))]
                for schema in (live, self.into)
            ]
            if one != other:
                raise RebuildRefused(f"schemas {live} and {self.into} were migrated by different versions")
            # `watermarks` first: the projector takes it first as well, and holds nothing else while it waits.
            names.sort(key=lambda name: name != "watermarks")
            async with self._level(connection, live, "ACCESS EXCLUSIVE", names):
                await _exchange(connection, live, self.into, names)

    @asynccontextmanager
    async def _level(self, connection: Connection, live: str, mode: str, names: Sequence[str]) -> AsyncGenerator[None]:
        """A transaction that locks the live tables, with both schemas at the same watermarks. Raises Busy."""
        reason = ""
        for _ in range(TRIES):
            level = False
            try:
                # What there is to apply under the lock has to be little: the rest goes before. Never beyond the live
                # tables: under load these are always a few messages behind the log, and would be behind here as well.
                await self._reach(connection, live)
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                    for name in names:
                        await connection.execute(f"LOCK TABLE {quoted(live)}.{quoted(name)} IN {mode} MODE")
                    await self._reach(connection, live)
                    level = True
                    yield
                    return
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, _Behind) as error:
                if level:
                    raise
                # Retry: somebody is at work; whoever waits behind us goes on meanwhile.
                reason = str(error)
                await asyncio.sleep(PAUSE)
        raise Busy(f"the live tables were not to be had at any of {TRIES} tries: {reason}")

    async def _reach(self, connection: Connection, live: str) -> None:
        """Bring the rebuilt tables to the live watermarks, which are locked. Raises _Behind."""
        rows = await connection.fetch(f"SELECT stream, sequence FROM {quoted(live)}.watermarks")  # noqa: S608  (quoted)
        ends: dict[str, int] = {row["stream"]: row["sequence"] for row in rows}
        async with self._store() as store:
            for stream in STREAMS:
                await replay(self.history, store, stream, ends[stream.name], _say_nothing)
                position = await store.watermark(stream.name)
                if position > (end := ends[stream.name]):
                    raise _Behind(f"{stream.name} is at {end} in the live tables and at {position} in the replay")

    @asynccontextmanager
    async def _store(self, *, kept_ahead: bool = False) -> AsyncGenerator[PostgresStore]:
        # Without waiting for the disk: what a crash takes is the end, and the watermark with it.
        settings = {"search_path": quoted(self.into), "synchronous_commit": "off"}
        async with postgres.pool(self.dsn, application_name=_NAME, max_size=2, server_settings=settings) as pool:
            yield PostgresStore(pool, kept_ahead=kept_ahead)

    def _rebuilt(self) -> AbstractAsyncContextManager[OwnedConnection]:
        return self._connected(search_path=quoted(self.into))

    @asynccontextmanager
    async def _connected(self, **settings: str) -> AsyncGenerator[OwnedConnection]:
        try:
            connection = await connect(self.dsn.reveal(), server_settings={"application_name": _NAME, **settings})
        except (OSError, TimeoutError) as error:  # stop: whoever asked for the rebuild does so again
            raise postgres.DatabaseUnavailable(f"Postgres does not answer: {error or 'timed out'}") from error
        try:
            yield connection
        finally:
            await connection.close()


class _Behind(Exception):
    """The live tables have not come as far as the rebuilt ones."""


async def _live_schema(connection: Connection) -> str:
    return str(await connection.fetchval("SELECT current_schema()"))


async def _exchange(connection: Connection, live: str, rebuilt: str, names: Sequence[str]) -> None:
    one, other = [
        [str(row["relname"]) for row in await connection.fetch(_RELATIONS, quoted(schema), names)]
        for schema in (live, rebuilt)
    ]
    await connection.execute(f"CREATE SCHEMA {_APART}")
    for relations, source, target in ((one, live, _APART), (other, rebuilt, live), (one, _APART, rebuilt)):
        for name in relations:
            await connection.execute(f"ALTER TABLE {quoted(source)}.{quoted(name)} SET SCHEMA {quoted(target)}")
    await connection.execute(f"DROP SCHEMA {_APART}")


@contextmanager
def _rare_collections() -> Generator[None]:
    """Let Python look for cycles rarely: going through a batch's objects again and again took most of the time."""
    before = gc.get_threshold()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _say_nothing(*_: object) -> None:
    pass
