"""The gateway as a process, between a real nats-server and the indexer's tables in a real Postgres."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from chassis import postgres
from chassis.database import Pool
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.streams import UPLOADS
from localnet.child import Child, ChildSpec, minimal_environ, ports_file_ready, running
from services.indexer.store import MIGRATIONS, PostgresStore
from tests.support.gateway import API_KEY, COLLECTION, created
from tests.support.postgres import Database, PostgresServer

NO_DATABASE = "postgresql://mintstream_reader@127.0.0.1:1/mintstream"
"""Nobody listens on port 1."""


@dataclass
class Process:
    """A running gateway and a client of it."""

    child: Child
    client: httpx.AsyncClient


StartGateway = Callable[..., Awaitable[Process]]


def spec(directory: Path, nats_url: str, database_url: str, **environ: str) -> ChildSpec:
    """How to run a gateway on a free port; `nats_url` may hold user and password."""
    ports_file, nats = directory / "gateway.json", urlsplit(nats_url)
    return ChildSpec(
        name="gateway",
        command=(sys.executable, "-m", "services.gateway"),
        log_file=directory / "gateway.log",
        ready=ports_file_ready(ports_file),
        environ=minimal_environ(
            NATS_URL=f"nats://{nats.hostname}:{nats.port}",
            NATS_USER=nats.username or "",
            NATS_PASSWORD=nats.password or "",
            DATABASE_URL=database_url,
            API_KEY=API_KEY,
            RATE_LIMITS="false",
            HOST="127.0.0.1",
            PORT="0",
            PORTS_FILE=str(ports_file),
            LOG_FORMAT="json",
        )
        | environ,
    )


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncGenerator[StartGateway, None]:
    """Starts a gateway: `await start_gateway(nats_url, database_url)`."""
    async with AsyncExitStack() as started:

        async def start(nats_url: str, database_url: str = NO_DATABASE, **environ: str) -> Process:
            child = await started.enter_async_context(running(spec(tmp_path, nats_url, database_url, **environ)))
            client = httpx.AsyncClient(
                base_url=child.addresses["api"], headers={"X-API-Key": API_KEY}, timeout=httpx.Timeout(60)
            )
            return Process(child, await started.enter_async_context(client))

        yield start


async def _migrate(database: Database) -> None:
    await postgres.migrate(database.dsn, MIGRATIONS)


@pytest.fixture
async def tables(postgres_server: PostgresServer) -> AsyncGenerator[Database, None]:
    """A database with empty tables, for this test alone."""
    database = await postgres_server.create_database(await postgres_server.template("indexer", _migrate))
    yield database
    await postgres_server.drop_database(database)


@pytest.fixture
async def store(tables: Database) -> AsyncGenerator[PostgresStore, None]:
    """The indexer's own way of writing the tables."""
    async with postgres.pool(tables.dsn, application_name="test") as owner:
        yield PostgresStore(owner)


@pytest.fixture
async def reader(tables: Database) -> AsyncGenerator[Pool, None]:
    """A pool as the gateway's role."""
    async with postgres.pool(tables.reader_dsn, application_name="test", min_size=0) as opened:
        yield opened


async def prepare(log: Log) -> None:
    """Declare what the gateway needs, and put a collection on the log that takes mints."""
    # One server serves many tests, and each bucket reserves its limit of the server's storage.
    await log.declare(buckets=(msgspec.structs.replace(UPLOADS, max_bytes=64 * 1024**2),))
    await log.publish(created(COLLECTION), cause=None)


@pytest.fixture
async def log(nats_url: str) -> AsyncGenerator[Log, None]:
    """A log with one collection."""
    async with Log.session(Connection(servers=(nats_url,), producer=Producer(name="test", version="0"))) as opened:
        await prepare(opened)
        yield opened
