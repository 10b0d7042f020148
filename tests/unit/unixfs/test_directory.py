"""Directories: what is refused, and paths through them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.trees import Blocks, import_tree
from unixfs import (
    V0,
    V1,
    Cid,
    Codec,
    DirectoryTooLarge,
    Entry,
    NotFoundInDirectory,
    PathRefused,
    import_bytes,
    import_directory,
    resolve,
)
from unixfs.dagpb import DagError, decode_directory, encode_directory

FILE = import_bytes(b"file")
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)


def entry(name: str) -> Entry:
    return Entry(name, FILE.cid, FILE.dag_size)


def test_the_empty_directory_has_its_published_cid() -> None:
    assert str(import_directory([], V0).cid) == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    assert str(import_directory([]).cid) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "x" * 256, "é" * 128, "\ud800"])
def test_names_that_no_path_can_ask_for_are_refused(name: str) -> None:
    with pytest.raises(PathRefused):
        import_directory([entry(name)])


def test_a_name_is_there_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        import_directory([entry("a"), entry("a")])


def test_a_directory_that_others_would_shard_is_refused_with_its_size() -> None:
    with pytest.raises(DirectoryTooLarge, match="at most 262144 fit unsharded"):
        import_directory(entry(f"{number}.json") for number in range(5_000))


@given(st.sets(NAMES, max_size=20), st.randoms())
def test_the_order_of_giving_changes_nothing_and_every_name_is_found(names: set[str], random: object) -> None:
    blocks = Blocks()
    root = import_directory([entry(name) for name in names], V1, blocks.keep)
    assert import_directory([entry(name) for name in sorted(names, reverse=True)]).cid == root.cid
    for name in names:
        assert resolve(root.cid, name, blocks.__getitem__) == FILE.cid
    found = resolve(root.cid, "", blocks.__getitem__)
    assert isinstance(found, tuple)
    assert [each.name.encode() for each in found] == sorted(name.encode() for name in names)


@pytest.mark.parametrize(
    "path", ["..", "a/..", "a/../../etc/passwd", "./a", "a//d", "/a", "a/", "\0", "/".join("a" * 33)]
)
def test_a_path_that_climbs_is_refused_before_anything_is_read(path: str) -> None:
    def nothing(cid: Cid) -> bytes:
        raise AssertionError(f"{cid} was read")

    with pytest.raises(PathRefused):
        resolve(FILE.cid, path, nothing)


def test_paths_lead_to_files_and_directories() -> None:
    blocks = Blocks()
    root = import_tree({"a/d.json": b"file", "b": b"x"}, V1, blocks.keep)
    assert resolve(root.cid, "a/d.json", blocks.__getitem__) == FILE.cid
    assert resolve(FILE.cid, "", blocks.__getitem__) == FILE.cid
    for missing in ("c", "a/b", "b/c", "a/d.json/e"):
        with pytest.raises(NotFoundInDirectory):
            resolve(root.cid, missing, blocks.__getitem__)


@given(st.binary(max_size=200))
def test_hostile_blocks_end_in_one_error(block: bytes) -> None:
    cid = Cid.of_block(block, Codec.DAG_PB)
    with contextlib.suppress(DagError, NotFoundInDirectory):
        resolve(cid, "a", lambda _: block)


def test_a_sharded_directory_is_named() -> None:
    with pytest.raises(DagError, match="sharded"):
        decode_directory(bytes.fromhex("0a02" + "0805"))


def test_a_name_that_is_given_twice_names_nothing() -> None:
    """Readers differ in which of the two they take, so it proves neither."""
    cids = [import_bytes(data, V1).cid for data in (b"one", b"other")]
    with pytest.raises(DagError, match="a name twice"):
        decode_directory(encode_directory([Entry("name", cid, 5) for cid in cids]))


def test_a_file_is_no_directory() -> None:
    blocks = Blocks()
    root = import_bytes(b"y" * 300_000, V0, blocks.keep)
    assert decode_directory(blocks[root.cid]) is None
    assert decode_directory(encode_directory([])) == ()
