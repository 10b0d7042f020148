"""Uploaded files on their way into the object store: checked by content, named by digest, kept before they are named.

Used by `handlers.py`. At most a few files are in memory at once, however many requests are being answered.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from chassis.log import UploadStore
from contracts.mint import UploadedImage
from services.gateway.errors import Problem, ValidationFailed
from services.gateway.ports import File, InspectImage, NotAnImage

T = TypeVar("T")

IN_MEMORY_AT_ONCE = 2
"""Files of up to 10 MiB that are held and decoded at the same moment, over all requests; decoding one takes up to a
second of a core, and a large one up to 256 MiB while no other large one is decoded (`chassis.images`)."""


class Images:
    """Checks files and keeps them."""

    def __init__(self, store: UploadStore, inspect: InspectImage) -> None:
        self._store = store
        self._inspect = inspect
        self._slots = asyncio.Semaphore(IN_MEMORY_AT_ONCE)

    async def check(self, files: Sequence[File], field: str) -> tuple[UploadedImage, ...]:
        """Return what the files are; nothing is stored yet. Raises ValidationFailed, naming every file that is none.

        `field` is what the caller calls them: `image` for one, `images` for many.
        """
        images: list[UploadedImage] = []
        problems: list[Problem] = []
        for position, file in enumerate(files):
            try:
                images.append(await self._check(file))
            except NotAnImage as error:  # stop: outside input; collected, so that one answer names all of them
                problems.append(Problem(field if field == "image" else f"{field}[{position}]", str(error)))
        if problems:
            raise ValidationFailed(problems)
        return tuple(images)

    async def _check(self, file: File) -> UploadedImage:
        async with self._slots:
            data = await file.read()
            content_type, digest = await asyncio.to_thread(self._examine, data)
        return UploadedImage(sha256=digest, content_type=content_type, size=len(data), filename=file.filename or None)

    def _examine(self, data: bytes) -> tuple[str, str]:
        return self._inspect(data), hashlib.sha256(data).hexdigest()

    async def examine(self, file: File, work: Callable[[bytes], T]) -> T:
        """Return what `work` makes of the file's bytes; it runs in a thread."""
        async with self._slots:
            return await asyncio.to_thread(work, await file.read())

    async def digest(self, file: File) -> tuple[str, int]:
        """Return the file's SHA-256 in hexadecimal and its size in bytes."""
        return await self.examine(file, lambda data: (hashlib.sha256(data).hexdigest(), len(data)))

    async def keep(self, files: Sequence[File], images: Sequence[UploadedImage]) -> None:
        """Put the bytes of checked files in the object store, each content once. Raises LogUnavailable."""
        kept: set[str] = set()
        for file, image in zip(files, images, strict=True):
            if image.sha256 not in kept:
                async with self._slots:
                    await self._store.put(image.sha256, await file.read())
                kept.add(image.sha256)
