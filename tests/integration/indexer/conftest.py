"""Databases with the projection's tables."""

from collections.abc import AsyncGenerator

import pytest

from chassis import postgres
from chassis.database import Pool
from services.indexer.store import MIGRATIONS, PostgresStore
from tests.support.postgres import Database, PostgresServer


async def _migrate(database: Database) -> None:
    await postgres.migrate(database.dsn, MIGRATIONS)


@pytest.fixture
async def tables(postgres_server: PostgresServer) -> AsyncGenerator[Database, None]:
    """A database with empty tables, for this test alone."""
    database = await postgres_server.create_database(await postgres_server.template("indexer", _migrate))
    yield database
    await postgres_server.drop_database(database)


@pytest.fixture
async def pool(tables: Database) -> AsyncGenerator[Pool, None]:
    """A pool as the tables' owner."""
    async with postgres.pool(tables.dsn, application_name="test") as opened:
        yield opened


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """The store on the empty tables."""
    return PostgresStore(pool)
