"""The log and its second copy, looked at place by place: where they differ, and whether what is not there was lost.

Used by `guard`, while the copy stands still. What a difference means is decided in `truncation`.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, cast

from chassis.log import EventLog, RawMessage
from contracts.guard import Archived, Hole, Truncated, Witness
from contracts.leaving import may_leave, operation_of
from contracts.registry import UndecodableMessage, decode
from contracts.streams import GUARD, MINT, Stream
from services.indexer.history import WholeLog
from services.indexer.truncation import first_difference, holes_of, missing_among

COMPARED: Final = 256
"""Newest messages of each stream that are compared; more, when the oldest of these differs already."""


class Vault(Protocol):
    """The second copy of the log. Every method raises StoreUnavailable."""

    async def watermark(self, stream: str) -> int:
        """Return the last sequence of the copy."""
        ...

    async def messages(self, stream: str, first: int, last: int) -> Sequence[RawMessage]:
        """Return the copies of sequences `first` to `last`, in order."""
        ...

    async def subjects(self, operations: Collection[str]) -> Sequence[tuple[int, str]]:
        """Return sequence and subject of all that MINT says of these operations, by the copies."""
        ...

    async def empty(self) -> None:
        """Empty every table and begin again at sequence 0, in one transaction."""
        ...

    async def losses(self) -> Sequence[Truncated]:
        """Return every loss that was kept, in the order in which they were told."""
        ...

    async def keep(self, loss: Truncated) -> None:
        """Keep a loss for ever, whatever becomes of the log and of the tables; keeping it again changes nothing."""
        ...


CLOCKS: Final = timedelta(hours=1)
"""More than the clocks of two clusters differ by."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What copy and log hold from a sequence on."""

    kept: Sequence[RawMessage]
    """The copies, without what may have left the stream."""
    present: Sequence[RawMessage]
    holes: Sequence[Hole]
    """Sequences of the copies that are empty on the stream, although it holds later ones."""


class SpokenLog(EventLog, WholeLog, Protocol):
    """The log, and what was said on it of the archive."""


class TwoCopies:
    """Reads both. Every method raises LogUnavailable and StoreUnavailable."""

    def __init__(self, log: SpokenLog, vault: Vault, *, archives: bool) -> None:
        """`archives`: whether there is an archive, into which messages can have left."""
        self._log = log
        self._vault = vault
        self._archives = archives

    async def difference(self, stream: Stream, end: int) -> int | None:
        """Return the first of the newest sequences up to `end` at which log and copy differ."""
        # What is in the archive has left the stream: there is nothing to compare.
        beginning = await self._log.first_sequence(stream)
        width = COMPARED
        while end >= beginning:
            first = max(beginning, end - width + 1)
            kept, logged = await self._vault.messages(stream.name, first, end), await self.messages(stream, first, end)
            found = first_difference(kept, logged, await self.left(stream, missing_among(kept, logged)))
            if found != first or first == beginning:
                return found
            width *= 2
        return None

    async def left(self, stream: Stream, missing: Sequence[RawMessage]) -> frozenset[int]:
        """Return the sequences of those messages that may have left the stream: they are lost to nobody.

        Only what is in the archive leaves, and how far that goes is on the log; unless GUARD was lost, of which there
        is no copy.
        """
        if stream != MINT or not missing:
            return frozenset()
        archived = await self._log.last_matching(GUARD, Archived.SUBJECT.format(stream=stream.name, number="*"))
        if archived is None and not self._archives:
            return frozenset()
        leaving = may_leave(await self._vault.subjects({operation_of(raw.subject) for raw in missing}))
        return frozenset(each for each in leaving if archived is None or each <= archived.data.last)

    async def messages(self, stream: Stream, first: int, last: int) -> list[RawMessage]:
        """Return what the log holds at sequences `first` to `last`.

        Ends, because the stream's last message never leaves it: the last word about an operation stays.
        """
        found: list[RawMessage] = []
        if first > last:
            return found
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, first - 1))) as messages:
            async for raw in messages:
                if raw.sequence <= last:
                    found.append(raw)
                if raw.sequence >= last:
                    break
        return found

    async def damage(self, stream: Stream, first: int) -> Damage:
        """Return what has become of the messages from sequence `first` on."""
        kept = await self._vault.messages(stream.name, first, await self._vault.watermark(stream.name))
        present = await self.messages(stream, first, await self._log.last_sequence(stream))
        left = await self.left(stream, holes := missing_among(kept, present))
        # What has left stays away: it would be said after its own end.
        away = {raw.sequence for raw in holes} & left
        return Damage(
            [raw for raw in kept if raw.sequence not in away],
            present,
            holes_of([raw for raw in holes if raw.sequence not in away]),
        )

    async def are_strangers(self, stream: Stream, first: int) -> bool:
        """Whether log and copy, which differ from `first` on, were never the same log.

        Their first and their last messages differ, and the log was there while the copy still grew: one that was lost
        as a whole begins after the last message that was copied from it.
        """
        if first != await self._log.first_sequence(stream):
            return False
        watermark = await self._vault.watermark(stream.name)
        end = min(watermark, await self._log.last_sequence(stream))
        if end < first:
            return False  # there is no copy of anything that is there
        logged = [raw for place in (first, end) for raw in await self.messages(stream, place, place)]
        kept = [raw for place in (first, end) for raw in await self._vault.messages(stream.name, place, place)]
        newest = await self._vault.messages(stream.name, watermark, watermark)
        if not logged or not newest or {_said(raw) for raw in logged} & {_said(raw) for raw in kept}:
            return False
        return logged[0].stored_at + CLOCKS < newest[0].stored_at

    async def holds(self, stream: Stream, witness: Witness, last: int) -> bool:
        """Return whether the stream, which ends at `last`, has what the witness knows of, or may have let it go."""
        if witness.sequence > last:
            return False
        if witness.sequence < await self._log.first_sequence(stream):
            return True  # it was archived before it left
        found = await self.messages(stream, witness.sequence, witness.sequence)
        if not found:
            return await self._has_left(stream, witness.sequence)
        (raw,) = found
        try:
            return decode(raw.subject, raw.payload).id == witness.event
        except UndecodableMessage:
            return False  # stop: a witness was decoded by whoever brought it, so this is another message

    async def _has_left(self, stream: Stream, sequence: int) -> bool:
        """Return whether nothing is wrong with a hole in the stream."""
        kept = await self._vault.messages(stream.name, sequence, sequence)
        if not kept:  # copies are dropped only of what is archived and in the tables
            return sequence <= await self._vault.watermark(stream.name)
        return sequence in await self.left(stream, kept)


def _said(raw: RawMessage) -> tuple[str, bytes]:
    return raw.subject, raw.payload
