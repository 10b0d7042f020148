"""Metadata documents: golden bytes, because every byte decides the URI that is minted."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.mint import Attribute, ImageUri, Nft
from services.ipfs.metadata import PlacedImage, collection_metadata, nft_metadata
from tests.support.content import ADDRESS, collection_created, collection_requested, nft
from unixfs import import_bytes

PNG_URI = "ipfs://bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


def test_golden_nft() -> None:
    document = nft_metadata(nft(1), collection_created(), PlacedImage(PNG_URI, "image/png"))
    assert document.decode() == (
        '{"name":"Booth #1","symbol":"BTH","description":"Číslo 1","seller_fee_basis_points":500,'
        f'"image":"{PNG_URI}","attributes":[{{"trait_type":"Row","value":"1"}}],'
        f'"properties":{{"files":[{{"uri":"{PNG_URI}","type":"image/png"}}],"category":"image",'
        f'"creators":[{{"address":"{ADDRESS}","share":100}}]}}}}'
    )
    assert str(import_bytes(document).cid) == "bafkreidjcibpqn57fa7bv3gz6c3h5abglrxr3puj4uz7p2f4oeg6hxsoi4"


def test_golden_nft_without_anything_optional() -> None:
    bare = Nft(name="x", image=ImageUri(uri="ar://abc"), symbol="", external_url="https://x.test/?a=1&b=<2>")
    document = nft_metadata(bare, collection_created(), PlacedImage.at("ar://abc"))
    assert document.decode() == (
        '{"name":"x","symbol":"","description":"","seller_fee_basis_points":500,"image":"ar://abc",'
        '"external_url":"https://x.test/?a=1&b=<2>",'
        f'"properties":{{"category":"image","creators":[{{"address":"{ADDRESS}","share":100}}]}}}}'
    )


def test_golden_collection() -> None:
    document = collection_metadata(collection_requested(), PlacedImage(PNG_URI, "image/png"))
    assert document.decode() == (
        '{"name":"Booths","symbol":"BTH","description":"All booths","seller_fee_basis_points":500,'
        f'"image":"{PNG_URI}","external_url":"https://booths.test",'
        f'"properties":{{"files":[{{"uri":"{PNG_URI}","type":"image/png"}}],"category":"image"}}}}'
    )
    assert b"image" not in collection_metadata(collection_requested(), None)


@pytest.mark.parametrize(
    ("uri", "content_type"),
    [
        ("https://x.test/a.PNG?size=1#top", "image/png"),
        ("ipfs://bafy/a.jpeg", "image/jpeg"),
        ("ipfs://bafy", None),
        ("https://x.test/a.exe", None),
        ("https://x.test", None),
    ],
)
def test_types_of_images_that_others_published(uri: str, content_type: str | None) -> None:
    assert PlacedImage.at(uri) == PlacedImage(uri, content_type)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
nfts = st.builds(
    Nft,
    name=texts,
    image=st.builds(ImageUri, uri=texts),
    description=texts,
    symbol=st.none() | texts,
    attributes=st.lists(st.builds(Attribute, trait_type=texts, value=texts), max_size=4).map(tuple),
    external_url=st.none() | texts,
)


@given(nfts, texts)
def test_every_document_is_json_that_says_what_was_asked_and_does_not_vary(described: Nft, uri: str) -> None:
    image = PlacedImage(uri, "image/png")
    document = nft_metadata(described, collection_created(), image)
    again = msgspec.json.decode(msgspec.json.encode(described), type=Nft)
    assert nft_metadata(again, collection_created(), image) == document
    parsed = json.loads(document)
    assert parsed["name"] == described.name
    assert parsed["symbol"] == ("BTH" if described.symbol is None else described.symbol)
    assert parsed["image"] == uri
    assert parsed.get("attributes", []) == [
        {"trait_type": each.trait_type, "value": each.value} for each in described.attributes
    ]
