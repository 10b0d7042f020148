"""What an asset looks like through DAS: minted, moved, burnt, V1 and V2, in a collection and out of one."""

from dataclasses import replace

import pytest
from solders.pubkey import Pubkey

from bubblegum import collections, hashing, pda
from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import LeafSchemaV2
from bubblegum.programs import TOKEN_METADATA
from bubblegum.types import INHERIT_BASIS_POINTS, Creator, UseMethod, Uses
from localnet.das import DasIndex
from tests.support.das import DasChain, refusal
from tests.support.leaves import PAYER, executed, key, metadata_v1, metadata_v2

TREE, OWNER, BUYER, COLLECTION = key(2), key(3), key(6), key(4)


def test_a_v1_asset() -> None:
    chain = DasChain()
    tree = chain.tree(TREE)
    creators = (Creator(key(8), True, 60), Creator(key(9), False, 40))
    metadata = replace(metadata_v1("Booth #1", COLLECTION), creators=creators, edition_nonce=7)
    chain.run(tree.mint(OWNER, metadata, COLLECTION))
    leaf = tree.leaves[0]
    assert chain.asset(leaf.id) == {
        "interface": "V1_NFT",
        "id": str(pda.asset_id(TREE, 0)),
        "content": {
            "$schema": "https://schema.metaplex.com/nft1.0.json",
            "json_uri": metadata.uri,
            "files": [],
            "metadata": {"name": "Booth #1", "symbol": "BTH", "token_standard": "NonFungible"},
            "links": {},
        },
        "authorities": [{"address": str(pda.tree_config(TREE)), "scopes": ["full"]}],
        "compression": {
            "eligible": False,
            "compressed": True,
            "data_hash": str(Pubkey.from_bytes(leaf.data_hash)),
            "creator_hash": str(Pubkey.from_bytes(hashing.creator_hash(creators))),
            "asset_hash": str(Pubkey.from_bytes(leaf.hash())),
            "tree": str(TREE),
            "seq": 1,
            "leaf_id": 0,
        },
        "grouping": [{"group_key": "collection", "group_value": str(COLLECTION)}],
        "royalty": {
            "royalty_model": "creators",
            "target": None,
            "percent": 0.05,
            "basis_points": 500,
            "primary_sale_happened": False,
            "locked": False,
        },
        "creators": [
            {"address": str(key(8)), "share": 60, "verified": True},
            {"address": str(key(9)), "share": 40, "verified": False},
        ],
        "ownership": {
            "frozen": False,
            "delegated": False,
            "delegate": None,
            "ownership_model": "single",
            "owner": str(OWNER),
        },
        "supply": {"print_max_supply": 0, "print_current_supply": 0, "edition_nonce": 7},
        "mutable": True,
        "burnt": False,
    }
    chain.check_proof(tree, 0)


def test_a_v2_asset() -> None:
    chain = DasChain()
    tree = chain.tree(TREE, version=2)
    chain.run(tree.mint(OWNER, metadata_v2("Booth #1", COLLECTION), COLLECTION))
    leaf = tree.leaves[0]
    assert isinstance(leaf, LeafSchemaV2)
    shown = chain.asset(leaf.id)
    assert shown["interface"] == "MplBubblegumV2"
    assert shown["compression"]["collection_hash"] == str(Pubkey.from_bytes(hashing.collection_hash(COLLECTION)))
    assert shown["compression"]["asset_data_hash"] == str(Pubkey.from_bytes(leaf.asset_data_hash))
    assert shown["compression"]["flags"] == 0
    assert shown["ownership"]["non_transferable"] is False
    assert shown["grouping"] == [{"group_key": "collection", "group_value": str(COLLECTION)}]
    chain.check_proof(tree, 0)


@pytest.mark.parametrize(("flags", "frozen", "soulbound"), [(1, True, False), (2, True, False), (4, False, True)])
def test_a_frozen_or_soulbound_asset(flags: int, frozen: bool, soulbound: bool) -> None:
    chain = DasChain()
    tree = chain.tree(TREE, version=2)
    chain.run(tree.mint(OWNER, metadata_v2()))
    leaf = tree.leaves[0]
    assert isinstance(leaf, LeafSchemaV2)
    chain.run(tree.other(BubblegumInstruction.FREEZE_V2, *tree.rewrite(0, replace(leaf, flags=flags, delegate=BUYER))))
    ownership = chain.asset(leaf.id)["ownership"]
    assert (ownership["frozen"], ownership["non_transferable"]) == (frozen, soulbound)
    assert (ownership["delegated"], ownership["delegate"]) == (True, str(BUYER))
    chain.check_proof(tree, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_transferred_and_a_burnt_asset(version: int) -> None:
    chain = DasChain()
    tree = chain.tree(TREE, version)
    metadata = metadata_v1() if version == 1 else metadata_v2()
    chain.run(tree.mint(OWNER, metadata), tree.mint(OWNER, metadata))
    asset_id = tree.leaves[0].id
    chain.run(tree.transfer(0, BUYER))
    shown = chain.asset(asset_id)
    assert (shown["ownership"]["owner"], shown["compression"]["seq"]) == (str(BUYER), 3)
    chain.check_proof(tree, 0)
    chain.run(tree.burn(0))
    shown = chain.asset(asset_id)
    assert (shown["burnt"], shown["compression"]["asset_hash"], shown["compression"]["seq"]) == (True, "", 4)
    assert shown["ownership"]["owner"] == str(BUYER)
    error = refusal(chain.index, "getAssetProof", {"id": str(asset_id)})
    assert (error.code, error.message) == (-32000, "Asset Proof Not Found")
    chain.check_proof(tree, 1)


def test_a_claimed_collection_is_shown_only_if_asked_for() -> None:
    chain = DasChain()
    tree = chain.tree(TREE)
    chain.run(tree.mint(OWNER, metadata_v1("claims", COLLECTION)))
    asset_id = tree.leaves[0].id
    assert chain.asset(asset_id)["grouping"] == []
    claimed = {"group_key": "collection", "group_value": str(COLLECTION), "verified": False}
    assert chain.asset(asset_id, showUnverifiedCollections=True)["grouping"] == [claimed]
    assert chain.ids("getAssetsByGroup", groupKey="collection", groupValue=COLLECTION) == []
    options = {"showUnverifiedCollections": True}
    listed = chain.ids("getAssetsByGroup", groupKey="collection", groupValue=COLLECTION, options=options)
    assert listed == [str(asset_id)]


def test_an_inherited_royalty_and_uses() -> None:
    chain = DasChain()
    first, second = chain.tree(TREE, version=2), chain.tree(key(12))
    inherits = replace(metadata_v2("a", COLLECTION), seller_fee_basis_points=INHERIT_BASIS_POINTS)
    chain.run(first.mint(OWNER, inherits, COLLECTION))
    royalty = chain.asset(first.leaves[0].id)["royalty"]
    assert (royalty["basis_points"], royalty["basis_points_raw"], royalty["sfbp_inherited"]) == (0, 65535, True)
    chain.run(second.mint(OWNER, replace(metadata_v1(), uses=Uses(UseMethod.SINGLE, 1, 1))))
    assert chain.asset(second.leaves[0].id)["uses"] == {"use_method": "Single", "remaining": 1, "total": 1}


def test_a_core_collection() -> None:
    chain = DasChain()
    created = collections.create_core_collection(
        payer=PAYER, collection=COLLECTION, name="Café", uri="https://example.com/c.json"
    )
    chain.run(executed(created))
    tree = chain.tree(TREE, version=2)
    chain.run(*(tree.mint(OWNER, metadata_v2("x", COLLECTION), COLLECTION) for _ in range(3)))
    chain.run(tree.burn(1))
    shown = chain.asset(COLLECTION)
    assert (shown["interface"], shown["content"]["metadata"]["name"]) == ("MplCoreCollection", "Café")
    assert shown["ownership"]["owner"] == str(PAYER)
    assert shown["mpl_core_info"] == {"num_minted": 3, "current_size": 2, "plugins_json_version": 1}
    grouping = chain.asset(tree.leaves[0].id, showCollectionMetadata=True)["grouping"]
    assert grouping[0]["collection_metadata"] == {"name": "Café", "symbol": ""}
    assert refusal(chain.index, "getAssetProof", [str(COLLECTION)]).code == -32000


def test_a_token_metadata_collection() -> None:
    chain = DasChain()
    created = collections.create_token_metadata_collection(
        payer=PAYER,
        mint=COLLECTION,
        authority=OWNER,
        mint_lamports=1,
        name="Coll",
        symbol="C",
        uri="https://example.com/c.json",
        seller_fee_basis_points=250,
        creators=[Creator(OWNER, True, 100)],
    )
    chain.run(*(executed(instruction) for instruction in created))
    shown = chain.asset(COLLECTION)
    assert (shown["interface"], shown["compression"]["compressed"]) == ("V1_NFT", False)
    assert (shown["royalty"]["basis_points"], shown["ownership"]["owner"]) == (250, str(OWNER))
    chain.index.rewind(0)
    assert refusal(chain.index, "getAsset", [str(COLLECTION)]).message == "Asset Not Found"


def test_what_is_no_collection_is_left_alone() -> None:
    chain = DasChain()
    good = collections.create_metadata_account_v3(
        payer=PAYER, mint=COLLECTION, authority=OWNER, name="x", symbol="", uri="", seller_fee_basis_points=0
    )
    whole = executed(good)
    plain_nft = replace(whole, data=whole.data[:-10] + b"\0")
    chain.run(plain_nft, replace(whole, data=whole.data[:5]), replace(whole, accounts=()), replace(whole, data=b""))
    chain.run(replace(whole, program_id=key(99)))
    assert refusal(chain.index, "getAsset", [str(COLLECTION)]).code == -32000
    assert whole.program_id == TOKEN_METADATA


def test_off_chain_metadata_is_asked_for_once_and_only_when_shown() -> None:
    asked: list[str] = []

    def fetch(uri: str) -> dict[str, object] | None:
        asked.append(uri)
        if uri.endswith("missing.json"):
            return None
        return {"name": "A lie", "description": "d", "image": "ipfs://i", "attributes": [{"trait_type": "a"}], "x": 1}

    chain = DasChain(DasIndex(fetch))
    tree = chain.tree(TREE)
    chain.run(tree.mint(OWNER, metadata_v1("true")), tree.mint(OWNER, metadata_v1("missing")))
    assert asked == []
    for _ in range(2):
        content = chain.asset(tree.leaves[0].id)["content"]
        assert content["metadata"]["name"] == "true"
        assert content["metadata"]["description"] == "d"
        assert content["metadata"]["attributes"] == [{"trait_type": "a"}]
        assert "x" not in content["metadata"]
        assert (content["files"], content["links"]) == ([{"uri": "ipfs://i"}], {"image": "ipfs://i"})
    assert asked == ["https://example.com/true.json"]
    for _ in range(2):
        assert chain.asset(tree.leaves[1].id)["content"]["links"] == {}
    assert asked[1:] == ["https://example.com/missing.json"] * 2
