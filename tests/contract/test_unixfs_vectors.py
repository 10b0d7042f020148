"""Files get the CIDs and the blocks that the JavaScript UnixFS importer gives them (`vectors/unixfs.json`)."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from unixfs import Cid, ImportProfile, import_bytes

VECTORS = Path(__file__).parent / "vectors" / "unixfs.json"


class Case(msgspec.Struct, frozen=True, rename="camel"):
    profile: str
    cid_version: int
    raw_leaves: bool
    chunk_size: int
    width: int
    size: int
    seed: str
    cid: str
    dag_size: int
    blocks: int
    blocks_sha256: str = msgspec.field(name="blocksSha256")


class Vectors(msgspec.Struct, frozen=True):
    generator: str
    cases: list[Case]


CASES = msgspec.json.decode(VECTORS.read_bytes(), type=Vectors).cases


def case_id(case: Case) -> str:
    return f"{case.profile}-{case.chunk_size}x{case.width}-{case.size}"


def test_the_vectors_cover_every_profile_and_depth() -> None:
    assert len(CASES) >= 80
    assert {case.profile for case in CASES} == {"v1", "v0", "v1-dag-leaves", "v0-raw-leaves"}
    assert any(case.size > case.chunk_size * case.width**5 for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_import_equals_the_javascript_importer(case: Case) -> None:
    blocks: set[str] = set()
    profile = ImportProfile(case.cid_version, case.raw_leaves, case.chunk_size, case.width)

    def sink(cid: Cid, block: bytes) -> None:
        assert cid.verifies(block)
        blocks.add(f"{cid} {len(block)}")

    data = hashlib.shake_256(case.seed.encode()).digest(case.size)
    root = import_bytes(data, profile, sink)
    assert str(root.cid) == case.cid
    assert root.size == case.size
    assert root.dag_size == case.dag_size
    assert len(blocks) == case.blocks
    assert hashlib.sha256("\n".join(sorted(blocks)).encode()).hexdigest() == case.blocks_sha256


KNOWN = [
    # Kubo's documentation: `echo hello world | ipfs add`, and the empty file in three forms.
    (b"hello world\n", ImportProfile(0, False), "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"),
    (b"", ImportProfile(0, False), "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    (b"", ImportProfile(1, True), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
]


@pytest.mark.parametrize(("data", "profile", "cid"), KNOWN)
def test_published_cids(data: bytes, profile: ImportProfile, cid: str) -> None:
    assert str(import_bytes(data, profile).cid) == cid
