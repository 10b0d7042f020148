"""A stream from its first message on: what has left it comes from the archive, the rest from the stream itself.

Used by replays, and by the projector when it has to begin before what the stream still holds. Not done here: checking
the archive (`archive` does, as it is read).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol, cast

from archive.reading import Archive, HistoryIncomplete
from chassis.log import LogLookup, LogReader, RawMessage
from contracts.guard import Truncated
from contracts.streams import GUARD, Stream
from services.indexer.truncation import covers


class WholeLog(LogReader, Protocol):
    """The log, and where each stream begins."""

    @property
    def lookup(self) -> LogLookup:
        """The means to find what was said of losses."""
        ...

    async def first_sequence(self, stream: Stream) -> int:
        """Return the first sequence that the stream still holds, or would give next; raises LogUnavailable."""
        ...


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
        """See `LogReader.read`, but without holes; raises HistoryIncomplete, and what reading the archive raises.

        Without other holes than those of a loss: what stood there was said again at the end, as far as anybody had it.
        """
        position, from_archive = after, self._archive_first
        while True:
            if from_archive and self._archive is not None:
                async with aclosing(cast("AsyncGenerator[RawMessage]", self._archive.read(stream, position))) as old:
                    async for raw in old:
                        position = raw.sequence
                        yield raw
            beginning, held = position, await self._log.first_sequence(stream)
            if held <= position + 1:
                async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, position))) as messages:
                    async for raw in messages:
                        if raw.sequence != position + 1:
                            held = raw.sequence
                            break
                        position = raw.sequence
                        yield raw
            if self._archive is not None and not (from_archive and position == beginning):
                from_archive = True
            elif await self._was_lost(stream, position + 1, held - 1):
                position, from_archive = held - 1, False
            else:
                raise HistoryIncomplete(stream, position + 1, held - 1)

    async def _was_lost(self, stream: Stream, first: int, last: int) -> bool:
        """Return whether an alarm of the truncation guard tells that nothing is left at these sequences."""
        position = 0
        while told := await self._log.lookup.next(GUARD, Truncated.pattern(), position):
            position = told.sequence
            if told.data.stream == stream.name and covers(told.data.holes, first, last):
                return True
        return False
