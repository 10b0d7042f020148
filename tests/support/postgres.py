"""Postgres for tests: one server per pytest worker, a database of its own for every test."""

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from chassis.database import connect, quoted
from localnet.child import Child
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec, superuser_dsn

OWNER = PostgresRole("mintstream_owner", "owner-password")
READER = PostgresRole("mintstream_reader", "reader-password")


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test; three ways in."""

    name: str
    dsn: str
    """As the owner, who is no superuser."""
    reader_dsn: str
    """As the role of the gateway: read-only, and only what the owner grants."""
    superuser_dsn: str


class PostgresServer:
    """A running server that makes databases."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    async def create_database(self, template: str = "template1") -> Database:
        """A new database, a copy of `template`, in which nobody may be connected."""
        name = f"test_{next(self._numbers)}"
        await self._execute(f"CREATE DATABASE {quoted(name)} OWNER {quoted(OWNER.name)} TEMPLATE {quoted(template)}")
        addresses = self.child.addresses
        return Database(
            name=name,
            dsn=dsn(addresses, name, OWNER),
            reader_dsn=dsn(addresses, name, READER),
            superuser_dsn=superuser_dsn(addresses, name),
        )

    async def drop_database(self, database: Database) -> None:
        await self._execute(f"DROP DATABASE IF EXISTS {quoted(database.name)} WITH (FORCE)")

    async def template(self, key: str, fill: Callable[[Database], Awaitable[object]]) -> str:
        """The name of a template that `fill` prepared once (migrations), for `create_database`."""
        if key not in self._templates:
            database = await self.create_database()
            await fill(database)
            self._templates[key] = database.name
        return self._templates[key]

    async def _execute(self, statement: str) -> None:
        connection = await connect(superuser_dsn(self.child.addresses))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[PostgresServer, None]:
    directory = tmp_path_factory.mktemp("postgres")
    child = Child(
        postgres_spec(PostgresOptions(data_dir=directory, tcp=False, fast=True, owner=OWNER, readers=[READER]))
    )
    await child.start()
    yield PostgresServer(child)
    await child.stop()


@pytest.fixture
async def database(postgres_server: PostgresServer) -> AsyncGenerator[Database, None]:
    """An empty database for this test alone."""
    created = await postgres_server.create_database()
    yield created
    await postgres_server.drop_database(created)
