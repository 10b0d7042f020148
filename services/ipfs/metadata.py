"""The off-chain JSON of an NFT or a collection, as canonical bytes: the same input gives the same CID, for ever.

Pure. The field names and their order are those of the Metaplex JSON standard for non-fungibles; absent optional
fields are left out; UTF-8 without escapes or white space. A change of the order or of what is left out changes the URI
of everything minted afterwards, so golden bytes hold it in the tests. Not done here: limits of name and symbol (the
chain's, which the gateway checks), and uploading.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from contracts.collection import CollectionCreated, CollectionRequested
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


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image that is published at `uri`; its type is None when nothing tells it."""

    uri: str
    content_type: str | None

    @classmethod
    def at(cls, uri: str) -> "PlacedImage":
        """Return an image that somebody else has published, its type told by the URI's suffix if at all."""
        path = uri.partition("?")[0].partition("#")[0]
        return cls(uri, _TYPE_BY_SUFFIX.get(PurePosixPath(path).suffix.lower()))


class _Attribute(msgspec.Struct, frozen=True):
    trait_type: str
    value: str


class _File(msgspec.Struct, frozen=True):
    uri: str
    type: str


class _Creator(msgspec.Struct, frozen=True):
    address: str
    share: int


class _Properties(msgspec.Struct, frozen=True, omit_defaults=True):
    files: tuple[_File, ...] = ()
    category: str | None = None
    creators: tuple[_Creator, ...] = ()


class _Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    symbol: str
    description: str
    seller_fee_basis_points: int | None = None
    image: str | None = None
    external_url: str | None = None
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
    return _Properties(files=files, category="image", creators=creators)
