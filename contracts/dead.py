"""Messages that could not be processed, kept whole with the reason, and what a person decided about each.

`letter` is said by whoever gave up. `replay_requested` (gateway) asks for its message to be said again; the indexer
does so and says `settled`, or `replay_refused` when the log has gone on without it. The command line says `settled`
itself.
"""

from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from contracts.access import CallerName
from contracts.fact import Count, Fact, Index


class DeadLetter(Fact, frozen=True, kw_only=True):
    """One message that a consumer gave up on."""

    SUBJECT: ClassVar[str] = "dead.letter.v1.{stream}.{consumer}"

    stream: str
    consumer: str
    subject_name: str
    """The original message's subject."""
    stream_sequence: Index
    reason: str
    deliveries: Count
    payload: str
    """The original body: text when it is UTF-8 and not much longer in JSON, else base64."""
    payload_encoding: str = "utf-8"
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    event_id: UUID | None = None


class DeadLetterReplayRequested(Fact, frozen=True, kw_only=True):
    """A caller wants the letter's message said again; may be said many times of one letter."""

    SUBJECT: ClassVar[str] = "dead.replay_requested.v1.{letter}"

    letter: Index
    """Sequence of the letter on DEAD."""
    caller: CallerName


class DeadLetterReplayRefused(Fact, frozen=True, kw_only=True):
    """The letter's message was not said again, and the letter stays open."""

    SUBJECT: ClassVar[str] = "dead.replay_refused.v1.{letter}"

    letter: Index
    """Sequence of the letter on DEAD."""
    request: Index
    """Sequence of the request on DEAD that this answers."""
    reason: str


class DeadLetterSettled(Fact, frozen=True, kw_only=True):
    """What a person decided about a dead letter; said once of each."""

    SUBJECT: ClassVar[str] = "dead.settled.v1.{letter}"

    letter: Index
    """Sequence of the letter on DEAD."""
    outcome: Literal["replayed", "dropped"]
    """`replayed`: its message was said again; `dropped`: it will never be handled."""
    said_at: Index = 0
    """Sequence of the message that was said again, on the letter's stream."""
    caller: CallerName = ""
    """Whose decision it was; empty: that of the command line."""
