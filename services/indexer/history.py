"""A stream from its first message on: what has left it comes from the archive, the rest from the stream itself.

Used by replays, and by the projector when it has to begin before what the stream still holds. Not done here: checking
the archive (`archiving` does, as it is read).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol, cast

from chassis.log import LogReader, RawMessage
from contracts.streams import Stream
from services.indexer.archiving import Archive


class WholeLog(LogReader, Protocol):
    """The log, and where each stream begins."""

    async def first_sequence(self, stream: Stream) -> int:
        """Return the first sequence that the stream still holds, or would give next; raises LogUnavailable."""
        ...


class HistoryIncomplete(Exception):
    """Messages are neither in the archive nor in the stream. Stop: no later message may be applied without them."""


class History:
    """Implements `LogReader` on stream and archive."""

    def __init__(self, log: WholeLog, archive: Archive | None, *, archive_first: bool = False) -> None:
        """`archive_first` takes from the archive whatever it has, otherwise only what the stream has no more."""
        self._log = log
        self._archive = archive
        self._archive_first = archive_first

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`."""
        return await self._log.last_sequence(stream)

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`; raises HistoryIncomplete, and what reading the archive raises."""
        position = after
        if self._archive is not None and (self._archive_first or await self._log.first_sequence(stream) > after + 1):
            async with aclosing(cast("AsyncGenerator[RawMessage]", self._archive.read(stream, after))) as archived:
                async for raw in archived:
                    position = raw.sequence
                    yield raw
        first = await self._log.first_sequence(stream)
        if first > position + 1:
            raise HistoryIncomplete(
                f"messages {position + 1} to {first - 1} of {stream.name} are neither in the stream nor in the archive"
            )
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, position))) as messages:
            async for raw in messages:
                yield raw
