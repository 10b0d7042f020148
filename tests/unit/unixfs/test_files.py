"""Files go to blocks and come back, whole and in ranges; crafted blocks end in an error."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unixfs import V0, V1, Cid, Codec, FileReader, Importer, ImportProfile, import_bytes, import_stream
from unixfs.cid import SHA2_256
from unixfs.dagpb import DagError, Link, decode_file_node, encode_leaf, encode_parent

profiles = st.builds(
    ImportProfile,
    cid_version=st.sampled_from([0, 1]),
    raw_leaves=st.booleans(),
    chunk_size=st.integers(1, 7),
    width=st.integers(2, 4),
)


class Blocks:
    """A block store in memory."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = {}
        self.order: list[Cid] = []

    def put(self, cid: Cid, block: bytes) -> None:
        self.blocks[cid] = block
        self.order.append(cid)

    def get(self, cid: Cid) -> bytes:
        return self.blocks[cid]


@given(st.binary(max_size=200), profiles, st.data())
def test_pieces_of_any_length_give_the_same_root(data: bytes, profile: ImportProfile, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert import_stream(pieces, profile) == import_bytes(data, profile)


@given(st.binary(max_size=200), profiles, st.data())
def test_every_range_reads_back(data: bytes, profile: ImportProfile, draw: st.DataObject) -> None:
    store = Blocks()
    root = import_bytes(data, profile, store.put)
    reader = FileReader(root.cid, store.get)
    assert reader.size == root.size == len(data)
    assert b"".join(reader.read()) == data
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data) + 5))
    assert b"".join(reader.read(start, end)) == data[start:end]


@given(st.binary(max_size=200), profiles)
def test_blocks_arrive_children_first_and_the_graph_names_them_all(data: bytes, profile: ImportProfile) -> None:
    store = Blocks()
    root = import_bytes(data, profile, store.put)
    assert store.order[-1] == root.cid
    assert set(FileReader(root.cid, store.get).cids(root.cid)) == set(store.blocks)
    assert sum(len(store.blocks[cid]) for cid in store.order) == root.dag_size
    seen: set[Cid] = set()
    for cid in store.order:
        if cid.codec == Codec.DAG_PB:
            assert {link.cid for link in decode_file_node(store.get(cid)).links} <= seen
        seen.add(cid)


def test_a_graph_of_few_blocks_and_more_ways_than_can_be_walked() -> None:
    store = Blocks()
    child, size = import_bytes(b"x", V0, store.put).cid, 0
    for _ in range(12):
        block = encode_parent([Link(child, 1)] * 100, [size] * 100)
        child = Cid.of_block(block, Codec.DAG_PB, 0)
        store.put(child, block)
    reader = FileReader(child, store.get)
    assert sorted(map(str, reader.cids(child))) == sorted(map(str, store.blocks))


def test_a_range_reads_only_the_blocks_it_needs() -> None:
    store = Blocks()
    root = import_bytes(bytes(range(60)), ImportProfile(1, True, chunk_size=10, width=3), store.put)
    read: list[Cid] = []

    def get(cid: Cid) -> bytes:
        read.append(cid)
        return store.get(cid)

    reader = FileReader(root.cid, get)
    assert b"".join(reader.read(31, 34)) == bytes(range(31, 34))
    assert [cid.codec for cid in read] == [Codec.DAG_PB, Codec.DAG_PB, Codec.RAW]


def test_default_profiles_name_the_same_small_file_differently() -> None:
    data = b"one chunk"
    assert import_bytes(data, V1).cid == Cid.of_block(data, Codec.RAW)
    assert str(import_bytes(data, V0).cid).startswith("Qm")


def test_an_importer_is_used_once() -> None:
    importer = Importer()
    importer.finish()
    with pytest.raises(RuntimeError):
        importer.update(b"more")
    with pytest.raises(RuntimeError):
        importer.finish()


@pytest.mark.parametrize("bad", [(2, 1, 2), (1, 0, 2), (1, 1, 1)])
def test_impossible_profiles_are_refused(bad: tuple[int, int, int]) -> None:
    version, chunk_size, width = bad
    with pytest.raises(ValueError, match=r"cid_version|chunk_size"):
        ImportProfile(version, True, chunk_size, width)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_node_or_a_dag_error(block: bytes) -> None:
    try:
        node = decode_file_node(block)
    except DagError:
        return
    assert node.size == len(node.data) + sum(node.block_sizes)


LEAF = Cid.of_block(b"leaf", Codec.RAW)


@pytest.mark.parametrize(
    "craft",
    [
        lambda: b"",
        lambda: encode_leaf(b"data")[:-1],
        lambda: encode_leaf(b"data") + b"\x0a\x00",  # a second data field
        lambda: b"\x0a\x04\x08\x01\x18\x00",  # a directory
        lambda: b"\x0a\x06\x08\x02\x12\x01x\x18\x09"[:-1] + b"\x09",  # states 9 bytes, has 1
        lambda: encode_parent([Link(LEAF, 4)], []),
        lambda: b"\x12\x02\x12\x00" + encode_leaf(b""),  # a link without a hash
    ],
)
def test_crafted_nodes_are_refused(craft: Callable[[], bytes]) -> None:
    with pytest.raises(DagError):
        decode_file_node(craft())


def test_a_child_of_another_size_than_stated_is_refused() -> None:
    parent = encode_parent([Link(LEAF, 4)], [400])
    cid = Cid.of_block(parent, Codec.DAG_PB)
    reader = FileReader(cid, {cid: parent, LEAF: b"leaf"}.__getitem__)
    with pytest.raises(DagError, match="size"):
        list(reader.read())


def test_a_graph_deeper_than_any_file_is_refused() -> None:
    blocks = {LEAF: b"leaf"}
    child, tsize = LEAF, 4
    for _ in range(20):
        block = encode_parent([Link(child, tsize)], [4])
        child, tsize = Cid.of_block(block, Codec.DAG_PB), tsize + len(block)
        blocks[child] = block
    reader = FileReader(child, blocks.__getitem__)
    with pytest.raises(DagError, match="deep"):
        list(reader.read())
    with pytest.raises(DagError, match="deep"):
        list(reader.cids(child))


def test_a_foreign_codec_is_no_file() -> None:
    with pytest.raises(DagError, match="codec"):
        FileReader(Cid(1, 0x0129, SHA2_256, bytes(32)), lambda _: b"{}")


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (9, None)])
def test_ranges_outside_the_file_are_refused(start: int, end: int | None) -> None:
    store = Blocks()
    reader = FileReader(import_bytes(b"12345678", V1, store.put).cid, store.get)
    with pytest.raises(ValueError, match="range"):
        reader.read(start, end)
