"""What docs/runbooks/restore.md says, on one machine: Postgres is lost, and NATS is lost, each with all that it had.

In between the log is pruned (docs/replay.md): what had left it comes back with the rest.
"""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import zstandard

from archive.object_store import ObjectStore
from archive.reading import Archive
from audit.checks import audit
from audit.content import Contents
from audit.gathering import Gatherer
from audit.history import WholeLog
from audit.nodes import Nodes
from audit.report import Verdict
from chassis import postgres
from chassis.log import RawMessage
from contracts.guard import Truncated
from contracts.streams import COLLECTION, CONSUMERS, GUARD, MINT
from services.indexer.archiving import Archiver, Bounds
from services.indexer.pruning import Pruner
from services.indexer.vault import PostgresVault
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import Asked, LiveStack, eventually, facts, live_stack, stack_settings
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
        await prune(live, tmp_path / "archive", asked)
        await audited_by_the_gateway(live, tmp_path / "archive", asked[0])

    shutil.rmtree(tmp_path / "nats")
    async with live_stack(settings) as live:
        await eventually(lambda: alarm(live), "the loss is told")
        assert [(raw.sequence, raw.subject, raw.payload) for raw in await restored(live, len(said))] == said
        assert [await live.settled(each.operation) for each in asked] == statuses
        # Signed only once nothing that was lost could land any more; and nothing was minted twice.
        await check_exactly_once(live, await live.ask(collection, 3))
        for each in asked:
            await check_exactly_once(live, each)


async def prune(live: LiveStack, folder: Path, asked: Sequence[Asked]) -> None:
    """Archive and prune everything, and give the services all of the log again: nothing comes of it."""
    archive = Archive(ObjectStore(folder.as_uri()), live.log)
    before, soon = await live.raw_events(MINT), datetime.now(UTC) + timedelta(minutes=1)
    await Archiver(live.log, archive).archive(MINT, Bounds(watermark=len(before), until=soon), flush=True)
    async with (
        postgres.pool(live.stack.database_url, application_name="prune", max_size=1) as pool,
        httpx.AsyncClient(base_url=live.stack.ipfs_url) as ipfs,
    ):
        done = await Pruner(live.log, live.log.repair(), PostgresVault(pool), archive).prune(soon)
        assert (done.operations, done.staying) == (len(asked), {})
        assert len(await live.raw_events(MINT)) == len(before) - done.messages < len(before)
        await live.log.repair().renew([each for each in CONSUMERS if each.stream == MINT.name])
        await eventually(lambda: idle(live), "every consumer was given everything")
        assert await live.log.last_sequence(MINT) == len(before)
        assert await live.dead_letters() == []
        for each in asked:
            report = audit(
                await Gatherer(WholeLog(live.log, archive), pool, Nodes([live.chain]), Contents([ipfs])).evidence(
                    each.operation
                )
            )
            left = {finding.question for finding in report.findings if finding.verdict is not Verdict.PROVEN}
            assert left <= {"content"}, "the image that a mint asks for by its address is one that nobody has"


async def audited_by_the_gateway(live: LiveStack, folder: Path, asked: Asked) -> None:
    """It reads from the archive what has left the log, as its NATS user may, and tells a segment that was changed."""
    live.stack.reconfigure("gateway", ARCHIVE_URL=folder.as_uri())
    live.stack.kill("gateway")
    await live.stack.wait("gateway")

    async def found() -> dict[str, set[str]]:
        answer = await live.http.get(f"/api/audit/operations/{asked.operation}")
        assert answer.status_code == 200, answer.text
        verdicts: dict[str, set[str]] = {}
        for each in answer.json()["data"]["findings"]:
            verdicts.setdefault(each["question"], set()).add(each["verdict"])
        return verdicts

    verdicts = await found()
    assert [question for question, told in verdicts.items() if told != {"proven"}] == []
    assert verdicts["archive"] == {"proven"}
    segment = folder / "MINT" / "0000000001.ndjson.zst"
    data = segment.read_bytes()
    segment.write_bytes(zstandard.compress(zstandard.decompress(data).replace(b"mint.signed", b"mint.singed", 1)))
    verdicts = await found()
    assert (verdicts["archive"], verdicts["second copy"]) == ({"broken"}, {"proven", "unknown"})
    segment.write_bytes(data)


async def idle(live: LiveStack) -> bool:
    return all(each.pending == each.in_hand == 0 for each in await live.log.consumers(MINT))


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
