"""Dead letters: which there are, and what a person does about one: replay its message, or drop it.

Used by the operator's command line; by the gateway, which reads and drops; and by the indexer, which replays for it.
Nothing is deleted: what was decided is a fact on the same stream, said once of each letter. A replay says the message
again as it stands on its stream, under the condition that nothing was said on its subject since, so that it cannot undo
what came later, cannot happen twice, and can say nothing that was never said. Every consumer of the subject is given it
once more, which handlers bear as they bear any redelivery: its event id is the one that it had.
"""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, cast

from chassis.log import EventLog, LogLookup, Message, RawMessage, SequenceConflict
from chassis.logs import get_logger
from chassis.messaging import Log
from chassis.subjects import matches
from contracts import registry
from contracts.dead import DeadLetter, DeadLetterSettled
from contracts.fact import Event, Fact
from contracts.mint import Confirmed, Failed
from contracts.streams import DEAD, MINT, STREAMS, Stream

_logger: Final = get_logger(__name__)


class LetterLog(EventLog, Protocol):
    """The log as far as letters are read and dropped."""

    @property
    def lookup(self) -> LogLookup:
        """What it holds of some subjects."""
        ...


class NoSuchLetter(Exception):
    """There is no dead letter of this number; the text says so."""


class AlreadySettled(Exception):
    """It was decided about the letter before; the text says how."""


class Superseded(Exception):
    """The log has gone on without the letter's message, which is not said again; the text says what to do."""


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


async def letters(log: LetterLog, *, settled: bool = False, after: int = 0) -> AsyncGenerator[Letter]:
    """Yield the letters of which nothing was decided, with `settled` all, the oldest first; raises LogUnavailable.

    Beyond the letter `after`.
    """
    decided = {
        event.data.letter: event.data
        async for raw in log.lookup.history(DEAD, [DeadLetterSettled.pattern()], after=after)
        if (event := _understood(raw)) is not None
    }
    history = log.lookup.history(DEAD, [DeadLetter.pattern()], after=after)
    async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
        async for raw in messages:
            if (settled or raw.sequence not in decided) and (event := _understood(raw)) is not None:
                yield Letter(raw.sequence, event.time, event.data, decided.get(raw.sequence))


def _understood(raw: RawMessage) -> Event[Any] | None:
    """Return what a message says; None for a newer program's and for noise, which must not hide the others."""
    try:
        return registry.decode(raw.subject, raw.payload)
    except registry.UndecodableMessage as error:  # go on: no other try would understand it
        _logger.error("message of DEAD not understood", subject=raw.subject, sequence=raw.sequence, reason=str(error))
        return None


async def letter(log: LetterLog, number: int) -> Letter:
    """Return one letter; raises NoSuchLetter and LogUnavailable."""
    try:
        found: Message[Any] | None = await log.lookup.at(DEAD, number) if number > 0 else None
    except registry.UndecodableMessage:  # stop: see `_understood`
        found = None
    if found is None or not isinstance(found.data, DeadLetter):
        raise NoSuchLetter(f"there is no dead letter {number}")
    decided = await log.last(DeadLetterSettled, letter=number)
    return Letter(number, found.event.time, found.data, decided.data if decided else None)


async def replay(log: Log, number: int, *, caller: str = "", cause: Event[Fact] | None = None) -> DeadLetterSettled:
    """Say the letter's message again and settle it for `caller`.

    Raises NoSuchLetter, AlreadySettled, Superseded and LogUnavailable. Dying in between leaves the message said and the
    letter open; the next try finds it said, and settles.
    """
    found = await _open(log, number)
    told = found.message
    stream, standing = await _standing(log, found)
    await _check_end(log, told)
    said_at = standing.sequence
    if said_at == told.sequence:  # beyond, it was said again before, by somebody who died before settling
        try:
            said_at = await log.repair().repeat(stream, standing)
        except SequenceConflict:
            raise Superseded(f"something else was said on {told.subject} just now: look at it, and try again") from None
    return await _settle(
        log, DeadLetterSettled(letter=number, outcome="replayed", said_at=said_at, caller=caller), cause
    )


async def _standing(log: Log, found: Letter) -> tuple[Stream, RawMessage]:
    """Return the stream and its newest message on the letter's subject; raises Superseded unless it is the letter's.

    A letter only points at a message. Any service writes letters, and whoever replays them may say more than that
    service may: so nothing of a letter is said that does not stand on the stream.
    """
    told = found.message
    for stream in STREAMS:
        if stream.name == found.fact.stream and any(matches(pattern, told.subject) for pattern in stream.subjects):
            newest = await log.lookup.newest(stream, told.subject)
            if newest is None or newest.sequence < told.sequence:
                break
            if (newest.subject, newest.payload) == (told.subject, told.payload):
                return stream, newest
    raise Superseded(
        f"something else was said on {told.subject} since, or never this: what the log says now counts. "
        "Look at it, and drop the letter if it is answered"
    )


async def _check_end(log: Log, message: RawMessage) -> None:
    """Raise Superseded for a confirmation that a failure took back: said again behind it, it would stand for good."""
    kind, _, about = message.subject.partition(".v1.")
    if f"{kind}.v1" != Confirmed.type():
        return
    newest = await log.lookup.newest(MINT, f"mint.*.v1.{about}")
    if newest is not None and newest.sequence > message.sequence and registry.type_of(newest.subject) == Failed.type():
        raise Superseded(f"{newest.subject} was said since: the transaction is not on chain any more. Drop the letter")


async def drop(log: LetterLog, number: int, *, caller: str = "") -> DeadLetterSettled:
    """Settle the letter without its message, for `caller`; raises NoSuchLetter, AlreadySettled and LogUnavailable."""
    await _open(log, number)
    return await _settle(log, DeadLetterSettled(letter=number, outcome="dropped", caller=caller), None)


async def _open(log: LetterLog, number: int) -> Letter:
    found = await letter(log, number)
    if found.settled is not None:
        raise AlreadySettled(f"dead letter {number} was {found.settled.outcome} already")
    return found


async def _settle(log: LetterLog, fact: DeadLetterSettled, cause: Event[Fact] | None) -> DeadLetterSettled:
    if not await log.publish_once(fact, cause=cause):
        raise AlreadySettled(f"somebody else has just decided about dead letter {fact.letter}")
    return fact
