"""The tables are the log, read again: another database fed with the same log ends with the same rows."""

from pathlib import Path

import pytest

from chassis import postgres
from contracts.streams import COLLECTION, MINT, Stream
from services.indexer.entries import plan
from services.indexer.store import MIGRATIONS, PostgresStore
from tests.support.exactly_once import check_exactly_once
from tests.support.postgres import Database
from tests.support.stack import LiveStack
from tests.support.tables import dump

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("batch", [1, 7, 1000])
async def test_a_replay_gives_the_same_rows(live: LiveStack, tmp_path: Path, database: Database, batch: int) -> None:
    for standard in ("v1", "v2"):
        await check_exactly_once(live, await live.ask(await live.collection(standard), 5, batch_size=2))
    rows = await live.tables()
    ends = {row["stream"]: row["sequence"] for row in rows["watermarks"]}
    await postgres.migrate(database.dsn, MIGRATIONS)
    async with postgres.pool(database.dsn, application_name="replay", max_size=1) as pool:
        store = PostgresStore(pool)
        # The other stream first: no order holds between the two.
        for stream in (MINT, COLLECTION):
            await replay(live, store, stream, ends[stream.name], batch)
        async with pool.acquire() as connection:
            again = await dump(connection)
    for table, expected in rows.items():
        assert again[table] == expected, table


async def replay(live: LiveStack, store: PostgresStore, stream: Stream, up_to: int, batch: int) -> None:
    entries = [plan(raw) for raw in await live.raw_events(stream, up_to=up_to)]
    for start in range(0, len(entries), batch):
        await store.apply(stream.name, start, entries[start : start + batch])
