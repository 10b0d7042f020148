"""The archive in an S3-compatible store: what a folder gives, over HTTP with the usual variables."""

from collections.abc import Generator
from datetime import timedelta

import pytest

from archive.object_store import ObjectStore
from archive.reading import Archive, ArchiveUnavailable
from archive.segments import ArchiveBroken, Manifest
from chassis.log import RawMessage
from contracts.streams import MINT
from services.indexer import archiving
from services.indexer.archiving import Archiver, Bounds
from services.indexer.history import History
from tests.support.indexing import START, mint_history
from tests.support.memory_log import MemoryLog
from tests.support.s3 import BUCKET, s3_server

SEGMENT = 10
PREFIX = f"s3://{BUCKET}/log"


@pytest.fixture(scope="module")
def server() -> Generator[dict[str, str]]:
    with s3_server() as variables:
        yield variables


@pytest.fixture
def objects(server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ObjectStore:
    """A prefix for this test alone."""
    monkeypatch.setattr(archiving, "MAX_MESSAGES", SEGMENT)
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return ObjectStore(f"{PREFIX}/{request.node.name}")


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.streams["MINT"] = mint_history(5).messages
    return log


async def archived(log: MemoryLog, objects: ObjectStore) -> tuple[Archive, list[Manifest]]:
    """Everything in full segments."""
    archive = Archive(objects, log)
    bounds = Bounds(watermark=len(log.streams["MINT"]), until=START + timedelta(days=1))
    await Archiver(log, archive).archive(MINT, bounds)
    return archive, [each async for each in archive.manifests(MINT)]


async def test_what_was_archived_is_read_back_with_the_rest_of_the_stream(log: MemoryLog, objects: ObjectStore) -> None:
    archive, manifests = await archived(log, objects)
    assert len(manifests) == len(log.streams["MINT"]) // SEGMENT > 1
    for each in manifests:
        await archive.check(each)
    messages = list(log.streams["MINT"])
    log.shorten(MINT, SEGMENT + 4)
    found: list[RawMessage] = []
    async for raw in History(log, archive).read(MINT, 0):
        found.append(raw)
        if raw.sequence == len(messages):
            break
    assert found == messages


async def test_without_the_log_the_bucket_tells_how_much_there_is(log: MemoryLog, objects: ObjectStore) -> None:
    _, manifests = await archived(log, objects)
    assert [each async for each in Archive(objects, None).manifests(MINT)] == manifests
    names = await objects.names("MINT")
    assert {f"MINT/{each.number:010d}.{kind}" for each in manifests for kind in ("json", "ids.zst", "ndjson.zst")} == (
        set(names)
    )


async def test_a_changed_object_is_found(log: MemoryLog, objects: ObjectStore) -> None:
    archive, manifests = await archived(log, objects)
    other = await objects.get("MINT/0000000001.ndjson.zst", 1 << 20)
    assert other is not None
    await objects.put("MINT/0000000002.ndjson.zst", other)
    with pytest.raises(ArchiveBroken, match="segment 2"):
        await archive.check(manifests[1])


async def test_an_object_that_is_not_there_or_too_large_is_told(objects: ObjectStore) -> None:
    assert await objects.get("MINT/none", 10) is None
    assert await objects.names("MINT") == []
    await objects.put("MINT/large", b"x" * 11)
    assert await objects.get("MINT/large", 10) == b""
    assert await objects.get("MINT/large", 11) == b"x" * 11


async def test_a_bucket_that_is_not_there_is_no_empty_archive(
    server: dict[str, str], objects: ObjectStore, log: MemoryLog
) -> None:
    elsewhere = ObjectStore("s3://nobody/log")
    with pytest.raises(ArchiveUnavailable):
        await elsewhere.put("MINT/x", b"x")
    with pytest.raises(ArchiveUnavailable):
        await elsewhere.names("MINT")
