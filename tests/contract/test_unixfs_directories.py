"""Directories get the CIDs that the JavaScript UnixFS importer gives them; what one writes the other reads back."""

import hashlib
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.support.car import read_car, write_car
from tests.support.trees import Blocks, import_tree, shake
from unixfs import V0, V1, Cid, Entry, FileReader, ImportProfile, graph_cids, resolve

VECTORS = Path(__file__).parent / "vectors" / "unixfs_directories.json"
JS = Path(__file__).parents[1] / "js"
PROFILES = {"v1": V1, "v0": V0}
TREE = {
    "0.json": b'{"name":"Zero"}',
    "deep/er/picture.png": shake("picture", 700_000),
    "deep/empty": b"",
    "Ж й.json": "žluťoučký".encode(),
}

needs_packages = pytest.mark.skipif(
    not (JS / "node_modules" / "ipfs-unixfs-exporter").exists(),
    reason="the npm packages of tests/js are not installed (make test installs them)",
)


class File(msgspec.Struct, frozen=True):
    path: str
    size: int


class Case(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    profile: str
    files: list[File]
    cid: str
    dag_size: int


class Vectors(msgspec.Struct, frozen=True):
    generator: str
    cases: list[Case]


CASES = msgspec.json.decode(VECTORS.read_bytes(), type=Vectors).cases


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.profile}")
def test_a_directory_equals_the_javascript_importers(case: Case) -> None:
    files = {file.path: shake(file.path, file.size) for file in reversed(case.files)}
    blocks = Blocks()
    root = import_tree(files, PROFILES[case.profile], blocks.keep)
    assert str(root.cid) == case.cid
    assert root.dag_size == case.dag_size
    assert set(graph_cids(root.cid, blocks.__getitem__)) == set(blocks)


def read_all(cid: Cid, blocks: Blocks, prefix: str = "") -> dict[str, bytes]:
    """Return every file under a directory by its path, read through the public functions."""
    found = resolve(cid, "", blocks.__getitem__)
    assert isinstance(found, tuple)
    files: dict[str, bytes] = {}
    for entry in found:
        assert isinstance(entry, Entry)
        inside = resolve(cid, entry.name, blocks.__getitem__)
        if isinstance(inside, Cid):
            files[prefix + entry.name] = b"".join(FileReader(inside, blocks.__getitem__).read())
        else:
            files |= read_all(entry.cid, blocks, f"{prefix}{entry.name}/")
    return files


@pytest.mark.node
@needs_packages
@pytest.mark.parametrize("profile", [V1, V0], ids=["v1", "v0"])
def test_javascript_reads_what_is_written_here(profile: ImportProfile, tmp_path: Path) -> None:
    blocks = Blocks()
    root = import_tree(TREE, profile, blocks.keep)
    car = tmp_path / "tree.car"
    car.write_bytes(write_car(root.cid, blocks))
    done = subprocess.run(
        ["node", "unixfs_interchange.mjs", "read", str(car)], cwd=JS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {path: hashlib.sha256(data).hexdigest() for path, data in TREE.items()}


@pytest.mark.node
@needs_packages
@pytest.mark.parametrize("profile", ["v1", "v0"])
def test_what_javascript_writes_is_read_here(profile: str, tmp_path: Path) -> None:
    source, car = tmp_path / "tree", tmp_path / "tree.car"
    for path, data in TREE.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    command = ["node", "unixfs_interchange.mjs", "write", str(car), profile, str(source), *TREE]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    root, found = read_car(car.read_bytes())
    assert root == import_tree(TREE, PROFILES[profile]).cid
    assert read_all(root, Blocks(found)) == TREE
