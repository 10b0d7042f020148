"""All that was ever said on some subjects: from the archive what has left the stream, the rest from the stream.

Used by `mintstream audit`. Not done here: checking the archive (`services.indexer.archiving` does, as it is read).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol, cast

from audit.gathering import Said
from chassis.log import LogLookup, RawMessage
from chassis.subjects import matches
from contracts.streams import Stream
from services.indexer.archiving import Archive
from services.indexer.history import History, WholeLog


class LookedUp(WholeLog, Protocol):
    """The log with its look-ups."""

    @property
    def lookup(self) -> LogLookup:
        """What reads single subjects."""
        ...


def whole_log(log: LookedUp, archive: Archive | None) -> Said:
    """Return what reads everything that was said; without an `archive`, everything that the stream still has.

    It raises LogUnavailable, ArchiveBroken when a segment is not what was archived, and HistoryIncomplete when there
    are messages that neither has. The archive has no index: what is in it is found by reading it from its beginning.
    """
    history = History(log, archive)

    async def said(stream: Stream, patterns: Sequence[str]) -> AsyncGenerator[RawMessage]:
        position, first = 0, await log.first_sequence(stream)
        if archive is not None and first > 1:
            async with aclosing(cast("AsyncGenerator[RawMessage]", history.read(stream, 0))) as messages:
                async for raw in messages:
                    if raw.sequence >= first:
                        break
                    position = raw.sequence
                    if any(matches(pattern, raw.subject) for pattern in patterns):
                        yield raw
        async for raw in log.lookup.history(stream, patterns, after=position):
            yield raw

    return said
