"""A message that could not be processed, kept whole with the reason, so that a person can replay or drop it."""

from typing import ClassVar, Literal
from uuid import UUID

import msgspec

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
    """The original body: text when it is UTF-8, else base64."""
    payload_encoding: str = "utf-8"
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    event_id: UUID | None = None


class DeadLetterSettled(Fact, frozen=True, kw_only=True):
    """What a person decided about a dead letter; said once of each."""

    SUBJECT: ClassVar[str] = "dead.settled.v1.{letter}"

    letter: Index
    """Sequence of the letter on DEAD."""
    outcome: Literal["replayed", "dropped"]
    """`replayed`: its message was said again; `dropped`: it will never be handled."""
    said_at: Index = 0
    """Sequence of the message that was said again, on the letter's stream."""
