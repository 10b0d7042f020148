"""What the ipfs service decides about a chunk or a collection. Pure: no I/O, no clock.

A chunk ends in at most one `pinned`, said last, and any number of `pin_failed` before it, of which the newest holds all
failures so far. Both are published under one fence, so two workers on the same chunk cannot contradict each other: who
is refused reads the newest of the two again and takes what it says as settled. The newest fact is the chunk's state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.images import ImageRefused
from chassis.log import InvalidEvent
from contracts.collection import CollectionFailed, CollectionPinned, CollectionRequested
from contracts.fact import Event, Fact
from contracts.mint import FailureCode, Item, ItemFailure, PinFailed, Pinned, PinnedItem, Planned, Requested
from contracts.upload import UploadFailed, UploadPinned, UploadRequested
from services.ipfs.ports import ContentMismatch, OutsideRefused, PinRefused


@dataclass(frozen=True, slots=True)
class Placed:
    """An NFT whose image and metadata are pinned: what its leaf will say."""

    name: str
    symbol: str
    uri: str
    image_uri: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why content can never be pinned, for programs (`code`) and for people."""

    code: FailureCode
    reason: str
    cure: str


Outcome = Placed | Refusal

UPLOAD_MISSING = Refusal(
    FailureCode.UPLOAD_MISSING,
    "The uploaded image is no longer in the object store.",
    "Send the mint again with its image.",
)
CANCELLED = Refusal(
    FailureCode.CANCELLED,
    "The operation was cancelled before this NFT was pinned.",
    "Send the mint again if it is wanted after all.",
)


def collection_fence(collection: UUID) -> str:
    """Return the pattern of every fact about a collection as a whole."""
    return f"collection.*.v1.{collection}"


@dataclass(frozen=True, slots=True)
class ChunkState:
    """What the log says of a chunk: the fence's last sequence (0: nothing yet), and what is settled."""

    sequence: int = 0
    pinned: bool = False
    failures: tuple[ItemFailure, ...] = ()

    @classmethod
    def of(cls, newest: Fact | None, sequence: int) -> "ChunkState":
        """Return the state that the newest fact under the fence stands for. Raises InvalidEvent for a foreign one."""
        match newest:
            case None:
                return cls()
            case Pinned() | Planned():
                return cls(sequence, pinned=True)
            case PinFailed():
                return cls(sequence, failures=newest.failures)
            case _:
                raise InvalidEvent(f"{newest.type()} has no place among the facts of a chunk")

    def open_items(self, items: Iterable[Item]) -> list[Item]:
        """Return the items that are neither pinned nor failed."""
        if self.pinned:
            return []
        failed = {index for failure in self.failures for index in failure.items}
        return [item for item in items if item.index not in failed]


def not_before(request: Requested, requested_at: datetime, chunk: int) -> datetime | None:
    """Return the time before which a chunk must not be minted; None when the request asks for no delay."""
    if not request.delay_between_batches_ms:
        return None
    return requested_at + chunk * timedelta(milliseconds=request.delay_between_batches_ms)


def conclude(
    requested: Event[Requested],
    chunk: int,
    items: Sequence[Item],
    outcomes: Mapping[int, Outcome],
    state: ChunkState,
    retrieved_from: str | None = None,
) -> list[Fact]:
    """Return the facts to publish, in order, once every open item's NFT has an outcome.

    `items` are the chunk's open items, `outcomes` are by position in the request's `nfts`.
    """
    request = requested.data
    facts: list[Fact] = []
    refused = _failures(items, outcomes)
    if refused:
        facts.append(PinFailed(operation=request.operation, chunk=chunk, failures=(*state.failures, *refused)))
    pinned = tuple(
        PinnedItem(
            index=item.index,
            name=outcome.name,
            symbol=outcome.symbol,
            uri=outcome.uri,
            image_uri=outcome.image_uri,
        )
        for item in items
        if isinstance(outcome := outcomes[item.nft], Placed)
    )
    if pinned:
        facts.append(
            Pinned(
                operation=request.operation,
                chunk=chunk,
                collection=request.collection,
                recipient=request.recipient,
                items=pinned,
                not_before=not_before(request, requested.time, chunk),
                retrieved_from=retrieved_from,
            )
        )
    return facts


def conclude_collection(
    request: CollectionRequested, outcome: Placed | Refusal, image_uri: str | None, retrieved_from: str | None = None
) -> Fact:
    """Return the one fact that ends the ipfs service's part in a collection."""
    if isinstance(outcome, Refusal):
        return CollectionFailed(
            collection=request.collection, code=outcome.code.value, reason=outcome.reason, cure=outcome.cure
        )
    return CollectionPinned(
        collection=request.collection, uri=outcome.uri, image_uri=image_uri, retrieved_from=retrieved_from
    )


def conclude_upload(request: UploadRequested, outcome: Refusal | None, retrieved_from: str | None) -> Fact:
    """Return the one fact that ends an upload; `outcome` is None when it is pinned under the CID that was told."""
    if outcome is not None:
        return UploadFailed(sha256=request.sha256, code=outcome.code, reason=outcome.reason, cure=outcome.cure)
    return UploadPinned(
        sha256=request.sha256,
        cid=request.cid,
        uri=f"ipfs://{request.cid}",
        size=request.size,
        content_type=request.content_type,
        retrieved_from=retrieved_from,
    )


def refuse_image(error: ImageRefused | PinRefused | ContentMismatch | OutsideRefused) -> Refusal:
    """Return why an image is given up."""
    match error:
        case ImageRefused():
            return Refusal(
                FailureCode.IMAGE_REFUSED,
                f"The uploaded image is refused: {error}.",
                "Send the mint again with a whole PNG, JPEG, GIF or WebP image within the limits.",
            )
        case PinRefused():
            return Refusal(
                FailureCode.IMAGE_REFUSED,
                f"The image is refused: {error.reason}.",
                "Send the mint again with an image that the pinning service takes.",
            )
        case OutsideRefused():
            return Refusal(
                FailureCode.IMAGE_REFUSED,
                f"The image cannot be fetched: {error.reason}.",
                "Upload the image, or name a public https:// address that gives it.",
            )
        case ContentMismatch():
            return _mismatch("image", error)


def refuse_metadata(error: PinRefused | ContentMismatch) -> Refusal:
    """Return why a metadata document is given up."""
    match error:
        case PinRefused():
            return Refusal(
                FailureCode.METADATA_REFUSED,
                f"The metadata is refused: {error.reason}.",
                "Shorten the description or the attributes and send the mint again.",
            )
        case ContentMismatch():
            return _mismatch("metadata", error)


def invalid_metadata(reason: str) -> Refusal:
    """Return why a document is given up before anything of it is pinned."""
    return Refusal(
        FailureCode.METADATA_REFUSED,
        f"The metadata cannot be minted: {reason}.",
        "Correct the NFT's description and send the mint again.",
    )


def _mismatch(what: str, error: ContentMismatch) -> Refusal:
    return Refusal(
        FailureCode.CONTENT_MISMATCH,
        f"The pinning service stored the {what} under another CID than {error.expected}.",
        "Set CID_PROFILE to the profile that the pinning service imports with, then send the mint again.",
    )


def _failures(items: Sequence[Item], outcomes: Mapping[int, Outcome]) -> tuple[ItemFailure, ...]:
    """Return the refused items, those with the same cause together, in the order of their first items."""
    by_cause: dict[Refusal, list[int]] = {}
    for item in items:
        outcome = outcomes[item.nft]
        if isinstance(outcome, Refusal):
            by_cause.setdefault(outcome, []).append(item.index)
    return tuple(
        ItemFailure(items=tuple(indexes), code=cause.code, reason=cause.reason, cure=cause.cure)
        for cause, indexes in by_cause.items()
    )
