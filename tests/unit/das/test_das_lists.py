"""Lists through DAS: who is in them, how they are cut into pages, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from bubblegum.types import Creator
from tests.support.das import DasChain, refusal
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2

TREE, OWNER, BUYER, COLLECTION = key(2), key(3), key(6), key(4)
CREATED = {"sortBy": "created", "sortDirection": "asc"}
BY_ID = {"sortBy": "id", "sortDirection": "asc"}


def _chain(count: int = 7) -> tuple[DasChain, ModelTree, list[str]]:
    """A chain with `count` assets of OWNER in COLLECTION, and their ids in the order of minting."""
    chain = DasChain()
    tree = chain.tree(TREE)
    for number in range(count):
        chain.run(tree.mint(OWNER, metadata_v1(f"Booth {number}", COLLECTION), COLLECTION))
    return chain, tree, [str(tree.leaves[number].id) for number in range(count)]


def test_pages_cover_everything_once() -> None:
    chain, _, ids = _chain()
    group = {"groupKey": "collection", "groupValue": COLLECTION, "sortBy": CREATED, "limit": 3}
    pages = [chain.listing("getAssetsByGroup", **group, page=page) for page in (1, 2, 3, 4)]
    assert [page["total"] for page in pages] == [3, 3, 1, 0]
    assert [(page["page"], page["limit"]) for page in pages] == [(1, 3), (2, 3), (3, 3), (4, 3)]
    assert [item["id"] for page in pages for item in page["items"]] == ids


def test_cursors_cover_everything_once_in_both_directions() -> None:
    chain, _, ids = _chain()
    for direction in ("asc", "desc"):
        wanted = chain.ids("getAssetsByOwner", ownerAddress=OWNER, sortBy={"sortBy": "id", "sortDirection": direction})
        assert sorted(wanted) == sorted(ids)
        seen: list[str] = []
        cursor: str | None = None
        while True:
            by = {"sortBy": {"sortBy": "id", "sortDirection": direction}, "limit": 2, "cursor": cursor}
            answer = chain.listing("getAssetsByOwner", ownerAddress=OWNER, **by)
            if not answer["items"]:
                break
            seen += [item["id"] for item in answer["items"]]
            cursor = answer["cursor"]
        assert seen == wanted


def test_before_and_after() -> None:
    chain, _, _ = _chain()
    ids = chain.ids("getAssetsByOwner", ownerAddress=OWNER, sortBy=BY_ID)
    between = chain.ids("getAssetsByOwner", ownerAddress=OWNER, sortBy=BY_ID, after=ids[1], before=ids[5])
    assert between == ids[2:5]
    last_two_before = chain.ids("getAssetsByOwner", ownerAddress=OWNER, sortBy=BY_ID, before=ids[5], limit=2)
    assert last_two_before == ids[3:5]


def test_orders() -> None:
    chain, tree, ids = _chain(3)
    chain.run(tree.transfer(0, OWNER))
    ask: dict[str, Any] = {"groupKey": "collection", "groupValue": COLLECTION}
    assert chain.ids("getAssetsByGroup", **ask, sortBy=CREATED) == ids
    assert chain.ids("getAssetsByGroup", **ask, sortBy={"sortBy": "created"}) == ids[::-1]
    for name in ("updated", "recent_action"):
        by = {"sortBy": name, "sortDirection": "asc"}
        assert chain.ids("getAssetsByGroup", **ask, sortBy=by) == [ids[1], ids[2], ids[0]]
    assert set(chain.ids("getAssetsByGroup", **ask, sortBy={"sortBy": "none"})) == set(ids)


def test_what_is_burnt_or_sold_leaves_the_lists() -> None:
    chain, tree, ids = _chain(3)
    chain.run(tree.transfer(0, BUYER))
    chain.run(tree.burn(1))
    assert chain.ids("getAssetsByOwner", ownerAddress=OWNER) == [ids[2]]
    assert chain.ids("getAssetsByOwner", ownerAddress=BUYER) == [ids[0]]
    in_group = chain.ids("getAssetsByGroup", groupKey="collection", groupValue=COLLECTION)
    assert set(in_group) == {ids[0], ids[2]}
    assert chain.ids("getAssetsByOwner", ownerAddress=key(77)) == []


def test_many_at_once() -> None:
    chain, tree, ids = _chain(2)
    missing = str(key(99))
    shown: Any = chain.index.handle("getAssets", {"ids": [ids[1], missing, ids[0]]})
    assert [each and each["id"] for each in shown] == [ids[1], None, ids[0]]
    proofs: Any = chain.index.handle("getAssetProofs", {"ids": [ids[1], missing]})
    assert proofs[missing] is None
    assert proofs[ids[1]] == chain.proof(tree.leaves[1].id)


def _search(chain: DasChain, **params: object) -> set[str]:
    return {item["content"]["metadata"]["name"] for item in chain.listing("searchAssets", **params)["items"]}


def _shop() -> DasChain:
    """v1: in the collection, by a verified creator; v2: loose, of BUYER, 3 %; gone: burnt."""
    chain = DasChain()
    first, second = chain.tree(TREE), chain.tree(key(12), version=2)
    made = replace(metadata_v1("v1", COLLECTION), creators=(Creator(key(8), True, 100),))
    chain.run(first.mint(OWNER, made, COLLECTION))
    loose = replace(metadata_v2("v2"), seller_fee_basis_points=300, creators=(Creator(key(8), False, 100),))
    chain.run(second.mint(BUYER, loose), second.mint(OWNER, metadata_v2("gone")))
    chain.run(second.burn(1))
    return chain


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, {"v1", "v2", "gone"}),
        ({"burnt": False}, {"v1", "v2"}),
        ({"burnt": True}, {"gone"}),
        ({"ownerAddress": OWNER}, {"v1", "gone"}),
        ({"ownerAddress": OWNER, "burnt": False}, {"v1"}),
        ({"ownerAddress": OWNER, "burnt": False, "negate": True}, {"v2", "gone"}),
        ({"ownerAddress": BUYER, "burnt": True, "conditionType": "any"}, {"v2", "gone"}),
        ({"ownerAddress": BUYER, "burnt": True, "conditionType": "any", "negate": True}, {"v1"}),
        ({"negate": True}, {"v1", "v2", "gone"}),
        ({"interface": "MplBubblegumV2"}, {"v2", "gone"}),
        ({"grouping": ["collection", str(COLLECTION)]}, {"v1"}),
        ({"grouping": ["collection", str(COLLECTION)], "negate": True}, {"v2", "gone"}),
        ({"creatorAddress": key(8)}, {"v1", "v2"}),
        ({"creatorAddress": key(8), "creatorVerified": True}, {"v1"}),
        ({"creatorAddress": key(8), "creatorVerified": False}, {"v2"}),
        ({"creatorVerified": True}, {"v1"}),
        ({"royaltyAmount": 300}, {"v2"}),
        ({"royaltyTargetType": "creators"}, {"v1", "v2", "gone"}),
        ({"royaltyTargetType": "fanout"}, set[str]()),
        ({"royaltyTarget": key(8)}, set[str]()),
        ({"jsonUri": "https://example.com/v2.json"}, {"v2"}),
        ({"name": "V"}, {"v1", "v2"}),
        ({"supply": 1}, {"v1", "v2"}),
        ({"supply": 0}, {"gone"}),
        ({"supplyMint": key(8)}, set[str]()),
        ({"compressed": True}, {"v1", "v2", "gone"}),
        ({"compressed": False}, set[str]()),
        ({"compressible": False}, {"v1", "v2", "gone"}),
        ({"compressible": True}, set[str]()),
        ({"frozen": True}, set[str]()),
        ({"delegate": BUYER}, set[str]()),
        ({"delegateAddress": BUYER}, set[str]()),
        ({"ownerType": "token"}, set[str]()),
        ({"tokenType": "Compressed"}, {"v1", "v2", "gone"}),
        ({"tokenType": "Fungible"}, set[str]()),
    ],
)
def test_search(params: dict[str, object], found: set[str]) -> None:
    assert _search(_shop(), **params) == found


def test_by_creator_and_by_authority() -> None:
    chain = _shop()
    assert len(chain.ids("getAssetsByCreator", creatorAddress=key(8))) == 2
    assert len(chain.ids("getAssetsByCreator", creatorAddress=key(8), onlyVerified=True)) == 1
    shown = chain.listing("getAssetsByOwner", ownerAddress=BUYER)["items"][0]
    authority = shown["authorities"][0]["address"]
    assert chain.ids("getAssetsByAuthority", authorityAddress=authority) == [shown["id"]]
    assert _search(chain, authorityAddress=authority, burnt=False) == {"v2"}


def test_parameters_by_position_and_wrapped() -> None:
    """As the first major version of the official client sends them."""
    chain, _, ids = _chain(3)
    asset = chain.index.handle("getAsset", {"id": ids[0]})
    assert chain.index.handle("getAsset", [ids[0]]) == asset
    assert chain.index.handle("getAsset", [{"id": ids[0]}]) == asset
    named = chain.listing("getAssetsByGroup", groupKey="collection", groupValue=COLLECTION, page=1)
    group = ["collection", str(COLLECTION)]
    assert chain.index.handle("getAssetsByGroup", [*group, None, None, 1, None, None]) == named
    search: list[object] = [None] * 25
    search[3], search[8], search[18], search[21] = str(OWNER), group, False, 1
    by_name = chain.listing("searchAssets", ownerAddress=OWNER, grouping=group, burnt=False, page=1)
    assert chain.index.handle("searchAssets", search) == by_name
    assert by_name["total"] == 3


REFUSED: list[tuple[str, Any, str]] = [
    ("getAsset", None, "id is required"),
    ("getAsset", {}, "id is required"),
    ("getAsset", {"id": None}, "id is required"),
    ("getAsset", {"id": 7}, "id must be a string"),
    ("getAsset", {"id": "0OIl"}, "base58 address"),
    ("getAsset", {"id": str(TREE), "colour": "red"}, "unknown parameter: colour"),
    ("getAsset", {"id": str(TREE), "options": {"showEverything": True}}, "options.showEverything"),
    ("getAsset", {"id": str(TREE), "options": {"showFungible": "yes"}}, "options.showFungible"),
    ("getAsset", {"id": str(TREE), "options": "all"}, "options must be an object"),
    ("getAsset", [str(TREE), {}, 1], "at most 2"),
    ("getAsset", "id", "params must be"),
    ("getAssets", {"ids": str(TREE)}, "array"),
    ("getAssets", {"ids": [str(TREE)] * 1001}, "at most 1000"),
    ("getAssets", {"ids": [7]}, "base58 address"),
    ("getAssetsByOwner", {}, "ownerAddress is required"),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "limit": 1001}, "Pagination Error"),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "limit": -1}, "non-negative"),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "limit": True}, "non-negative"),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "page": 0}, "counted from 1"),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "page": 2, "after": str(TREE)}, "Only one of"),
    (
        "getAssetsByOwner",
        {"ownerAddress": str(OWNER), "after": str(TREE), "sortBy": {"sortBy": "created"}},
        "need sorting by id",
    ),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "sortBy": {"sortBy": "colour"}}, "must be one of"),
    ("getAssetsByOwner", {"ownerAddress": str(OWNER), "sortBy": {"sortDirection": "up"}}, "must be one of"),
    ("getAssetsByGroup", {"groupKey": "colour", "groupValue": "red"}, "groupKey must be collection"),
    ("getAssetsByGroup", {"groupKey": "collection", "groupValue": "red"}, "groupValue must be a base58"),
    ("getAssetsByCreator", {"creatorAddress": str(OWNER), "onlyVerified": 1}, "onlyVerified must be a boolean"),
    ("searchAssets", {"grouping": ["collection"]}, "pair of strings"),
    ("searchAssets", {"grouping": ["colour", "red"]}, "by collection"),
    ("searchAssets", {"grouping": ["collection", "red"]}, "base58"),
    ("searchAssets", {"conditionType": "some"}, "must be one of"),
    ("searchAssets", {"burnt": "yes"}, "burnt must be a boolean"),
]


@pytest.mark.parametrize(("method", "params", "words"), REFUSED)
def test_what_is_refused(method: str, params: Any, words: str) -> None:
    error = refusal(_chain(1)[0].index, method, params)
    assert error.code == -32602
    assert words in error.message


def test_an_unknown_method_and_an_unknown_asset() -> None:
    chain = _chain(1)[0]
    assert refusal(chain.index, "getFloorPrice", {}).code == -32601
    for method in ("getAsset", "getAssetProof"):
        assert refusal(chain.index, method, {"id": str(key(99))}).code == -32000
    assert chain.index.methods >= {"getAsset", "getAssetProof", "getAssetsByGroup", "getAssetsByOwner", "searchAssets"}
