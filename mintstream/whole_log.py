"""All that was ever said on some subjects: from the stream what it holds, from the archive what has left it.

Used by `mintstream audit`. Not done here: checking the archive (`services.indexer.archiving` does, as it is read).
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

from audit.gathering import Said
from chassis.log import LogLookup, RawMessage
from chassis.subjects import matches
from contracts.leaving import has_left
from contracts.streams import Stream
from services.indexer.archive import Manifest, ids_of
from services.indexer.archiving import Archive
from services.indexer.history import HistoryIncomplete, WholeLog

MAX_KEPT: Final = 200
"""Segments whose ids are remembered, of each some hundred to thousand, never more than it has messages."""


class LookedUp(WholeLog, Protocol):
    """The log with its look-ups."""

    @property
    def lookup(self) -> LogLookup:
        """What reads single subjects."""
        ...


def whole_log(log: LookedUp, archive: Archive | None) -> Said:
    """Return what reads everything that was said; without an `archive`, everything that the stream still has.

    It raises LogUnavailable, ArchiveBroken when a segment is not what was archived, and HistoryIncomplete when there
    are messages that neither has. It remembers the archive's manifests, so that many audits check them once.
    """
    finder = None if archive is None else ArchiveFinder(archive)

    async def said(stream: Stream, patterns: Sequence[str]) -> AsyncGenerator[RawMessage]:
        messages = {raw.sequence: raw async for raw in log.lookup.history(stream, patterns)}
        first = await log.first_sequence(stream)
        if finder is not None and (first > 1 or has_left(raw.subject for raw in messages.values())):
            messages = await finder.find(stream, patterns, first) | messages
        for _, raw in sorted(messages.items()):
            yield raw

    return said


class ArchiveFinder:
    """Finds in the archive what was said on some subjects, by the segments' ids; segments without are read whole."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._manifests: dict[str, list[Manifest]] = {}
        """By stream, in order, each checked."""
        self._ids: dict[tuple[str, int], frozenset[str] | None] = {}
        """By stream and segment, of the first MAX_KEPT that were looked at."""

    async def find(self, stream: Stream, patterns: Sequence[str], first: int) -> dict[int, RawMessage]:
        """Return what the archive has on these subjects by sequence; the stream itself begins at sequence `first`."""
        manifests = self._manifests.setdefault(stream.name, [])
        async for manifest in self._archive.manifests(stream, manifests[-1] if manifests else None):
            manifests.append(manifest)
        end = manifests[-1].last if manifests else 0
        if end + 1 < first:
            raise HistoryIncomplete(
                f"messages {end + 1} to {first - 1} of {stream.name} are neither in the stream nor in the archive"
            )
        wanted = ids_of(patterns)
        found: dict[int, RawMessage] = {}
        for manifest in manifests:
            if wanted is None or await self._has_any(manifest, wanted):
                for raw in await self._archive.segment(manifest):
                    if any(matches(pattern, raw.subject) for pattern in patterns):
                        found[raw.sequence] = raw
        return found

    async def _has_any(self, manifest: Manifest, wanted: frozenset[str]) -> bool:
        key = manifest.stream, manifest.number
        if key not in self._ids:
            ids = await self._archive.ids(manifest)
            if len(self._ids) >= MAX_KEPT:
                return ids is None or not wanted.isdisjoint(ids)
            self._ids[key] = ids
        known = self._ids[key]
        return known is None or not wanted.isdisjoint(known)
