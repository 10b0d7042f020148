"""Writing the archive: old messages of the projected streams, a segment at a time.

`Archiver` appends from the log, up to what is in the tables and old enough, so that neither a tail that may still be
lost nor a message without a second copy is archived. Not done here: the format and reading it (`archive`).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from archive import segments
from archive.reading import Archive, HistoryIncomplete
from archive.segments import MAX_BYTES, MAX_MESSAGES, ArchiveBroken, Manifest
from chassis.log import EventLog, LogReader, RawMessage
from chassis.telemetry import get_logger
from contracts.guard import Archived
from contracts.streams import Stream

_log = get_logger(__name__)


class Anchors(EventLog, LogReader, Protocol):
    """The log, as the archive needs it: the messages, and what was said of earlier segments."""


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

        Raises ArchiveBroken, ArchiveUnavailable, HistoryIncomplete and LogUnavailable; what was archived until then
        stays.
        """
        before, total = await self._archive.last(stream), 0
        await self._archive.check_end(stream, before.number if before else 0)
        await self._check_left(stream, before)
        messages: list[RawMessage] = []
        size = 0
        async for raw in self._archivable(stream, before.last if before else 0, bounds):
            messages.append(raw)
            size += len(segments.line_of(raw))  # several times the payload's bytes, where these have to be escaped
            if len(messages) == MAX_MESSAGES or size >= MAX_BYTES:
                before = await self._append(stream, messages, before)
                total += len(messages)
                messages, size = [], 0
        if flush and messages:
            await self._append(stream, messages, before)
            total += len(messages)
        return total

    async def _check_left(self, stream: Stream, before: Manifest | None) -> None:
        """Raise ArchiveBroken when what would be overwritten is not of this log: two must not share an archive."""
        left = await self._archive.left(stream, before)
        if not left:
            return
        same = left[-1].sequence <= await self._log.last_sequence(stream)
        if same:
            others = iter(left)
            async with aclosing(
                cast("AsyncGenerator[RawMessage]", self._log.read(stream, left[0].sequence - 1))
            ) as log:
                async for raw in log:
                    kept = next(others)
                    same = (raw.sequence, raw.subject, raw.payload) == (kept.sequence, kept.subject, kept.payload)
                    if not same or raw.sequence >= left[-1].sequence:
                        break
        if not same:
            reason = "the log does not tell of it, and has other messages there: it is the archive of another log"
            raise ArchiveBroken(stream.name, before.number + 1 if before else 1, reason)

    async def _archivable(self, stream: Stream, after: int, bounds: Bounds) -> AsyncIterator[RawMessage]:
        end = min(bounds.watermark, await self._log.last_sequence(stream))
        if end <= after:
            return
        position = after
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, after))) as messages:
            async for raw in messages:
                if raw.stored_at >= bounds.until:
                    return
                if raw.sequence != position + 1:
                    raise HistoryIncomplete(stream, position + 1, raw.sequence - 1)
                position = raw.sequence
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
            manifest=segments.digest(segments.manifest_bytes(manifest)),
        )
        if not await self._log.publish_once(fact, cause=None):
            await self._give_way(stream, manifest.number, before)
            raise ArchiveBroken(stream.name, manifest.number, "somebody else has archived it at the same time")
        _log.info("messages archived", stream=stream.name, first=manifest.first, last=manifest.last)
        return manifest

    async def _give_way(self, stream: Stream, number: int, before: Manifest | None) -> None:
        """Make again the segment that the log tells of: what another archiver has stored was overwritten by ours."""
        told = await self._log.last(Archived, stream=stream.name, number=number)
        assert told is not None, "its subject was used"
        messages: list[RawMessage] = []
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, told.data.first - 1))) as found:
            async for raw in found:
                messages.append(raw)
                if raw.sequence >= told.data.last:
                    break
        await self._archive.append(stream, messages, before)
