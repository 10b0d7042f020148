"""Images and metadata onto IPFS: fetched, checked, named by their CID, pinned once. Used by `handlers`.

The shell between the pure parts (`metadata`, `domain`, `chassis.images`, `unixfs`) and the ports. What can never
succeed comes back as a `Refusal`; what may succeed later is raised, after everything else under way has finished, so
that the next try has less to do.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import UUID

from chassis import telemetry
from chassis.images import ImageRefused, inspect_image
from chassis.log import UploadStore
from contracts.collection import CollectionCreated, CollectionRequested
from contracts.mint import Image, ImageUri, Nft, Requested, UploadedImage
from services.ipfs import metadata
from services.ipfs.domain import UPLOAD_MISSING, Outcome, Placed, Refusal, refuse_image, refuse_metadata
from services.ipfs.metadata import PlacedImage
from services.ipfs.ports import Content, ContentMismatch, PinningService, PinRefused, PinUnavailable
from unixfs import Cid, ImportProfile, import_bytes

K = TypeVar("K")
V = TypeVar("V")

DECODERS: Final = 2
"""Images that are decoded at once: each may take 160 MB for a moment (`chassis.images.MAX_IMAGE_PIXELS`)."""

REMEMBERED_SESSIONS: Final = 256
"""Operations whose pinned content is remembered between deliveries; forgetting one costs uploads, nothing else."""


@dataclass(slots=True)
class Session:
    """What this process has pinned for one operation: never pinned twice, however often it is delivered."""

    images: dict[str, PlacedImage] = field(default_factory=dict[str, PlacedImage])
    """By the upload's SHA-256."""
    pinned: set[Cid] = field(default_factory=set[Cid])


class Sessions:
    """The sessions of the latest operations."""

    def __init__(self, limit: int = REMEMBERED_SESSIONS) -> None:
        self._limit = limit
        self._sessions: OrderedDict[UUID, Session] = OrderedDict()

    def of(self, operation: UUID) -> Session:
        """Return the operation's session, a new one if it is not remembered."""
        session = self._sessions.setdefault(operation, Session())
        self._sessions.move_to_end(operation)
        if len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
        return session


class ContentPinner:
    """Pins the content of NFTs and collections, at most `concurrency` files at once over all operations.

    Each of them is in memory whole: `concurrency` times the size limit of an image bounds the service's memory.
    """

    def __init__(
        self, uploads: UploadStore, pinning: PinningService, profile: ImportProfile, *, concurrency: int
    ) -> None:
        self._uploads = uploads
        self._pinning = pinning
        self._profile = profile
        self._slots = asyncio.Semaphore(concurrency)
        self._decoders = asyncio.Semaphore(DECODERS)

    async def place_nfts(
        self, request: Requested, positions: Iterable[int], collection: CollectionCreated, session: Session
    ) -> dict[int, Outcome]:
        """Pin the images, then the metadata of the NFTs at `positions`; return what became of each.

        Equal images and equal documents are pinned once. Raises PinUnavailable and LogUnavailable.
        """
        nfts = {position: request.nfts[position] for position in positions}
        uploads = {image.sha256: image for nft in nfts.values() if isinstance(image := nft.image, UploadedImage)}
        images = await settle({sha256: self._place_upload(image, session) for sha256, image in uploads.items()})
        outcomes: dict[int, Outcome] = {}
        documents: dict[int, bytes] = {}
        placed: dict[int, PlacedImage] = {}
        for position, nft in nfts.items():
            image = _placed_image(nft, images)
            if isinstance(image, Refusal):
                outcomes[position] = image
            else:
                placed[position] = image
                documents[position] = metadata.nft_metadata(nft, collection, image)
        uris = await settle({text: self._pin_document(text, session) for text in set(documents.values())})
        for position, text in documents.items():
            uri, nft = uris[text], nfts[position]
            symbol = metadata.nft_symbol(nft, collection)
            outcomes[position] = (
                uri if isinstance(uri, Refusal) else Placed(nft.name, symbol, uri, placed[position].uri)
            )
        return outcomes

    async def place_collection(
        self, request: CollectionRequested, session: Session
    ) -> tuple[Placed | Refusal, PlacedImage | None]:
        """Pin a collection's image and metadata; raises PinUnavailable and LogUnavailable."""
        image: PlacedImage | None = None
        if request.image is not None:
            found = await self._place_image(request.image, session)
            if isinstance(found, Refusal):
                return found, None
            image = found
        uri = await self._pin_document(metadata.collection_metadata(request, image), session)
        if isinstance(uri, Refusal):
            return uri, image
        return Placed(request.name, request.symbol, uri, image.uri if image else ""), image

    async def _place_image(self, image: Image, session: Session) -> PlacedImage | Refusal:
        return PlacedImage.at(image.uri) if isinstance(image, ImageUri) else await self._place_upload(image, session)

    async def _place_upload(self, image: UploadedImage, session: Session) -> PlacedImage | Refusal:
        known = session.images.get(image.sha256)
        if known is not None:
            return known
        async with self._slots:
            data = await self._uploads.get(image.sha256)
            if data is None:
                return UPLOAD_MISSING
            try:
                async with self._decoders:
                    content = await asyncio.to_thread(image_content, data, self._profile)
                await self._pin(content, session)
            except (ImageRefused, PinRefused, ContentMismatch) as error:  # stop: the same bytes fail again
                return refuse_image(error)
        placed = PlacedImage(content.cid.uri, content.content_type)
        session.images[image.sha256] = placed
        return placed

    async def _pin_document(self, text: bytes, session: Session) -> str | Refusal:
        """Pin a metadata document; return its URI."""
        cid = import_bytes(text, self._profile).cid
        async with self._slots:
            try:
                await self._pin(Content(text, cid, f"{cid}.json", metadata.CONTENT_TYPE), session)
            except (PinRefused, ContentMismatch) as error:  # stop: the same bytes fail again
                return refuse_metadata(error)
        return cid.uri

    async def _pin(self, content: Content, session: Session) -> None:
        if content.cid in session.pinned:
            return
        attributes = {"ipfs.cid": str(content.cid), "ipfs.size": len(content.data)}
        with telemetry.span("ipfs pin", kind=telemetry.SpanKind.CLIENT, attributes=attributes):
            await self._pinning.pin(content)
        session.pinned.add(content.cid)


def image_content(data: bytes, profile: ImportProfile) -> Content:
    """Check an image and compute its CID. Slow: for a worker thread. Raises ImageRefused."""
    info = inspect_image(data)
    cid = import_bytes(data, profile).cid
    return Content(data, cid, f"{cid}.{info.content_type.removeprefix('image/')}", info.content_type)


async def settle(jobs: Mapping[K, Coroutine[Any, Any, V]]) -> dict[K, V]:
    """Run all jobs to their ends and return their results; then only, raise what one of them raised.

    Of several errors, one that is not PinUnavailable comes first, then the PinUnavailable that wants the longest wait.
    """
    results = await asyncio.gather(*jobs.values(), return_exceptions=True)
    done: dict[K, V] = {}
    unavailable: list[PinUnavailable] = []
    for key, result in zip(jobs, results, strict=True):
        if isinstance(result, PinUnavailable):
            unavailable.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            done[key] = result
    if unavailable:
        raise max(unavailable, key=lambda error: (error.operator, error.after or 0.0))
    return done


def _placed_image(nft: Nft, uploads: Mapping[str, PlacedImage | Refusal]) -> PlacedImage | Refusal:
    if isinstance(nft.image, ImageUri):
        return PlacedImage.at(nft.image.uri)
    return uploads[nft.image.sha256]
