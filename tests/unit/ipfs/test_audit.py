"""The audit: what vanished is told, found again or sent again; what is unknown is not called vanished."""

import asyncio
from typing import BinaryIO

import msgspec
import pytest

from chassis.clock import ManualClock
from contracts.content import AuditEnded, AuditStarted, Restored, Vanished
from contracts.mint import Pinned, PinnedItem
from contracts.upload import UploadPinned
from services.ipfs.audit import Audit
from services.ipfs.metadata import PlacedImage, nft_metadata
from services.ipfs.ports import ContentMismatch, Pinnable, PinRefused, PinUnavailable
from services.ipfs.rebuilding import folder_cid
from tests.support.content import (
    ADDRESS,
    COLLECTION,
    OPERATION,
    Kept,
    MemoryPinning,
    collection_created,
    content_of,
    folder_of,
    mint_request,
    nft,
    sha256,
)
from tests.support.memory_log import MemoryLog
from unixfs import V1, Cid

FILE = content_of(b"file")
FOLDER = folder_of({"0.json": b"{}"})


class MemoryGateway:
    """A gateway with some content; what it gives for a CID may be wrong."""

    url = "https://gateway.test"

    def __init__(self, contents: dict[Cid, bytes]) -> None:
        self.contents = contents

    async def confirm(self, content: Pinnable) -> None:
        raise NotImplementedError

    async def fetch(self, cid: Cid, target: BinaryIO, max_bytes: int) -> int | None:
        data = self.contents.get(cid)
        return None if data is None else target.write(data)


class Silent(MemoryPinning):
    async def has(self, cid: Cid) -> bool:
        raise PinUnavailable("nobody answers")


async def history() -> MemoryLog:
    """Return a log that calls a file, a directory and another's image pinned."""
    log = MemoryLog("ipfs")
    item = PinnedItem(index=0, name="a", symbol="", uri=f"{FOLDER.cid.uri}/0.json", image_uri="ipfs://bafkqaaa")
    await log.publish(
        Pinned(operation=OPERATION, chunk=0, collection=COLLECTION, recipient=ADDRESS, items=(item, item)), cause=None
    )
    pinned = UploadPinned(sha256=sha256(b"file"), cid=str(FILE.cid), uri=FILE.cid.uri, size=4)
    await log.publish(pinned, cause=None)
    return log


def audit(log: MemoryLog, *services: MemoryPinning, gateway: MemoryGateway | None = None) -> Audit:
    return Audit(log, log, services, gateway, ManualClock(), period=3600.0)


async def test_what_is_there_is_counted_and_nothing_else_is_said() -> None:
    log, service = await history(), MemoryPinning()
    for content in (FILE, FOLDER):
        await service.pin(content)
    await audit(log, service).audit(7)
    (ended,) = log.facts(AuditEnded)
    assert (ended.audit, ended.checked, ended.vanished, ended.restored) == (7, 2, 0, 0)
    assert log.facts(Vanished) == []


async def test_one_worker_runs_each_audit() -> None:
    log, service = await history(), MemoryPinning()
    assert await audit(log, service).audit(7) is not None
    assert await audit(log, service).audit(7) is None
    assert await audit(log, service).audit(8) is not None
    assert [fact.audit for fact in log.facts(AuditStarted)] == [7, 8]


async def test_a_service_finds_it_again_over_the_network() -> None:
    log, losing, keeping = await history(), MemoryPinning(name="losing"), MemoryPinning(name="keeping")
    for content in (FILE, FOLDER):
        await keeping.pin(content)
    losing.network = {FILE.cid: keeping.contents[FILE.cid], FOLDER.cid: Kept(b"", FOLDER.cid, "", "")}
    await audit(log, losing, keeping).audit(1)
    assert {(fact.cid, fact.providers) for fact in log.facts(Vanished)} == {
        (str(FILE.cid), ("losing",)),
        (str(FOLDER.cid), ("losing",)),
    }
    assert {fact.source for fact in log.facts(Restored)} == {"ipfs"}
    assert FILE.cid in losing.contents
    causes = {message.event.causation_id for message in log.messages(Vanished)}
    assert causes == {log.messages(AuditStarted)[0].event.id}


async def test_what_only_the_gateway_has_is_sent_again() -> None:
    log, service = await history(), MemoryPinning()
    await audit(log, service, gateway=MemoryGateway({FILE.cid: b"file"})).audit(1)
    (restored,) = log.facts(Restored)
    assert (restored.cid, restored.source) == (str(FILE.cid), "https://gateway.test")
    assert service.contents[FILE.cid].data == b"file"
    (ended,) = log.facts(AuditEnded)
    assert (ended.checked, ended.vanished, ended.restored) == (2, 2, 1)


@pytest.mark.parametrize("served", [b"forged", b""])
async def test_a_gateway_that_lies_restores_nothing(served: bytes) -> None:
    log, service = await history(), MemoryPinning()
    await audit(log, service, gateway=MemoryGateway({FILE.cid: served})).audit(1)
    assert log.facts(Restored) == []
    assert service.contents == {}


async def test_a_service_that_does_not_answer_has_lost_nothing() -> None:
    log = await history()
    await audit(log, Silent()).audit(1)
    assert log.facts(Vanished) == []


class Refusing(MemoryPinning):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def has(self, cid: Cid) -> bool:
        raise self._error


@pytest.mark.parametrize("error", [PinRefused("it may not be hosted"), ContentMismatch(FILE.cid, "another")])
async def test_a_service_that_speaks_of_something_else_ends_no_audit(error: Exception) -> None:
    log, losing = await history(), MemoryPinning()
    tally = await audit(log, Refusing(error), losing).audit(1)
    assert tally is not None
    assert (tally.checked, tally.vanished) == (2, 2)
    assert {fact.providers for fact in log.facts(Vanished)} == {("memory",)}


async def test_an_odd_message_hides_no_other() -> None:
    log = await history()
    stored = log.streams["MINT"][0]
    log.streams["MINT"].append(msgspec.structs.replace(stored, payload=b"{}", sequence=stored.sequence + 1))
    tally = await audit(log, MemoryPinning()).audit(1)
    assert tally is not None
    assert tally.checked == 2


async def test_the_period_decides_when() -> None:
    log, service, clock = await history(), MemoryPinning(), ManualClock()
    running = Audit(log, log, (service,), None, clock, period=3600.0)
    first = int(clock.now().timestamp() // 3600) + 1
    task = asyncio.create_task(running.run())
    for _ in range(4):
        await clock.advance(1800.0)
    task.cancel()
    assert [fact.audit for fact in log.facts(AuditStarted)] == [first, first + 1]


@pytest.mark.parametrize("content_type", ["image/png", "image/gif"])
async def test_a_directory_that_nobody_has_is_made_again_from_the_log(content_type: str) -> None:
    log, service = MemoryLog("ipfs"), MemoryPinning()
    collection = collection_created()
    request = mint_request(nft(0), nft(1, copies=2), nft(2, image="https://example.com/a.png"), batch_size=2)
    images = [f"ipfs://image-{position}" for position in range(2)] + ["https://example.com/a.png"]
    documents = [
        nft_metadata(each, collection, PlacedImage(uri, content_type))
        for each, uri in zip(request.nfts, images, strict=True)
    ]
    files = {f"{position}.json": document for position, document in enumerate(documents)}
    cid = folder_cid(files, V1)
    await log.publish(request, cause=None)
    await log.publish(collection, cause=None)
    for chunk, items in enumerate(request.chunks()):
        told = tuple(
            PinnedItem(
                index=item.index, name="a", symbol="", uri=f"{cid.uri}/{item.nft}.json", image_uri=images[item.nft]
            )
            for item in items
        )
        pinned = Pinned(
            operation=request.operation, chunk=chunk, collection=request.collection, recipient=ADDRESS, items=told
        )
        await log.publish(pinned, cause=None)
    tally = await audit(log, service).audit(1)
    assert tally is not None
    # The log tells of PNGs: a directory whose documents say something else is another one, and nothing is sent.
    told_by_the_log = content_type == "image/png"
    assert (tally.vanished, tally.restored) == (1, int(told_by_the_log))
    assert [fact.source for fact in log.facts(Restored)] == ["log"] * told_by_the_log
    assert await service.has(cid) is told_by_the_log
