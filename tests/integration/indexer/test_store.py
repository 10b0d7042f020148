"""The tables in Postgres hold what the fold says, whatever happens on the way."""

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import postgres
from chassis.clock import SystemClock
from chassis.database import Pool, connect, quoted
from chassis.log import RawMessage
from contracts.streams import COLLECTION, MINT, Stream
from services.indexer.entries import plan
from services.indexer.event_log import header_text
from services.indexer.intake import Limits
from services.indexer.ports import Committed, Fenced, Refused, StoreUnavailable, TablesChanged
from services.indexer.projector import LogTruncated, Projector
from services.indexer.store import MIGRATIONS, PostgresStore
from tests.support.indexing import (
    collection_created,
    collection_history,
    confirmed,
    counted,
    mint_history,
    pinned,
    requested,
    uid,
)
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables
from tests.support.postgres import Database, PostgresServer
from tests.support.tables import comparable, dump, expected

OPERATION = uid("operation")


def log_with(seed: int) -> MemoryLog:
    """A log with histories of both streams."""
    log = MemoryLog()
    log.streams["MINT"] = mint_history(seed).messages
    log.streams["COLLECTION"] = collection_history(seed).messages
    return log


def projector(
    stream: Stream,
    log: MemoryLog,
    store: "PostgresStore | MemoryTables",
    batch: int = 512,
    on_commit: Callable[[Committed], None] = lambda _: None,
) -> Projector:
    return Projector(
        stream,
        log=log,
        store=store,
        clock=SystemClock(),
        on_commit=on_commit,
        limits=Limits(messages=batch),
    )


async def project_all(log: MemoryLog, store: "PostgresStore | MemoryTables", batch: int = 512) -> None:
    """Project both streams to their ends."""
    for stream in (MINT, COLLECTION):
        following = projector(stream, log, store, batch)
        running = asyncio.create_task(following.run())
        await asyncio.wait(
            [running, asyncio.create_task(following.caught_up.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        following.stop()
        await running


@pytest.mark.parametrize("seed", range(4))
async def test_postgres_holds_what_the_fold_says(store: PostgresStore, pool: Pool, seed: int) -> None:
    log, memory = log_with(seed), MemoryTables()
    await project_all(log, store, batch=Random(seed).choice([1, 3, 20, 512]))
    await project_all(log, memory)
    assert comparable(await dump(pool)) == expected(memory)


@pytest.mark.parametrize("seed", range(3))
async def test_killed_again_and_again_the_tables_equal_a_clean_replay(
    postgres_server: PostgresServer, store: PostgresStore, pool: Pool, seed: int
) -> None:
    random, log = Random(seed), log_with(seed)
    kills = 0
    while not await _at_the_end(log, store):
        work = [
            asyncio.create_task(projector(stream, log, store, random.randint(1, 9)).run())
            for stream in (MINT, COLLECTION)
        ]
        await asyncio.sleep(random.random() * 0.03)
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        kills += 1
    assert kills > 1
    clean = await postgres_server.create_database(await postgres_server.template("indexer", _migrate))
    async with postgres.pool(clean.dsn, application_name="test") as clean_pool:
        await project_all(log, PostgresStore(clean_pool))
        assert await dump(pool) == await dump(clean_pool)
    await postgres_server.drop_database(clean)


async def _migrate(database: Database) -> None:
    await postgres.migrate(database.dsn, MIGRATIONS)


async def _at_the_end(log: MemoryLog, store: PostgresStore) -> bool:
    return all([await store.watermark(stream.name) == len(log.streams[stream.name]) for stream in (MINT, COLLECTION)])


async def test_a_lost_connection_loses_nothing(tables: Database, store: PostgresStore, pool: Pool) -> None:
    log, committed = MemoryLog(), asyncio.Event()
    following = projector(MINT, log, store, on_commit=lambda _: committed.set())
    running = asyncio.create_task(following.run())
    await following.caught_up.wait()
    operator = await connect(tables.superuser_dsn)
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
        tables.name,
    )
    await operator.close()
    await log.publish(requested(OPERATION), cause=None)
    await asyncio.wait([running, asyncio.create_task(committed.wait())], return_when=asyncio.FIRST_COMPLETED)
    following.stop()
    await running
    assert await store.watermark("MINT") == 1
    assert await pool.fetchval("SELECT count(*) FROM mint_operations") == 1


async def test_a_server_that_only_reads_is_left_for_the_one_that_writes(tables: Database, store: PostgresStore) -> None:
    log = MemoryLog()
    await log.publish(requested(OPERATION), cause=None)
    entries = [plan(raw) for raw in log.streams["MINT"]]
    operator = await connect(tables.superuser_dsn)
    # A failover: every session ends, and the next ones lead to a former primary.
    await operator.execute(f"ALTER DATABASE {quoted(tables.name)} SET default_transaction_read_only = on")
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
        tables.name,
    )
    reason = ""
    while "read-only" not in reason:
        with pytest.raises(StoreUnavailable) as unavailable:
            await store.apply("MINT", 0, entries)
        reason = str(unavailable.value)
    # Sessions from now on write again; those from before, which are open still, never will.
    await operator.execute("SET default_transaction_read_only = off")
    await operator.execute(f"ALTER DATABASE {quoted(tables.name)} RESET default_transaction_read_only")
    await operator.close()
    await store.apply("MINT", 0, entries)
    assert await store.watermark("MINT") == 1


async def test_messages_that_cannot_be_applied_are_parked_and_the_rest_goes_on(
    store: PostgresStore, pool: Pool
) -> None:
    log = MemoryLog()
    subject = requested(OPERATION).subject()
    log.put_raw(MINT, subject, b"\xff\x00 not JSON")
    log.put_raw(MINT, "mint.of_tomorrow.v9.x", b"{}")
    await log.publish(confirmed(uid("unknown"), 0, 0, [0]), cause=None)
    await log.publish(requested(uid("unstorable"), batch_size=1 << 40), cause=None)
    await log.publish(requested(OPERATION), cause=None)
    await log.publish(collection_created(uid("collection")), cause=None)
    await log.publish(counted(uid("collection"), 1, capacity=1 << 70), cause=None)
    await project_all(log, store)
    parked = await pool.fetch("SELECT stream, sequence, subject, reason FROM parked_messages ORDER BY stream, sequence")
    assert [(row["stream"], row["sequence"]) for row in parked] == [
        ("COLLECTION", 2),
        ("MINT", 1),
        ("MINT", 2),
        ("MINT", 3),
        ("MINT", 4),
    ]
    assert all(row["reason"] for row in parked)
    assert await pool.fetchval("SELECT count(*) FROM mint_operations") == 1
    assert await pool.fetchval("SELECT payload FROM event_log WHERE sequence = 1 AND stream = 'MINT'") == (
        b"\xff\x00 not JSON"
    )
    assert await pool.fetchval("SELECT count(*) FROM event_log") == 7


@pytest.mark.parametrize("batch", [1, 512])
async def test_a_message_that_no_column_holds_stops_nobody(store: PostgresStore, pool: Pool, batch: int) -> None:
    log, random = MemoryLog(), Random(1)
    await log.publish(requested(OPERATION, 2), cause=None)
    await log.publish(pinned(OPERATION, 0, [1 << 40]), cause=None)
    log.put_raw(MINT, "mint.requested.v1.a\x00b", b"{}")
    log.put_raw(MINT, "mint.requested.v1." + "".join(random.choices("abcdefghij", k=3500)), b"{}")
    await log.publish(confirmed(OPERATION, 0, 1, [1]), cause=None)
    await project_all(log, store, batch)
    parked = await pool.fetch("SELECT sequence, reason FROM parked_messages ORDER BY sequence")
    assert [row["sequence"] for row in parked] == [2, 3, 4]
    assert "has no item" in parked[0]["reason"]
    assert await pool.fetch("SELECT sequence FROM event_log ORDER BY 1") == [(1,), (2,), (5,)]
    assert await pool.fetchval("SELECT completed_nfts FROM mint_operations") == 1


@given(st.dictionaries(st.text(), st.text(), max_size=3))
def test_headers_are_written_as_they_always_were(headers: dict[str, str]) -> None:
    assert header_text(headers) == json.dumps(headers)


async def test_the_minutes_of_rows_from_before_them_are_counted(store: PostgresStore, pool: Pool) -> None:
    await project_all(log_with(1), store)
    kept = await dump(pool)
    assert kept["mint_minutes"]
    assert kept["mint_latencies"]
    first = (MIGRATIONS / "0011_mint_minutes.sql").read_text()
    later = (MIGRATIONS / "0013_mint_latencies.sql").read_text()
    await pool.execute("DROP TABLE mint_minutes, mint_latencies")
    await pool.execute(first)
    await pool.execute(later)
    again = await dump(pool)
    assert [again[name] for name in ("mint_minutes", "mint_latencies")] == [
        kept[name] for name in ("mint_minutes", "mint_latencies")
    ]


async def test_a_text_with_a_nul_is_kept_without_it(store: PostgresStore, pool: Pool) -> None:
    log = MemoryLog()
    await log.publish(collection_created(uid("collection"), name="C\x00ts", description="\x00"), cause=None)
    await project_all(log, store)
    assert await pool.fetchval("SELECT name FROM nft_collections") == "C\ufffdts"


async def test_the_same_messages_cannot_be_applied_twice(store: PostgresStore, pool: Pool) -> None:
    entries = [plan(raw) for raw in mint_history(1).messages[:3]]
    results = await asyncio.gather(*(store.apply("MINT", 0, entries) for _ in range(4)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Committed", "Fenced", "Fenced", "Fenced"]
    assert await pool.fetchval("SELECT count(*) FROM event_log") == 3
    with pytest.raises(Fenced):
        await store.apply("MINT", 2, entries)


async def test_copies_beyond_the_watermark_are_in_nobodys_way(store: PostgresStore, pool: Pool) -> None:
    messages = mint_history(1).messages[:3]
    await store.apply("MINT", 0, [plan(messages[0])])
    await pool.execute("INSERT INTO event_log SELECT stream, 2, 'other', payload, headers, stored_at FROM event_log")
    with pytest.raises(StoreUnavailable, match="beyond the watermark"):
        await store.apply("MINT", 1, [plan(raw) for raw in messages[1:]])
    await store.apply("MINT", 1, [plan(raw) for raw in messages[1:]])
    assert [raw["subject"] for raw in await pool.fetch("SELECT subject FROM event_log ORDER BY sequence")] == [
        raw.subject for raw in messages
    ]


async def test_what_was_kept_ahead_and_never_applied_is_forgotten_and_fences_who_kept_it(pool: Pool) -> None:
    store, messages = PostgresStore(pool, kept_ahead=True), mint_history(4).messages[:9]
    entries = [plan(raw) for raw in messages]
    await store.keep("MINT", messages[:3])
    await store.apply("MINT", 0, entries[:3])
    await store.keep("MINT", messages[3:6])
    with pytest.raises(Fenced, match="kept already"):
        await store.keep("MINT", messages[3:6])
    successor = PostgresStore(pool, kept_ahead=True)
    await successor.forget_unapplied("MINT")
    assert await pool.fetch("SELECT sequence FROM event_log ORDER BY 1") == [(1,), (2,), (3,)]
    with pytest.raises(Fenced, match="are gone"):
        await store.apply("MINT", 3, entries[3:6])
    assert await store.watermark("MINT") == 3
    await successor.keep("MINT", messages[3:])
    await successor.apply("MINT", 3, entries[3:])
    assert (await dump(pool))["event_log"] == await kept_with_rows(messages, pool)


async def kept_with_rows(messages: Sequence[RawMessage], pool: Pool) -> object:
    """What event_log holds when the messages are kept as they are applied."""
    await pool.execute("TRUNCATE event_log, mint_results, mint_operations; UPDATE watermarks SET sequence = 0")
    await PostgresStore(pool).apply("MINT", 0, [plan(raw) for raw in messages])
    return (await dump(pool))["event_log"]


async def test_a_refused_batch_leaves_nothing_behind(store: PostgresStore, pool: Pool) -> None:
    log = MemoryLog()
    await log.publish(requested(OPERATION), cause=None)
    await log.publish(requested(uid("unstorable"), batch_size=1 << 40), cause=None)
    before = await dump(pool)
    with pytest.raises(Refused):
        await store.apply("MINT", 0, [plan(raw) for raw in log.streams["MINT"]])
    assert await dump(pool) == before


async def test_nothing_is_parked_that_newer_tables_refuse(store: PostgresStore, pool: Pool) -> None:
    """As while a new version is rolled out: it has migrated, and the one before still projects."""
    log = MemoryLog()
    await log.publish(requested(OPERATION), cause=None)
    await pool.execute("ALTER TABLE mint_minutes ADD COLUMN newer INTEGER NOT NULL")
    await pool.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'newer', '')")
    with pytest.raises(TablesChanged, match="migration 9999"):
        await projector(MINT, log, store).run()
    assert await store.watermark("MINT") == 0
    assert not await pool.fetchval("SELECT count(*) FROM parked_messages")


async def test_a_log_that_lost_its_tail_is_not_projected(store: PostgresStore) -> None:
    log = log_with(2)
    await project_all(log, store)
    last = len(log.streams["MINT"])
    del log.streams["MINT"][-1]
    with pytest.raises(LogTruncated, match=f"ends at sequence {last - 1}, but messages up to {last}"):
        await projector(MINT, log, store).run()


async def test_the_gateway_reads_its_tables_and_nothing_else(tables: Database, pool: Pool) -> None:
    reader = await connect(tables.reader_dsn)
    for table in ("nft_collections", "mint_operations", "mint_results", "watermarks", "event_log"):
        await reader.fetch(f"SELECT * FROM {table}")
    for statement in (
        "DELETE FROM event_log",
        "SELECT * FROM parked_messages",
        "DELETE FROM mint_results",
        "UPDATE nft_collections SET minted = 0",
        "CREATE TABLE mine (id int)",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await reader.execute(statement)
    await reader.close()


async def test_trees_and_drift_of_earlier_tables_are_told_by_their_copy_of_the_log(
    postgres_server: PostgresServer, store: PostgresStore, pool: Pool, tmp_path: Path
) -> None:
    log = log_with(5)
    await project_all(log, store)
    (added,) = MIGRATIONS.glob("*_trees_and_drift.sql")
    for file in MIGRATIONS.iterdir():
        if file.name < added.name:
            shutil.copy(file, tmp_path)
    earlier = await postgres_server.create_database()
    await postgres.migrate(earlier.dsn, tmp_path)
    async with postgres.pool(earlier.dsn, application_name="test") as old:
        await old.execute("SELECT reach_event_log('COLLECTION', 1, 1000), reach_event_log('MINT', 1, 1000)")
        for table in ("event_log", "parked_messages", "nft_collections"):
            await copy_rows(pool, old, table)
        known = "collection_id, number, tree_address, capacity, added_at"
        await copy_rows(pool, old, "collection_trees", known, "number > 0")
        await postgres.migrate(earlier.dsn, MIGRATIONS)
        now, then = await dump(pool), await dump(old)
        assert then["collection_drifts"] == now["collection_drifts"] != []
        uncounted = [row | {"minted": None, "valid": None} for row in now["collection_trees"]]
        assert then["collection_trees"] == uncounted != []
    await postgres_server.drop_database(earlier)


async def copy_rows(source: Pool, target: Pool, table: str, columns: str = "*", condition: str = "TRUE") -> None:
    """Copy columns of the rows that meet a condition into the table of the same name."""
    rows = await source.fetch(f"SELECT {columns} FROM {table} WHERE {condition}")
    async with target.acquire() as connection:
        await connection.copy_records_to_table(
            table, columns=list(rows[0].keys()), records=[tuple(row) for row in rows]
        )


async def test_migrating_twice_changes_nothing(tables: Database) -> None:
    assert await postgres.migrate(tables.dsn, MIGRATIONS) == []
