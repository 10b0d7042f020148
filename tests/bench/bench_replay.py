"""How fast the tables are rebuilt from the log, against a bare COPY of the same rows. Not a test: prints figures.

    python -m tests.bench.bench_replay [--events 130000] [--stream 65000]

The log is operations of ten NFTs, thirteen messages each, as the services write them. Twice the real rebuild into a
real Postgres with all its indexes and constraints: from an archive in a folder, and from the stream of a real
nats-server. Beside each, in the same run, COPY of the very rows that the rebuild wrote: into tables of the same shape
with their indexes, and into such tables whose indexes are made afterwards, as the rebuild makes them.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import uvloop

from archive.object_store import ObjectStore
from archive.reading import Archive
from archive.segments import MAX_MESSAGES, Manifest
from chassis import postgres
from chassis.database import Connection as Database
from chassis.database import connect, quoted
from chassis.log import LogReader, RawMessage
from chassis.messaging import Connection, Log
from chassis.redaction import Secret
from contracts.fact import Fact, Producer
from contracts.mint import Planned, PlannedTransaction
from contracts.streams import MINT, Stream
from localnet.child import Child, running
from localnet.nats_server import NatsOptions, nats_spec
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec
from services.indexer.comparing import Table, tables_of
from services.indexer.deferring import defer, restore
from services.indexer.rebuilding import Rebuild
from services.indexer.store import MIGRATIONS
from tests.bench.bench_ipfs import Memory
from tests.bench.usage import ceiling, usages
from tests.support.indexing import (
    History,
    address,
    completed,
    confirmed,
    finalized,
    pinned,
    requested,
    signed,
    uid,
)

Spent = dict[str, float]
"""Seconds of processor by process."""

ITEMS = 10
TRANSACTIONS = ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9))
ROWS = 10_000
"""Rows that one COPY takes."""
OWNER = PostgresRole("mintstream_owner", "owner")


def facts(number: int) -> Iterator[Fact]:
    """Everything that is said of an operation of ten NFTs."""
    operation = uid("operation", number)
    yield requested(operation, ITEMS, batch_size=ITEMS)
    yield pinned(operation, 0, range(ITEMS))
    yield Planned(
        operation=operation,
        chunk=0,
        collection=uid("collection"),
        transactions=tuple(
            PlannedTransaction(tx=tx, tree=address("tree"), items=items) for tx, items in enumerate(TRANSACTIONS)
        ),
    )
    for tx, items in enumerate(TRANSACTIONS):
        yield signed(operation, 0, tx, items)
    for tx, items in enumerate(TRANSACTIONS):
        yield confirmed(operation, 0, tx, items)
    yield completed(operation, ITEMS, ITEMS, 0)
    for tx in range(len(TRANSACTIONS)):
        yield finalized(operation, 0, tx)


def messages(count: int) -> Iterator[RawMessage]:
    """The log's first messages."""
    history, number = History(), 0
    sequence = 0
    while sequence < count:
        for fact in facts(number):
            if (sequence := sequence + 1) > count:
                return
            yield history.say(fact)
        number += 1


class Archived:
    """An archive as a log of one stream, which ends where the archive does."""

    def __init__(self, archive: Archive, last: int) -> None:
        self._archive = archive
        self._last = last

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`."""
        return self._last if stream == MINT else 0

    def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`."""
        return self._archive.read(stream, after)


async def archived(folder: Path, count: int) -> Archived:
    """Write that many messages into an archive."""
    archive = Archive(ObjectStore(folder.as_uri()), None)
    before: Manifest | None = None
    log = messages(count)
    while segment := list(islice(log, MAX_MESSAGES)):
        before = await archive.append(MINT, segment, before)
    return Archived(archive, count)


async def publish(log: Log, count: int) -> None:
    """Say the facts of that many messages."""
    said = (fact for number in range(count) for fact in facts(number))
    left = count
    while batch := list(islice(said, min(500, left))):
        await asyncio.gather(*(log.publish(fact, cause=None) for fact in batch))
        left -= len(batch)


def taken(pids: Mapping[str, int]) -> Spent:
    """Return the seconds of processor that everybody has taken: this process, the one that plans, and the servers."""
    times = os.times()
    # The process that plans is the only child that ends, and counts once it has ended.
    own = {"replay": times.user + times.system, "planning": times.children_user + times.children_system}
    return own | {name: used.cpu for name, used in usages(pids).items()}


def since(before: Spent, after: Spent) -> Spent:
    """Return what each took in between; those that took nothing are left out."""
    return {name: seconds - before[name] for name, seconds in after.items() if seconds > before[name]}


async def rebuild(url: str, schema: str, history: LogReader, pids: Mapping[str, int]) -> tuple[float, Memory, Spent]:
    """Rebuild into the schema; return the seconds, the memory that this process took, and everybody's processor."""
    job = Rebuild(Secret(url), schema, history)
    await job.prepare(fresh=True)
    memory = Memory(os.getpid())
    watching = asyncio.create_task(memory.watch())
    before, start = taken(pids), time.perf_counter()
    await job.catch_up(lambda stream, sequence: None)
    seconds = time.perf_counter() - start
    watching.cancel()
    return seconds, memory, since(before, taken(pids))


async def bare_copy(database: Database, schema: str, *, indexes_last: bool) -> float:
    """Return the seconds that COPY takes for every row of the schema, into tables of the same shape."""
    await database.execute("DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare; SET search_path = bare")
    await postgres.migrate(database, MIGRATIONS)
    if indexes_last:
        await defer(database)
    await database.execute("TRUNCATE watermarks; SELECT reach_event_log('MINT', 1, 1000000)")
    tables = {table.name: table for table in await tables_of(database, schema)}
    seconds = 0.0
    # Operations before their items, which refer to them.
    for name in ("event_log", "mint_operations", "mint_results"):
        seconds += await copy_table(database, tables[name], schema)
    start = time.perf_counter()
    await restore(database, lambda made, of: None)
    return seconds + time.perf_counter() - start


async def copy_table(database: Database, table: Table, schema: str) -> float:
    """Copy a table's rows; reading them is not counted."""
    seconds, rows = 0.0, list[Sequence[object]]()
    statement = f"SELECT * FROM {quoted(schema)}.{quoted(table.name)}"

    async def flush() -> float:
        start = time.perf_counter()
        await database.copy_records_to_table(table.name, records=rows, columns=table.columns)
        rows.clear()
        return time.perf_counter() - start

    async with database.transaction():
        async for row in database.cursor(statement, prefetch=ROWS):
            rows.append(tuple(row.values()))
            if len(rows) == ROWS:
                seconds += await flush()
        return seconds + await flush()


async def measure(
    name: str, database: Database, url: str, history: LogReader, count: int, pids: Mapping[str, int]
) -> None:
    """Rebuild from the history, copy the same rows, and print."""
    seconds, memory, processor = await rebuild(url, "rebuilt", history, pids)
    early, late = memory.quarters()
    print(f"{f'{count} events from {name}':34} {count / seconds:10,.0f} events/s")
    for what, indexes_last in (("  ideal: COPY of the same rows", False), ("  ideal: its indexes made last", True)):
        best = await bare_copy(database, "rebuilt", indexes_last=indexes_last)
        print(f"{what:34} {count / best:10,.0f} events/s {seconds / best:6.2f} x its time")
    told = ", ".join(f"{process} {cpu / count * 1e6:.0f}" for process, cpu in processor.items())
    print(f"{'  us of processor an event':34} {told}")
    print(f"{'  bound by':34} {ceiling(processor, seconds, os.cpu_count() or 1)}")
    print(f"{'  resident memory':34} {early:10.0f} MiB in the second quarter, {late:.0f} MiB in the last")


async def run(events: int, stream: int) -> None:
    """Run both jobs, and print."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        os.chmod(folder, 0o711)  # Postgres may have to run as another user
        options = PostgresOptions(data_dir=directory / "postgres", tcp=False, owner=OWNER, database="bench")
        async with running(postgres_spec(options)) as server:
            url = dsn(server.addresses, "bench", OWNER)
            database = await connect(url)
            try:
                history = await archived(directory / "archive", events)
                pids = {"postgres": process_of(server)}
                await measure("an archive", database, url, history, events, pids)
                async with (
                    running(nats_spec(NatsOptions(data_dir=directory / "nats"))) as nats,
                    Log.session(Connection((nats.addresses["nats"],), Producer(name="bench", version="0"))) as log,
                ):
                    await log.declare(consumers=(), buckets=())
                    await publish(log, stream)
                    await measure("a stream", database, url, log, stream, pids | {"nats": process_of(nats)})
            finally:
                await database.close()


def process_of(child: Child) -> int:
    """Return the id of a server's process."""
    assert child.pid is not None, "it is running"
    return child.pid


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="events/s of a replay into Postgres")
    parser.add_argument("--events", type=int, default=130_000, help="messages in the archive")
    parser.add_argument("--stream", type=int, default=65_000, help="messages in the stream")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options.events, options.stream))


if __name__ == "__main__":
    main()
