"""chassis.postgres and chassis.migrations on a real server."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from chassis import postgres
from chassis.database import KEEPALIVES, connect
from chassis.migrations import MigrationError
from chassis.redaction import Secret
from localnet.child import Child
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec
from tests.support.postgres import Database

OWNER = PostgresRole("owner", "hunter2")


def write(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name.removeprefix('m')}.sql").write_text(text)
    return directory


FIRST = {"m0001_first": "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);"}
SECOND = {"m0002_second": "ALTER TABLE a ADD y int;"}


async def versions(database: Database) -> list[int]:
    connection = await connect(database.dsn)
    try:
        rows = await connection.fetch("SELECT version FROM schema_migrations ORDER BY version")
        return [row["version"] for row in rows]
    finally:
        await connection.close()


async def test_migrations_are_applied_once_and_in_order(database: Database, tmp_path: Path) -> None:
    directory = write(tmp_path, **FIRST)
    assert [str(each) for each in await postgres.migrate(database.dsn, directory)] == ["0001_first.sql"]
    assert await postgres.migrate(database.dsn, directory) == []
    write(tmp_path, **SECOND)
    assert [each.version for each in await postgres.migrate(Secret(database.dsn), directory)] == [2]
    assert await versions(database) == [1, 2]
    connection = await connect(database.dsn)
    assert dict(await connection.fetchrow("SELECT * FROM a") or {}) == {"x": 1, "y": None}
    assert await postgres.migrate(connection, directory) == [], "an open connection does as well"
    await connection.close()


async def test_many_processes_may_migrate_at_once(database: Database, tmp_path: Path) -> None:
    directory = write(tmp_path, m0001_slow="SELECT pg_sleep(0.1); CREATE TABLE a (x int);", **SECOND)
    applied = await asyncio.gather(*(postgres.migrate(database.dsn, directory) for _ in range(6)))
    assert sorted(len(each) for each in applied) == [0, 0, 0, 0, 0, 2]


async def test_a_failing_migration_leaves_nothing_behind(database: Database, tmp_path: Path) -> None:
    directory = write(tmp_path, **FIRST, m0002_bad="CREATE TABLE b (x int); SELECT 1/0;")
    with pytest.raises(MigrationError, match=r"0002_bad\.sql: division by zero"):
        await postgres.migrate(database.dsn, directory)
    assert await versions(database) == [1]
    connection = await connect(database.dsn)
    assert await connection.fetchval("SELECT to_regclass('b')") is None
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    assert await connection.fetchval(locks) == 0
    await connection.close()
    write(tmp_path, m0002_bad="CREATE TABLE b (x int);")
    assert [each.version for each in await postgres.migrate(database.dsn, directory)] == [2]


async def test_a_migration_takes_as_long_as_its_rows_need(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.migrations._LOCK_TIMEOUT_SECONDS", 1)
    directory = write(tmp_path, m0001_slow="SELECT pg_sleep(1.2)")
    assert [each.version for each in await postgres.migrate(database.dsn, directory)] == [1]


async def test_a_migration_of_a_machine_that_is_gone_holds_its_lock_for_seconds(
    database: Database, tmp_path: Path
) -> None:
    """The server has to notice: else nobody else could migrate, or start, for two hours."""
    told = "CREATE TABLE a AS SELECT count(*) FROM pg_settings WHERE name LIKE 'tcp_keepalives%' AND source = 'client';"
    await postgres.migrate(database.dsn, write(tmp_path, m0001_first=told))
    connection = await connect(database.dsn)
    assert await connection.fetchval("SELECT count FROM a") == len(KEEPALIVES)
    await connection.close()


async def test_a_changed_old_migration_is_refused(database: Database, tmp_path: Path) -> None:
    directory = write(tmp_path, **FIRST)
    await postgres.migrate(database.dsn, directory)
    write(tmp_path, m0001_first="CREATE TABLE a (x bigint);", **SECOND)
    with pytest.raises(MigrationError, match=r"0001_first\.sql was applied with another content"):
        await postgres.migrate(database.dsn, directory)
    assert await versions(database) == [1]


async def test_a_database_of_a_newer_program_is_refused(database: Database, tmp_path: Path) -> None:
    await postgres.migrate(database.dsn, write(tmp_path / "new", **FIRST, **SECOND))
    with pytest.raises(MigrationError, match="has migration 0002_second, which this program does not know"):
        await postgres.migrate(database.dsn, write(tmp_path / "old", **FIRST))


async def test_a_pool_says_who_it_is_and_has_limits(database: Database) -> None:
    async with postgres.pool(Secret(database.dsn), application_name="indexer", max_size=2) as pool:
        await postgres.check(pool)
        settings = [
            await pool.fetchval(f"SHOW {name}")
            for name in ("application_name", "statement_timeout", "idle_in_transaction_session_timeout", "timezone")
        ]
        assert settings == ["indexer", "30s", "1min", "UTC"]
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("CREATE TABLE t (x int)")
            await connection.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])
        assert [row["x"] for row in await pool.fetch("SELECT x FROM t ORDER BY x")] == [1, 2]


async def test_the_reader_only_reads(database: Database) -> None:
    async with postgres.pool(database.reader_dsn, application_name="gateway", min_size=0) as pool:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await pool.execute("CREATE TABLE t (x int)")


async def test_a_pool_waits_for_a_server_that_is_starting(tmp_path: Path) -> None:
    child = Child(postgres_spec(PostgresOptions(data_dir=tmp_path, fast=True, database="mint", owner=OWNER)))
    await child.start()
    url = dsn(child.addresses, "mint", OWNER)
    await child.stop()

    async def use() -> int:
        async with postgres.pool(url, application_name="x", wait_seconds=60) as pool:
            return await pool.fetchval("SELECT 42")

    using = asyncio.create_task(use())
    await asyncio.sleep(0.1)
    assert not using.done()
    await child.start()
    assert await using == 42
    await child.stop()


async def test_no_server_is_told_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://u:hunter2@/d?host={tmp_path}"
    with pytest.raises(postgres.DatabaseUnavailable, match=r"no Postgres after 0 s") as caught:
        async with postgres.pool(url, application_name="x", wait_seconds=0):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_told_at_once(database: Database) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with postgres.pool(database.dsn.replace(":owner-password@", ":wrong@"), application_name="x"):
            pass
