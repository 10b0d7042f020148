"""Tables rebuilt beside the live ones: the same rows, every difference named, and exchanged while a projector works."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from chassis import postgres
from chassis.clock import SystemClock
from chassis.database import Pool, connect
from chassis.log import LogReader
from chassis.redaction import Secret
from contracts.streams import COLLECTION, MINT
from services.indexer.comparing import Incomparable
from services.indexer.ports import Store
from services.indexer.projector import Projector
from services.indexer.rebuilding import Rebuild, RebuildRefused
from services.indexer.replaying import BATCH
from services.indexer.store import PostgresStore
from tests.support.indexing import collection_history, mint_history, requested, uid
from tests.support.memory_log import MemoryLog
from tests.support.postgres import Database
from tests.support.tables import dump

INTO = "rebuilt"


class Killed(Exception):
    pass


@pytest.fixture
def log() -> MemoryLog:
    """A log with histories of both streams, with messages that cannot be applied."""
    log = MemoryLog()
    log.streams["MINT"] = mint_history(3).messages
    log.put_raw(MINT, "mint.requested.v1.a\x00b", b"{}")
    log.streams["COLLECTION"] = collection_history(3).messages
    return log


@pytest.fixture
def rebuild(tables: Database, log: MemoryLog) -> Rebuild:
    return Rebuild(Secret(tables.dsn), INTO, log)


@asynccontextmanager
async def projecting(log: LogReader, store: Store) -> AsyncGenerator[None]:
    """Projectors of both streams at work, from the moment at which they have caught up."""
    projectors = [
        Projector(stream, log=log, store=store, clock=SystemClock(), on_commit=lambda _: None)
        for stream in (MINT, COLLECTION)
    ]
    async with asyncio.TaskGroup() as tasks:
        for each in projectors:
            tasks.create_task(each.run())
        for each in projectors:
            await each.caught_up.wait()
        yield
        for each in projectors:
            each.stop()


async def build(rebuild: Rebuild, *, fresh: bool = False) -> list[tuple[str, int]]:
    """Prepare and catch up; return what was told of the progress."""
    told: list[tuple[str, int]] = []
    await rebuild.prepare(fresh=fresh)
    await rebuild.catch_up(lambda stream, sequence: told.append((stream, sequence)))
    return told


async def said(rebuild: Rebuild) -> list[str]:
    return [str(difference) async for difference in rebuild.verify()]


async def test_a_replay_beside_the_live_tables_gives_the_same_rows(
    log: MemoryLog,
    store: PostgresStore,
    pool: Pool,
    tables: Database,
    rebuild: Rebuild,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.indexer.rebuilding.APART", 0)  # planned in another process, as many messages are
    async with projecting(log, store):
        told = await build(rebuild)
        assert await said(rebuild) == []
    assert told[-1] == ("COLLECTION", len(log.streams["COLLECTION"]))
    async with postgres.pool(tables.dsn, application_name="test", server_settings={"search_path": INTO}) as rebuilt:
        rows = await dump(rebuilt)
    assert rows == await dump(pool)
    assert rows["parked_messages"], "the history has messages that cannot be applied"


async def test_every_tampered_row_and_column_is_named(
    log: MemoryLog, store: PostgresStore, pool: Pool, rebuild: Rebuild
) -> None:
    async with projecting(log, store):
        pass
    await build(rebuild)
    minted = await pool.fetchrow("SELECT id, asset_id FROM mint_results WHERE asset_id IS NOT NULL LIMIT 1")
    assert minted is not None
    item, asset = minted["id"], minted["asset_id"]
    await pool.execute(f"""
        UPDATE mint_results SET asset_id = 'forged', leaf_index = 77 WHERE id = '{item}';
        UPDATE mint_operations SET metadata = '{{}}' WHERE id = (SELECT max(id::text)::uuid FROM mint_operations);
        UPDATE event_log SET payload = 'forged' WHERE stream = 'MINT' AND sequence = 2;
        UPDATE event_log SET headers = '{{"a":"b"}}' WHERE stream = 'COLLECTION' AND sequence = 1;
        DELETE FROM event_log WHERE stream = 'MINT' AND sequence = 1;
        INSERT INTO parked_messages VALUES ('MINT', 999, 'mint.x', 'none')
    """)
    found = await said(rebuild)
    assert f"mint_results (id = {item}), column asset_id: forged is live, {asset} is in the replay" in found
    assert any(line.startswith(f"mint_results (id = {item}), column leaf_index: 77") for line in found)
    assert any("column metadata: {} is live" in line for line in found)
    assert any("event_log (stream = MINT, sequence = 2), column payload" in line for line in found)
    assert any('event_log (stream = COLLECTION, sequence = 1), column headers: {"a":"b"}' in line for line in found)
    assert "event_log (stream = MINT, sequence = 1): only in the replay" in found
    assert "parked_messages (stream = MINT, sequence = 999): only live" in found
    assert len(found) == 7


async def test_an_exchange_while_a_projector_works_loses_and_repeats_nothing(
    log: MemoryLog, store: PostgresStore, pool: Pool, tables: Database, rebuild: Rebuild
) -> None:
    before = await connect(tables.reader_dsn)
    async with projecting(log, store):
        await build(rebuild)
        await pool.execute("UPDATE mint_operations SET recipient = 'forged'")
        stopping = asyncio.Event()

        async def speak() -> None:
            number = 0
            while not stopping.is_set():
                number += 1
                await log.publish(requested(uid("spoken", number)), cause=None)
                await asyncio.sleep(0.01)

        async def read() -> None:
            """As the gateway does: no query may fail, and none may find the tables gone."""
            while not stopping.is_set():
                assert await before.fetchval("SELECT count(*) FROM mint_operations JOIN watermarks ON true") > 0
                await asyncio.sleep(0.003)

        async with asyncio.TaskGroup() as others:
            others.create_task(speak())
            others.create_task(read())
            await rebuild.exchange()
            end = len(log.streams["MINT"]) + 20
            while await store.watermark("MINT") < end:  # noqa: ASYNC110  (the projector goes on by itself)
                await asyncio.sleep(0.01)
            stopping.set()
    await before.close()
    assert not await pool.fetchval("SELECT count(*) FROM mint_operations WHERE recipient = 'forged'")
    assert await pool.fetchval(f"SELECT count(*) FROM {INTO}.mint_operations WHERE recipient = 'forged'")
    copies = await pool.fetchval("SELECT count(*) FROM event_log WHERE stream = 'MINT'")
    assert copies == await store.watermark("MINT") - 1, "all but the one that no column holds"
    # What is in the schema now was live before: the replay brings it to the end, and finds what was wrong with it.
    found = await said(rebuild)
    assert found
    assert all("column recipient" in line and "forged is in the replay" in line for line in found)
    async with projecting(log, store):
        await build(rebuild, fresh=True)
        assert await said(rebuild) == []


async def test_an_interrupted_replay_goes_on(log: MemoryLog, store: PostgresStore, rebuild: Rebuild) -> None:
    history = mint_history(3)
    for number in range(BATCH):
        history.say(requested(uid("more", number)))
    log.streams["MINT"] = history.messages
    reached = 0

    def kill(stream: str, sequence: int) -> None:
        nonlocal reached
        if sequence:
            reached = sequence
            raise Killed

    await rebuild.prepare(fresh=False)
    with pytest.raises(Killed):
        await rebuild.catch_up(kill)
    told = await build(rebuild)
    assert told[0] == ("MINT", reached)
    async with projecting(log, store):
        assert await said(rebuild) == []


async def test_a_rebuild_ends_with_every_index_and_reference_whatever_interrupts_it(
    log: MemoryLog, store: PostgresStore, pool: Pool, rebuild: Rebuild
) -> None:
    async with projecting(log, store):
        pass
    live = await definitions(pool, "public")
    assert any("CREATE INDEX" in each for each in live)
    assert any("FOREIGN KEY" in each for each in live)

    def kill(made: int, of: int) -> None:
        if 0 < made == of // 2:
            raise Killed

    await rebuild.prepare(fresh=False)
    with pytest.raises(Killed):
        await rebuild.catch_up(lambda stream, sequence: None, kill)
    assert live - await definitions(pool, INTO), "some are still to be made"
    await build(rebuild)
    assert await definitions(pool, INTO) == live
    assert await pool.fetchval(f"SELECT to_regclass('{INTO}.deferred_definitions')") is None
    # The index of a table in partitions is one of each partition too, valid, and what the planner may use.
    assert await pool.fetchval(f"""
        SELECT bool_and(indisvalid) AND count(*) = 2 FROM pg_index
        WHERE indrelid IN ('{INTO}.event_log_mint_0'::regclass, '{INTO}.event_log_collection_0'::regclass)
          AND NOT indisprimary
    """)


async def definitions(pool: Pool, schema: str) -> set[str]:
    """What `pg_dump` tells of a schema's indexes and constraints, without the schema's name."""
    found = await pool.fetch(
        """
        SELECT pg_get_indexdef(c.oid) AS definition FROM pg_class AS c
        WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('i', 'I') AND NOT c.relispartition
        UNION ALL
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = $1::regnamespace
        """,
        schema,
    )
    return {row["definition"].replace(f"{schema}.", "") for row in found}


async def test_schemas_that_are_not_for_this_are_refused(
    tables: Database, pool: Pool, log: MemoryLog, rebuild: Rebuild
) -> None:
    with pytest.raises(RebuildRefused, match="has the live tables"):
        await Rebuild(Secret(tables.dsn), "public", log).prepare(fresh=True)
    await pool.execute('CREATE SCHEMA theirs; CREATE TABLE theirs."precious" (id int)')
    with pytest.raises(RebuildRefused, match="somebody else"):
        await Rebuild(Secret(tables.dsn), "theirs", log).prepare(fresh=True)
    await build(rebuild)
    await pool.execute(f"ALTER TABLE {INTO}.mint_results ADD COLUMN more int")
    with pytest.raises(Incomparable):
        await said(rebuild)
    with pytest.raises(Incomparable):
        await rebuild.exchange()
