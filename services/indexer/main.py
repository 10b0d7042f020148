"""The indexer's composition root: builds the parts, wires them, runs them.

`python -m services.indexer` migrates and projects until SIGTERM; with `--migrate-only` it migrates and ends, for a job
that runs before a rollout.
"""

import argparse
import asyncio
import sys
from datetime import timedelta

import asyncpg

from archive.object_store import ObjectStore
from archive.reading import Archive
from chassis import lifecycle, postgres, telemetry
from chassis.database import UnusableDsn
from chassis.lifecycle import Lifecycle
from chassis.messaging import Connection, Log
from chassis.migrations import MigrationError
from chassis.postgres import DatabaseUnavailable
from chassis.pulse import Pulse
from chassis.settings import load_or_exit
from chassis.version import VERSION
from contracts.fact import Producer
from contracts.streams import INDEXER_DEAD
from services.indexer import observing
from services.indexer.adapters import endpoints
from services.indexer.adapters.nodes import Nodes
from services.indexer.adapters.solana_rpc import SolanaRpc
from services.indexer.archiving import Archiver
from services.indexer.archiving_task import Archiving
from services.indexer.dead_letters import DeadLetters
from services.indexer.guard import Guard
from services.indexer.guarded import GuardedLog, GuardedTables, NotedLog, attend
from services.indexer.history import History
from services.indexer.leadership import Leadership
from services.indexer.settings import IndexerSettings, MigrationSettings
from services.indexer.store import MIGRATIONS, PostgresStore
from services.indexer.term import Term
from services.indexer.vault import PostgresVault

NAME = "indexer"
DEAD_CONCURRENCY = 1


async def serve(life: Lifecycle, settings: IndexerSettings) -> None:
    """Run the indexer until it is told to drain."""
    pool = await life.enter(postgres.pool(settings.database_url, application_name=NAME))
    await postgres.migrate(settings.database_url, MIGRATIONS)
    log = await life.enter(Log.session(Connection.of(settings, Producer(name=NAME, version=VERSION)), life.clock))
    await log.declare()
    connected = await life.enter(endpoints.connect(settings))
    chain = SolanaRpc(Nodes(connected.nodes, life.clock), connected.das[0])
    store = PostgresStore(pool)
    leadership = Leadership(settings.database_url, life.clock)
    archive = Archive(ObjectStore(settings.archive_url), log) if settings.archive_url else None

    async def lead() -> None:
        guard = Guard(log, PostgresVault(pool), archives=archive is not None)
        guarded = GuardedLog(log, guard, History(NotedLog(log, guard), archive))
        tables = GuardedTables(store, guard)
        term = Term(
            guarded,
            tables,
            chain,
            life.clock,
            count_interval=settings.count_interval_seconds,
            publishers=[observing.of(settings, pool, guarded, tables, chain, connected, life.clock)],
            beside=lambda: attend(log, guard),
        )
        await term.run(life.draining)

    life.health.add("nats", log.ping)
    life.health.add("postgres", lambda: postgres.check(pool))
    life.spawn("projection", leadership.run(lead))
    dead = DeadLetters(log)
    life.spawn("dead letters", log.consume(INDEXER_DEAD, dead.on_replay_requested, concurrency=DEAD_CONCURRENCY))
    life.spawn("pulse", Pulse(log, life.health, life.clock, NAME).run(), background=True)
    if archive is not None:
        age = timedelta(hours=settings.archive_after_hours)
        task = Archiving(Archiver(log, archive), pool, life.clock, settings.archive_interval_seconds, age)
        life.spawn("archive", task.run(), background=True)
    await life.draining.wait()
    leadership.stop()
    log.drain()


def migrate_only() -> int:
    """Bring the tables up to date; returns the exit status."""
    settings = load_or_exit(MigrationSettings)
    handle = telemetry.configure(NAME, VERSION)
    log = telemetry.get_logger(__name__)

    async def migrate() -> None:
        # The pool waits for a server that is still starting, as a job beside a new database has to.
        async with postgres.pool(settings.database_url, application_name=NAME, max_size=1):
            applied = await postgres.migrate(settings.database_url, MIGRATIONS)
        log.info("the tables are up to date", applied=len(applied))

    try:
        asyncio.run(migrate())
    except (MigrationError, DatabaseUnavailable, UnusableDsn, asyncpg.PostgresError, OSError) as error:
        # Stop: the platform runs it again. A TimeoutError, which is an OSError: another one is at it for long.
        log.error("cannot migrate", reason=f"{type(error).__name__}: {error}")
        return lifecycle.EXIT_FAILED
    finally:
        handle.shutdown()
    return lifecycle.EXIT_OK


def main() -> None:
    """Run the indexer as a process."""
    parser = argparse.ArgumentParser(prog="python -m services.indexer", description="Projects the log into Postgres.")
    parser.add_argument("--migrate-only", action="store_true", help="bring the tables up to date, then end")
    if parser.parse_args().migrate_only:
        sys.exit(migrate_only())
    settings = load_or_exit(IndexerSettings)

    async def service(life: Lifecycle) -> None:
        await serve(life, settings)

    sys.exit(lifecycle.run(service, name=NAME, settings=settings))
