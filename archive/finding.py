"""Finding in the archive what was said of one thing, by the ids that lie beside the segments.

Used by audits. Memory is bounded: of each segment the messages that are looked for, and of all of them a number for
each id. Not done here: checking the archive (`reading` does, as it is read), and reading the stream.
"""

import asyncio
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from archive.reading import AT_ONCE, Archive, HistoryIncomplete
from archive.segments import Manifest, ids_of
from chassis.log import RawMessage
from chassis.subjects import matches
from contracts.streams import Stream

MAX_KEPT: Final = 1_000_000
"""Ids that are remembered, in eight bytes each; those of further segments are read again for each search."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the archive has on some subjects."""

    messages: Mapping[int, RawMessage]
    """By sequence."""
    segments: Sequence[int]
    """The numbers of the segments that were read for it, each checked."""


class ArchiveFinder:
    """Searches one archive. It remembers what it has checked, for the next search; several may be under way at once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._manifests: dict[str, list[Manifest]] = {}
        """By stream, in order, each checked."""
        self._marks: dict[tuple[str, int], array[int]] = {}
        """By stream and segment the marks of its ids, sorted; of the first segments that were looked at."""
        self._kept = 0
        self._turn = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def find(self, stream: Stream, patterns: Sequence[str], first: int) -> Found:
        """Return what the archive has on these subjects; the stream itself begins at sequence `first`.

        The subjects must name their things (`mint.*.v1.<operation>.>`). Raises ArchiveBroken, ArchiveUnavailable, and
        HistoryIncomplete when there are messages that neither has.
        """
        wanted = ids_of(patterns)
        manifests = await self._catch_up(stream)
        end = manifests[-1].last if manifests else 0
        if end + 1 < first:
            raise HistoryIncomplete(stream, end + 1, first - 1)
        having = await asyncio.gather(*(self._has_any(manifest, wanted) for manifest in manifests))
        read = [manifest for manifest, has in zip(manifests, having, strict=True) if has]
        found: dict[int, RawMessage] = {}
        for manifest in read:
            for raw in await self._archive.about(manifest, wanted):
                if any(matches(pattern, raw.subject) for pattern in patterns):
                    found[raw.sequence] = raw
        return Found(found, [manifest.number for manifest in read])

    async def _catch_up(self, stream: Stream) -> Sequence[Manifest]:
        """Return the manifests up to now. What was checked stays so when the caller is out of time."""
        async with self._turn:
            manifests = self._manifests.setdefault(stream.name, [])
            async for manifest in self._archive.manifests(stream, manifests[-1] if manifests else None):
                manifests.append(manifest)
            return tuple(manifests)

    async def _has_any(self, manifest: Manifest, wanted: frozenset[str]) -> bool:
        key = manifest.stream, manifest.number
        marks = self._marks.get(key)
        if marks is None:
            async with self._slots:
                marks = array("Q", sorted(map(_mark, await self._archive.ids(manifest))))
            if key not in self._marks and self._kept + len(marks) <= MAX_KEPT:
                self._marks[key] = marks
                self._kept += len(marks)
        return any(_holds(marks, _mark(each)) for each in wanted)


def _mark(thing: str) -> int:
    """Return a number that hardly another id has; one that does costs a look at a segment."""
    return int.from_bytes(hashlib.blake2b(thing.encode(), digest_size=8).digest())


def _holds(marks: "array[int]", mark: int) -> bool:
    place = bisect_left(marks, mark)
    return place < len(marks) and marks[place] == mark
