"""Who may do what in Postgres: the owner migrates, the writer projects, the reader reads, and none of them more."""

from collections.abc import AsyncGenerator
from pathlib import Path
from shutil import copytree
from uuid import uuid4

import asyncpg
import pytest
from msgspec.structs import replace

from chassis import postgres
from chassis.database import Pool, connect, quoted
from chassis.migrations import MigrationError
from contracts.guard import Hole, Truncated
from contracts.streams import MINT
from localnet.postgres import PostgresRole, dsn
from services.indexer.store import MIGRATIONS, PostgresStore
from services.indexer.vault import PostgresVault
from tests.integration.indexer.test_store import log_with, project_all
from tests.support.memory_tables import MemoryTables
from tests.support.postgres import Database, PostgresServer
from tests.support.tables import comparable, dump, expected

WRITER = PostgresRole("mintstream_writer", "writer-password")
LOSS = Truncated(
    truncation=uuid4(), stream="MINT", last=4, expected=9, restorable=2, replaced=True, holes=(Hole(first=5, last=6),)
)
INSUFFICIENT = asyncpg.InsufficientPrivilegeError
READ_ONLY = asyncpg.ReadOnlySQLTransactionError


@pytest.fixture
async def database(postgres_server: PostgresServer, database: Database) -> Database:
    """Migrated after the operator has made the writer's role, as on Kubernetes."""
    connection = await connect(database.superuser_dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", WRITER.name):
            await connection.execute(f"CREATE ROLE {quoted(WRITER.name)} LOGIN NOINHERIT PASSWORD '{WRITER.password}'")
    finally:
        await connection.close()
    await postgres.migrate(database.dsn, MIGRATIONS)
    return database


@pytest.fixture
def writer_dsn(postgres_server: PostgresServer, database: Database) -> str:
    return dsn(postgres_server.child.addresses, database.name, WRITER)


@pytest.fixture
async def writer(writer_dsn: str) -> AsyncGenerator[Pool]:
    async with postgres.pool(writer_dsn, application_name="test") as pool:
        yield pool


async def test_the_writer_projects_a_whole_log_empties_the_tables_and_projects_again(writer: Pool) -> None:
    store, memory = PostgresStore(writer), MemoryTables()
    await project_all(log_with(1), memory)
    for _ in range(2):
        await project_all(log_with(1), store)
        assert comparable(await dump(writer)) == expected(memory)
        assert await store.watermark(MINT.name) > 0
        await PostgresVault(writer).empty()


async def test_losses_of_the_log_outlive_the_tables(writer: Pool) -> None:
    vault = PostgresVault(writer)
    later = replace(LOSS, truncation=uuid4())
    for loss in (LOSS, later, LOSS):
        await vault.keep(loss)
    await vault.empty()
    assert await vault.losses() == [LOSS, later]


async def test_the_writer_makes_and_drops_partitions_through_the_functions_alone(writer: Pool) -> None:
    assert await writer.fetchval("SELECT reach_event_log('MINT', 1, 1000001)") == 2_000_000
    assert await writer.fetchval("SELECT shorten_event_log('MINT', 1000000)") == 1
    with pytest.raises(INSUFFICIENT):
        await writer.execute("DROP TABLE event_log_mint_1")


async def test_the_writer_changes_no_table(writer: Pool) -> None:
    for statement in (
        "CREATE TABLE mine (x int)",
        "DROP TABLE mint_operations",
        "ALTER TABLE mint_operations ADD COLUMN mine int",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO schema_migrations VALUES (99, 'mine', 'x')",
        "CREATE ROLE mine",
        "COPY watermarks TO PROGRAM 'true'",
    ):
        with pytest.raises(INSUFFICIENT):
            await writer.execute(statement)


async def test_the_writer_starts_on_migrated_tables_and_waits_for_the_owner_otherwise(
    writer_dsn: str, database: Database, tmp_path: Path
) -> None:
    assert await postgres.migrate(writer_dsn, MIGRATIONS) == []
    newer = tmp_path / "migrations"
    copytree(MIGRATIONS, newer)
    number = len(list(newer.glob("*.sql"))) + 1
    (newer / f"{number:04d}_later.sql").write_text("CREATE TABLE later (x int);")
    with pytest.raises(MigrationError):
        await postgres.migrate(writer_dsn, newer)
    assert [each.version for each in await postgres.migrate(database.dsn, newer)] == [number]
    assert await postgres.migrate(writer_dsn, newer) == []


async def test_the_reader_reads_and_nothing_else(database: Database) -> None:
    async with postgres.pool(database.reader_dsn, application_name="test") as reader:
        for table in ("mint_operations", "mint_results", "nft_collections", "watermarks"):
            await reader.fetch(f"SELECT * FROM {table}")
        for statement in (
            "DELETE FROM mint_results",
            "UPDATE watermarks SET sequence = 0",
            "TRUNCATE mint_operations",
            "CREATE TABLE mine (x int)",
            "SELECT reach_event_log('MINT', 1, 1)",
        ):
            with pytest.raises((INSUFFICIENT, READ_ONLY)):
                await reader.execute(statement)
            # Nor when it takes off the default that is set for its role.
            with pytest.raises(INSUFFICIENT):
                await reader.execute(f"SET TRANSACTION READ WRITE; {statement}")
