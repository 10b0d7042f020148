"""What docs/runbooks/restore.md says, on one machine: Postgres is lost, and NATS is lost, each with all that it had."""

import shutil
from pathlib import Path

from chassis.log import RawMessage
from contracts.guard import Truncated
from contracts.streams import COLLECTION, GUARD, MINT
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import LiveStack, eventually, facts, live_stack, stack_settings
from tests.support.tables import Dump

SLOT_MS = 40
"""What was lost with the log must have expired before a minter signs again: some two hundred slots."""


async def test_whatever_is_lost_comes_back_and_minting_goes_on(tmp_path: Path) -> None:
    settings = stack_settings(tmp_path, slot_ms=SLOT_MS)
    async with live_stack(settings) as live:
        collection = await live.collection()
        asked = [await live.ask(collection, 6, files=True), await live.ask(collection, 4)]
        statuses = [await live.settled(each.operation) for each in asked]
        for each in asked:
            await live.finalized(each)
        tables = await caught_up(live)
        said = [(raw.sequence, raw.subject, raw.payload) for raw in await live.raw_events(MINT)]

    shutil.rmtree(tmp_path / "postgres")
    async with live_stack(settings) as live:
        rebuilt = await caught_up(live)
        # The new indexer may have counted the collection on chain once more.
        assert all(row in rebuilt["event_log"] for row in tables["event_log"])
        for table in ("mint_operations", "mint_results", "nft_collections", "collection_trees"):
            assert rebuilt[table] == tables[table]
        assert [await live.settled(each.operation) for each in asked] == statuses

    shutil.rmtree(tmp_path / "nats")
    async with live_stack(settings) as live:
        await eventually(lambda: alarm(live), "the loss is told")
        assert [(raw.sequence, raw.subject, raw.payload) for raw in await restored(live, len(said))] == said
        assert [await live.settled(each.operation) for each in asked] == statuses
        # Signed only once nothing that was lost could land any more; and nothing was minted twice.
        await check_exactly_once(live, await live.ask(collection, 3))
        for each in asked:
            await check_exactly_once(live, each)


async def caught_up(live: LiveStack) -> Dump:
    """The tables once the indexer has projected the whole log."""

    async def look() -> Dump | None:
        tables = await live.tables()
        watermarks = {row["stream"]: row["sequence"] for row in tables["watermarks"]}
        ends = {stream.name: await live.log.last_sequence(stream) for stream in (MINT, COLLECTION)}
        return tables if watermarks == ends else None

    return await eventually(look, "the tables are as far as the log")


async def alarm(live: LiveStack) -> bool:
    return bool(facts(await live.events(GUARD), Truncated))


async def restored(live: LiveStack, count: int) -> list[RawMessage]:
    async def look() -> list[RawMessage] | None:
        raws = await live.raw_events(MINT)
        return list(raws[:count]) if len(raws) >= count else None

    return await eventually(look, "the log is restored")
