"""The event log as the services see it: publish with compare-and-set, read by subject, consume.

Protocols and values only; `chassis.messaging` implements them on NATS JetStream, the tests' in-memory log implements
them without a server, and one behavioural suite runs on both. No I/O here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Generic, Protocol, TypeVar

import msgspec

from contracts.fact import Event, Fact
from contracts.streams import Consumer, Stream

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)
"""The times that the log can be asked about: it counts nanoseconds since 1970 in 64 bits."""
MAX_BATCH: Final = 128
"""Most messages that are published as one atomic batch, unless a setting says otherwise; nats-server takes 1000."""

F = TypeVar("F", bound=Fact)
F_co = TypeVar("F_co", bound=Fact, covariant=True)


class SequenceConflict(Exception):
    """Somebody else has already spoken on this subject: the last sequence is not the expected one.

    Not an error of the caller's: read the subject and follow what is there.
    """

    def __init__(self, subject: str, expected: int) -> None:
        super().__init__(f"{subject}: the last sequence is not {expected}")
        self.subject = subject
        self.expected = expected


class LogUnavailable(Exception):
    """The log did not acknowledge in time. It may be stored or not: retry with the same compare-and-set."""


class RetryLater(Exception):
    """A handler could not finish now; deliver the message again after `after` seconds."""

    def __init__(self, reason: str, after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class InvalidEvent(Exception):
    """A message can never be handled; it goes to the dead letters and is not delivered again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MissingFact(Exception):
    """A fact that must be on the log is not there: a bug, or a log that has just lost its tail.

    The two look the same until the guard has compared the log with its copy. So the message is delivered again, a
    bounded number of times, before it goes to the dead letters.
    """


@dataclass(frozen=True, slots=True)
class Message(Generic[F_co]):
    """One event as it stands on the log."""

    event: Event[F_co]
    subject: str
    sequence: int
    """Stream sequence, from 1."""
    stored_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    deliveries: int = 1
    """How often a consumer was given this message, this time included."""

    @property
    def data(self) -> F_co:
        """The fact itself."""
        return self.event.data


class RawMessage(msgspec.Struct, frozen=True):
    """One message as bytes, for readers that keep or check the log itself."""

    subject: str
    sequence: int
    stored_at: datetime
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConsumerStanding:
    """How far a durable consumer is, in messages."""

    name: str
    pending: int
    """Were never delivered to it."""
    in_hand: int
    """Were delivered and are not settled: a worker has them, or they wait to be delivered again."""
    redelivered: int
    """Of those, delivered more than once."""


Handler = Callable[[Message[Any]], Awaitable[None]]
"""Handles one message. Returning acknowledges it; raise RetryLater or InvalidEvent to say otherwise."""


class EventLog(Protocol):
    """What a handler needs of the log."""

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """Store `fact` and return its stream sequence once the log has acknowledged it.

        `expected_sequence` is the last sequence that the fence may have: 0 means that nothing was ever said there;
        None means no condition. The fence is a subject pattern that matches the fact's subject; by default it is that
        subject alone. Raises SequenceConflict and LogUnavailable.
        """
        ...

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """Store `fact` unless its subject has ever been used; return whether this call stored it."""
        ...

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """Return the newest message on the subject that `tokens` identify, or None. A read from the stream's leader."""
        ...

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """Return the newest message whose subject matches `pattern`, or None. A read from the stream's leader."""
        ...


class LogReader(Protocol):
    """What a reader of the whole order needs."""

    def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """Yield every message of `stream` with a sequence beyond `after`, in order, for ever."""
        ...

    async def last_sequence(self, stream: Stream) -> int:
        """Return the stream's last sequence; 0 when it is empty."""
        ...


class LogLookup(Protocol):
    """Single messages by their place, and what there is now of some subjects. Every method raises LogUnavailable."""

    async def at(self, stream: Stream, sequence: int) -> Message[Any] | None:
        """Return the message at `sequence`, or None. Raises UndecodableMessage."""
        ...

    async def next(self, stream: Stream, pattern: str, after: int) -> Message[Any] | None:
        """Return the first message beyond sequence `after` whose subject matches, or None. Raises UndecodableMessage.

        A read from the stream's leader.
        """
        ...

    def history(
        self, stream: Stream, patterns: Sequence[str], since: datetime | None = None, after: int = 0
    ) -> AsyncIterator[RawMessage]:
        """Yield what the stream holds now on these subjects, in order; then end.

        Beyond sequence `after`; or, when that is 0, stored at `since` or later. `patterns` overlap nowhere.
        """
        ...


class ConsumerWatch(Protocol):
    """What a reader needs who tells how far others are."""

    async def consumers(self, stream: Stream) -> Sequence[ConsumerStanding]:
        """Return how far each durable consumer of `stream` is; raises LogUnavailable."""
        ...

    async def last_sequence(self, stream: Stream) -> int:
        """Return the stream's last sequence; 0 when it is empty. Raises LogUnavailable."""
        ...


class UploadStore(Protocol):
    """The object store UPLOADS: image bytes by their SHA-256."""

    async def put(self, sha256: str, data: bytes) -> None:
        """Keep `data` under its digest; keeping the same bytes twice is one object."""
        ...

    async def renew(self, sha256: str) -> None:
        """Keep for longer what would be removed before long; what is not there stays so. Raises LogUnavailable."""
        ...

    async def get(self, sha256: str) -> bytes | None:
        """Return the bytes, or None when they are not (or no longer) there."""
        ...

    async def copy(self, sha256: str, target: BinaryIO) -> int | None:
        """Write the bytes into `target` as they arrive, without holding them whole; return how many there are.

        None when they are not (or no longer) there. `target` is written from worker threads, one at a time. Raises
        LogUnavailable, also at the end when the digest is another one: what was written is worthless then.
        """
        ...

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; removing what is not there changes nothing."""
        ...


class Consuming(Protocol):
    """What a service's composition root needs to be fed."""

    async def consume(self, consumer: Consumer, handler: Handler, *, concurrency: int) -> None:
        """Feed `handler` with at most `concurrency` messages at once until cancelled; drains before it returns."""
        ...
