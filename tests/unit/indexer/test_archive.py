"""The archive: what goes in comes out, and whatever is changed, missing or out of order is found and named."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from archive import segments
from archive.object_store import ObjectStore
from archive.reading import Archive, ArchiveUnavailable, HistoryIncomplete
from archive.segments import ArchiveBroken, Manifest
from chassis.log import RawMessage
from contracts.registry import decode
from contracts.streams import COLLECTION, MINT, Stream
from services.indexer import archiving
from services.indexer.archiving import Archiver, Bounds
from services.indexer.history import History
from tests.support.indexing import START, mint_history, requested, uid
from tests.support.indexing import History as Script
from tests.support.memory_log import MemoryLog

LATE = START + timedelta(days=1)
SEGMENT = 10


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "MAX_MESSAGES", SEGMENT)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.streams["MINT"] = mint_history(5).messages
    return log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def store(folder: Path, log: MemoryLog) -> Archive:
    return Archive(ObjectStore(folder.as_uri()), log)


def everything(log: MemoryLog) -> Bounds:
    return Bounds(watermark=len(log.streams["MINT"]), until=LATE)


async def read(source: Archive | History, log: MemoryLog, after: int = 0) -> list[RawMessage]:
    """What the source has beyond `after`, up to the end of the log."""
    found: list[RawMessage] = []
    async for raw in source.read(MINT, after):
        found.append(raw)
        if raw.sequence == len(log.streams["MINT"]):
            break
    return found


RAW = st.builds(
    RawMessage,
    subject=st.text(max_size=20),
    sequence=st.just(1),
    stored_at=st.datetimes(timezones=st.just(START.tzinfo)),
    payload=st.binary(max_size=50) | st.text(max_size=50).map(str.encode),
    headers=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@given(RAW)
def test_a_message_comes_back_byte_for_byte(raw: RawMessage) -> None:
    lines, first, last = segments.segment_lines([raw])
    described = segments.describe("MINT", lines, first, last, None, segments.id_lines([raw]))
    assert segments.read_lines(described, lines) == [raw]


async def test_only_what_has_a_second_copy_and_is_old_enough_is_archived(log: MemoryLog, store: Archive) -> None:
    archiver, messages = Archiver(log, store), log.streams["MINT"]
    assert await archiver.archive(MINT, Bounds(watermark=2 * SEGMENT + 3, until=LATE)) == 2 * SEGMENT
    young = messages[3 * SEGMENT].stored_at
    assert await archiver.archive(MINT, Bounds(watermark=len(messages), until=young)) == SEGMENT
    assert await archiver.archive(MINT, Bounds(watermark=3 * SEGMENT + 2, until=LATE), flush=True) == 2
    assert await read(store, log) == messages[: 3 * SEGMENT + 2]
    assert await read(store, log, after=SEGMENT + 1) == messages[SEGMENT + 1 : 3 * SEGMENT + 2]
    anchors = [decode(raw.subject, raw.payload).data for raw in log.streams["GUARD"]]
    assert [(fact.number, fact.last) for fact in anchors] == [(1, 10), (2, 20), (3, 30), (4, 32)]


async def test_no_segment_is_overwritten_that_the_log_has_forgotten(
    log: MemoryLog, store: Archive, folder: Path
) -> None:
    """A log that came back without what it told of the archive, and with other sequences."""
    archiver = Archiver(log, store)
    await archiver.archive(MINT, Bounds(watermark=SEGMENT, until=LATE))
    one = log.streams.pop("GUARD")
    await archiver.archive(MINT, everything(log))  # a single one may have been left by an archiver that died
    written = {each.name: each.read_bytes() for each in (folder / "MINT").iterdir()}
    log.streams["GUARD"] = one
    with pytest.raises(ArchiveBroken, match="segment 3: the log does not tell of it"):
        await archiver.archive(MINT, everything(log))
    assert {each.name: each.read_bytes() for each in (folder / "MINT").iterdir()} == written
    checking = store.checked(MINT)
    assert (await anext(checking)).number == 1
    with pytest.raises(ArchiveBroken, match="segment 3: the log does not tell of it"):
        await anext(checking)


@pytest.mark.parametrize("messages", [2 * SEGMENT, 5])
async def test_the_archive_of_another_log_is_not_overwritten(
    log: MemoryLog, store: Archive, folder: Path, messages: int
) -> None:
    """Another environment that was given the same place, and has nothing in it yet."""
    await Archiver(log, store).archive(MINT, Bounds(watermark=SEGMENT, until=LATE))
    other = MemoryLog()
    other.streams["MINT"] = mint_history(6).messages[:messages]
    with pytest.raises(ArchiveBroken, match=r"segment 1: .* the archive of another log"):
        await Archiver(other, Archive(ObjectStore(folder.as_uri()), other)).archive(MINT, everything(other), flush=True)
    assert await read_all(store) == log.streams["MINT"][:SEGMENT]


async def test_of_two_archivers_the_segment_stays_that_the_log_tells_of(
    log: MemoryLog, store: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their lock may be lost unseen, as when the database fails over; both write to the same names."""
    slow, quick = Archive(ObjectStore(folder.as_uri()), log), Archiver(log, store)
    append = slow.append

    async def overtaken(stream: Stream, messages: Sequence[RawMessage], before: Manifest | None) -> Manifest:
        monkeypatch.setattr(slow, "append", append)
        await quick.archive(MINT, Bounds(watermark=3, until=LATE), flush=True)
        return await append(stream, messages, before)

    monkeypatch.setattr(slow, "append", overtaken)
    with pytest.raises(ArchiveBroken, match="at the same time"):
        await Archiver(log, slow).archive(MINT, everything(log))
    assert await read_all(store) == log.streams["MINT"][:3]
    await quick.archive(MINT, everything(log), flush=True)
    assert await read_all(store) == log.streams["MINT"]


async def test_a_hole_in_the_stream_is_where_archiving_ends(log: MemoryLog, store: Archive) -> None:
    away(log, SEGMENT + 3)
    with pytest.raises(HistoryIncomplete, match="messages 13 to 13 of MINT"):
        await Archiver(log, store).archive(MINT, everything(log), flush=True)
    assert await read_all(store) == log.streams["MINT"][:SEGMENT]


async def read_all(store: Archive) -> list[RawMessage]:
    return [raw async for raw in store.read(MINT, 0)]


async def test_a_replay_reads_archive_and_stream_as_one(log: MemoryLog, store: Archive) -> None:
    await Archiver(log, store).archive(MINT, everything(log))
    log.shorten(MINT, 2 * SEGMENT + 4)
    messages = log.streams["MINT"]
    assert await read(History(log, store), log) == messages
    assert await read(History(log, store, archive_first=True), log, after=SEGMENT + 5) == messages[SEGMENT + 5 :]
    with pytest.raises(HistoryIncomplete, match="messages 1 to 23 of MINT"):
        await read(History(log, None), log)


async def test_a_hole_between_archive_and_stream_is_named(log: MemoryLog, store: Archive) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=SEGMENT, until=LATE))
    log.shorten(MINT, SEGMENT + 4)
    with pytest.raises(HistoryIncomplete, match="messages 11 to 13 of MINT"):
        await read(History(log, store), log)


def away(log: MemoryLog, *sequences: int) -> None:
    """These messages have left the stream."""
    log.left["MINT"] |= set(sequences)


async def test_holes_in_the_stream_are_filled_from_the_archive(log: MemoryLog, store: Archive) -> None:
    messages = log.streams["MINT"]
    await Archiver(log, store).archive(MINT, Bounds(watermark=3 * SEGMENT, until=LATE))
    away(log, 3, 4, SEGMENT + 2, 3 * SEGMENT)
    assert await read(History(log, store), log) == messages
    assert await read(History(log, store, archive_first=True), log, after=2) == messages[2:]
    assert await read(History(log, store), log, after=3 * SEGMENT) == messages[3 * SEGMENT :]
    with pytest.raises(HistoryIncomplete, match="messages 3 to 4 of MINT"):
        await read(History(log, None), log)


async def test_a_hole_that_the_archive_does_not_fill_is_named(log: MemoryLog, store: Archive) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=SEGMENT, until=LATE))
    away(log, 2, SEGMENT + 5)
    with pytest.raises(HistoryIncomplete, match="messages 15 to 15 of MINT"):
        await read(History(log, store), log)


async def test_what_leaves_while_it_is_read_comes_from_the_archive(log: MemoryLog, store: Archive) -> None:
    """Pruned between two messages: what the archive has got since is read, and the stream again from there."""
    messages = log.streams["MINT"]
    reading = History(log, store).read(MINT, 0)
    found = [await anext(reading)]
    await Archiver(log, store).archive(MINT, Bounds(watermark=SEGMENT, until=LATE))
    away(log, *range(len(found) + 1, len(messages)))
    log.left["MINT"] -= set(range(SEGMENT + 1, len(messages)))
    found += [await anext(reading) for _ in range(len(messages) - 1)]
    assert found == messages


def segment(folder: Path, number: int) -> Path:
    return folder / "MINT" / f"{number:010d}.ndjson.zst"


def manifest(folder: Path, number: int) -> Path:
    return folder / "MINT" / f"{number:010d}.json"


def ids(folder: Path, number: int) -> Path:
    return folder / "MINT" / f"{number:010d}.ids.zst"


def forge_payload(folder: Path) -> None:
    lines = zstandard.ZstdDecompressor().decompress(segment(folder, 2).read_bytes())
    segment(folder, 2).write_bytes(zstandard.compress(lines.replace(b"mint.", b"mimt.", 1)))


def forge_with_its_manifest(folder: Path) -> None:
    forge_payload(folder)
    lines = zstandard.ZstdDecompressor().decompress(segment(folder, 2).read_bytes())
    told = msgspec.json.decode(manifest(folder, 2).read_bytes(), type=Manifest)
    forged = msgspec.structs.replace(told, sha256=segments.digest(lines))
    manifest(folder, 2).write_bytes(segments.manifest_bytes(forged))


def exchange(folder: Path) -> None:
    for path in (segment, manifest):
        one, other = path(folder, 2), path(folder, 3)
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)


def without_messages(folder: Path) -> None:
    segment(folder, 2).unlink()


def without_manifest(folder: Path) -> None:
    manifest(folder, 2).unlink()


def without_end(folder: Path) -> None:
    manifest(folder, 3).unlink()


def uncompressed(folder: Path) -> None:
    segment(folder, 2).write_bytes(b"no")


def unreadable(folder: Path) -> None:
    manifest(folder, 2).write_bytes(b"{}")


def bomb(folder: Path) -> None:
    segment(folder, 2).write_bytes(zstandard.compress(b"\n" * 100_000_000))


TAMPERING: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "another payload": (forge_payload, 2, "not those that were archived"),
    "another payload and a manifest for it": (forge_with_its_manifest, 2, "not the one that the log tells of"),
    "segments exchanged": (exchange, 2, "the manifest is that of MINT, segment 3"),
    "messages missing": (without_messages, 2, "its messages are missing"),
    "manifest missing": (without_manifest, 2, "its manifest is missing"),
    "the end missing": (without_end, 3, "its manifest is missing"),
    "no zstd": (uncompressed, 2, "cannot be decompressed"),
    "a bomb": (bomb, 2, "not those that were archived"),
    "no manifest": (unreadable, 2, "the manifest cannot be read"),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_is_found_and_named(log: MemoryLog, store: Archive, folder: Path, how: str) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=3 * SEGMENT, until=LATE))
    tamper, number, reason = TAMPERING[how]
    tamper(folder)
    with pytest.raises(ArchiveBroken, match=reason) as caught:
        await read(store, log)
    assert (caught.value.stream, caught.value.number) == ("MINT", number)


def without_ids(folder: Path) -> None:
    ids(folder, 2).unlink()


def with_other_ids(folder: Path) -> None:
    ids(folder, 2).write_bytes(ids(folder, 3).read_bytes())


def with_a_bomb_of_ids(folder: Path) -> None:
    ids(folder, 2).write_bytes(zstandard.compress(b"\n" * 100_000_000))


@pytest.mark.parametrize("tamper", [without_ids, with_other_ids, with_a_bomb_of_ids])
async def test_tampered_ids_are_found(
    log: MemoryLog, store: Archive, folder: Path, tamper: Callable[[Path], None]
) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=3 * SEGMENT, until=LATE))
    manifests = [each async for each in store.manifests(MINT)]
    for each in manifests:
        await store.check(each)
    tamper(folder)
    with pytest.raises(ArchiveBroken, match="segment 2: its ids are"):
        await store.check(manifests[1])


def test_ids_that_lie_about_their_messages_are_found(log: MemoryLog) -> None:
    lines, first, last = segments.segment_lines(log.streams["MINT"])
    lying = segments.describe("MINT", lines, first, last, None, b"nobody\n")
    with pytest.raises(ArchiveBroken, match="its ids are not those of its messages"):
        segments.read_lines(lying, lines)


@given(st.lists(st.sampled_from([f"mint.signed.v1.{uid(n)}.0.1" for n in range(5)] + ["mint.odd", "a.b.c.d"])))
def test_ids_are_those_of_the_subjects(subjects: list[str]) -> None:
    messages = [RawMessage(subject, n, START, b"", {}) for n, subject in enumerate(subjects, 1)]
    lines = segments.id_lines(messages)
    found = segments.read_ids(segments.describe("MINT", b"x", 1, 1, None, lines), lines)
    assert found == {subject.split(".")[3] if subject.count(".") > 2 else "" for subject in subjects}
    assert lines == b"".join(sorted(lines.splitlines(keepends=True)))


@pytest.mark.parametrize(
    "patterns",
    [
        ["mint.*.v1.x", "mint.*.v1.*"],
        ["mint.*.v1.>"],
        ["mint.>"],
        ["mint.signed.v1"],
    ],
)
def test_patterns_must_name_their_ids(patterns: list[str]) -> None:
    assert segments.ids_of(["mint.*.v1.x", "mint.*.v1.y.>"]) == {"x", "y"}
    with pytest.raises(ValueError, match="what is named only"):
        segments.ids_of(patterns)


@given(
    st.lists(st.sampled_from([f"mint.signed.v1.{uid(n)}.0.1" for n in range(3)] + ["mint.odd", "a.b.c.d"]), min_size=1),
    st.lists(st.integers(1, 200)),
    st.sets(st.sampled_from([*(str(uid(n)) for n in range(3)), "d", ""])),
)
def test_what_is_about_some_ids_is_found_however_the_lines_arrive(
    subjects: list[str], cuts: list[int], wanted: set[str]
) -> None:
    """Also where a payload tells of another message's id."""
    messages = [RawMessage(subject, n, START, str(uid(0)).encode(), {}) for n, subject in enumerate(subjects, 1)]
    lines, first, last = segments.segment_lines(messages)
    described = segments.describe("MINT", lines, first, last, None, segments.id_lines(messages))
    ends = [0, *sorted({cut for cut in cuts if cut < len(lines)}), len(lines)]
    pieces = [lines[start:end] for start, end in pairwise(ends)]
    about = [raw for raw in messages if (raw.subject.split(".")[3] if raw.subject.count(".") > 2 else "") in wanted]
    assert segments.read_about(described, pieces, wanted) == about
    for wrong in ([*pieces, b"x"], pieces[:-1], [lines.replace(b"v1", b"v2", 1) + b"\n"]):
        with pytest.raises(ArchiveBroken, match="not those that were archived"):
            segments.read_about(described, wrong, wanted)


async def test_without_the_log_a_changed_manifest_breaks_the_chain(
    log: MemoryLog, store: Archive, folder: Path
) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=3 * SEGMENT, until=LATE))
    forge_with_its_manifest(folder)
    with pytest.raises(ArchiveBroken, match="segment 3: it does not follow on the manifest before it"):
        await read(Archive(ObjectStore(folder.as_uri()), None), log)


async def test_nothing_is_appended_to_a_broken_archive(log: MemoryLog, store: Archive, folder: Path) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=2 * SEGMENT, until=LATE))
    forge_with_its_manifest(folder)
    with pytest.raises(ArchiveBroken):
        await Archiver(log, store).archive(MINT, everything(log))
    assert not segment(folder, 3).exists()


async def test_what_a_dead_archiver_left_is_written_again(log: MemoryLog, store: Archive, folder: Path) -> None:
    await Archiver(log, store).archive(MINT, Bounds(watermark=SEGMENT, until=LATE))
    first = await store.last(MINT)
    await store.append(MINT, log.streams["MINT"][SEGMENT : SEGMENT + 3], first)
    assert await read(store, log) == log.streams["MINT"][:SEGMENT]
    await Archiver(log, store).archive(MINT, Bounds(watermark=2 * SEGMENT, until=LATE))
    assert await read(store, log) == log.streams["MINT"][: 2 * SEGMENT]


async def test_streams_have_archives_of_their_own(log: MemoryLog, store: Archive) -> None:
    script = Script()
    script.say(requested(uid("other")))
    log.streams["COLLECTION"] = script.messages
    await Archiver(log, store).archive(COLLECTION, Bounds(1, LATE), flush=True)
    assert await store.last(MINT) is None
    assert [raw async for raw in store.read(COLLECTION, 0)] == script.messages


async def test_a_segment_is_never_larger_than_what_is_read_again(
    store: Archive, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is that of its lines, in which bytes that have to be escaped take six."""
    log.streams["MINT"] = [
        RawMessage(f"mint.x.v1.{'y' * 300}{n}", n, START, payload, {"a": "\x01" * 50})
        for n, payload in enumerate([b"\x01" * 200, b"\xff" * 200, b"{}"] * 20, 1)
    ]
    longest = max(len(segments.line_of(raw)) for raw in log.streams["MINT"])
    monkeypatch.setattr(archiving, "MAX_BYTES", 4 * longest)
    assert await Archiver(log, store).archive(MINT, everything(log), flush=True) == 60
    sizes = [each.size async for each in store.manifests(MINT)]
    assert max(sizes) < 5 * longest, "as MAX_CONTENT is to MAX_BYTES"
    assert await read_all(store) == log.streams["MINT"]
    assert segments.MAX_IDS >= segments.MAX_CONTENT


async def test_what_is_stored_in_a_folder_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def fsync(opened: int) -> None:
        synced.append(Path(f"/proc/self/fd/{opened}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "an archive"
    await ObjectStore(folder.as_uri()).put("MINT/x", b"x")
    assert synced == [folder / "MINT" / "x", folder / "MINT", folder]


def test_a_place_that_cannot_be_used_is_told() -> None:
    with pytest.raises(ArchiveUnavailable, match="nowhere://x cannot be used"):
        ObjectStore("nowhere://x")
