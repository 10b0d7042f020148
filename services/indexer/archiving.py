"""Writing and reading the archive: old messages of the projected streams, as segments in an object store.

`Archive` reads a whole stream's segments in order, each checked before any of its messages is used. `Archiver` appends
to it: from the log, up to what is in the tables and old enough, so that neither a tail that may still be lost nor a
message without a second copy is archived. What was archived is anchored on the log (`guard.archived`): who can write to
the store alone cannot exchange it. The format is `archive`; where objects are, `adapters.object_store`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast

import msgspec
import zstandard

from chassis.log import EventLog, LogReader, LogUnavailable, Message, RawMessage
from chassis.telemetry import get_logger
from contracts.guard import Archived
from contracts.streams import GUARD, Stream
from services.indexer import archive
from services.indexer.archive import MAX_BYTES, MAX_MESSAGES, ArchiveBroken, Manifest

MAX_MANIFEST: Final = 4096
"""Bytes."""
_MANIFEST: Final = re.compile(r"(\d{10})\.json")

_log = get_logger(__name__)


class ArchiveUnavailable(LogUnavailable):
    """The object store, in which a part of the log is, does not answer or refuses. Nothing is known to have changed."""


class Objects(Protocol):
    """An object store. Every method raises ArchiveUnavailable."""

    async def put(self, name: str, data: bytes) -> None:
        """Store the bytes under the name, in the place of what is there."""
        ...

    async def get(self, name: str, limit: int) -> bytes | None:
        """Return the object's bytes; None when there is none, and nothing at all of one beyond `limit` bytes."""
        ...

    async def names(self, prefix: str) -> list[str]:
        """Return the names of all objects below `prefix`."""
        ...


class Anchors(EventLog, LogReader, Protocol):
    """The log, as the archive needs it: the messages, and what was said of earlier segments."""


class Archive:
    """The archived messages of every stream."""

    def __init__(self, objects: Objects, anchors: EventLog | None) -> None:
        """Without `anchors` the archive is held to itself alone: a whole forged chain would pass."""
        self._objects = objects
        self._anchors = anchors

    async def manifests(self, stream: Stream, after: Manifest | None = None) -> AsyncIterator[Manifest]:
        """Yield the stream's manifests in order, each checked; raises ArchiveBroken and ArchiveUnavailable.

        From the first on, or those that follow on `after`, which was checked before. What lies there beyond the newest
        anchor was left by an archiver that died: it does not count.
        """
        before = after
        for number in range(before.number + 1 if before else 1, await self._count(stream) + 1):
            data = await self._objects.get(_manifest_name(stream, number), MAX_MANIFEST)
            if data is None:
                raise ArchiveBroken(stream.name, number, "its manifest is missing")
            before = archive.read_manifest(stream.name, number, data, before)
            await self._hold_to_anchor(stream, before)
            yield before

    async def last(self, stream: Stream) -> Manifest | None:
        """Return the newest manifest, the whole chain checked."""
        newest = None
        async for manifest in self.manifests(stream):
            newest = manifest
        return newest

    async def segment(self, manifest: Manifest) -> list[RawMessage]:
        """Return the messages of a segment; raises ArchiveBroken and ArchiveUnavailable."""
        name = _segment_name(manifest)
        data = await self._objects.get(name, archive.MAX_CONTENT)
        if data is None:
            raise ArchiveBroken(manifest.stream, manifest.number, "its messages are missing")
        return await asyncio.to_thread(_unpack, manifest, data)

    async def ids(self, manifest: Manifest) -> frozenset[str] | None:
        """Return the ids that a segment's subjects name, None of a segment from before they were kept.

        Raises ArchiveBroken and ArchiveUnavailable.
        """
        if manifest.ids is msgspec.UNSET:
            return None
        data = await self._objects.get(_ids_name(manifest), archive.MAX_IDS)
        if data is None:
            raise ArchiveBroken(manifest.stream, manifest.number, "its ids are missing")
        return archive.read_ids(manifest, _decompress(manifest, data, archive.MAX_IDS))

    async def check(self, manifest: Manifest) -> None:
        """Hold all that belongs to a segment to its manifest; raises ArchiveBroken and ArchiveUnavailable."""
        await self.ids(manifest)
        await self.segment(manifest)

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """Yield every archived message beyond `after`, in order; raises ArchiveBroken and ArchiveUnavailable."""
        async for manifest in self.manifests(stream):
            if manifest.last > after:
                for raw in await self.segment(manifest):
                    if raw.sequence > after:
                        yield raw

    async def append(self, stream: Stream, messages: Sequence[RawMessage], before: Manifest | None) -> Manifest:
        """Store consecutive messages as the segment that follows on `before`; the manifest last."""
        lines, first, last = await asyncio.to_thread(archive.segment_lines, messages)
        ids = await asyncio.to_thread(archive.id_lines, messages)
        manifest = archive.describe(stream.name, lines, first, last, before, ids)
        for name, data in ((_segment_name(manifest), lines), (_ids_name(manifest), ids)):
            await self._objects.put(name, await asyncio.to_thread(zstandard.compress, data, 9))
        await self._objects.put(_manifest_name(stream, manifest.number), archive.manifest_bytes(manifest))
        return manifest

    async def _count(self, stream: Stream) -> int:
        if self._anchors is not None:
            newest: Message[Archived] | None = await self._anchors.last_matching(GUARD, _anchors_of(stream))
            return newest.data.number if newest else 0
        names = await self._objects.names(stream.name)
        return max((int(found[1]) for name in names if (found := _MANIFEST.search(name))), default=0)

    async def _hold_to_anchor(self, stream: Stream, manifest: Manifest) -> None:
        if self._anchors is None:
            return
        anchor = await self._anchors.last(Archived, stream=stream.name, number=manifest.number)
        if anchor is None or anchor.data.manifest != archive.digest(archive.manifest_bytes(manifest)):
            raise ArchiveBroken(stream.name, manifest.number, "its manifest is not the one that the log tells of")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which messages may be archived: up to sequence `watermark`, stored before `until`."""

    watermark: int
    until: datetime


class Archiver:
    """Appends to the archive. Only one may be at work at a time."""

    def __init__(self, log: Anchors, store: Archive) -> None:
        self._log = log
        self._archive = store

    async def archive(self, stream: Stream, bounds: Bounds, *, flush: bool = False) -> int:
        """Archive what may be, in full segments, and with `flush` also the rest; return how many messages that were.

        Raises ArchiveBroken, ArchiveUnavailable and LogUnavailable; what was archived until then stays.
        """
        before, total = await self._archive.last(stream), 0
        messages: list[RawMessage] = []
        size = 0
        async for raw in self._archivable(stream, before.last if before else 0, bounds):
            messages.append(raw)
            size += len(raw.payload)
            if len(messages) == MAX_MESSAGES or size >= MAX_BYTES // 2:
                before = await self._append(stream, messages, before)
                total += len(messages)
                messages, size = [], 0
        if flush and messages:
            await self._append(stream, messages, before)
            total += len(messages)
        return total

    async def _archivable(self, stream: Stream, after: int, bounds: Bounds) -> AsyncIterator[RawMessage]:
        end = min(bounds.watermark, await self._log.last_sequence(stream))
        if end <= after:
            return
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, after))) as messages:
            async for raw in messages:
                if raw.stored_at >= bounds.until:
                    return
                yield raw
                if raw.sequence >= end:
                    return

    async def _append(self, stream: Stream, messages: Sequence[RawMessage], before: Manifest | None) -> Manifest:
        manifest = await self._archive.append(stream, messages, before)
        fact = Archived(
            stream=stream.name,
            number=manifest.number,
            first=manifest.first,
            last=manifest.last,
            manifest=archive.digest(archive.manifest_bytes(manifest)),
        )
        if not await self._log.publish_once(fact, cause=None):
            raise ArchiveBroken(stream.name, manifest.number, "somebody else has archived it at the same time")
        _log.info("messages archived", stream=stream.name, first=manifest.first, last=manifest.last)
        return manifest


def _unpack(manifest: Manifest, data: bytes) -> list[RawMessage]:
    return archive.read_lines(manifest, _decompress(manifest, data, manifest.size + 1))


def _decompress(manifest: Manifest, data: bytes, limit: int) -> bytes:
    try:
        # As a stream, because `decompress` believes the size that the data claim: a bomb ends as an error.
        return zstandard.ZstdDecompressor().stream_reader(data).read(limit)
    except zstandard.ZstdError as error:
        raise ArchiveBroken(manifest.stream, manifest.number, f"it cannot be decompressed: {error}") from error


def _manifest_name(stream: Stream, number: int) -> str:
    return f"{stream.name}/{number:010d}.json"


def _segment_name(manifest: Manifest) -> str:
    return f"{manifest.stream}/{manifest.number:010d}.ndjson.zst"


def _ids_name(manifest: Manifest) -> str:
    return f"{manifest.stream}/{manifest.number:010d}.ids.zst"


def _anchors_of(stream: Stream) -> str:
    return Archived.SUBJECT.format(stream=stream.name, number="*")
