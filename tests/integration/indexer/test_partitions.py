"""event_log in partitions: made before they are needed, dropped once they are archived, never missed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from archive.object_store import ObjectStore
from archive.reading import Archive
from archive.segments import ArchiveBroken, Manifest
from audit.content import Contents
from audit.gathering import Gatherer
from audit.history import WholeLog
from audit.nodes import Nodes
from chassis.database import Pool
from chassis.log import RawMessage
from contracts.streams import COLLECTION, MINT, Stream
from services.indexer import archiving
from services.indexer.archiving import Archiver, Bounds
from services.indexer.archiving_task import drop_copies, restore_copies
from services.indexer.entries import plan
from services.indexer.event_log import AHEAD
from services.indexer.ports import StoreUnavailable
from services.indexer.store import PostgresStore
from services.indexer.vault import PostgresVault
from tests.integration.indexer.test_store import project_all
from tests.support.indexing import START, mint_history, uid
from tests.support.memory_log import MemoryLog

WIDTH = 1_000_000


async def partitions(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'event_log'::regclass"
    )
    return sorted(row["name"] for row in rows)


async def keep(pool: Pool, stream: str, *sequences: int) -> None:
    """Copies of messages at these sequences, one second apart from `START` on."""
    for sequence in sequences:
        await pool.execute(
            "INSERT INTO event_log VALUES ($1, $2, 'mint.x.v1.y', '', '{}', $3)",
            stream,
            sequence,
            START + timedelta(seconds=sequence),
        )


async def test_partitions_are_made_half_a_partition_ahead(store: PostgresStore, pool: Pool) -> None:
    history = mint_history(1).messages[:2]
    await store.apply("MINT", 0, [plan(history[0])])
    assert await partitions(pool) == ["event_log_mint_0"]
    await pool.execute("UPDATE watermarks SET sequence = $1 WHERE stream = 'MINT'", AHEAD)
    entry = plan(RawMessage(history[1].subject, AHEAD + 1, START, history[1].payload, {}))
    await store.apply("MINT", AHEAD, [entry])
    assert await partitions(pool) == ["event_log_mint_0", "event_log_mint_1"]


async def test_a_partition_that_vanished_is_made_again(store: PostgresStore, pool: Pool) -> None:
    history = mint_history(1).messages[:2]
    await store.apply("MINT", 0, [plan(history[0])])
    await pool.execute("DROP TABLE event_log_mint_0")
    try:
        await store.apply("MINT", 1, [plan(history[1])])
    except StoreUnavailable:
        await store.apply("MINT", 1, [plan(history[1])])
    assert await store.watermark("MINT") == 2


class Vouching(Archive):
    """An archive of segments as large as partitions, which has what `keep` keeps."""

    def __init__(self, last: int, payload: bytes | None = b"") -> None:
        """`payload` is that of its messages; None: its messages are missing."""
        self._last = last
        self._payload = payload

    async def manifests(self, stream: Stream, after: Manifest | None = None) -> AsyncIterator[Manifest]:
        del after
        for number, first in enumerate(range(1, self._last + 1, WIDTH), 1):
            last = min(first + WIDTH - 1, self._last)
            yield Manifest(
                stream=stream.name, number=number, first=first, last=last, size=1, sha256="", previous=None, ids=""
            )

    async def ids(self, manifest: Manifest) -> frozenset[str]:
        return frozenset()

    async def segment(self, manifest: Manifest) -> list[RawMessage]:
        if self._payload is None:
            raise ArchiveBroken(manifest.stream, manifest.number, "its messages are missing")
        return [RawMessage("mint.x.v1.y", manifest.last, START, self._payload, {})]


@pytest.mark.parametrize(("payload", "fault"), [(None, "messages are missing"), (b"forged", "another message 1000000")])
async def test_no_copy_is_dropped_that_the_archive_does_not_have_any_more(
    pool: Pool, payload: bytes | None, fault: str
) -> None:
    await pool.execute("SELECT reach_event_log('MINT', 1, $1)", 3 * WIDTH)
    await keep(pool, "MINT", WIDTH, 2 * WIDTH)
    with pytest.raises(ArchiveBroken, match=f"segment 1: .*{fault}"):
        await drop_copies(pool, Vouching(3 * WIDTH, payload), MINT, START + timedelta(days=365))
    assert len(await partitions(pool)) == 3


async def test_only_archived_old_copies_that_nobody_needs_are_dropped(pool: Pool) -> None:
    archive = Vouching(3 * WIDTH)
    for stream in ("MINT", "COLLECTION"):
        await pool.execute("SELECT reach_event_log($1, 1, $2)", stream, 3 * WIDTH)
        await keep(pool, stream, WIDTH, 2 * WIDTH)
    everything = START + timedelta(days=365)
    assert await drop_copies(pool, Vouching(0), MINT, everything) == 0
    assert await drop_copies(pool, Vouching(WIDTH - 1), MINT, everything) == 0
    assert await drop_copies(pool, archive, MINT, START) == 0
    await pool.execute(
        """INSERT INTO mint_operations (id, transaction_id, collection_id, recipient, total_nfts, metadata, start_time,
                                        created_at, updated_at, settled_sequence)
           VALUES ($1::uuid, $1::uuid::text, $1::uuid, 'r', 1, '{}', now(), now(), now(), 1500000)""",
        uid("unended"),
    )
    assert await drop_copies(pool, archive, MINT, everything) == 1
    assert await drop_copies(pool, archive, COLLECTION, everything) == 2
    assert [name for name in await partitions(pool) if "mint" in name] == ["event_log_mint_1", "event_log_mint_2"]
    assert [name for name in await partitions(pool) if "coll" in name] == ["event_log_collection_2"]


async def test_an_audit_tells_copies_that_were_dropped_from_copies_that_are_lost(pool: Pool) -> None:
    log = MemoryLog()
    log.streams["MINT"] = []
    gatherer = Gatherer(WholeLog(log, None), pool, Nodes([]), Contents([]))

    async def copied_from() -> int:
        return (await gatherer.evidence(uid("operation"))).copied_from

    await pool.execute("SELECT reach_event_log('MINT', 1, $1)", 4 * WIDTH)
    await pool.execute("UPDATE watermarks SET sequence = $1 WHERE stream = 'MINT'", 3 * WIDTH + 2)
    await keep(pool, "MINT", 2, 3)
    assert await copied_from() == 1, "the first was kept and is lost"
    await keep(pool, "MINT", 1, 3 * WIDTH + 1, 3 * WIDTH + 2)
    assert await copied_from() == 3 * WIDTH + 1, "restoring them has not come beyond the third"
    await keep(pool, "MINT", WIDTH, WIDTH + 1, 2 * WIDTH, 2 * WIDTH + 1, 3 * WIDTH)
    assert await copied_from() == 1


@pytest.fixture
async def archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: PostgresStore) -> tuple[Path, MemoryLog]:
    """The folder of an archive in segments of ten messages, and the log, projected, that is archived there."""
    monkeypatch.setattr(archiving, "MAX_MESSAGES", 10)
    folder, log = tmp_path / "archive", MemoryLog()
    log.streams["MINT"] = messages = mint_history(5).messages
    await project_all(log, store)
    bounds = Bounds(watermark=len(messages), until=START + timedelta(days=1))
    assert await Archiver(log, Archive(ObjectStore(folder.as_uri()), log)).archive(MINT, bounds, flush=True) > 20
    return folder, log


async def test_dropped_copies_come_back_from_the_archive(archived: tuple[Path, MemoryLog], pool: Pool) -> None:
    folder, log = archived
    messages = log.streams["MINT"]
    await pool.execute("DROP TABLE event_log_mint_0")
    alone = Archive(ObjectStore(folder.as_uri()), None)  # what the log said of it was lost too
    assert await restore_copies(pool, alone, MINT) == len(messages)
    assert await PostgresVault(pool).messages("MINT", 1, len(messages)) == messages
    assert await restore_copies(pool, alone, MINT) == 0
    await pool.execute("TRUNCATE event_log; UPDATE watermarks SET sequence = 13 WHERE stream = 'MINT'")
    assert await restore_copies(pool, alone, MINT) == 13, "the rest is put there when it is projected"


async def test_a_copy_that_is_there_stays_and_a_changed_segment_restores_nothing(
    archived: tuple[Path, MemoryLog], pool: Pool
) -> None:
    folder, log = archived
    messages = log.streams["MINT"]
    await pool.execute("DELETE FROM event_log WHERE sequence <> 3")
    await pool.execute("""UPDATE event_log SET headers = '{"Stored": "anew"}' WHERE sequence = 3""")
    segment = folder / "MINT" / "0000000002.ndjson.zst"
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(ArchiveBroken, match="segment 2"):
        await restore_copies(pool, Archive(ObjectStore(folder.as_uri()), log), MINT)
    kept = await PostgresVault(pool).messages("MINT", 1, len(messages))
    assert [raw.sequence for raw in kept] == list(range(1, 11)), "the segment before it, and nothing of it"
    assert kept[2].headers == {"Stored": "anew"}
