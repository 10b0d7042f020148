"""The indexer killed with SIGKILL while it projects: the tables equal those that never saw a kill."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis import postgres
from chassis.clock import SystemClock
from chassis.database import Pool
from chassis.messaging import Connection, Log
from contracts.fact import Fact, Producer
from contracts.mint import Completed
from contracts.registry import UndecodableMessage, decode
from contracts.streams import MINT
from services.indexer.projector import Projector
from services.indexer.store import MIGRATIONS, PostgresStore
from tests.support.indexing import mint_history
from tests.support.postgres import Database, PostgresServer
from tests.support.tables import Dump, dump

ROOT = Path(__file__).resolve().parents[2]
KILLS = 3


@pytest.fixture
async def log(nats_url: str) -> AsyncGenerator[Log, None]:
    async with Log.session(Connection(servers=(nats_url,), producer=Producer(name="test", version="1"))) as log:
        await log.declare()
        yield log


def _facts() -> list[Fact]:
    """What other services say: every readable fact but the indexer's own."""
    facts: list[Fact] = []
    for seed in range(4):
        for raw in mint_history(seed).messages:
            try:
                fact = decode(raw.subject, raw.payload).data
            except UndecodableMessage:  # stop: this test is about kills
                continue
            if not isinstance(fact, Completed):
                facts.append(fact)
    return facts


async def _start(nats_url: str, database: Database) -> asyncio.subprocess.Process:
    environ = {
        "PATH": os.environ["PATH"],
        "NATS_URL": nats_url,
        "DATABASE_URL": database.dsn,
        "RPC_URL": "http://127.0.0.1:9",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.indexer", cwd=ROOT, env=environ, stderr=asyncio.subprocess.DEVNULL
    )


async def _reached(pool: Pool, sequence: int) -> None:
    while await pool.fetchval("SELECT sequence FROM watermarks WHERE stream = 'MINT'") < sequence:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def _unended(pool: Pool) -> int:
    return await pool.fetchval(
        "SELECT count(*) FROM mint_operations WHERE completed_nfts + failed_nfts = total_nfts AND end_time IS NULL"
    )


async def _clean_replay(server: PostgresServer, log: Log) -> Dump:
    database = await server.create_database()
    await postgres.migrate(database.dsn, MIGRATIONS)
    async with postgres.pool(database.dsn, application_name="replay") as pool:
        projector = Projector(MINT, log=log, store=PostgresStore(pool), clock=SystemClock(), on_commit=lambda _: None)
        replaying = asyncio.create_task(projector.run())
        await asyncio.wait(
            [replaying, asyncio.create_task(projector.caught_up.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        projector.stop()
        await replaying
        rows = await dump(pool)
    await server.drop_database(database)
    return rows


async def test_sigkill_loses_and_doubles_nothing(
    log: Log, nats_url: str, database: Database, postgres_server: PostgresServer
) -> None:
    facts = _facts()
    await postgres.migrate(database.dsn, MIGRATIONS)
    async with postgres.pool(database.dsn, application_name="test") as pool:
        process = await _start(nats_url, database)
        step = len(facts) // (KILLS + 1)
        for kill in range(KILLS + 1):
            part = facts[kill * step :] if kill == KILLS else facts[kill * step : (kill + 1) * step]
            for fact in part[: len(part) // 2]:
                await log.publish(fact, cause=None)
            await _reached(pool, kill * step + 1)
            publishing = asyncio.gather(*(log.publish(fact, cause=None) for fact in part[len(part) // 2 :]))
            if kill < KILLS:
                process.send_signal(signal.SIGKILL)
                await process.wait()
                process = await _start(nats_url, database)
            await publishing
        await _reached(pool, len(facts))
        while await _unended(pool):  # noqa: ASYNC110  (another process works)
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert await log.last_sequence(MINT) == await PostgresStore(pool).watermark("MINT")
        ended = await pool.fetchval("SELECT count(*) FROM mint_operations WHERE end_time IS NOT NULL")
        said = await pool.fetchval("SELECT count(*) FROM event_log WHERE subject LIKE 'mint.completed.%'")
        assert ended == said > 0
        assert await dump(pool) == await _clean_replay(postgres_server, log)
