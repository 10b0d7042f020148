"""The handlers on a log in memory: the same facts from any start, whatever fails, whoever else works on it."""

import asyncio
import os
from collections import Counter
from dataclasses import replace
from typing import BinaryIO
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.clock import ManualClock
from chassis.log import LogUnavailable, Message, RetryLater
from contracts.collection import CollectionFailed, CollectionPinned, CollectionRequested
from contracts.content import Restored, Vanished
from contracts.fact import Event, Fact
from contracts.mint import Cancelled, FailureCode, PinFailed, Pinned, Requested, UploadedImage
from contracts.upload import UploadFailed, UploadPinned, UploadRequested
from services.ipfs.chunk_turns import ChunkTurns
from services.ipfs.content import ContentPinner
from services.ipfs.handlers import JITTER, CollectionContent, MintContent, UploadContent
from services.ipfs.outside_turns import TURN_SECONDS, OutsideTurns
from services.ipfs.pinning import Layout, Pinning
from services.ipfs.ports import ContentMismatch, OutsideImages, OutsideRefused, Pinnable, PinRefused, PinUnavailable
from services.ipfs.sessions import FETCHES_AT_ONCE, Sessions
from services.ipfs.uploads import RENEWAL_SECONDS, RENEWED_AFTER_SECONDS, PinnedUploads, WaitingUploads
from tests.support.content import (
    Kept,
    MemoryPinning,
    collection_created,
    collection_requested,
    mint_request,
    nft,
    png,
    sha256,
)
from tests.support.memory_log import MemoryLog, MemoryUploads
from unixfs import V1, Cid, import_bytes


class World:
    """A log with a collection, uploads and a pinning service, and as many workers as wanted."""

    def __init__(self, pinning: MemoryPinning | None = None, layout: Layout = "file") -> None:
        self.layout: Layout = layout
        self.outside: OutsideImages | None = None
        self.clock = ManualClock()
        self.log = MemoryLog("ipfs")
        self.uploads = MemoryUploads()
        self.pinning = pinning or MemoryPinning()

    def worker(self, pinning: MemoryPinning | None = None) -> MintContent:
        return MintContent(self.log, self.pinner(pinning), Sessions(), self.waiting(), ChunkTurns(4))

    def waiting(self) -> WaitingUploads:
        return WaitingUploads(self.uploads, self.clock)

    def pinner(self, pinning: MemoryPinning | None = None) -> ContentPinner:
        outside = OutsideTurns(self.outside, self.clock) if self.outside else None
        how = Pinning(pinning or self.pinning, V1, layout=self.layout, outside=outside)
        return ContentPinner(self.uploads, PinnedUploads(self.log, self.uploads), how, concurrency=4)

    async def requested(self, request: Requested, *, upload: bool = True) -> Message[Requested]:
        await self.log.publish(collection_created(), cause=None)
        for described in request.nfts if upload else ():
            if isinstance(described.image, UploadedImage):
                data = png(int(described.name.rpartition("#")[2]))
                self.uploads.objects[sha256(data)] = data
        await self.log.publish(request, cause=None)
        return self.log.messages(Requested)[0]

    def settled(self) -> Counter[int]:
        """Count how often each item is pinned or failed, by the newest facts of each chunk."""
        counts: Counter[int] = Counter(item.index for fact in self.log.facts(Pinned) for item in fact.items)
        newest = {fact.chunk: fact for fact in self.log.facts(PinFailed)}
        for fact in newest.values():
            counts.update(index for failure in fact.failures for index in failure.items)
        return counts


async def test_a_request_becomes_pinned_chunks_in_order() -> None:
    world = World()
    request = mint_request(nft(0), nft(1, copies=3), nft(2), batch_size=2)
    message = await world.requested(request)
    await world.worker().on_requested(message)
    facts = world.log.facts(Pinned)
    assert [(fact.chunk, [item.index for item in fact.items]) for fact in facts] == [
        (0, [0, 1]),
        (1, [2, 3]),
        (2, [4]),
    ]
    assert all(message.event.id == told.event.causation_id for told in world.log.messages(Pinned))
    items = [item for fact in facts for item in fact.items]
    assert [item.name for item in items] == ["Booth #0", *["Booth #1"] * 3, "Booth #2"]
    assert {item.symbol for item in items} == {"BTH"}
    for item in items:
        number = int(item.name[-1])
        assert world.pinning.at(item.image_uri).data == png(number)
        assert world.pinning.at(item.uri).data.startswith(f'{{"name":"Booth #{number}"'.encode())
        assert item.image_uri.encode() in world.pinning.at(item.uri).data
    assert len({item.uri for item in items}) == 3


async def test_equal_bytes_are_pinned_once() -> None:
    world = World()
    same = png(9)
    world.uploads.objects[sha256(same)] = same
    message = await world.requested(mint_request(*(nft(i, image=same) for i in range(5)), batch_size=2))
    worker = world.worker()
    await worker.on_requested(message)
    await worker.on_requested(message)
    assert Counter(world.pinning.calls).most_common(1)[0][1] == 1
    assert len(world.pinning.calls) == 1 + 5


async def test_metadata_files_are_pinned_as_many_at_once_as_the_service_takes() -> None:
    world = World()
    message = await world.requested(mint_request(*(nft(number, image="https://e.com/i.png") for number in range(10))))
    await world.worker().on_requested(message)
    assert sorted(world.pinning.requests) == [2, 4, 4]
    assert world.settled() == Counter(range(10))


async def test_one_refused_metadata_file_fails_alone_among_those_pinned_at_once() -> None:
    def refuse(kept: Kept) -> None:
        if b'"Booth #1"' in kept.data:
            raise PinRefused("it is too large for the pinning service")

    world = World(MemoryPinning(refuse))
    message = await world.requested(mint_request(*(nft(number, image="https://e.com/i.png") for number in range(4))))
    await world.worker().on_requested(message)
    assert [item.index for fact in world.log.facts(Pinned) for item in fact.items] == [0, 2, 3]
    (failed,) = world.log.facts(PinFailed)
    assert [failure.items for failure in failed.failures] == [(1,)]


async def test_one_image_in_many_operations_is_pinned_once_and_then_forgotten() -> None:
    world = World()
    message = await world.requested(mint_request(nft(3)))
    await world.worker().on_requested(message)
    assert world.uploads.objects == {}
    (known,) = world.log.facts(UploadPinned)
    (first,) = world.log.facts(Pinned)
    assert (known.uri, known.content_type, known.size) == (first.items[0].image_uri, "image/png", len(png(3)))
    another = msgspec.structs.replace(mint_request(nft(3)), operation=UUID(int=7))
    await world.log.publish(another, cause=None)
    await world.worker().on_requested(world.log.messages(Requested)[1])
    assert [fact.items[0].image_uri for fact in world.log.facts(Pinned)] == [known.uri] * 2
    assert world.pinning.calls.count(Cid.parse(known.cid)) == 1


@pytest.mark.parametrize("back", [False, True])
async def test_an_image_that_an_audit_missed_is_pinned_again_from_its_next_upload(back: bool) -> None:
    world = World()
    worker = world.worker()
    await worker.on_requested(await world.requested(mint_request(nft(3))))
    (known,) = world.log.facts(UploadPinned)
    await world.log.publish(Vanished(cid=known.cid, audit=7, providers=("memory",)), cause=None)
    lost = world.pinning.contents.pop(Cid.parse(known.cid))
    if back:
        world.pinning.contents[lost.cid] = lost
    world.uploads.objects[known.sha256] = png(3)
    another = msgspec.structs.replace(mint_request(nft(3)), operation=UUID(int=7))
    await world.log.publish(another, cause=None)
    await worker.on_requested(world.log.messages(Requested)[1])
    assert world.pinning.at(known.uri).data == png(3)
    assert world.pinning.calls.count(lost.cid) == (1 if back else 2)
    assert [fact.cid for fact in world.log.facts(Restored)] == ([] if back else [known.cid])
    assert [fact.items[0].image_uri for fact in world.log.facts(Pinned)] == [known.uri] * 2


async def test_an_image_that_an_audit_missed_and_nobody_has_sent_again_is_told_as_it_was() -> None:
    world = World()
    await world.worker().on_requested(await world.requested(mint_request(nft(3))))
    (known,) = world.log.facts(UploadPinned)
    await world.log.publish(Vanished(cid=known.cid, audit=7, providers=("memory",)), cause=None)
    world.pinning.contents.clear()
    another = msgspec.structs.replace(mint_request(nft(3)), operation=UUID(int=7))
    await world.log.publish(another, cause=None)
    await world.worker().on_requested(world.log.messages(Requested)[1])
    assert [fact.items[0].image_uri for fact in world.log.facts(Pinned)] == [known.uri] * 2
    assert world.log.facts(Restored) == []


class LateUploads(MemoryUploads):
    """A copy begins only after another worker has pinned the same bytes, told it and deleted them."""

    def __init__(self, other: MintContent, message: Message[Requested]) -> None:
        super().__init__()
        self.other = other
        self.message = message

    async def copy(self, sha256: str, target: BinaryIO) -> int | None:
        await self.other.on_requested(self.message)
        return await super().copy(sha256, target)


async def test_bytes_that_another_mint_pinned_and_deleted_meanwhile_are_not_missing() -> None:
    world = World()
    message = await world.requested(mint_request(nft(3)))
    another = msgspec.structs.replace(mint_request(nft(3)), operation=UUID(int=7))
    await world.log.publish(another, cause=None)
    late = LateUploads(world.worker(), message)
    pinner = ContentPinner(late, PinnedUploads(world.log, world.uploads), Pinning(world.pinning, V1), concurrency=4)
    worker = MintContent(world.log, pinner, Sessions(), world.waiting(), ChunkTurns(1))
    await worker.on_requested(world.log.messages(Requested)[1])
    assert world.log.facts(PinFailed) == []
    (known,) = world.log.facts(UploadPinned)
    assert [fact.items[0].image_uri for fact in world.log.facts(Pinned)] == [known.uri] * 2


@pytest.mark.parametrize("layout", ["chunk", "operation"])
async def test_metadata_in_directories(layout: Layout) -> None:
    world = World(layout=layout)
    message = await world.requested(mint_request(*(nft(i) for i in range(5)), batch_size=2))
    await world.worker().on_requested(message)
    await world.worker().on_requested(message)
    items = [item for fact in world.log.facts(Pinned) for item in fact.items]
    folders = [item.uri.rpartition("/")[0] for item in items]
    assert len(set(folders)) == {"chunk": 3, "operation": 1}[layout]
    for number, item in enumerate(items):
        assert item.uri == f"{folders[number]}/{number}.json"
        assert world.pinning.at(item.uri).data.startswith(f'{{"name":"Booth #{number}"'.encode())


async def test_an_operations_directory_leaves_out_what_is_refused() -> None:
    world = World(layout="operation")
    message = await world.requested(mint_request(*(nft(i) for i in range(4)), batch_size=2))
    world.uploads.objects[sha256(png(3))] = b"no image"
    await world.worker().on_requested(message)
    (folder,) = world.pinning.folders.values()
    assert set(folder.files) == {"0.json", "1.json", "2.json"}
    assert world.settled() == Counter(range(4))
    (failed,) = world.log.facts(PinFailed)
    assert failed.failures[0].items == (3,)


async def test_what_no_leaf_can_hold_is_refused_before_anything_is_pinned() -> None:
    world = World()
    long_name = msgspec.structs.replace(nft(0, image="ipfs://bafy"), name="ř" * 17)
    script = msgspec.structs.replace(nft(1, image="ipfs://bafy"), external_url="javascript:alert(1)")
    await world.worker().on_requested(await world.requested(mint_request(long_name, script)))
    (failed,) = world.log.facts(PinFailed)
    assert {failure.items: failure.code for failure in failed.failures} == {
        (0,): FailureCode.METADATA_REFUSED,
        (1,): FailureCode.METADATA_REFUSED,
    }
    assert "34 bytes" in failed.failures[0].reason
    assert world.pinning.calls == []


async def test_labels_hold_nothing_of_the_caller() -> None:
    world = World()
    await world.worker().on_requested(await world.requested(mint_request(nft(0))))
    names = sorted(content.name for content in world.pinning.contents.values())
    assert names == sorted(
        f"{content.cid}.{kind}"
        for content in world.pinning.contents.values()
        for kind in [content.content_type.partition("/")[2]]
    )


async def test_a_published_image_is_taken_as_it_is() -> None:
    world = World()
    uri = "ipfs://bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku/a.png"
    await world.worker().on_requested(await world.requested(mint_request(nft(0, image=uri))))
    (pinned,) = world.log.facts(Pinned)
    assert pinned.items[0].image_uri == uri
    assert len(world.pinning.calls) == 1


class MemoryOutside:
    """Others' images, by address."""

    def __init__(self, images: dict[str, bytes]) -> None:
        self.images = images
        self.calls: list[str] = []

    async def fetch(self, url: str, target: BinaryIO) -> int:
        self.calls.append(url)
        if url not in self.images:
            raise OutsideRefused("its server answers 404")
        return target.write(self.images[url])


async def test_an_outside_image_is_fetched_checked_and_pinned_where_the_settings_ask() -> None:
    world = World()
    good, gone, wrong = "https://x.test/1.png", "https://x.test/2.png", "https://x.test/3.png"
    world.outside = outside = MemoryOutside({good: png(1), wrong: b"<html>"})
    request = mint_request(
        nft(0, image=good), nft(1, image=gone), nft(2, image=wrong), nft(3, image=good), nft(4, image="ar://x")
    )
    await world.worker().on_requested(await world.requested(request))
    (pinned,) = world.log.facts(Pinned)
    assert [item.index for item in pinned.items] == [0, 3, 4]
    assert {item.image_uri for item in pinned.items[:2]} == {import_bytes(png(1)).cid.uri}
    assert pinned.items[2].image_uri == "ar://x"
    (failed,) = world.log.facts(PinFailed)
    assert {failure.items: failure.code for failure in failed.failures} == {
        (1,): FailureCode.IMAGE_REFUSED,
        (2,): FailureCode.IMAGE_REFUSED,
    }
    assert sorted(outside.calls) == [good, gone, wrong]


class SlowOutside(MemoryOutside):
    """Each image takes a minute; of those that are not there, too."""

    def __init__(self, images: dict[str, bytes], clock: ManualClock) -> None:
        super().__init__(images)
        self.clock = clock

    async def fetch(self, url: str, target: BinaryIO) -> int:
        await self.clock.sleep(TURN_SECONDS)
        return await super().fetch(url, target)


def opened() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def test_slow_servers_hold_up_no_other_operation() -> None:
    world = World()
    urls = [f"https://x.test/{number}.png" for number in range(10)]
    world.outside = outside = SlowOutside({url: png(number) for number, url in enumerate(urls[:6])}, world.clock)
    worker = world.worker()
    slow = await world.requested(mint_request(*(nft(number, image=url) for number, url in enumerate(urls))))
    quick = msgspec.structs.replace(mint_request(nft(20)), operation=UUID(int=7))
    world.uploads.objects[sha256(png(20))] = png(20)
    await world.log.publish(quick, cause=None)
    before = opened()
    first = asyncio.create_task(worker.on_requested(slow))
    while world.clock.sleepers < FETCHES_AT_ONCE:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert opened() <= before + FETCHES_AT_ONCE, "an image that waits for its turn has no file yet"
    await worker.on_requested(world.log.messages(Requested)[1])
    assert [fact.operation for fact in world.log.facts(Pinned)] == [quick.operation], "every place to pin is free"
    turns = 0
    while True:
        turns += 1
        while not first.done():
            await world.clock.advance(1.0)
        if first.exception() is None:
            break
        with pytest.raises(RetryLater, match="others come first"):
            await first
        first = asyncio.create_task(worker.on_requested(slow))
    assert turns == 3, "four images a turn"
    assert sorted(outside.calls) == urls, "what is there and what is not is asked for once"
    (_, pinned) = world.log.facts(Pinned)
    assert [item.index for item in pinned.items] == list(range(6))
    (failed,) = world.log.facts(PinFailed)
    assert failed.failures[0].items == (6, 7, 8, 9)


async def test_one_nft_does_not_wait_for_all_of_a_drop_that_was_asked_for_before_it() -> None:
    world, turns = World(), ChunkTurns(1)
    worker = MintContent(world.log, world.pinner(), Sessions(), world.waiting(), turns)
    drop = await world.requested(mint_request(*(nft(number) for number in range(8)), batch_size=1))
    lone = msgspec.structs.replace(mint_request(nft(8)), operation=UUID(int=7))
    world.uploads.objects[sha256(png(8))] = png(8)
    dropping = asyncio.create_task(worker.on_requested(drop))
    while len(world.log.facts(Pinned)) < 2:  # noqa: ASYNC110  (the log in memory takes turns of the loop, no time)
        await asyncio.sleep(0)
    await world.log.publish(lone, cause=None)
    await worker.on_requested(world.log.messages(Requested)[1])
    assert not dropping.done()
    await dropping
    operations = [fact.operation for fact in world.log.facts(Pinned)]
    assert operations.index(lone.operation) < 4
    assert world.settled() == Counter({0: 2} | dict.fromkeys(range(1, 8), 1))


async def test_what_can_never_succeed_fails_alone() -> None:
    def refuse(content: Kept) -> None:
        if content.data == png(2):
            raise PinRefused("it is too large for the pinning service")
        if content.data == png(3):
            raise ContentMismatch(content.cid, "bafkqaaa")
        if b'"Booth #4"' in content.data:
            raise PinRefused("it is too large for the pinning service")

    world = World(MemoryPinning(refuse))
    message = await world.requested(mint_request(*(nft(i) for i in range(7))))
    del world.uploads.objects[sha256(png(1))]
    world.uploads.objects[sha256(png(5))] = b"no image at all"
    await world.worker().on_requested(message)
    (failed,) = world.log.facts(PinFailed)
    assert {failure.items: failure.code for failure in failed.failures} == {
        (1,): FailureCode.UPLOAD_MISSING,
        (2,): FailureCode.IMAGE_REFUSED,
        (3,): FailureCode.CONTENT_MISMATCH,
        (4,): FailureCode.METADATA_REFUSED,
        (5,): FailureCode.IMAGE_REFUSED,
    }
    (pinned,) = world.log.facts(Pinned)
    assert [item.index for item in pinned.items] == [0, 6]


async def test_a_collection_that_the_log_has_lost_is_waited_for_and_nothing_fails_for_it() -> None:
    world = World()
    request = mint_request(*(nft(i) for i in range(3)), batch_size=2)
    await world.log.publish(request, cause=None)
    (message,) = world.log.messages(Requested)
    for deliveries in (1, 100):
        with pytest.raises(RetryLater):
            await world.worker().on_requested(replace(message, deliveries=deliveries))
    assert world.log.facts(PinFailed) == []
    await world.log.publish(Cancelled(operation=request.operation), cause=None)
    await world.worker().on_requested(message)
    codes = [failure.code for fact in world.log.facts(PinFailed) for failure in fact.failures]
    assert codes == [FailureCode.CANCELLED] * 2
    assert world.log.facts(Pinned) == []
    assert world.pinning.calls == []


async def test_an_unavailable_service_delays_the_chunk_and_keeps_what_is_done() -> None:
    down = True

    def fail(content: Kept) -> None:
        if down and content.data == png(3):
            raise PinUnavailable("the service is busy", after=17.0)

    world = World(MemoryPinning(fail))
    message = await world.requested(mint_request(*(nft(i) for i in range(6)), batch_size=2))
    worker = world.worker()
    with pytest.raises(RetryLater) as caught:
        await worker.on_requested(message)
    assert 17.0 <= caught.value.after <= 17.0 * (1 + JITTER)
    assert [fact.chunk for fact in world.log.facts(Pinned)] == [0]
    down = False
    await worker.on_requested(message)
    assert [fact.chunk for fact in world.log.facts(Pinned)] == [0, 1, 2]
    repeated = [cid for cid, times in Counter(world.pinning.calls).items() if times > 1]
    assert repeated == [import_bytes(png(3)).cid]


async def test_the_uploads_of_what_waits_for_days_are_kept_for_longer() -> None:
    def fail(_: Kept) -> None:
        raise PinUnavailable("nobody answers")

    world = World(MemoryPinning(fail))
    message = await world.requested(mint_request(nft(0), nft(1), nft(2, image="ar://x"), batch_size=1))
    message = replace(message, stored_at=world.clock.now())
    worker = world.worker()

    async def try_it() -> list[str]:
        with pytest.raises(RetryLater):
            await worker.on_requested(message)
        return sorted(world.uploads.renewed)

    wanted = sorted(sha256(png(number)) for number in range(2))
    await world.clock.advance(RENEWED_AFTER_SECONDS - 1)
    assert await try_it() == []
    await world.clock.advance(1)
    assert await try_it() == wanted, "of all chunks"
    assert await try_it() == wanted, "not at every try"
    await world.clock.advance(RENEWAL_SECONDS)
    assert await try_it() == sorted(2 * wanted)


async def test_without_a_hint_the_delay_grows() -> None:
    def fail(_: Kept) -> None:
        raise PinUnavailable("nobody answers")

    world = World(MemoryPinning(fail))
    message = await world.requested(mint_request(nft(0)))
    delays: list[float] = []
    for deliveries in (1, 2, 3):
        again = Message(message.event, message.subject, message.sequence, message.stored_at, {}, deliveries)
        with pytest.raises(RetryLater) as caught:
            await world.worker().on_requested(again)
        delays.append(caught.value.after)
    assert delays == sorted(set(delays))


async def test_an_unavailable_log_is_the_chassis_business() -> None:
    world = World()
    message = await world.requested(mint_request(nft(0)))
    world.log.fail_publishes = [LogUnavailable("no answer")]
    with pytest.raises(LogUnavailable):
        await world.worker().on_requested(message)
    await world.worker().on_requested(message)
    assert world.settled() == {0: 1}


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Ends the process at the given I/O call, before or after its effect."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self._left = calls
        self._after = after

    def burn(self, *, after: bool) -> None:
        if after == self._after:
            self._left -= 1
            if self._left == 0:
                raise Killed


class FusedLog(MemoryLog):
    """A log whose every call may be the process's last."""

    fuse: Fuse | None = None

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        if self.fuse:
            self.fuse.burn(after=False)
        sequence = await super().publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)
        if self.fuse:
            self.fuse.burn(after=True)
        return sequence


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_call_the_next_process_ends_in_the_same_facts(after: bool) -> None:
    request = mint_request(nft(0), nft(1, copies=2), nft(2), nft(3), batch_size=2)
    untouched: list[object] | None = None
    for calls in range(100):
        world = World()
        world.log = log = FusedLog("ipfs")
        message = await world.requested(request)
        del world.uploads.objects[sha256(png(2))]
        fuse = Fuse(calls, after=after)

        def pin(_: Kept, fuse: Fuse = fuse, after: bool = after) -> None:
            fuse.burn(after=after)

        log.fuse = fuse
        killed = False
        try:
            await world.worker(MemoryPinning(pin)).on_requested(message)
        except Killed:
            killed = True
        log.fuse = None
        await world.worker().on_requested(message)
        facts: list[object] = [*log.facts(PinFailed), *log.facts(Pinned)]
        assert world.settled() == Counter(range(5))
        if untouched is None:
            assert not killed, "no fuse burns on the call before the first"
            untouched = facts
        assert facts == untouched
        if calls > 0 and not killed:
            assert calls > 5, "the fuse has been through every call"
            return
    pytest.fail("the work never ended")


@settings(max_examples=60, deadline=None)
@given(
    refused=st.tuples(st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4))),
    pauses=st.tuples(st.lists(st.integers(0, 6), max_size=8), st.lists(st.integers(0, 6), max_size=8)),
)
def test_two_workers_that_disagree_never_contradict_each_other(
    refused: tuple[set[int], set[int]], pauses: tuple[list[int], list[int]]
) -> None:
    async def race() -> None:
        world = World()
        message = await world.requested(mint_request(*(nft(i) for i in range(5)), batch_size=3))

        def pinning(numbers: set[int], waits: list[int]) -> MemoryPinning:
            refusals = {import_bytes(png(number)).cid for number in numbers}

            class Paced(MemoryPinning):
                async def pin(self, content: Pinnable) -> None:
                    for _ in range(waits.pop() if waits else 0):
                        await asyncio.sleep(0)
                    if content.cid in refusals:
                        raise PinRefused("no")
                    await super().pin(content)

            return Paced()

        workers = [world.worker(pinning(numbers, list(waits))) for numbers, waits in zip(refused, pauses, strict=True)]
        await asyncio.gather(*(worker.on_requested(message) for worker in workers))
        assert world.settled() == Counter(range(5))

    asyncio.run(race())


class TestUploads:
    """A file uploaded by itself."""

    data = b'{"any": "json"}'

    def requested(self, cid: str | None = None, data: bytes | None = None) -> UploadRequested:
        stored = self.data if data is None else data
        return UploadRequested(
            sha256=sha256(stored),
            cid=cid or str(import_bytes(stored).cid),
            content_type="application/json",
            size=len(stored),
        )

    def handler(self, world: World) -> UploadContent:
        pinned = PinnedUploads(world.log, world.uploads)
        return UploadContent(world.log, world.pinner(), Sessions(), world.waiting(), pinned)

    async def handle(self, world: World, request: UploadRequested) -> None:
        await world.log.publish(request, cause=None)
        handler = self.handler(world)
        message = world.log.messages(UploadRequested)[-1]
        await asyncio.gather(handler.on_requested(message), handler.on_requested(message))
        await handler.on_requested(message)

    async def test_it_is_pinned_under_the_cid_that_was_told_and_its_bytes_are_deleted(self) -> None:
        world = World()
        world.uploads.objects[sha256(self.data)] = self.data
        await self.handle(world, self.requested())
        (pinned,) = world.log.facts(UploadPinned)
        assert pinned.cid == str(import_bytes(self.data).cid)
        assert world.pinning.at(pinned.uri).data == self.data
        assert world.uploads.objects == {}

    async def test_another_cid_than_was_told_is_a_mismatch(self) -> None:
        world = World()
        world.uploads.objects[sha256(self.data)] = self.data
        await self.handle(world, self.requested(cid=str(import_bytes(b"other").cid)))
        (failed,) = world.log.facts(UploadFailed)
        assert failed.code == FailureCode.CONTENT_MISMATCH
        assert world.pinning.calls == []
        assert world.uploads.objects

    async def test_what_is_pinned_can_be_asked_for_again_without_its_bytes(self) -> None:
        world = World()
        world.uploads.objects[sha256(self.data)] = self.data
        await self.handle(world, self.requested())
        calls = list(world.pinning.calls)
        await self.handle(world, self.requested())
        assert len(world.log.facts(UploadPinned)) == 2
        assert world.log.facts(UploadFailed) == []
        assert world.pinning.calls == calls

    async def test_what_an_audit_missed_is_pinned_again(self) -> None:
        world = World()
        handler = self.handler(world)
        for _ in range(2):
            world.uploads.objects[sha256(self.data)] = self.data
            await world.log.publish(self.requested(), cause=None)
            await handler.on_requested(world.log.messages(UploadRequested)[-1])
            (content,) = world.pinning.contents.values()
            assert content.data == self.data
            await world.log.publish(Vanished(cid=str(content.cid), audit=7, providers=("memory",)), cause=None)
            world.pinning.contents.clear()
        assert len(world.log.facts(Restored)) == 1
        assert len(world.log.facts(UploadPinned)) == 2

    async def test_a_failed_upload_can_be_asked_for_again(self) -> None:
        world = World()
        await self.handle(world, self.requested())
        (failed,) = world.log.facts(UploadFailed)
        assert failed.code == FailureCode.UPLOAD_MISSING
        world.uploads.objects[sha256(self.data)] = self.data
        await self.handle(world, self.requested())
        assert len(world.log.facts(UploadPinned)) == 1


class TestCollections:
    def handler(self, world: World) -> CollectionContent:
        return CollectionContent(world.log, world.pinner(), Sessions(), world.waiting())

    async def requested(self, world: World, image: bytes | None) -> Message[CollectionRequested]:
        if image:
            world.uploads.objects[sha256(image)] = image
        await world.log.publish(collection_requested(image), cause=None)
        return world.log.messages(CollectionRequested)[0]

    async def test_image_and_metadata_are_pinned(self) -> None:
        world = World()
        message = await self.requested(world, png(1))
        await self.handler(world).on_requested(message)
        await self.handler(world).on_requested(message)
        (pinned,) = world.log.facts(CollectionPinned)
        assert pinned.image_uri is not None
        assert world.pinning.at(pinned.image_uri).data == png(1)
        assert pinned.image_uri.encode() in world.pinning.at(pinned.uri).data

    async def test_without_an_image(self) -> None:
        world = World()
        await self.handler(world).on_requested(await self.requested(world, None))
        (pinned,) = world.log.facts(CollectionPinned)
        assert pinned.image_uri is None

    async def test_what_was_said_already_stands(self) -> None:
        world = World()
        message = await self.requested(world, None)
        await world.log.publish(collection_created(), cause=None)
        await self.handler(world).on_requested(message)
        assert world.log.facts(CollectionPinned) == []
        assert world.pinning.calls == []

    async def test_a_refusal_ends_the_collection(self) -> None:
        world = World()
        message = await self.requested(world, b"not an image")
        await self.handler(world).on_requested(message)
        (failed,) = world.log.facts(CollectionFailed)
        assert (failed.code, bool(failed.cure)) == ("image_refused", True)

    async def test_two_workers_tell_it_once(self) -> None:
        world = World()
        message = await self.requested(world, png(1))
        await asyncio.gather(*(self.handler(world).on_requested(message) for _ in range(3)))
        assert len(world.log.facts(CollectionPinned)) == 1


def test_old_sessions_are_forgotten() -> None:
    sessions = Sessions(limit=2)
    first = sessions.of(UUID(int=1))
    assert sessions.of(UUID(int=1)) is first
    sessions.of(UUID(int=2))
    assert sessions.of(UUID(int=1)) is first
    sessions.of(UUID(int=3))
    sessions.of(UUID(int=4))
    assert sessions.of(UUID(int=1)) is not first
