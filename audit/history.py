"""All that was ever said on some subjects: from the stream what it holds, from the archive what has left it.

Used by `gathering`. An archive that is not what was archived is told, and the stream's own messages all the same. Not
done here: checking the archive (`archive` does, as it is read).
"""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from archive.finding import ArchiveFinder
from archive.reading import Archive, HistoryIncomplete
from archive.segments import ArchiveBroken
from chassis.log import LogLookup, RawMessage
from contracts.fact import Event, Fact
from contracts.leaving import has_left
from contracts.registry import UndecodableMessage, decode
from contracts.streams import Stream

F = TypeVar("F", bound=Fact)


class LookedUp(Protocol):
    """The log with its look-ups."""

    @property
    def lookup(self) -> LogLookup:
        """What reads single subjects."""
        ...

    async def first_sequence(self, stream: Stream) -> int:
        """Return the first sequence that the stream still holds, or would give next; raises LogUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What was said, in order."""

    messages: Sequence[RawMessage]
    archived: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """The payloads of those that the archive has, by sequence, if it was read."""
    left: Set[int] = frozenset()
    """Those that the archive has and the stream does not, by sequence."""
    archive: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """What was read of the archive, and what is wrong with it; None: it is what was archived."""


class WholeLog:
    """Reads everything that was said; without an `archive`, everything that the stream still has."""

    def __init__(self, log: LookedUp, archive: Archive | None) -> None:
        self._log = log
        self._finder = None if archive is None else ArchiveFinder(archive)

    async def said(self, stream: Stream, patterns: Sequence[str]) -> Said:
        """Return what was said on these subjects; raises LogUnavailable, ArchiveUnavailable among it."""
        held = {raw.sequence: raw async for raw in self._log.lookup.history(stream, patterns)}
        first = await self._log.first_sequence(stream)
        if self._finder is None or not (first > 1 or has_left(raw.subject for raw in held.values())):
            return Said(_in_order(held))
        try:
            found = await self._finder.find(stream, patterns, first)
        except ArchiveBroken as error:  # stop: the report says so
            return Said(_in_order(held), archive={f"{error.stream}, segment {error.number}": error.reason})
        except HistoryIncomplete as error:  # stop: the report says so
            return Said(_in_order(held), archive={stream.name: str(error)})
        return Said(
            _in_order({**found.messages, **held}),
            archived={sequence: raw.payload for sequence, raw in found.messages.items()},
            left=found.messages.keys() - held.keys(),
            archive={f"{stream.name}, segment {number}": None for number in found.segments},
        )

    async def held(self, stream: Stream, kind: type[F], since: datetime) -> AsyncGenerator[Event[F]]:
        """Yield what the stream itself holds of one kind of fact that was stored since then; raises LogUnavailable.

        What cannot be read is passed over: whoever audits the thing itself is told of it.
        """
        async for raw in self._log.lookup.history(stream, [kind.pattern()], since):
            with contextlib.suppress(UndecodableMessage):
                yield decode(raw.subject, raw.payload)


def _in_order(messages: Mapping[int, RawMessage]) -> Sequence[RawMessage]:
    return [raw for _, raw in sorted(messages.items())]
