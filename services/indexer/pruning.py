"""Taking the messages of operations that are over from the stream MINT, once they are in the archive.

Used by `mintstream archive prune`. A message is taken only when three copies of its operation agree on every byte: the
log itself, event_log, and the archive, whose segments are checked as they are read for this. So the last word under
each of its fences is seen on the log before anything is taken. What is taken is taken by subject, up to the sequence
that was judged, and again without harm: whoever dies goes on with what the stream still has. Which messages those are
is decided in `retention`.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, cast

from archive.reading import Archive
from archive.segments import Manifest
from chassis.log import RawMessage
from chassis.telemetry import get_logger
from contracts.leaving import LEAVING, operation_of, operation_patterns
from contracts.streams import MINT, Stream
from services.indexer.retention import Reason, judge

SCANNED: Final = 10_000
"""Operations that are found in one reading of the stream."""
AT_ONCE: Final = 64
"""Messages that the log is asked for at once."""
BATCH: Final = 32
"""Operations whose copies are held in memory at once."""
KEPT_SEGMENTS: Final = 2
"""Segments that are held in memory; operations of the same time are in the same ones."""
REMEMBERED: Final = 100_000
"""Operations that one run does not look at again; forgetting one costs a look, nothing else."""

_log = get_logger(__name__)


class Lookup(Protocol):
    """What the stream's leader has now. Every method raises LogUnavailable."""

    async def raw(self, stream: Stream, sequence: int) -> RawMessage | None:
        """Return the message at `sequence`, or None."""
        ...

    async def newest(self, stream: Stream, subject: str) -> RawMessage | None:
        """Return the newest message on the subjects of a pattern, or None."""
        ...

    def history(
        self, stream: Stream, patterns: Sequence[str], since: datetime | None = None, after: int = 0
    ) -> AsyncIterator[RawMessage]:
        """See `chassis.log.LogLookup.history`."""
        ...


class Searchable(Protocol):
    """The log."""

    @property
    def lookup(self) -> Lookup:
        """What it holds."""
        ...


class Purging(Protocol):
    """The right to take messages from the log."""

    async def purge(self, stream: Stream, pattern: str, up_to: int) -> None:
        """Take the messages on these subjects up to sequence `up_to`, for ever; raises LogUnavailable."""
        ...


class Copies(Protocol):
    """The second copy of the log."""

    async def operations(self, operations: Collection[str]) -> Mapping[str, Sequence[RawMessage]]:
        """Return the copies of all that MINT says of these operations, in order; raises StoreUnavailable."""
        ...


@dataclass(slots=True)
class Pruned:
    """What a run has done, or in a rehearsal would have."""

    operations: int = 0
    messages: int = 0
    bytes: int = 0
    """Of payloads."""
    staying: Counter[Reason] = field(default_factory=Counter[Reason])
    """Operations that had messages of the age and stay, by reason."""


class Pruner:
    """Prunes the stream MINT."""

    def __init__(self, log: Searchable, purging: Purging, copies: Copies, archive: Archive) -> None:
        self._event_log = log
        self._purging = purging
        self._copies = copies
        self._archive = archive

    async def prune(self, until: datetime, *, rehearse: bool = False) -> Pruned:
        """Take what may leave of every operation that was over before `until`; with `rehearse`, only count it.

        Raises ArchiveBroken, ArchiveUnavailable, LogUnavailable and StoreUnavailable; what was taken until then is.
        """
        done = Pruned()
        archived = await ArchivedMessages.of(self._archive)
        async for operations in self._batches(until):
            copies = await self._copies.operations(operations)
            for operation in operations:
                said = copies.get(operation, ())
                verdict = judge(said, until)
                taken = (
                    verdict
                    if isinstance(verdict, Reason)
                    else await self._take(operation, verdict, said, archived, rehearse=rehearse)
                )
                if isinstance(taken, Reason):
                    done.staying[taken] += 1
                else:
                    done.operations += 1
                    done.messages += len(taken)
                    done.bytes += sum(len(raw.payload) for raw in taken)
        return done

    async def _take(
        self,
        operation: str,
        leaving: Set[int],
        copies: Sequence[RawMessage],
        archived: "ArchivedMessages",
        *,
        rehearse: bool,
    ) -> Sequence[RawMessage] | Reason:
        """Take what may leave and return it; or return why it stays all the same."""
        if fault := await archived.fault(copies):
            return fault
        logged = await self._on_log(copies)
        there = {raw.sequence for raw in logged}
        told = [_said(raw) for raw in copies if raw.sequence in there or raw.sequence not in leaving]
        if told != [*map(_said, logged)] or await self._newest(operation) != copies[-1].sequence:
            return Reason.LOG_DIFFERS  # beyond what has left before
        if not rehearse:
            for fact in LEAVING:
                pattern = fact.pattern().replace("*", operation, 1)
                await self._purging.purge(MINT, pattern, max(leaving))
            _log.info("operation pruned", operation=operation)
        return [raw for raw in logged if raw.sequence in leaving]

    async def _on_log(self, copies: Sequence[RawMessage]) -> list[RawMessage]:
        """Return what the log has where the copies are from."""
        found: list[RawMessage | None] = []
        for first in range(0, len(copies), AT_ONCE):
            some = copies[first : first + AT_ONCE]
            found += await asyncio.gather(*(self._event_log.lookup.raw(MINT, raw.sequence) for raw in some))
        return [raw for raw in found if raw is not None]

    async def _newest(self, operation: str) -> int:
        """Return the sequence of the last word about an operation."""
        patterns = operation_patterns(operation)
        found = await asyncio.gather(*(self._event_log.lookup.newest(MINT, pattern) for pattern in patterns))
        return max((raw.sequence for raw in found if raw is not None), default=0)

    async def _batches(self, until: datetime) -> AsyncIterator[Sequence[str]]:
        """Yield operations that still have messages of the age which could leave, the oldest first, a few at a time."""
        seen: OrderedDict[str, None] = OrderedDict()
        position: int | None = 0
        while position is not None:
            operations, position = await self._candidates(position, until)
            unseen = [operation for operation in operations if operation not in seen]
            for first in range(0, len(unseen), BATCH):
                yield unseen[first : first + BATCH]
            seen |= dict.fromkeys(unseen)
            while len(seen) > REMEMBERED:
                seen.popitem(last=False)

    async def _candidates(self, after: int, until: datetime) -> tuple[Collection[str], int | None]:
        """Return operations with such messages beyond sequence `after`, and where to go on; None at the end."""
        found: dict[str, None] = {}
        # Read to its end before anything is done: the server forgets a reader that is silent for too long.
        history = self._event_log.lookup.history(MINT, [fact.pattern() for fact in LEAVING], after=after)
        async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
            async for raw in messages:
                if raw.stored_at >= until:
                    break
                found[operation_of(raw.subject)] = None
                if len(found) == SCANNED:
                    return found, raw.sequence
        return found, None


class ArchivedMessages:
    """The archived messages of MINT by sequence; every segment is checked when it is read."""

    def __init__(self, archive: Archive, manifests: Sequence[Manifest]) -> None:
        self._archive = archive
        self._manifests = manifests
        self._segments: OrderedDict[int, Mapping[int, RawMessage]] = OrderedDict()

    @classmethod
    async def of(cls, archive: Archive) -> "ArchivedMessages":
        """Return the messages of an archive, its whole chain checked; raises ArchiveBroken and ArchiveUnavailable."""
        return cls(archive, [manifest async for manifest in archive.manifests(MINT)])

    async def fault(self, copies: Sequence[RawMessage]) -> Reason | None:
        """Return why the archive is no copy of these messages; None when it is. Raises as `of`."""
        for raw in copies:
            place = bisect_left(self._manifests, raw.sequence, key=lambda manifest: manifest.last)
            if place == len(self._manifests):
                return Reason.NOT_ARCHIVED
            if _said((await self._segment(place))[raw.sequence]) != _said(raw):
                return Reason.ARCHIVE_DIFFERS
        return None

    async def _segment(self, place: int) -> Mapping[int, RawMessage]:
        if place not in self._segments:
            while len(self._segments) >= KEPT_SEGMENTS:
                self._segments.popitem(last=False)
            messages = await self._archive.segment(self._manifests[place])
            self._segments[place] = {raw.sequence: raw for raw in messages}
        self._segments.move_to_end(place)
        return self._segments[place]


def _said(raw: RawMessage) -> tuple[int, str, bytes]:
    return raw.sequence, raw.subject, raw.payload
