"""The committed schema of metadata documents and the classes that check them say the same."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.mint import Attribute, Nft
from services.ipfs import metadata
from services.ipfs.metadata import PlacedImage, collection_metadata, nft_metadata, why_invalid, why_unfit
from tests.support.content import collection_created, collection_requested, nft

SCHEMA = json.loads((Path(metadata.__file__).parent / "schemas" / "metaplex-nft.json").read_bytes())
IMAGE = PlacedImage("ipfs://bafkreia", "image/png", "ipfs://bafkreib")


def fits(document: bytes) -> bool:
    try:
        jsonschema.validate(json.loads(document), SCHEMA, jsonschema.Draft202012Validator)
    except jsonschema.ValidationError:
        return False
    return True


def test_what_is_made_satisfies_both() -> None:
    for document in (
        nft_metadata(nft(1), collection_created(), IMAGE),
        nft_metadata(nft(1), collection_created(), PlacedImage("https://x.test/a", "text/html")),
        collection_metadata(collection_requested(), IMAGE),
        collection_metadata(collection_requested(), None),
    ):
        assert fits(document)
        assert why_invalid(document) is None


def test_a_preview_is_a_file_of_its_own() -> None:
    files = json.loads(nft_metadata(nft(1), collection_created(), IMAGE))["properties"]["files"]
    assert files == [
        {"uri": "ipfs://bafkreia", "type": "image/png"},
        {"uri": "ipfs://bafkreib", "type": "image/webp"},
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["name"], ""),
        (["name"], None),
        (["symbol"], 5),
        (["seller_fee_basis_points"], 10_001),
        (["seller_fee_basis_points"], -1),
        (["image"], "javascript:alert(1)"),
        (["image"], "data:text/html,x"),
        (["external_url"], "ipfs://bafy"),
        (["attributes", 0, "trait_type"], ""),
        (["attributes", 0, "value"], 7),
        (["properties", "files", 0, "type"], "png"),
        (["properties", "files", 0, "uri"], "file:///etc/passwd"),
        (["properties", "category"], "spam"),
        (["properties", "creators", 0, "share"], 101),
        (["properties", "creators", 0, "address"], "0OIl"),
    ],
)
def test_both_refuse_the_same(path: list[str | int], value: object) -> None:
    whole: Any = json.loads(nft_metadata(nft(1), collection_created(), IMAGE))
    changed = copy.deepcopy(whole)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    document = json.dumps(changed).encode()
    assert not fits(document)
    assert why_invalid(document) is not None


@given(
    st.builds(
        Nft,
        name=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        image=st.just(nft(1).image),
        description=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        external_url=st.none() | st.sampled_from(["https://a.test", "ftp://a", "https://a b", "x"]),
        attributes=st.lists(
            st.builds(Attribute, trait_type=st.text("ab", max_size=2), value=st.text("ab", max_size=2)), max_size=3
        ).map(tuple),
    )
)
def test_both_agree_on_any_nft(described: Nft) -> None:
    document = nft_metadata(described, collection_created(), IMAGE)
    assert fits(document) == (why_invalid(document) is None)


def test_shares_make_a_whole() -> None:
    document: Any = json.loads(nft_metadata(nft(1), collection_created(), IMAGE))
    document["properties"]["creators"][0]["share"] = 99
    assert "shares" in (why_invalid(json.dumps(document).encode()) or "")


@pytest.mark.parametrize(
    ("name", "symbol", "uri", "what"),
    [
        ("x" * 32, "y" * 10, "z" * 200, None),
        ("x" * 33, "", "", "name"),
        ("ř" * 17, "", "", "name"),
        ("", "y" * 11, "", "symbol"),
        ("", "", "z" * 201, "URI"),
    ],
)
def test_lengths_are_bytes_of_the_leaf(name: str, symbol: str, uri: str, what: str | None) -> None:
    why = why_unfit(name, symbol, uri)
    assert (why is None) if what is None else (what in (why or ""))
