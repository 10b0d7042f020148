"""From a body that is well-formed to the one message that asks for it, and back to the answer. Pure.

Called by `handlers.py`. What must hold between the parts of a request is decided here: one image for each NFT, at most
1000 items, a tree that the program has, a message that the log can hold, and whether a repeated key means the same.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bubblegum.merkle import VALID_DEPTH_BUFFER_PAIRS
from bubblegum.reach import least_canopy
from contracts.collection import CollectionRequested, Standard, TreeShape
from contracts.mint import MAX_ITEMS, Attribute, Image, ImageUri, Nft, Requested, UploadedImage
from contracts.streams import MINT
from services.gateway.errors import BodyTooLarge, Problem, ValidationFailed
from services.gateway.meaning import digest
from services.gateway.requests import (
    MAX_PROBLEMS,
    CollectionBody,
    EstimateBody,
    MetadataBody,
    MintBatchBody,
    MintSingleBody,
)

MAX_FILES = 50
"""Most files in one request (source document, POST /api/mint/batch)."""
MAX_CANOPY_DEPTH = 17
"""What `contracts.collection.TreeShape` admits; every tree up to it fits Solana's largest account of 10 MiB."""
DEFAULT_CANOPY_DEPTH = TreeShape().canopy_depth
ENVELOPE_ALLOWANCE_BYTES = 16 * 1024
"""Kept free of the message limit for the envelope and the headers."""
MAX_REQUEST_BYTES = MINT.max_message_bytes - ENVELOPE_ALLOWANCE_BYTES

SECONDS_PER_NFT = 3
SECONDS_PER_BATCH = 30
"""The estimates that the source document's routes answer with."""

IMAGE_REQUIRED = "is required: send a file, or a URI that begins with ipfs://, ar:// or https://"


_BATCH_SIZE_UNSAID = frozenset({"batchSize"})

Pairing = tuple[int | None, ...]
"""Which file each NFT takes, by position; None where the NFT brings its own URI."""


def pair_single(body: MetadataBody, files: int) -> Pairing:
    """Pair the one NFT of a single mint with the request's file. Raises ValidationFailed."""
    if body.image is None and files == 0:
        raise ValidationFailed([Problem("metadata.image", IMAGE_REQUIRED)])
    if files > 1:
        raise ValidationFailed([Problem("image", "must be one file")])
    if body.image is not None and files:
        raise ValidationFailed([Problem("metadata.image", "is given twice: as a URI and as a file")])
    return (0 if files else None,)


def pair_batch(nfts: Sequence[MetadataBody], files: int) -> Pairing:
    """Give the files, in order, to the NFTs that bring no URI. Raises ValidationFailed when they do not come out even.

    No file may be left over: a caller whose count is wrong has probably paired the wrong images too.
    """
    taken: list[int | None] = []
    problems: list[Problem] = []
    used = 0
    for position, nft in enumerate(nfts):
        if nft.image is not None:
            taken.append(None)
            continue
        if used >= files:
            problems.append(Problem(f"nfts[{position}].image", IMAGE_REQUIRED))
        taken.append(used)
        used += 1
    problems += [Problem(f"images[{extra}]", "no NFT is left for this file") for extra in range(used, files)]
    if problems:
        raise ValidationFailed(problems[:MAX_PROBLEMS])
    return tuple(taken)


def single_requested(
    body: MintSingleBody,
    pairing: Pairing,
    uploads: Sequence[UploadedImage],
    operation: UUID,
    batch_size: int,
    caller: str,
) -> Requested:
    """Return the message that asks for a single mint. Raises BodyTooLarge."""
    return _finished(
        Requested(
            operation=operation,
            operation_type="mint",
            collection=body.collection_id,
            recipient=body.recipient,
            nfts=(_nft(body.metadata, body.copies, pairing[0], uploads),),
            batch_size=batch_size,
            caller=caller,
        )
    )


def check_total(body: MintBatchBody) -> None:
    """Refuse more items than one operation may have, copies counted. Raises ValidationFailed."""
    total = sum(nft.copies for nft in body.nfts)
    if total > MAX_ITEMS:
        message = f"Too many NFTs in batch (max {MAX_ITEMS})"
        raise ValidationFailed([Problem("nfts", f"make {total} items with their copies; at most {MAX_ITEMS}")], message)


def batch_requested(
    body: MintBatchBody,
    pairing: Pairing,
    uploads: Sequence[UploadedImage],
    operation: UUID,
    batch_size: int,
    caller: str,
) -> Requested:
    """Return the message that asks for a batch; `batch_size` is used when the body names none. Raises BodyTooLarge."""
    return _finished(
        Requested(
            operation=operation,
            operation_type="batch_mint",
            collection=body.collection_id,
            recipient=body.recipient,
            nfts=tuple(_nft(nft, nft.copies, file, uploads) for nft, file in zip(body.nfts, pairing, strict=True)),
            batch_size=body.batch_size or batch_size,
            caller=caller,
            delay_between_batches_ms=body.delay_between_batches,
        )
    )


def unsaid(body: MintSingleBody | MintBatchBody | CollectionBody) -> frozenset[str]:
    """Return the fields that the body left to this service, whose settings or version may choose otherwise later.

    Left out again under the same key, they mean what they came to the first time: a repetition is no other request.
    """
    if isinstance(body, CollectionBody):
        tree = {"tree.maxBufferSize": body.tree.max_buffer_size, "tree.canopyDepth": body.tree.canopy_depth}
        return frozenset(name for name, value in tree.items() if value is None)
    named = isinstance(body, MintBatchBody) and body.batch_size is not None
    return frozenset() if named else _BATCH_SIZE_UNSAID


def _nft(body: MetadataBody, copies: int, file: int | None, uploads: Sequence[UploadedImage]) -> Nft:
    return Nft(
        name=body.name,
        image=_image(body.image, file, uploads),
        description=body.description,
        symbol=body.symbol,
        attributes=tuple(Attribute(trait_type=one.trait_type, value=one.value) for one in body.attributes),
        external_url=body.external_url,
        copies=copies,
    )


def _image(uri: str | None, file: int | None, uploads: Sequence[UploadedImage]) -> Image:
    if file is not None:
        return uploads[file]
    assert uri is not None, "pairing gives a file to every NFT without a URI"
    return ImageUri(uri=uri)


def _finished(requested: Requested) -> Requested:
    size = len(msgspec.json.encode(requested))
    if size > MAX_REQUEST_BYTES:
        sentence = f"make a request of {size} bytes without the images; at most {MAX_REQUEST_BYTES}: split it"
        raise BodyTooLarge("The request is too large for one operation", [Problem("nfts", sentence)])
    return msgspec.structs.replace(requested, request_sha256=digest(requested))


def check_tree(body: CollectionBody | EstimateBody) -> TreeShape:
    """Return the tree that the body asks for. Raises ValidationFailed when no program would make it.

    What is left out is the smallest buffer of the depth, and DEFAULT_CANOPY_DEPTH or as much of it as the depth has, or
    more where proofs would not fit into a transaction otherwise. A smaller canopy than that is refused: the NFTs could
    never be transferred or burned.
    """
    depth = body.tree.max_depth
    buffers = sorted(size for pair_depth, size in VALID_DEPTH_BUFFER_PAIRS if pair_depth == depth)
    if not buffers:
        depths = ", ".join(map(str, sorted({pair_depth for pair_depth, _ in VALID_DEPTH_BUFFER_PAIRS})))
        raise ValidationFailed([Problem("tree.maxDepth", f"must be one of {depths}")])
    buffer = buffers[0] if body.tree.max_buffer_size is None else body.tree.max_buffer_size
    if buffer not in buffers:
        choices = ", ".join(map(str, buffers))
        raise ValidationFailed([Problem("tree.maxBufferSize", f"must be one of {choices} with maxDepth {depth}")])
    deepest = min(depth, MAX_CANOPY_DEPTH)
    least = least_canopy(depth, 2 if body.standard == "v2" else 1)
    default = max(least, min(DEFAULT_CANOPY_DEPTH, deepest))
    canopy = default if body.tree.canopy_depth is None else body.tree.canopy_depth
    if not 0 <= canopy <= deepest:
        raise ValidationFailed([Problem("tree.canopyDepth", f"must be 0 to {deepest} with maxDepth {depth}")])
    if canopy < least:
        sentence = (
            f"must be at least {least} with maxDepth {depth}: a proof of {depth - canopy} nodes does not fit into a "
            "transaction, so the NFTs could never be transferred or burned"
        )
        raise ValidationFailed([Problem("tree.canopyDepth", sentence)])
    return TreeShape(max_depth=depth, max_buffer_size=buffer, canopy_depth=canopy)


def pair_collection(body: CollectionBody, files: int) -> int | None:
    """Return the position of the collection's file, or None; its image is optional. Raises ValidationFailed."""
    if files > 1:
        raise ValidationFailed([Problem("image", "must be one file")])
    if body.image is not None and files:
        raise ValidationFailed([Problem("image", "is given twice: as a URI and as a file")])
    return 0 if files else None


def collection_requested(
    body: CollectionBody, tree: TreeShape, file: int | None, uploads: Sequence[UploadedImage], collection: UUID
) -> CollectionRequested:
    """Return the message that asks for a collection."""
    return CollectionRequested(
        collection=collection,
        name=body.name,
        symbol=body.symbol,
        standard=Standard(body.standard),
        tree=tree,
        trees=body.trees,
        description=body.description,
        image=_image(body.image, file, uploads) if file is not None or body.image is not None else None,
        external_url=body.external_url,
        seller_fee_basis_points=body.seller_fee_basis_points,
        is_public=body.is_public,
        allow_minting=body.allow_minting,
    )


def estimated_seconds(requested: Requested) -> int:
    """Return the source document's estimate: 3 s for each NFT of a single mint, 30 s for each batch of a batch."""
    if requested.operation_type == "mint":
        return requested.total * SECONDS_PER_NFT
    return requested.chunk_count * SECONDS_PER_BATCH
