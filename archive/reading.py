"""Reading the archive: each stream's segments in order, every one of them checked before any of its messages is used.

Used by whoever archives, replays and audits. What was archived is anchored on the log (`guard.archived`): who can write
to the store alone cannot exchange it. Where objects are is `object_store`'s. Not done here: what is archived when.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Final, Protocol

import zstandard

from archive import segments
from archive.segments import ArchiveBroken, Manifest
from chassis.log import EventLog, LogUnavailable, Message, RawMessage
from contracts.guard import Archived
from contracts.streams import GUARD, Stream

MAX_MANIFEST: Final = 4096
"""Bytes."""
AT_ONCE: Final = 16
"""Objects that the store is asked for at once; none of them is a segment."""
_PIECE: Final = 1024 * 1024
"""Bytes of lines."""
_MANIFEST: Final = re.compile(r"(\d{10})\.json")


class ArchiveUnavailable(LogUnavailable):
    """The object store, in which a part of the log is, does not answer or refuses. Nothing is known to have changed."""


class HistoryIncomplete(Exception):
    """Messages are neither in the archive nor in the stream. Stop: what they said may change what later ones mean."""

    def __init__(self, stream: Stream, first: int, last: int) -> None:
        super().__init__(f"messages {first} to {last} of {stream.name} are neither in the stream nor in the archive")


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
        begin, end = before.number + 1 if before else 1, await self._count(stream) + 1
        for first in range(begin, end, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, end))
            found = await asyncio.gather(*(self._stored(stream, number) for number in numbers))
            for number, (data, anchor) in zip(numbers, found, strict=True):
                if data is None:
                    raise ArchiveBroken(stream.name, number, "its manifest is missing")
                before = segments.read_manifest(stream.name, number, data, before)
                if self._anchors is not None and anchor != segments.digest(data):
                    raise ArchiveBroken(stream.name, number, "its manifest is not the one that the log tells of")
                yield before

    async def last(self, stream: Stream) -> Manifest | None:
        """Return the newest manifest, the whole chain checked."""
        newest = None
        async for manifest in self.manifests(stream):
            newest = manifest
        return newest

    async def check_end(self, stream: Stream, number: int) -> None:
        """Raise ArchiveBroken when the log, which tells of segments up to `number`, has forgotten later ones.

        One beyond that an archiver may have left that died before it told of it. More would be overwritten, although
        they may be the only copy of their messages. Raises ArchiveUnavailable.
        """
        if await self._objects.get(_manifest_name(stream, number + 2), MAX_MANIFEST) is not None:
            reason = "the log does not tell of it any more: begin another archive, and keep this one"
            raise ArchiveBroken(stream.name, number + 2, reason)

    async def segment(self, manifest: Manifest) -> list[RawMessage]:
        """Return the messages of a segment; raises ArchiveBroken and ArchiveUnavailable."""
        return await asyncio.to_thread(_unpack, manifest, await self._compressed(manifest))

    async def about(self, manifest: Manifest, ids: Collection[str]) -> list[RawMessage]:
        """Return those messages of a segment whose subjects name one of the ids; raises as `segment`.

        In memory are the compressed segment and what is returned, so that whoever serves requests can bear it.
        """
        data = await self._compressed(manifest)
        return await asyncio.to_thread(_search, manifest, data, ids)

    async def ids(self, manifest: Manifest) -> frozenset[str]:
        """Return the ids that a segment's subjects name; raises ArchiveBroken and ArchiveUnavailable."""
        data = await self._objects.get(_ids_name(manifest), segments.MAX_IDS)
        if data is None:
            raise ArchiveBroken(manifest.stream, manifest.number, "its ids are missing")
        return segments.read_ids(manifest, _decompress(manifest, data, segments.MAX_IDS))

    async def left(self, stream: Stream, before: Manifest | None) -> Sequence[RawMessage]:
        """Return the messages of the segment after `before`, of which the log does not tell; none if it is not whole.

        An archiver left it that died before it told of it, or another log's. Raises ArchiveUnavailable.
        """
        number = before.number + 1 if before else 1
        data = await self._objects.get(_manifest_name(stream, number), MAX_MANIFEST)
        if data is None:
            return ()
        try:
            return await self.segment(segments.read_manifest(stream.name, number, data, before))
        except ArchiveBroken:  # stop: two have died over it, and it is nobody's copy
            return ()

    async def checked(self, stream: Stream) -> AsyncIterator[Manifest]:
        """Yield the stream's manifests, all that belongs to each held to it; raises as `manifests` and `check_end`."""
        number = 0
        async for manifest in self.manifests(stream):
            await self.check(manifest)
            number = manifest.number
            yield manifest
        await self.check_end(stream, number)

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
        lines, first, last = await asyncio.to_thread(segments.segment_lines, messages)
        ids = await asyncio.to_thread(segments.id_lines, messages)
        manifest = segments.describe(stream.name, lines, first, last, before, ids)
        for name, data in ((_segment_name(manifest), lines), (_ids_name(manifest), ids)):
            await self._objects.put(name, await asyncio.to_thread(zstandard.compress, data, 9))
        await self._objects.put(_manifest_name(stream, manifest.number), segments.manifest_bytes(manifest))
        return manifest

    async def _count(self, stream: Stream) -> int:
        if self._anchors is not None:
            newest: Message[Archived] | None = await self._anchors.last_matching(GUARD, _anchors_of(stream))
            return newest.data.number if newest else 0
        names = await self._objects.names(stream.name)
        return max((int(found[1]) for name in names if (found := _MANIFEST.search(name))), default=0)

    async def _stored(self, stream: Stream, number: int) -> tuple[bytes | None, str | None]:
        """Return a manifest's bytes, and the digest that the log tells of it."""
        data = await self._objects.get(_manifest_name(stream, number), MAX_MANIFEST)
        if self._anchors is None:
            return data, None
        anchor = await self._anchors.last(Archived, stream=stream.name, number=number)
        return data, None if anchor is None else anchor.data.manifest

    async def _compressed(self, manifest: Manifest) -> bytes:
        data = await self._objects.get(_segment_name(manifest), segments.MAX_CONTENT)
        if data is None:
            raise ArchiveBroken(manifest.stream, manifest.number, "its messages are missing")
        return data


def _unpack(manifest: Manifest, data: bytes) -> list[RawMessage]:
    return segments.read_lines(manifest, _decompress(manifest, data, manifest.size + 1))


def _search(manifest: Manifest, data: bytes, ids: Collection[str]) -> list[RawMessage]:
    return segments.read_about(manifest, _pieces(manifest, data), ids)


def _decompress(manifest: Manifest, data: bytes, limit: int) -> bytes:
    try:
        # As a stream, because `decompress` believes the size that the data claim: a bomb ends as an error.
        return zstandard.ZstdDecompressor().stream_reader(data).read(limit)
    except zstandard.ZstdError as error:
        raise ArchiveBroken(manifest.stream, manifest.number, f"it cannot be decompressed: {error}") from error


def _pieces(manifest: Manifest, data: bytes) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor().stream_reader(data)
    try:
        while piece := reader.read(_PIECE):
            yield piece
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
