"""The off-chain JSON of an NFT or a collection, as canonical bytes: the same input gives the same CID, for ever.

Pure. The field names and their order are those of the Metaplex JSON standard for non-fungibles; absent optional
fields are left out; UTF-8 without escapes or white space. A change of the order or of what is left out changes the URI
of everything minted afterwards, so golden bytes hold it in the tests. `why_invalid` and `why_unfit` are asked before
anything is pinned. Not done here: uploading.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bubblegum.types import MAX_BASIS_POINTS, MAX_CREATORS, MAX_NAME_BYTES, MAX_SYMBOL_BYTES, MAX_URI_BYTES
from contracts.collection import CollectionCreated, CollectionRequested
from contracts.fact import Address
from contracts.mint import Nft

_TYPE_BY_SUFFIX = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".avif": "image/avif",
}

CONTENT_TYPE = "application/json"
PREVIEW_TYPE = "image/webp"


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image that is published at `uri`; its type is None when nothing tells it."""

    uri: str
    content_type: str | None
    preview_uri: str | None = None
    """A smaller picture of it, always of type `PREVIEW_TYPE`."""

    @classmethod
    def at(cls, uri: str) -> "PlacedImage":
        """Return an image that somebody else has published, its type told by the URI's suffix if at all."""
        path = uri.partition("?")[0].partition("#")[0]
        return cls(uri, _TYPE_BY_SUFFIX.get(PurePosixPath(path).suffix.lower()))


Uri = Annotated[str, Meta(pattern=r"^(ipfs|ar|https?)://[^\s]+$", max_length=2048)]
MediaType = Annotated[str, Meta(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]


class _Attribute(msgspec.Struct, frozen=True):
    trait_type: Annotated[str, Meta(min_length=1)]
    value: str


class _File(msgspec.Struct, frozen=True):
    uri: Uri
    type: MediaType


class _Creator(msgspec.Struct, frozen=True):
    address: Address
    share: Annotated[int, Meta(ge=0, le=100)]


class _Properties(msgspec.Struct, frozen=True, omit_defaults=True):
    files: tuple[_File, ...] = ()
    category: Literal["image", "video", "audio", "vr", "html"] | None = None
    creators: Annotated[tuple[_Creator, ...], Meta(max_length=MAX_CREATORS)] = ()


class _Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1)]
    symbol: str
    description: str
    seller_fee_basis_points: Annotated[int, Meta(ge=0, le=MAX_BASIS_POINTS)] | None = None
    image: Uri | None = None
    external_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2048)] | None = None
    attributes: tuple[_Attribute, ...] = ()
    properties: _Properties | None = None


def nft_symbol(nft: Nft, collection: CollectionCreated) -> str:
    """Return the NFT's own symbol, or else its collection's."""
    return collection.symbol if nft.symbol is None else nft.symbol


def nft_metadata(nft: Nft, collection: CollectionCreated, image: PlacedImage) -> bytes:
    """Return the JSON of one NFT, the same for all of its copies."""
    return msgspec.json.encode(
        _Metadata(
            name=nft.name,
            symbol=nft_symbol(nft, collection),
            description=nft.description,
            seller_fee_basis_points=collection.seller_fee_basis_points,
            image=image.uri,
            external_url=nft.external_url or None,
            attributes=tuple(_Attribute(each.trait_type, each.value) for each in nft.attributes),
            properties=_properties(image, (_Creator(collection.creator_address, 100),)),
        )
    )


def collection_metadata(collection: CollectionRequested, image: PlacedImage | None) -> bytes:
    """Return the JSON of a collection. Its creator is not known yet: the minter's wallet makes it later."""
    return msgspec.json.encode(
        _Metadata(
            name=collection.name,
            symbol=collection.symbol,
            description=collection.description,
            seller_fee_basis_points=collection.seller_fee_basis_points,
            image=image.uri if image else None,
            external_url=collection.external_url or None,
            properties=_properties(image, ()) if image else None,
        )
    )


def _properties(image: PlacedImage, creators: tuple[_Creator, ...]) -> _Properties:
    files = () if image.content_type is None else (_File(image.uri, image.content_type),)
    if image.preview_uri is not None:
        files = (*files, _File(image.preview_uri, PREVIEW_TYPE))
    category = "html" if image.content_type == "text/html" else "image"
    return _Properties(files=files, category=category, creators=creators)


def why_invalid(document: bytes) -> str | None:
    """Return why a document does not satisfy the Metaplex JSON standard, None when it does.

    The rules are the annotations of the classes above; `schemas/metaplex-nft.json` words the same for others.
    """
    try:
        found = msgspec.json.decode(document, type=_Metadata)
    except msgspec.ValidationError as error:  # stop: told to the caller; the same document fails again
        return str(error)
    shares = [creator.share for creator in found.properties.creators] if found.properties else []
    if shares and sum(shares) != 100:
        return "the creators' shares are not 100 together"
    return None


def why_unfit(name: str, symbol: str, uri: str) -> str | None:
    """Return which of the leaf's texts is longer than Bubblegum takes (in bytes of UTF-8), None when all fit."""
    limits = (("name", name, MAX_NAME_BYTES), ("symbol", symbol, MAX_SYMBOL_BYTES), ("URI", uri, MAX_URI_BYTES))
    for what, text, limit in limits:
        if len(text.encode()) > limit:
            return f"the {what} has {len(text.encode())} bytes; a leaf takes at most {limit}"
    return None
