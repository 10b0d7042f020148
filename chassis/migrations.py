"""Schema migrations: numbered SQL files, each applied once, in order, in its own transaction.

Used by the service that owns a schema, before it starts working, and by the tests. Several processes may start at
the same time: an advisory lock lets one of them migrate while the others wait. Not done here: going back; a wrong
migration is followed by a new one.
"""

import hashlib
import re
from typing import Final

import asyncpg
import msgspec

from chassis.database import KEEPALIVES, Connection, connect
from chassis.redaction import Secret
from chassis.sqlfiles import SqlSource, sql_files
from chassis.telemetry import get_logger

_log = get_logger(__name__)

_FILE_NAME = re.compile(r"^(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql$")
# Any constant serves, as long as nothing else in the database uses it.
_LOCK_KEY: Final = 0x6D696E74_00000001
_LOCK_TIMEOUT_SECONDS: Final = 120

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The files and the database do not fit together, or a migration failed; nothing of it was applied."""


class Migration(msgspec.Struct, frozen=True):
    """One numbered file: `0001_create_tables.sql`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, line ends normalised so that a checkout on another system does not matter."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}.sql"


def load_migrations(source: SqlSource) -> list[Migration]:
    """The migrations in `source`, a folder or a package name, numbered from 1 without gaps.

    Raises `MigrationError` for another file name or a gap or double number.
    """
    migrations: list[Migration] = []
    for file_name, text in sql_files(source):
        match = _FILE_NAME.match(file_name)
        if match is None:
            raise MigrationError(f"{file_name}: a migration is named like 0001_create_tables.sql")
        migrations.append(Migration(int(match["version"]), match["name"], text))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise MigrationError(f"{migration}: expected number {expected:04d}; numbers start at 1 without gaps")
    return migrations


async def migrate(target: Connection | Secret | str, source: SqlSource) -> list[Migration]:
    """Apply what `source` has and the database has not; returns what was applied now.

    `target` is an open connection or a DSN. Raises `MigrationError` when an applied file has changed, when the
    database is newer than the files, or when a statement fails (that file's transaction is rolled back).
    """
    migrations = load_migrations(source)
    if isinstance(target, (str, Secret)):
        dsn = target.reveal() if isinstance(target, Secret) else target
        connection = await connect(dsn, server_settings=KEEPALIVES)
        try:
            return await _migrate_locked(connection, migrations)
        finally:
            await connection.close()
    return await _migrate_locked(target, migrations)


async def _migrate_locked(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY, timeout=_LOCK_TIMEOUT_SECONDS)
    try:
        # Looked for first: a role that may not make tables can still find that nothing is missing.
        if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
            await connection.execute(_TABLE)
        pending = await _pending(connection, migrations)
        for migration in pending:
            await _apply(connection, migration)
        return pending
    finally:
        if not connection.is_closed():  # a closed connection has given the lock back
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)


async def _pending(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    applied: dict[int, tuple[str, str]] = {row["version"]: (row["name"], row["checksum"]) for row in rows}
    known = {migration.version for migration in migrations}
    if newer := sorted(applied.keys() - known):
        version = newer[0]
        raise MigrationError(
            f"the database has migration {version:04d}_{applied[version][0]}, which this program does not know: "
            "it was migrated by a newer one"
        )
    for migration in migrations:
        if migration.version in applied and applied[migration.version] != (migration.name, migration.checksum):
            raise MigrationError(
                f"{migration} was applied with another content or name ({applied[migration.version][0]}); "
                "an applied migration is never edited: undo the edit and add a new file"
            )
    return [migration for migration in migrations if migration.version not in applied]


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            # Waits for others no longer than that; how long its own work takes is a matter of how many rows there are.
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_SECONDS}s'")
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:  # stop: the same statement would fail again
        raise MigrationError(f"{migration}: {error}") from error
    _log.info("migration applied", migration=str(migration))
