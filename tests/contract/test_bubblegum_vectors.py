"""bubblegum/ held byte for byte to the official JavaScript client.

The vectors are committed; `tests/contract/vectors/generate.mjs` wrote them. Where Node and its packages are, the last
test writes them again and compares, so that they cannot be edited into agreement.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bubblegum import collections, hashing, instructions, pda, programs
from bubblegum.borsh import Reader
from bubblegum.instructions import BubblegumInstruction, LeafProof
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, LeafSchemaV1, LeafSchemaV2, application_data, decode_noop
from bubblegum.merkle import (
    VALID_DEPTH_BUFFER_PAIRS,
    ConcurrentMerkleTree,
    MerkleTree,
    TreeConfig,
    tree_account_size,
    verify_proof,
)
from bubblegum.types import (
    AssetDataSchema,
    Collection,
    Creator,
    MetadataArgs,
    MetadataArgsV2,
    TokenProgramVersion,
    TokenStandard,
    UseMethod,
    Uses,
)

Json = dict[str, Any]

VECTORS = Path(__file__).parent / "vectors"
NODE_MODULES = Path(__file__).parent.parent / "js" / "node_modules"
FILES = ("metadata.json", "leaves.json", "addresses.json", "trees.json", "instructions.json")


def _load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


METADATA, LEAVES, ADDRESSES, TREES, INSTRUCTIONS = (_load(name) for name in FILES)


def _named(cases: list[Json]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def _key(text: str) -> Pubkey:
    return Pubkey.from_string(text)


def _creators(values: list[Json]) -> tuple[Creator, ...]:
    return tuple(Creator(_key(each["address"]), each["verified"], each["share"]) for each in values)


def _metadata_v1(value: Json) -> MetadataArgs:
    standard, collection, uses = value["tokenStandard"], value["collection"], value["uses"]
    return MetadataArgs(
        name=value["name"],
        symbol=value["symbol"],
        uri=value["uri"],
        seller_fee_basis_points=value["sellerFeeBasisPoints"],
        primary_sale_happened=value["primarySaleHappened"],
        is_mutable=value["isMutable"],
        edition_nonce=value["editionNonce"],
        token_standard=None if standard is None else TokenStandard(standard),
        collection=collection and Collection(collection["verified"], _key(collection["key"])),
        uses=uses and Uses(UseMethod(uses["useMethod"]), int(uses["remaining"]), int(uses["total"])),
        token_program_version=TokenProgramVersion(value["tokenProgramVersion"]),
        creators=_creators(value["creators"]),
    )


def _metadata_v2(value: Json) -> MetadataArgsV2:
    standard, collection = value["tokenStandard"], value["collection"]
    return MetadataArgsV2(
        name=value["name"],
        symbol=value["symbol"],
        uri=value["uri"],
        seller_fee_basis_points=value["sellerFeeBasisPoints"],
        primary_sale_happened=value["primarySaleHappened"],
        is_mutable=value["isMutable"],
        token_standard=None if standard is None else TokenStandard(standard),
        creators=_creators(value["creators"]),
        collection=collection and _key(collection),
    )


@pytest.mark.parametrize("case", _named(METADATA["v1"]))
def test_metadata_v1(case: Json) -> None:
    metadata = _metadata_v1(case["input"])
    assert metadata.to_bytes().hex() == case["bytes"]
    assert hashing.data_hash(metadata).hex() == case["dataHash"]
    assert hashing.creator_hash(metadata.creators).hex() == case["creatorHash"]
    assert MetadataArgs.read(Reader(bytes.fromhex(case["bytes"]))) == metadata


@pytest.mark.parametrize("case", _named(METADATA["v2"]))
def test_metadata_v2(case: Json) -> None:
    metadata = _metadata_v2(case["input"])
    assert metadata.to_bytes().hex() == case["bytes"]
    assert hashing.data_hash(metadata).hex() == case["dataHash"]
    assert hashing.creator_hash(metadata.creators).hex() == case["creatorHash"]
    assert MetadataArgsV2.read(Reader(bytes.fromhex(case["bytes"]))) == metadata


def _check_leaf(case: Json, schema: LeafSchemaV1 | LeafSchemaV2) -> None:
    assert str(schema.id) == case["assetId"]
    assert schema.hash().hex() == case["hash"]
    event = decode_noop(bytes.fromhex(case["noopData"]))
    assert isinstance(event, LeafSchemaEvent)
    assert event == LeafSchemaEvent(schema, bytes.fromhex(case["hash"]))
    assert application_data(event.to_bytes()).hex() == case["noopData"]


def _common(value: Json) -> tuple[Pubkey, Pubkey, Pubkey, int]:
    owner, nonce = _key(value["owner"]), int(value["nonce"])
    return pda.asset_id(_key(value["merkleTree"]), nonce), owner, _key(value["delegate"] or value["owner"]), nonce


@pytest.mark.parametrize("case", _named(LEAVES["v1"]))
def test_leaf_v1(case: Json) -> None:
    value = case["input"]
    metadata = _metadata_v1(value["metadata"])
    hashes = hashing.data_hash(metadata), hashing.creator_hash(metadata.creators)
    _check_leaf(case, LeafSchemaV1(*_common(value), *hashes))


@pytest.mark.parametrize("case", _named(LEAVES["v2"]))
def test_leaf_v2(case: Json) -> None:
    value = case["input"]
    metadata = _metadata_v2(value["metadata"])
    asset_data = value["assetData"]
    schema = LeafSchemaV2(
        *_common(value),
        hashing.data_hash(metadata),
        hashing.creator_hash(metadata.creators),
        hashing.collection_hash(metadata.collection),
        hashing.asset_data_hash(None if asset_data is None else bytes.fromhex(asset_data)),
        value["flags"],
    )
    _check_leaf(case, schema)


def test_addresses() -> None:
    table = ADDRESSES
    assert [[t, str(pda.tree_config(_key(t)))] for t, _ in table["treeConfig"]] == table["treeConfig"]
    assert [[t, n, str(pda.asset_id(_key(t), int(n)))] for t, n, _ in table["assetId"]] == table["assetId"]
    assert [[m, str(pda.metadata(_key(m)))] for m, _ in table["metadata"]] == table["metadata"]
    assert [[m, str(pda.master_edition(_key(m)))] for m, _ in table["masterEdition"]] == table["masterEdition"]
    records = table["collectionAuthorityRecord"]
    assert [[m, a, str(pda.collection_authority_record(_key(m), _key(a)))] for m, a, _ in records] == records
    tokens = table["associatedToken"]
    assert [[o, m, str(pda.associated_token(_key(o), _key(m)))] for o, m, _ in tokens] == tokens
    assert str(pda.bubblegum_signer()) == table["bubblegumSigner"]
    assert str(pda.mpl_core_cpi_signer()) == table["mplCoreCpiSigner"] == str(programs.MPL_CORE_CPI_SIGNER)
    assert {name: str(getattr(programs, name)) for name in table["programs"]} == table["programs"]


def test_sizes_of_tree_accounts() -> None:
    assert [list(pair) for pair in VALID_DEPTH_BUFFER_PAIRS] == TREES["pairs"]
    for depth, buffer_size, canopy, size in TREES["sizes"]:
        assert tree_account_size(depth, buffer_size, canopy) == size


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{len(c['leaves'])} of {1 << c['depth']}") for c in TREES["proofs"]]
)
def test_roots_and_proofs(case: Json) -> None:
    tree = MerkleTree(case["depth"])
    leaves = [bytes.fromhex(leaf) for leaf in case["leaves"]]
    assert [tree.append(leaf) for leaf in leaves] == list(range(len(leaves)))
    assert tree.root.hex() == case["root"]
    for index, (leaf, proof) in enumerate(zip(leaves, case["proofs"], strict=True)):
        assert [node.hex() for node in tree.proof(index)] == proof
        assert verify_proof(tree.root, leaf, tree.proof(index), index)


@pytest.mark.parametrize("case", [pytest.param(c, id=f"canopy {c['canopyDepth']}") for c in TREES["accounts"]])
def test_tree_account(case: Json) -> None:
    header, tree, canopy = case["value"]["treeHeader"], case["value"]["tree"], case["value"]["canopy"]
    parsed = ConcurrentMerkleTree.parse(bytes.fromhex(case["data"]))
    assert (parsed.max_depth, parsed.max_buffer_size) == (header["maxDepth"], header["maxBufferSize"])
    assert str(parsed.authority) == header["authority"]
    assert parsed.creation_slot == int(header["creationSlot"])
    assert parsed.is_batch_initialized is header["isBatchInitialized"]
    counters = (parsed.sequence_number, parsed.active_index, parsed.buffer_size)
    assert counters == tuple(int(tree[name]) for name in ("sequenceNumber", "activeIndex", "bufferSize"))
    logs = [
        {"root": _b58(log.root), "pathNodes": [_b58(node) for node in log.path], "index": log.index}
        for log in parsed.change_logs
    ]
    assert logs == tree["changeLogs"]
    right = parsed.rightmost_proof
    assert {
        "proof": [_b58(node) for node in right.proof],
        "leaf": _b58(right.leaf),
        "index": right.index,
    } == tree["rightMostPath"]
    assert [_b58(node) for node in parsed.canopy] == canopy
    assert parsed.canopy_depth == case["canopyDepth"]
    assert _b58(parsed.root) == tree["changeLogs"][3]["root"]
    assert (parsed.capacity, parsed.num_leaves) == (8, 5)


def _b58(node: bytes) -> str:
    return str(Pubkey.from_bytes(node))


@pytest.mark.parametrize("case", [pytest.param(c, id=f"version {c['value']['version'] + 1}") for c in TREES["configs"]])
def test_tree_config(case: Json) -> None:
    value = case["value"]
    config = TreeConfig.parse(bytes.fromhex(case["data"]))
    assert config == TreeConfig(
        tree_creator=_key(value["treeCreator"]),
        tree_delegate=_key(value["treeDelegate"]),
        total_mint_capacity=int(value["totalMintCapacity"]),
        num_minted=int(value["numMinted"]),
        is_public=value["isPublic"],
        is_decompressible=value["isDecompressible"] == 0,
        version=value["version"] + 1,
    )
    assert config.to_bytes().hex().startswith(case["data"])
    assert TreeConfig.parse(config.to_bytes()) == config


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"depth {len(c['value']['path']) - 1}") for c in TREES["changeLogs"]]
)
def test_change_log(case: Json) -> None:
    value = case["value"]
    event = decode_noop(bytes.fromhex(case["noopData"]))
    assert isinstance(event, ChangeLogEvent)
    assert (str(event.tree), event.seq, event.index) == (value["id"], int(value["seq"]), value["index"])
    assert [{"node": node.node.hex(), "index": node.index} for node in event.path] == value["path"]
    assert event.leaf.hex() == value["path"][0]["node"]
    assert event.root.hex() == value["path"][-1]["node"]
    assert event.to_noop_data().hex() == case["noopData"]


def _leaf_proof(value: Json) -> LeafProof:
    asset_data_hash = value.get("asset_data_hash")
    return LeafProof(
        root=bytes.fromhex(value["root"]),
        data_hash=bytes.fromhex(value["data_hash"]),
        creator_hash=bytes.fromhex(value["creator_hash"]),
        nonce=int(value["nonce"]),
        index=value["index"],
        proof=[_key(node) for node in value["proof"]],
        asset_data_hash=asset_data_hash and bytes.fromhex(asset_data_hash),
        flags=value.get("flags"),
    )


_PLAIN = ("lamports", "max_depth", "max_buffer_size", "canopy_depth", "public", "owner_signs", "amount")
_PLAIN_TEXT = ("name", "symbol", "uri", "seller_fee_basis_points")


def _argument(call: str, name: str, value: Any) -> Any:
    """The Python value of one argument of a vector."""
    readers: dict[str, Callable[[Any], Any]] = {
        "metadata": _metadata_v2 if call == "mint_v2" else _metadata_v1,
        "leaf": _leaf_proof,
        "creators": _creators,
        "asset_data": bytes.fromhex,
        "asset_data_schema": AssetDataSchema,
    }
    if value is None or name in _PLAIN + _PLAIN_TEXT:
        return value
    return readers.get(name, _key)(value)


@pytest.mark.parametrize("case", _named(INSTRUCTIONS["vectors"]))
def test_instruction(case: Json) -> None:
    call = cast(
        "Callable[..., Instruction]", getattr(instructions, case["call"], None) or getattr(collections, case["call"])
    )
    built = call(**{name: _argument(case["call"], name, value) for name, value in case["args"].items()})
    assert str(built.program_id) == case["program"]
    assert bytes(built.data).hex() == case["data"]
    assert [[str(a.pubkey), a.is_signer, a.is_writable] for a in built.accounts] == case["accounts"]


def test_every_discriminator() -> None:
    # The client calls the two tree instructions by the account that they make.
    renamed = {"createTree": "createTreeConfig", "createTreeV2": "createTreeConfigV2"}
    ours: dict[str, str] = {}
    for kind in BubblegumInstruction:
        head, *rest = kind.value.split("_")
        name = head + "".join(word.capitalize() for word in rest)
        ours[renamed.get(name, name)] = kind.discriminator.hex()
    assert ours == INSTRUCTIONS["discriminators"]


def test_there_are_enough_vectors() -> None:
    names = [case["name"] for case in INSTRUCTIONS["vectors"]]
    assert len(names) == len(set(names)) >= 40
    for count in range(6):
        for table in (METADATA["v1"], METADATA["v2"]):
            assert any(len(case["input"]["creators"]) == count for case in table)


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.skipif(not NODE_MODULES.is_dir(), reason="npm packages are not installed: cd tests/js && npm ci")
def test_the_official_client_still_writes_these_vectors(tmp_path: Path) -> None:
    subprocess.run(["node", str(VECTORS / "generate.mjs"), str(tmp_path)], check=True, timeout=240)
    for name in FILES:
        assert (tmp_path / name).read_text() == (VECTORS / name).read_text(), f"{name} differs"
