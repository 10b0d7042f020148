"""What a request means, apart from how it was sent: for telling a repeated request from another one. Pure.

An image means its bytes, not its file name; a field that was left out means its default.
"""

import hashlib
from collections.abc import Mapping
from typing import cast

import msgspec

from contracts.collection import CollectionRequested
from contracts.mint import Image, ImageUri, Nft, Requested

_encode = msgspec.json.Encoder(order="deterministic").encode


def meaning_of(requested: Requested | CollectionRequested) -> dict[str, object]:
    """Return the request's meaning as plain values under the API's field names; its id is no part of it."""
    if isinstance(requested, CollectionRequested):
        return _collection(requested)
    return _mint(requested)


def digest(requested: Requested) -> str:
    """Return the SHA-256 of the request's meaning, in hexadecimal."""
    return hashlib.sha256(_encode(meaning_of(requested))).hexdigest()


def differences(first: Mapping[str, object], second: Mapping[str, object], path: str = "") -> list[str]:
    """Return the paths of the fields in which two meanings differ, in order; empty when they are the same."""
    found: list[str] = []
    for name in sorted({*first, *second}):
        found += _difference(first.get(name), second.get(name), f"{path}.{name}" if path else name)
    return found


def _difference(first: object, second: object, path: str) -> list[str]:
    if first == second:
        return []
    if isinstance(first, dict) and isinstance(second, dict):
        return differences(cast("dict[str, object]", first), cast("dict[str, object]", second), path)
    if isinstance(first, list) and isinstance(second, list):
        ones, others = cast("list[object]", first), cast("list[object]", second)
        if len(ones) == len(others):
            pairs = enumerate(zip(ones, others, strict=True))
            return [where for index, (one, other) in pairs for where in _difference(one, other, f"{path}[{index}]")]
    return [path]


def _mint(requested: Requested) -> dict[str, object]:
    common: dict[str, object] = {
        "collectionId": str(requested.collection),
        "recipient": requested.recipient,
        "batchSize": requested.batch_size,
        "delayBetweenBatches": requested.delay_between_batches_ms,
    }
    if requested.operation_type == "mint":
        nft = requested.nfts[0]
        return common | {"endpoint": "/api/mint/single", "metadata": _nft(nft), "copies": nft.copies}
    nfts = [_nft(nft) | {"copies": nft.copies} for nft in requested.nfts]
    return common | {"endpoint": "/api/mint/batch", "nfts": nfts}


def _nft(nft: Nft) -> dict[str, object]:
    return {
        "name": nft.name,
        "description": nft.description,
        "image": _image(nft.image),
        "symbol": nft.symbol,
        "attributes": [{"trait_type": one.trait_type, "value": one.value} for one in nft.attributes],
        "external_url": nft.external_url,
    }


def _image(image: Image | None) -> str | None:
    if image is None or isinstance(image, ImageUri):
        return image.uri if image else None
    return f"sha256:{image.sha256}"


def _collection(requested: CollectionRequested) -> dict[str, object]:
    tree = requested.tree
    return {
        "name": requested.name,
        "symbol": requested.symbol,
        "standard": requested.standard.value,
        "tree": {
            "maxDepth": tree.max_depth,
            "maxBufferSize": tree.max_buffer_size,
            "canopyDepth": tree.canopy_depth,
        },
        "trees": requested.trees,
        "description": requested.description,
        "image": _image(requested.image),
        "externalUrl": requested.external_url,
        "sellerFeeBasisPoints": requested.seller_fee_basis_points,
        "isPublic": requested.is_public,
        "allowMinting": requested.allow_minting,
    }
