"""All that was ever said on some subjects: from the stream what it holds, from the archive what has left it.

Used by `mintstream audit`. Not done here: checking the archive (`services.indexer.archiving` does, as it is read).
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from audit.gathering import Said
from chassis.log import LogLookup, RawMessage
from chassis.subjects import matches
from contracts.leaving import has_left
from contracts.streams import Stream
from services.indexer.archiving import Archive
from services.indexer.history import HistoryIncomplete, WholeLog


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

    async def said(stream: Stream, patterns: Sequence[str]) -> AsyncGenerator[RawMessage]:
        messages = {raw.sequence: raw async for raw in log.lookup.history(stream, patterns)}
        first = await log.first_sequence(stream)
        if archive is not None and (first > 1 or has_left(raw.subject for raw in messages.values())):
            messages = await _archived(archive, stream, patterns, first) | messages
        for _, raw in sorted(messages.items()):
            yield raw

    return said


async def _archived(archive: Archive, stream: Stream, patterns: Sequence[str], first: int) -> dict[int, RawMessage]:
    """Return what the archive has on these subjects; the stream begins at sequence `first`."""
    found: dict[int, RawMessage] = {}
    position = 0
    async for raw in archive.read(stream, 0):
        position = raw.sequence
        if any(matches(pattern, raw.subject) for pattern in patterns):
            found[raw.sequence] = raw
    if position + 1 < first:
        raise HistoryIncomplete(
            f"messages {position + 1} to {first - 1} of {stream.name} are neither in the stream nor in the archive"
        )
    return found
