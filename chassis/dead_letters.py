"""Dead letters: which there are, and what a person does about one: replay its message, or drop it.

Used by the operator's command line. Nothing is deleted: what was decided is a fact on the same stream, said once of
each letter. A replay says the original message again on its own subject, under the condition that nothing was said
there since, so that it cannot undo what came later and cannot happen twice. Every consumer of the subject is given it
once more, which handlers bear as they bear any redelivery: its event id is the one that it had.
"""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.log import Message, RawMessage, SequenceConflict
from chassis.messaging import Log
from contracts import registry
from contracts.dead import DeadLetter, DeadLetterSettled
from contracts.streams import DEAD, STREAMS


class NoSuchLetter(Exception):
    """There is no dead letter of this number; the text says so."""


class NotReplayable(Exception):
    """The letter's message is not said again; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter and what became of it."""

    number: int
    """Its sequence on DEAD."""
    buried_at: datetime
    fact: DeadLetter
    settled: DeadLetterSettled | None

    @property
    def message(self) -> RawMessage:
        """The message as it was when its consumer gave up on it."""
        fact = self.fact
        text = fact.payload.encode()
        payload = base64.b64decode(text, validate=True) if fact.payload_encoding == "base64" else text
        return RawMessage(fact.subject_name, fact.stream_sequence, self.buried_at, payload, fact.headers)


async def letters(log: Log, *, settled: bool = False) -> AsyncIterator[Letter]:
    """Yield the letters of which nothing was decided, with `settled` all, the oldest first; raises LogUnavailable."""
    decided = {
        fact.letter: fact
        async for raw in log.lookup.history(DEAD, [DeadLetterSettled.pattern()])
        if isinstance(fact := registry.decode(raw.subject, raw.payload).data, DeadLetterSettled)
    }
    async for raw in log.lookup.history(DEAD, [DeadLetter.pattern()]):
        if settled or raw.sequence not in decided:
            event = registry.decode(raw.subject, raw.payload)
            yield Letter(raw.sequence, event.time, event.data, decided.get(raw.sequence))


async def letter(log: Log, number: int) -> Letter:
    """Return one letter; raises NoSuchLetter and LogUnavailable."""
    found: Message[Any] | None = await log.lookup.at(DEAD, number) if number > 0 else None
    if found is None or not isinstance(found.data, DeadLetter):
        raise NoSuchLetter(f"there is no dead letter {number}; `mintstream dead list` shows them")
    decided = await log.last(DeadLetterSettled, letter=number)
    return Letter(number, found.event.time, found.data, decided.data if decided else None)


async def replay(log: Log, number: int) -> DeadLetterSettled:
    """Say the letter's message again and settle it; raises NoSuchLetter, NotReplayable and LogUnavailable.

    Dying in between leaves the message said and the letter open; the next try finds it said, and settles.
    """
    found = await letter(log, number)
    if found.settled is not None:
        raise NotReplayable(f"dead letter {number} was {found.settled.outcome} already")
    stream = next(each for each in STREAMS if each.name == found.fact.stream)
    try:
        said_at = await log.repair().repeat(stream, found.message)
    except SequenceConflict:
        since = [
            raw async for raw in log.lookup.history(stream, [found.fact.subject_name], after=found.message.sequence)
        ]
        if not since or since[-1].payload != found.message.payload:
            raise NotReplayable(
                f"something else was said on {found.message.subject} since: what the log says now counts. "
                f"Look at it, and drop the letter if it is answered: mintstream dead drop {number}"
            ) from None
        said_at = since[-1].sequence
    return await _settle(log, DeadLetterSettled(letter=number, outcome="replayed", said_at=said_at))


async def drop(log: Log, number: int) -> DeadLetterSettled:
    """Settle the letter without its message; raises NoSuchLetter, NotReplayable and LogUnavailable."""
    found = await letter(log, number)
    if found.settled is not None:
        raise NotReplayable(f"dead letter {number} was {found.settled.outcome} already")
    return await _settle(log, DeadLetterSettled(letter=number, outcome="dropped"))


async def _settle(log: Log, fact: DeadLetterSettled) -> DeadLetterSettled:
    if not await log.publish_once(fact, cause=None):
        raise NotReplayable(f"somebody else has just decided about dead letter {fact.letter}")
    return fact
