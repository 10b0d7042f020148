"""The indexer as a process of its own, on a real log and a real database."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from chassis.database import connect
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.mint import Completed
from tests.support.indexing import confirmed, requested, uid
from tests.support.postgres import Database

ROOT = Path(__file__).resolve().parents[3]
OPERATION = uid("operation")


@asynccontextmanager
async def indexer(environ: Mapping[str, str], *arguments: str) -> AsyncGenerator[Process, None]:
    """A process for the body, killed at its end if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.indexer", *arguments,
        cwd=ROOT, env={"PATH": os.environ["PATH"], **environ}, stderr=PIPE, stdout=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def log(nats_url: str) -> AsyncGenerator[Log, None]:
    """The log that the process reads."""
    async with Log.session(Connection(servers=(nats_url,), producer=Producer(name="test", version="1"))) as log:
        await log.declare()
        yield log


@pytest.fixture
def environ(nats_url: str, database: Database, tmp_path: Path) -> dict[str, str]:
    """Settings for an empty database; nobody listens at RPC_URL."""
    return {
        "NATS_URL": nats_url,
        "DATABASE_URL": database.dsn,
        "RPC_URL": "http://127.0.0.1:9",
        "PORTS_FILE": str(tmp_path / "ports.json"),
        "LOG_FORMAT": "json",
    }


async def test_it_migrates_projects_completes_and_drains(
    log: Log, environ: dict[str, str], database: Database, tmp_path: Path
) -> None:
    await log.publish(requested(OPERATION), cause=None)
    await log.publish(confirmed(OPERATION, 0, 0, [0]), cause=None)
    async with indexer(environ) as process:
        ended = await _ended(log)
        assert (ended.minted, ended.failed) == (1, 0)
        async with httpx.AsyncClient() as http:
            address = msgspec.json.decode((tmp_path / "ports.json").read_bytes())["probe"]
            assert (await http.get(f"{address}/health/ready")).json()["ok"] is True
        connection = await connect(database.dsn)
        while await connection.fetchval("SELECT status FROM mint_operations") != "completed":  # noqa: ASYNC110  (the same)
            await asyncio.sleep(0.02)
        await connection.close()
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()


async def _ended(log: Log) -> Completed:
    while (message := await log.last(Completed, operation=OPERATION)) is None:  # noqa: ASYNC110  (another process)
        await asyncio.sleep(0.02)
    return message.data


async def test_it_refuses_a_log_that_lost_its_tail(log: Log, environ: dict[str, str], database: Database) -> None:
    async with indexer(environ, "--migrate-only") as process:
        assert await process.wait() == 0
    connection = await connect(database.dsn)
    await connection.execute("UPDATE watermarks SET sequence = 9 WHERE stream = 'MINT'")
    await connection.close()
    async with indexer(environ) as process:
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert "stream MINT ends at sequence 0, but messages up to 9 were already projected" in stderr.decode()


async def test_migrating_alone_needs_the_database_only(environ: dict[str, str], database: Database) -> None:
    for _ in range(2):
        async with indexer({"DATABASE_URL": environ["DATABASE_URL"]}, "--migrate-only") as process:
            _, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
    connection = await connect(database.dsn)
    assert await connection.fetchval("SELECT count(*) FROM watermarks") == 2
    await connection.execute("UPDATE schema_migrations SET checksum = 'edited'")
    await connection.close()
    async with indexer({"DATABASE_URL": environ["DATABASE_URL"]}, "--migrate-only") as process:
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert "an applied migration is never edited" in stderr.decode()


async def test_what_is_missing_is_named() -> None:
    async with indexer({}) as process:
        _, stderr = await process.communicate()
    assert process.returncode == 2
    for variable in (b"NATS_URL", b"DATABASE_URL", b"RPC_URL"):
        assert variable in stderr
