"""How the settings want content pinned, and the images of NFTs and collections pinned that way. Used by `content`.

An upload comes from the object store, another's `https://` image from its address if the settings ask for it; anything
else is used by its URI as it is. What is pinned is told to the log by its SHA-256 (`uploads`).
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from chassis.images import ImageRefused
from chassis.log import UploadStore
from contracts.content import Vanished
from contracts.mint import Image, ImageUri, UploadedImage
from contracts.upload import UploadPinned
from services.ipfs import metadata
from services.ipfs.bodies import InMemory, OnDisk, copied, temporary
from services.ipfs.domain import UPLOAD_MISSING, Refusal, refuse_image
from services.ipfs.metadata import PlacedImage
from services.ipfs.outside_turns import OutsideTurns
from services.ipfs.pictures import ImageRules, Picture, file_sha256, picture
from services.ipfs.ports import (
    Content,
    ContentMismatch,
    IpfsGateway,
    OutsideRefused,
    Pinnable,
    PinningService,
    PinRefused,
)
from services.ipfs.sessions import Session
from services.ipfs.uploads import PinnedUploads
from unixfs import Cid, ImportProfile, import_bytes

DECODERS: Final = 2
"""Images that are worked on at once, a large one alone (`chassis.images.decoding`)."""

Layout = Literal["file", "chunk", "operation"]
"""Metadata as files of their own, or in one directory for each chunk or each operation."""


@dataclass(frozen=True, slots=True)
class Pinning:
    """How content is pinned. `gateway`, when there is one, has to give back what was pinned before it counts.

    `outside`, when there is one, fetches images that callers name by `https://` addresses.
    """

    service: PinningService
    profile: ImportProfile
    gateway: IpfsGateway | None = None
    layout: Layout = "file"
    rules: ImageRules = field(default_factory=ImageRules)
    outside: OutsideTurns | None = None

    @property
    def retrieved_from(self) -> str | None:
        """The gateway that everything pinned was had from, None when none is asked."""
        return None if self.gateway is None else self.gateway.url


class ImagePinner:
    """Pins images, each at most once in a session; `pin` pins one content, `slots` bounds how many are under way."""

    def __init__(
        self,
        uploads: UploadStore,
        pinned: PinnedUploads,
        how: Pinning,
        slots: asyncio.Semaphore,
        pin: Callable[[Pinnable, Session], Awaitable[None]],
    ) -> None:
        self._uploads = uploads
        self._known = pinned
        self._how = how
        self._slots = slots
        self._pin = pin
        self._decoders = asyncio.Semaphore(DECODERS)

    async def place(self, image: Image, session: Session) -> PlacedImage | Refusal:
        """Return where the image is once it is pinned, or why it cannot be. Raises PinUnavailable, LogUnavailable."""
        if isinstance(image, ImageUri):
            if self._how.outside is None or not image.uri.startswith("https://"):
                return PlacedImage.at(image.uri)
            key = image.uri
        else:
            key = image.sha256
        known = session.images.get(key)
        if known is not None:
            return known
        if isinstance(image, ImageUri):
            # What its server did not give in several tries it is not asked for again, in this operation.
            placed = session.images[key] = await self._place_outside(image.uri, session)
            return placed
        async with self._slots:
            placed = await self._place_upload(image, session)
        if isinstance(placed, PlacedImage):
            session.images[key] = placed
        return placed

    async def _place_upload(self, image: UploadedImage, session: Session) -> PlacedImage | Refusal:
        told = await self._known.find(image.sha256)
        lost = None if told is None else await self.lost(told, session)
        if told is not None and lost is None and self._how.rules.take_as_uploaded:
            return PlacedImage(told.uri, told.content_type)
        async with copied(self._uploads, image.sha256) as upload:
            if upload is None:
                # Whoever pinned the same bytes for another mint since the first look told it, then deleted them.
                told = told or await self._known.find(image.sha256)
                return UPLOAD_MISSING if told is None else PlacedImage(told.uri, told.content_type)
            placed = await self._place_file(upload, image.sha256, session)
        if lost is not None and isinstance(placed, PlacedImage) and placed.uri.endswith(lost.cid):
            await self._known.restored(lost)
        return placed

    async def lost(self, told: UploadPinned, session: Session) -> Vanished | None:
        """Return what an audit said of a pinned file that it missed and that is not back since.

        It is forgotten then that this process has pinned it. Raises PinUnavailable and LogUnavailable.
        """
        lost = await self._known.lost(told)
        if lost is None:
            return None
        cid = Cid.parse(lost.cid)
        if await self._how.service.has(cid):
            return None
        session.pinned.discard(cid)
        return lost

    async def _place_outside(self, uri: str, session: Session) -> PlacedImage | Refusal:
        assert self._how.outside is not None, "the caller has looked"
        async with self._how.outside.turn(session) as outside, temporary() as (path, file):
            try:
                size = await outside.fetch(uri, file)
            except OutsideRefused as error:  # stop: the caller named the address
                return refuse_image(error)
            async with self._slots:
                await asyncio.to_thread(file.flush)
                sha256 = await asyncio.to_thread(file_sha256, path)
                return await self._place_file(OnDisk(path, size), sha256, session)

    async def _place_file(self, file: OnDisk, sha256: str, session: Session) -> PlacedImage | Refusal:
        try:
            async with self._decoders:
                made = await asyncio.to_thread(picture, file, self._how.rules, self._how.profile)
            content_type = made.info.content_type
            suffix = content_type.partition("/")[2].partition("+")[0]
            await self._pin(Content(made.body, made.cid, f"{made.cid}.{suffix}", content_type), session)
            preview = await self._pin_preview(made, session)
        except (ImageRefused, PinRefused, ContentMismatch) as error:  # stop: the same bytes fail again
            return refuse_image(error)
        # From here on the log knows what these bytes are called, and nobody needs them any more: unless what is pinned
        # is not the upload itself, or another mint will want a preview of it.
        if isinstance(made.body, InMemory):
            sha256 = hashlib.sha256(made.body.data).hexdigest()
        keep = self._how.rules.preview_pixels is not None
        await self._tell(sha256, made.cid, made.body.size, content_type, keep=keep)
        return PlacedImage(made.cid.uri, content_type, preview)

    async def _pin_preview(self, made: Picture, session: Session) -> str | None:
        if made.preview is None:
            return None
        cid = import_bytes(made.preview, self._how.profile).cid
        await self._pin(Content(InMemory(made.preview), cid, f"{cid}.webp", metadata.PREVIEW_TYPE), session)
        digest = hashlib.sha256(made.preview).hexdigest()
        await self._tell(digest, cid, len(made.preview), metadata.PREVIEW_TYPE, keep=True)
        return cid.uri

    async def _tell(self, sha256: str, cid: Cid, size: int, content_type: str, *, keep: bool) -> None:
        fact = UploadPinned(
            sha256=sha256,
            cid=str(cid),
            uri=cid.uri,
            size=size,
            content_type=content_type,
            retrieved_from=self._how.retrieved_from,
        )
        await self._known.tell(fact, keep=keep)
