"""Taking the messages of operations that are over from the stream MINT, once they are in the archive.

Used by `mintstream archive prune`. A message is taken only when three copies of its operation agree on every byte: the
log itself, event_log, and the archive, whose segments are checked as they are read for this. So the last word under
each of its fences is seen on the log before anything is taken. What is taken is taken by subject, up to the sequence
that was judged, and again without harm: whoever dies goes on with what the stream still has. Which messages those are
is decided in `retention`.

What costs time is requests, so a batch's stretch of the stream is read as one where it holds little else, and otherwise
message by message, side by side. A consumer with the subjects of the batch alone costs the server ten times as much.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
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
"""Requests to the log at once."""
BATCH: Final = 32
"""Operations whose copies are held in memory at once."""
SPARSE: Final = 4
"""A stretch of the stream is read as one if it has at most so many messages for each that is wanted."""
KEPT_SEGMENTS: Final = 2
"""Segments that are held in memory; operations of the same time are in the same ones."""
REMEMBERED: Final = 100_000
"""Operations that one run does not look at again; forgetting one costs a look, nothing else."""

Progress = Callable[[int], None]
"""Is told the sequence up to which the stream was looked at."""

_log = get_logger(__name__)


class Lookup(Protocol):
    """What the stream has now, single messages as its leader has them. Every method raises LogUnavailable."""

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
        self._requests = asyncio.Semaphore(AT_ONCE)

    async def prune(
        self, until: datetime, *, rehearse: bool = False, most: int | None = None, progress: Progress | None = None
    ) -> Pruned:
        """Take what may leave of every operation that was over before `until`; with `rehearse`, only count it.

        Of the oldest `most` operations that may leave, when that is given. Raises ArchiveBroken, ArchiveUnavailable,
        LogUnavailable and StoreUnavailable; what was taken until then is.
        """
        done = Pruned()
        archived = await ArchivedMessages.of(self._archive)
        async for batch in self._batches(until):
            leaving = await self._leaving(tuple(batch), until, archived, done)
            if most is not None:
                leaving = dict(islice(leaving.items(), most - done.operations))
            if not rehearse:
                await self._take(leaving)
            done.operations += len(leaving)
            done.messages += sum(map(len, leaving.values()))
            done.bytes += sum(len(raw.payload) for taken in leaving.values() for raw in taken)
            if progress is not None:
                progress(max(batch.values()))
            if done.operations == most:
                break
        return done

    async def _leaving(
        self, operations: Sequence[str], until: datetime, archived: "ArchivedMessages", done: Pruned
    ) -> dict[str, Sequence[RawMessage]]:
        """Return the messages that may leave, and that the log still has, by operation; count those that stay."""
        copies = await self._copies.operations(operations)
        judged: dict[str, frozenset[int]] = {}
        for operation in operations:
            said = copies.get(operation, ())
            verdict = judge(said, until)
            if not isinstance(verdict, Reason) and (fault := await archived.fault(said)):
                verdict = fault
            if isinstance(verdict, Reason):
                done.staying[verdict] += 1
            else:
                judged[operation] = verdict
        logged = await self._on_log([raw for operation in judged for raw in copies[operation]])
        newest = await asyncio.gather(*map(self._newest, judged))
        leaving: dict[str, Sequence[RawMessage]] = {}
        for (operation, may_leave), last in zip(judged.items(), newest, strict=True):
            said = copies[operation]
            taken = [raw for raw in said if raw.sequence in may_leave and raw.sequence in logged]
            same = all(logged.get(raw.sequence, raw.sequence in may_leave) for raw in said)
            if same and last == said[-1].sequence:
                leaving[operation] = taken
            else:
                done.staying[Reason.LOG_DIFFERS] += 1
        return leaving

    async def _on_log(self, copies: Collection[RawMessage]) -> Mapping[int, bool]:
        """Return by sequence, of those messages whose place on the log is not empty, whether they are what is there."""
        wanted = {raw.sequence: raw for raw in copies}
        if not wanted:
            return {}
        first, last = min(wanted), max(wanted)
        same: dict[int, bool] = {}
        if last - first < SPARSE * len(wanted):
            history = self._event_log.lookup.history(MINT, MINT.subjects, after=first - 1)
            async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
                async for raw in messages:
                    if raw.sequence in wanted:
                        same[raw.sequence] = _said(raw) == _said(wanted[raw.sequence])
                    if raw.sequence >= last:
                        break
            return same

        async def look(copy: RawMessage) -> None:
            async with self._requests:
                logged = await self._event_log.lookup.raw(MINT, copy.sequence)
            if logged is not None:
                same[copy.sequence] = _said(logged) == _said(copy)

        await asyncio.gather(*map(look, copies))
        return same

    async def _newest(self, operation: str) -> int:
        """Return the sequence of the last word about an operation, as the stream's leader has it."""

        async def last(pattern: str) -> int:
            async with self._requests:
                found = await self._event_log.lookup.newest(MINT, pattern)
            return 0 if found is None else found.sequence

        return max(await asyncio.gather(*map(last, operation_patterns(operation))))

    async def _take(self, leaving: Mapping[str, Sequence[RawMessage]]) -> None:
        async def one(operation: str, up_to: int) -> None:
            for fact in LEAVING:
                async with self._requests:
                    await self._purging.purge(MINT, fact.pattern().replace("*", operation, 1), up_to)
            _log.info("operation pruned", operation=operation)

        try:
            async with asyncio.TaskGroup() as purges:
                for operation, taken in leaving.items():
                    if taken:
                        purges.create_task(one(operation, taken[-1].sequence))
        except ExceptionGroup as errors:  # stop: the others were cancelled, and what they took is taken
            raise errors.exceptions[0] from errors

    async def _batches(self, until: datetime) -> AsyncIterator[Mapping[str, int]]:
        """Yield operations that still have messages of the age which could leave, the oldest first, a few at a time.

        With each the sequence of the first such message.
        """
        seen: OrderedDict[str, None] = OrderedDict()
        position: int | None = 0
        while position is not None:
            operations, position = await self._candidates(position, until)
            unseen = [(operation, place) for operation, place in operations.items() if operation not in seen]
            for first in range(0, len(unseen), BATCH):
                yield dict(unseen[first : first + BATCH])
            seen |= dict.fromkeys(operations)
            while len(seen) > REMEMBERED:
                seen.popitem(last=False)

    async def _candidates(self, after: int, until: datetime) -> tuple[Mapping[str, int], int | None]:
        """Return operations with such messages beyond sequence `after`, and where to go on; None at the end."""
        found: dict[str, int] = {}
        # Read to its end before anything is done: the server forgets a reader that is silent for too long.
        history = self._event_log.lookup.history(MINT, [fact.pattern() for fact in LEAVING], after=after)
        async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
            async for raw in messages:
                if raw.stored_at >= until:
                    break
                found.setdefault(operation_of(raw.subject), raw.sequence)
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
