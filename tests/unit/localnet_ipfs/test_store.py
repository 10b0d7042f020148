"""The block store: whole and verified blocks, healed by the next add; one process a directory."""

from pathlib import Path

import pytest

from localnet.ipfs.store import BlockCorrupt, BlockMissing, BlockStore, StoreLocked
from unixfs import Cid, Codec, ImportProfile, import_bytes

BLOCK = b"some bytes"
CID = Cid.of_block(BLOCK, Codec.RAW)


def block_files(directory: Path) -> list[Path]:
    return list((directory / "blocks").glob("*/*"))


def test_a_block_outlives_the_store(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.put(CID, BLOCK)
    store.put(CID, BLOCK)
    store.pin(CID)
    store.close()
    again = BlockStore(tmp_path)
    assert again.get(CID) == BLOCK
    assert again.is_pinned(CID)
    assert list(again.pins()) == [CID]
    (path,) = block_files(tmp_path)
    assert path.parent.name == path.stem[-3:-1]
    again.close()


def test_versions_of_a_cid_share_a_block_but_not_a_pin(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    root = import_bytes(b"data", ImportProfile(0, False), store.put)
    assert store.get(root.cid.as_v1()) == store.get(root.cid)
    store.pin(root.cid)
    assert not store.is_pinned(root.cid.as_v1())
    store.close()


def test_a_missing_block_is_named(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    with pytest.raises(BlockMissing, match=str(CID)):
        store.get(CID)
    store.close()


def test_a_damaged_block_is_never_returned_and_the_next_put_heals_it(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.put(CID, BLOCK)
    (path,) = block_files(tmp_path)
    path.write_bytes(b"other bytes")
    with pytest.raises(BlockCorrupt):
        store.get(CID)
    store.put(CID, BLOCK)
    assert store.get(CID) == BLOCK
    store.close()


def test_a_half_written_file_of_a_crash_is_cleared_away(tmp_path: Path) -> None:
    BlockStore(tmp_path).close()
    (tmp_path / "tmp" / "left").write_bytes(b"half")
    store = BlockStore(tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []
    store.close()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockStore(tmp_path)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("localnet.ipfs.store.os.replace", full_disk)
    with pytest.raises(OSError, match="space"):
        store.put(CID, BLOCK)
    assert block_files(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    store.close()


def test_what_is_added_together_is_there_once_it_is_committed(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    roots: list[Cid] = []
    with store.add() as addition:
        roots += [import_bytes(b"%d" % number, sink=addition.put).cid for number in (1, 2, 1)]
        with pytest.raises(BlockMissing):
            store.get(roots[0])
        addition.commit(roots)
    assert [store.get(root) for root in roots] == [b"1", b"2", b"1"]
    assert set(store.pins()) == set(roots)
    store.close()


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    with store.add() as addition:
        addition.put(CID, BLOCK)
    assert block_files(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    store.close()


def test_each_step_is_flushed_once_however_many_files_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks before they have their names, names before pins, pins before anybody is told."""
    store = BlockStore(tmp_path)
    seen: list[tuple[int, int]] = []

    def note(_: Path) -> None:
        seen.append((len(block_files(tmp_path)), len(list(store.pins()))))

    monkeypatch.setattr("localnet.ipfs.store.flush_filesystem", note)
    with store.add() as addition:
        addition.commit([import_bytes(b"%d" % number, sink=addition.put).cid for number in range(9)])
    assert seen == [(0, 0), (9, 0), (9, 9)]
    store.close()


def test_a_second_store_is_refused(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    with pytest.raises(StoreLocked):
        BlockStore(tmp_path)
    store.close()
    BlockStore(tmp_path).close()


def test_only_what_is_wholly_there_is_pinned(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    leaves: list[Cid] = []

    def put(cid: Cid, block: bytes) -> None:
        if cid.codec == Codec.RAW:
            leaves.append(cid)
            if len(leaves) == 3:
                return
        store.put(cid, block)

    root = import_bytes(bytes(range(50)), ImportProfile(1, True, chunk_size=10), put)
    with pytest.raises(BlockMissing):
        store.pin_present(root.cid)
    assert not store.is_pinned(root.cid)
    import_bytes(bytes(range(50)), ImportProfile(1, True, chunk_size=10), store.put)
    store.pin_present(root.cid)
    assert store.is_pinned(root.cid)
    store.close()


def test_stray_files_are_no_pins(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    (tmp_path / "pins" / "xx").mkdir()
    (tmp_path / "pins" / "xx" / "README").touch()
    assert list(store.pins()) == []
    store.close()
