"""Files that are uploaded by themselves (`POST /api/upload/ipfs`): the same bytes are one upload, for ever.

Called by `api/upload.py`. The CID is computed here, from the bytes alone, so that the answer does not depend on what a
pinning service says; the ipfs service pins, and gives up when another CID comes out of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from chassis.clock import Clock
from chassis.image_location import without_location
from chassis.log import EventLog, LogUnavailable, Message, SequenceConflict
from chassis.telemetry import get_logger
from chassis.vanished import vanished
from contracts.mint import UploadedImage
from contracts.streams import CONTENT
from contracts.upload import UploadFailed, UploadPinned, UploadRequested, upload_fence
from services.gateway.errors import NOTHING_STORED, LogSilent, Problem, UploadRefused, ValidationFailed
from services.gateway.images import Images
from services.gateway.ports import File
from unixfs import ImportProfile, import_bytes

PIN_SECONDS: Final = 20.0
"""How long an answer waits for the pins; what is not pinned by then is answered as queued."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
"""Seconds between two looks at the log, doubled each time: while nothing is pinned, many callers wait at once."""
MAX_CONFLICTS: Final = 5
MAX_METADATA_BYTES: Final = 256 * 1024
METADATA_FILENAME: Final = "metadata.json"

_log = get_logger(__name__)


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file on its way to IPFS, or there."""

    filename: str
    sha256: str
    cid: str
    uri: str
    size: int
    status: Literal["queued", "pinned"]


class Metadata:
    """A JSON document that came as the text of a field; implements `ports.File`."""

    field = "metadata"
    filename = METADATA_FILENAME

    def __init__(self, text: object) -> None:
        """Take the field's text; raises ValidationFailed when it is no JSON object."""
        if not isinstance(text, str):
            raise ValidationFailed([Problem("metadata", "must be JSON as text")])
        self._data = text.encode()
        if len(self._data) > MAX_METADATA_BYTES:
            raise ValidationFailed([Problem("metadata", f"must have at most {MAX_METADATA_BYTES} bytes")])
        try:
            msgspec.json.decode(self._data, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):  # stop: outside input
            raise ValidationFailed([Problem("metadata", "must be a JSON object")]) from None

    async def read(self) -> bytes:
        """Return the text's bytes."""
        return self._data


class WithoutLocation:
    """A checked image without the place where it was taken; implements `ports.File`."""

    def __init__(self, file: File, content_type: str) -> None:
        self.field = file.field
        self.filename = file.filename
        self._file = file
        self._content_type = content_type

    async def read(self) -> bytes:
        """Return what is left of the file's bytes: the same of the same, whatever it was called."""
        return await asyncio.to_thread(without_location, await self._file.read(), self._content_type)


class Uploading:
    """Takes files for IPFS; with `strip_location`, images lose their place before they are named and kept."""

    def __init__(
        self, log: EventLog, images: Images, clock: Clock, profile: ImportProfile, *, strip_location: bool = False
    ) -> None:
        self._strip_location = strip_location
        self._log = log
        self._images = images
        self._clock = clock
        self._profile = profile

    async def request(self, fields: Mapping[str, object], files: Sequence[File]) -> list[UploadRequested]:
        """Say that the files are wanted, in order, and the metadata behind them, and keep them. Raises ApiError."""
        if strangers := [Problem(name, "unknown field") for name in fields if name != "metadata"]:
            raise ValidationFailed(strangers)
        metadata = [Metadata(fields["metadata"])] if "metadata" in fields else []
        if not files and not metadata:
            raise ValidationFailed([Problem("files", "is required: send at least one image")])
        images = await self._images.check(files, "files")
        if self._strip_location:
            files = [WithoutLocation(file, image.content_type) for file, image in zip(files, images, strict=True)]
            images = await self._images.check(files, "files")
        checked = [*images, *[await self._describe(one) for one in metadata]]
        try:
            return [await self._request(file, image) for file, image in zip([*files, *metadata], checked, strict=True)]
        except LogUnavailable as error:  # stop: sending the same files again is safe
            raise LogSilent(NOTHING_STORED) from error

    async def _describe(self, metadata: Metadata) -> UploadedImage:
        sha256, size = await self._images.digest(metadata)
        return UploadedImage(sha256=sha256, content_type="application/json", size=size, filename=METADATA_FILENAME)

    async def _request(self, file: File, image: UploadedImage) -> UploadRequested:
        """Say that the file is wanted, unless it is pinned or on its way; the bytes are kept before."""
        cid = await self._images.examine(file, lambda data: str(import_bytes(data, self._profile).cid))
        request = UploadRequested(
            sha256=image.sha256,
            cid=cid,
            content_type=image.content_type,
            size=image.size,
            filename=image.filename,
        )
        for _ in range(MAX_CONFLICTS):
            newest = await self._newest(image.sha256)
            pinned = newest.data if newest is not None and isinstance(newest.data, UploadPinned) else None
            if pinned is not None and await vanished(self._log, pinned.cid) is None:
                return request
            await self._images.keep([file], [image])
            if newest is not None and isinstance(newest.data, UploadRequested):
                return request
            sequence = 0 if newest is None else newest.sequence
            try:
                await self._log.publish(
                    request, cause=None, expected_sequence=sequence, fence=upload_fence(image.sha256)
                )
            except SequenceConflict:  # go on: somebody else wants the same bytes
                continue
            _log.info("upload requested", sha256=image.sha256, cid=cid, size=image.size)
            return request
        raise LogUnavailable(f"upload {image.sha256[:12]} is contended")

    async def settled(self, requests: Sequence[UploadRequested]) -> list[Uploaded]:
        """Wait until each is pinned or given up, or for PIN_SECONDS in all. Raises UploadRefused."""
        deadline, pause = self._clock.monotonic() + PIN_SECONDS, FIRST_PAUSE
        settled: dict[str, UploadPinned | UploadFailed] = {}
        wanted = {request.sha256 for request in requests}
        while True:
            try:
                newest = await asyncio.gather(*(self._newest(sha256) for sha256 in wanted - settled.keys()))
            except LogUnavailable:  # stop: they are on the log, and on their way
                break
            for fact in (message.data for message in newest if message):
                if not isinstance(fact, UploadRequested):
                    settled[fact.sha256] = fact
            if len(settled) == len(wanted) or self._clock.monotonic() >= deadline:
                break
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        facts = [settled.get(request.sha256) for request in requests]
        if refused := [
            Problem(f"files[{position}]", f"{fact.reason} {fact.cure}".strip())
            for position, fact in enumerate(facts)
            if isinstance(fact, UploadFailed)
        ]:
            raise UploadRefused(refused)
        return [_uploaded(request, fact) for request, fact in zip(requests, facts, strict=True)]

    async def _newest(self, sha256: str) -> Message[UploadRequested | UploadPinned | UploadFailed] | None:
        return await self._log.last_matching(CONTENT, upload_fence(sha256))


def _uploaded(request: UploadRequested, fact: object) -> Uploaded:
    # What is pinned already may have been pinned under another profile: then that is where the bytes are.
    pinned = fact if isinstance(fact, UploadPinned) else None
    return Uploaded(
        filename=request.filename or request.sha256,
        sha256=request.sha256,
        cid=pinned.cid if pinned else request.cid,
        uri=pinned.uri if pinned else f"ipfs://{request.cid}",
        size=request.size,
        status="pinned" if pinned else "queued",
    )
