"""An audit reads what has left the stream from the archive, and trusts neither before it was checked."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
import zstandard

from archive.object_store import ObjectStore
from archive.reading import Archive
from audit.chain import ChainVerifier
from audit.checks import audit
from audit.content import Contents
from audit.gathering import Gatherer
from audit.history import WholeLog
from audit.nodes import Nodes
from audit.report import Verdict
from chassis.chain import ChainUnavailable
from chassis.database import Row
from chassis.log import RawMessage
from chassis.subjects import matches
from contracts.leaving import LEAVING
from contracts.mint import Requested
from contracts.streams import MINT
from services.indexer import archiving
from services.indexer.archiving import Archiver, Bounds
from tests.support.indexing import START, confirmed, mint_history, pinned, requested, signed, uid
from tests.support.indexing import History as Script
from tests.support.memory_log import MemoryLog
from tests.support.settled import settled_story

SEGMENT = 10
GONE = 2 * SEGMENT
OPERATION = uid("operation", 5, 0)
PATTERNS = (f"mint.*.v1.{OPERATION}", f"mint.*.v1.{OPERATION}.>")


class NoTables:
    """Tables without a row."""

    async def fetch(self, query: str, *args: object, **options: object) -> list[Row]:
        del query, args, options
        return []


@pytest.fixture
async def log(monkeypatch: pytest.MonkeyPatch) -> MemoryLog:
    monkeypatch.setattr(archiving, "MAX_MESSAGES", SEGMENT)
    log = MemoryLog()
    log.streams["MINT"] = mint_history(5).messages
    return log


@pytest.fixture
async def folder(log: MemoryLog, tmp_path: Path) -> Path:
    """The archive of the whole stream, whose first messages are then nowhere else."""
    bounds = Bounds(watermark=len(log.streams["MINT"]), until=START.replace(year=START.year + 1))
    await Archiver(log, Archive(ObjectStore(tmp_path.as_uri()), log)).archive(MINT, bounds)
    log.shorten(MINT, GONE + 1)
    return tmp_path


def archive_in(folder: Path, log: MemoryLog) -> Archive:
    return Archive(ObjectStore(folder.as_uri()), log)


async def said(log: MemoryLog, archive: Archive | None) -> list[RawMessage]:
    return [*(await WholeLog(log, archive).said(MINT, PATTERNS)).messages]


def gatherer(log: MemoryLog, archive: Archive | None, node: httpx.MockTransport | None = None, **options: Any) -> Any:
    nodes = Nodes([ChainVerifier("http://node", transport=node)])
    tables: Any = NoTables()
    return Gatherer(WholeLog(log, archive), tables, nodes, Contents([]), **options)


async def test_what_has_left_the_stream_is_read_once_and_in_order(log: MemoryLog, folder: Path) -> None:
    everything = [raw for raw in log.streams["MINT"] if any(matches(each, raw.subject) for each in PATTERNS)]
    assert everything[0].sequence <= GONE < everything[-1].sequence
    assert await said(log, archive_in(folder, log)) == everything
    assert await said(log, None) == [raw for raw in everything if raw.sequence > GONE]


async def pruned(folder: Path) -> tuple[MemoryLog, list[RawMessage]]:
    """A log from which messages of the operation have left, with its archive in the folder; and all its messages."""
    script, log = Script(), MemoryLog()
    for fact in settled_story(Random(7), OPERATION):
        script.say(fact)
    log.streams["MINT"] = script.messages
    bounds = Bounds(watermark=len(script.messages), until=START.replace(year=START.year + 1))
    await Archiver(log, archive_in(folder, log)).archive(MINT, bounds, flush=True)
    for fact in LEAVING:
        await log.purge(MINT, fact.pattern(), up_to=len(script.messages))
    assert log.left["MINT"]
    return log, script.messages


async def test_holes_are_filled_from_the_archive(tmp_path: Path) -> None:
    log, everything = await pruned(tmp_path)
    assert len(await said(log, None)) < len(everything)
    assert await said(log, archive_in(tmp_path, log)) == everything


async def test_a_pruned_operation_is_audited_from_the_archive_or_else_from_its_copies(tmp_path: Path) -> None:
    """Without the archive, what has left is known from one copy alone, and the report says so of each message."""
    log, everything = await pruned(tmp_path)

    class Copies(NoTables):
        async def fetch(self, query: str, *args: object, **options: object) -> list[Any]:
            del args, options
            columns = ("sequence", "subject", "payload", "stored_at")
            return [{c: getattr(raw, c) for c in columns} for raw in everything] if "payload" in query else []

    async def copies_of(archive: Archive | None) -> dict[str, Verdict]:
        witness = gatherer(log, archive)
        evidence = await replace(witness, database=Copies()).evidence(OPERATION)
        assert [logged.sequence for logged in evidence.events] == [raw.sequence for raw in everything]
        return {each.about: each.verdict for each in audit(evidence).findings if each.question == "second copy"}

    assert set((await copies_of(archive_in(tmp_path, log))).values()) == {Verdict.PROVEN}
    unknown = {about for about, verdict in (await copies_of(None)).items() if verdict is Verdict.UNKNOWN}
    assert unknown == {f"message {sequence}" for sequence in log.left["MINT"]}
    for lost in (everything[-1].sequence, everything[0].sequence):  # which stay for ever: as if never asked for
        log.left["MINT"].add(lost)
        for archive in (None, archive_in(tmp_path, log)):
            evidence = await replace(gatherer(log, archive), database=Copies()).evidence(OPERATION)
            broken = {each.about for each in audit(evidence).findings if each.verdict is Verdict.BROKEN}
            assert f"message {lost}" in broken, archive


async def test_only_the_segments_that_have_the_operation_are_read_and_manifests_once(
    log: MemoryLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_in(folder, log)
    read: list[str] = []
    get = ObjectStore.get

    async def noted(self: ObjectStore, name: str, limit: int) -> bytes | None:
        read.append(name)
        return await get(self, name, limit)

    monkeypatch.setattr(ObjectStore, "get", noted)
    asking = WholeLog(log, archive)
    manifests = [each async for each in archive.manifests(MINT)]
    everything = {each.number: await archive.segment(each) for each in manifests}
    skipped = 0
    for number in range(5):
        read.clear()
        patterns = (f"mint.*.v1.{uid('operation', 5, number)}.>",)
        found = (await asking.said(MINT, patterns)).messages
        having = {
            f"MINT/{segment:010d}.ndjson.zst"
            for segment, messages in everything.items()
            if any(f".{uid('operation', 5, number)}" in raw.subject for raw in messages)
        }
        assert found
        assert {name for name in read if name.endswith(".ndjson.zst")} == having
        assert any(name.endswith(".json") for name in read) == (number == 0)
        skipped += len(manifests) - len(having)
    assert skipped


async def test_an_audit_knows_the_request_that_only_the_archive_has(log: MemoryLog, folder: Path) -> None:
    evidence = await gatherer(log, archive_in(folder, log)).evidence(OPERATION)
    assert [logged.sequence for logged in evidence.events if isinstance(logged.fact, Requested)]
    questions = {each.question: each.verdict for each in audit(evidence).findings}
    assert questions["one request"] is Verdict.PROVEN
    without = audit(await gatherer(log, None).evidence(OPERATION))
    assert "one request" in {each.question for each in without.findings if each.verdict is Verdict.BROKEN}


async def test_a_tampered_segment_is_named_and_the_rest_is_told_all_the_same(log: MemoryLog, folder: Path) -> None:
    segment = folder / "MINT" / "0000000002.ndjson.zst"
    lines = zstandard.ZstdDecompressor().decompress(segment.read_bytes())
    segment.write_bytes(zstandard.compress(lines.replace(b"mint.", b"mimt.", 1)))
    report = audit(await gatherer(log, archive_in(folder, log)).evidence(OPERATION))
    assert report.verdict is Verdict.BROKEN
    assert [(each.about, each.verdict, each.reason) for each in report.findings if each.question == "archive"] == [
        ("MINT, segment 2", Verdict.BROKEN, "its messages are not those that were archived")
    ]
    assert [step.sequence for step in report.steps] == [raw.sequence for raw in await said(log, None)]


async def test_an_archive_that_differs_from_the_stream_is_told(tmp_path: Path) -> None:
    log, everything = await pruned(tmp_path)
    changed = next(raw for raw in everything if raw.sequence not in log.left["MINT"])
    forged = msgspec.structs.replace(changed, payload=changed.payload.replace(b'"producer"', b'"produced"'))
    log.streams["MINT"][changed.sequence - 1] = forged
    findings = audit(await gatherer(log, archive_in(tmp_path, log)).evidence(OPERATION)).findings
    assert f"message {changed.sequence}" in {
        each.about for each in findings if each.question in ("archive", "readable") and each.verdict is Verdict.BROKEN
    }


async def test_messages_that_are_nowhere_are_told(log: MemoryLog, folder: Path) -> None:
    log.shorten(MINT, len(log.streams["MINT"]) + 5)
    found = await WholeLog(log, archive_in(folder, log)).said(MINT, PATTERNS)
    assert "neither in the stream nor in the archive" in (found.archive["MINT"] or "")


async def test_audits_side_by_side_find_the_same(log: MemoryLog, folder: Path) -> None:
    whole = WholeLog(log, archive_in(folder, log))
    one, *others = await asyncio.gather(*(whole.said(MINT, PATTERNS) for _ in range(4)))
    assert one.messages
    assert others == [one] * 3
    assert one.archive == dict.fromkeys(one.archive, None)
    assert one.archive


@pytest.mark.parametrize("needed", [True, False])
async def test_a_node_that_is_away_is_told_or_leaves_the_answer_unknown(needed: bool) -> None:
    script, operation = Script(), uid("operation")
    script.say(requested(operation, 1))
    script.say(confirmed(operation, 0, 0, [0]))
    log = MemoryLog()
    log.streams["MINT"] = script.messages
    asking = gatherer(log, None, httpx.MockTransport(lambda _: httpx.Response(503)), needs_chain=needed)
    if needed:
        with pytest.raises(ChainUnavailable):
            await asking.evidence(operation)
        return
    findings = audit(await asking.evidence(operation)).findings
    assert {each.verdict for each in findings if each.question == "on chain"} == {Verdict.UNKNOWN}


async def test_a_request_beyond_all_bounds_is_told_and_not_expanded() -> None:
    script, operation = Script(), uid("operation")
    asked = requested(operation, 1)
    script.say(msgspec.structs.replace(asked, nfts=(msgspec.structs.replace(asked.nfts[0], copies=10**12),)))
    log = MemoryLog()
    log.streams["MINT"] = script.messages
    findings = audit(await gatherer(log, None).evidence(operation)).findings
    assert [each.reason for each in findings if each.question == "readable"] == [
        "it asks for 1000000000000 items, the most is 1000"
    ]


@pytest.mark.parametrize(("head", "verdict"), [(100, Verdict.UNKNOWN), (101, Verdict.BROKEN)])
async def test_what_a_node_that_lags_does_not_know_is_not_wrong(head: int, verdict: Verdict) -> None:
    script, operation = Script(), uid("operation")
    for fact in (requested(operation, 1), pinned(operation, 0, [0]), signed(operation, 0, 0, [0])):
        script.say(fact)
    script.say(confirmed(operation, 0, 0, [0]))  # in slot 101
    log = MemoryLog()
    log.streams["MINT"] = script.messages
    answers: dict[str, Any] = {
        "getTransaction": None,
        "getSlot": head,
        "getFirstAvailableBlock": 0,
        "getSignaturesForAddress": [],
    }

    def answer(request: httpx.Request) -> httpx.Response:
        asked = msgspec.json.decode(request.content)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], "result": answers.get(asked["method"])})

    evidence = await gatherer(log, None, httpx.MockTransport(answer)).evidence(operation)
    findings = audit(replace(evidence, collection_address="somewhere")).findings
    assert {each.verdict for each in findings if each.question in ("on chain", "minted once")} == {verdict}


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [("a.b", True), ("a.*", True), ("a.>", True), (">", True), ("a", False), ("a.b.>", False), ("b.*", False)],
)
def test_patterns(pattern: str, taken: bool) -> None:
    assert matches(pattern, "a.b") is taken
