"""An event log in memory, for unit tests: the same promises as `chassis.messaging.Log`, without a server.

`tests/integration/chassis/test_log_behaviour.py` runs one suite on this and on the real one.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar

import uuid_utils.compat as uuid_utils

from chassis.connectivity import Connectivity
from chassis.delivery import Ack, Again, Bury, judge
from chassis.log import ConsumerStanding, Handler, Message, RawMessage, SequenceConflict
from chassis.subjects import matches
from contracts import registry
from contracts.dead import DeadLetter
from contracts.fact import Event, Fact, Producer
from contracts.streams import Consumer, Stream

F = TypeVar("F", bound=Fact)


class MemoryLog:
    """Streams as lists. `fail_publishes` makes the next publishes raise what it holds, in order."""

    def __init__(self, producer: str = "test", now: Callable[[], datetime] | None = None) -> None:
        """`now` is the time by which messages are stored; by default the machine's."""
        self._now = now or (lambda: datetime.now(UTC))
        self.publishers_now = self._now
        """The time by which publishers stamp their events, if it is another."""
        self.connectivity = Connectivity()
        self.streams: defaultdict[str, list[RawMessage]] = defaultdict(list)
        self.first: defaultdict[str, int] = defaultdict(lambda: 1)
        self.standings: defaultdict[str, list[ConsumerStanding]] = defaultdict(list)
        self.left: defaultdict[str, set[int]] = defaultdict(set)
        """By stream: sequences of messages that were taken out of it."""
        self.fail_publishes: list[Exception] = []
        self.acknowledged: defaultdict[str, int] = defaultdict(int)
        self._producer = Producer(name=producer, version="test")
        self._grown = asyncio.Event()
        self._draining = asyncio.Event()

    def facts(self, kind: type[F] | None = None) -> list[F]:
        """Every fact in the order of its stream, of one class if asked."""
        return [message.data for message in self.messages(kind)]

    def messages(self, kind: type[F] | None = None) -> list[Message[F]]:
        """Every message, of one class if asked."""
        decoded = [self._decode(raw) for stream in self.streams.values() for raw in stream]
        return [message for message in decoded if kind is None or isinstance(message.data, kind)]

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `chassis.log.EventLog.publish`."""
        if self.fail_publishes:
            raise self.fail_publishes.pop(0)
        subject, stream = fact.subject(), registry.stream_of(type(fact))
        last = self._last_raw(stream, fence or subject)
        if expected_sequence is not None and expected_sequence != (last.sequence if last else 0):
            raise SequenceConflict(subject, expected_sequence)
        now = self._now()
        event = Event(
            id=uuid_utils.uuid7(),
            type=fact.type(),
            time=self.publishers_now(),
            producer=self._producer,
            data=fact,
            causation_id=cause.id if cause else None,
        )
        headers = {"Nats-Msg-Id": str(event.id)}
        messages = self.streams[stream.name]
        sequence = len(messages) + 1
        messages.append(RawMessage(subject, sequence, now, registry.encode(event), headers))
        self._grown.set()
        self._grown = asyncio.Event()
        await asyncio.sleep(0)
        return sequence

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """See `chassis.log.EventLog.publish_once`."""
        try:
            await self.publish(fact, cause=cause, expected_sequence=0)
        except SequenceConflict:
            return False
        return True

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """See `chassis.log.EventLog.last`."""
        raw = self._last_raw(registry.stream_of(fact), fact.subject_of(**tokens))
        return self._decode(raw) if raw else None

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """See `chassis.log.EventLog.last_matching`."""
        raw = self._last_raw(stream, pattern)
        return self._decode(raw) if raw else None

    async def last_sequence(self, stream: Stream) -> int:
        """See `chassis.log.LogReader.last_sequence`."""
        return len(self.streams[stream.name])

    async def consumers(self, stream: Stream) -> Sequence[ConsumerStanding]:
        """See `chassis.log.ConsumerWatch.consumers`; a test puts them in."""
        return self.standings[stream.name]

    async def first_sequence(self, stream: Stream) -> int:
        """See `archive.finding.LookedUp.first_sequence`."""
        return self.first[stream.name]

    def shorten(self, stream: Stream, first: int) -> None:
        """Forget the messages before sequence `first`."""
        self.first[stream.name] = first

    async def purge(self, stream: Stream, pattern: str, up_to: int) -> None:
        """See `services.indexer.pruning.Purging.purge`."""
        self.left[stream.name] |= {
            raw.sequence for raw in self.streams[stream.name][:up_to] if matches(pattern, raw.subject)
        }

    def held(self, stream: Stream, after: int = 0) -> list[RawMessage]:
        """What the stream holds beyond sequence `after`."""
        left = self.left[stream.name]
        return [raw for raw in self.streams[stream.name][after:] if raw.sequence not in left]

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `chassis.log.LogReader.read`."""
        assert after + 1 >= self.first[stream.name], "these messages have left the stream"
        position = after
        while True:
            grown = self._grown
            for message in self.held(stream, position):
                position = message.sequence
                yield message
            await grown.wait()

    @property
    def lookup(self) -> "MemoryLog":
        """See `chassis.messaging.Log.lookup`."""
        return self

    async def at(self, stream: Stream, sequence: int) -> Message[Any] | None:
        """See `chassis.log.LogLookup.at`."""
        found = await self.raw(stream, sequence)
        return None if found is None else self._decode(found)

    async def raw(self, stream: Stream, sequence: int) -> RawMessage | None:
        """See `services.indexer.pruning.Lookup.raw`."""
        return next((raw for raw in self.held(stream, max(0, sequence - 1)) if raw.sequence == sequence), None)

    async def next(self, stream: Stream, pattern: str, after: int) -> Message[Any] | None:
        """See `chassis.log.LogLookup.next`."""
        found = (raw for raw in self.held(stream, after) if matches(pattern, raw.subject))
        return next((self._decode(raw) for raw in found), None)

    async def history(
        self, stream: Stream, patterns: Sequence[str], since: datetime | None = None, after: int = 0
    ) -> AsyncIterator[RawMessage]:
        """See `chassis.log.LogLookup.history`."""
        for raw in self.held(stream, after):
            early = since is not None and not after and raw.stored_at < since
            gone = raw.sequence < self.first[stream.name]
            if not early and not gone and any(matches(each, raw.subject) for each in patterns):
                yield raw

    async def ping(self) -> None:
        """See `chassis.messaging.Log.ping`."""

    def drain(self) -> None:
        """Let every `consume` return once its messages are handled."""
        self._draining.set()

    async def consume(self, consumer: Consumer, handler: Handler, *, concurrency: int) -> None:
        """Handle every message of the consumer's subjects, one after another, redelivering at once."""
        assert concurrency > 0
        deliveries: defaultdict[int, int] = defaultdict(int)
        position = 0
        while True:
            grown = self._grown
            for raw in self.streams[consumer.stream][position:]:
                gone = raw.sequence in self.left[consumer.stream]
                position = raw.sequence
                if not gone and any(matches(pattern, raw.subject) for pattern in consumer.filters):
                    await self._deliver(consumer, handler, raw, deliveries)
            if self._draining.is_set() and position == len(self.streams[consumer.stream]):
                return
            waits = [asyncio.ensure_future(grown.wait()), asyncio.ensure_future(self._draining.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _deliver(
        self, consumer: Consumer, handler: Handler, raw: RawMessage, deliveries: defaultdict[int, int]
    ) -> None:
        failures = 0
        while True:
            deliveries[raw.sequence] += 1
            failure: Exception | None = None
            try:
                await handler(self._decode(raw, deliveries[raw.sequence]))
            except Exception as error:
                failure = error
            times = deliveries[raw.sequence]
            match judge(failure, times, failures + 1, consumer.max_deliveries):
                case Ack():
                    self.acknowledged[consumer.name] += 1
                    return
                case Again(unknown=unknown):
                    failures += unknown
                    await asyncio.sleep(0)
                case Bury(reason=reason):
                    letter = DeadLetter(
                        stream=consumer.stream,
                        consumer=consumer.name,
                        subject_name=raw.subject,
                        stream_sequence=raw.sequence,
                        reason=reason,
                        deliveries=times,
                        payload=raw.payload.decode(),
                    )
                    await self.publish(letter, cause=None)
                    return

    def put_raw(self, stream: Stream, subject: str, payload: bytes) -> None:
        """Store bytes as they are, for messages that no service of ours would write."""
        messages = self.streams[stream.name]
        messages.append(RawMessage(subject, len(messages) + 1, self._now(), payload, {}))
        self._grown.set()
        self._grown = asyncio.Event()

    def _last_raw(self, stream: Stream, pattern: str) -> RawMessage | None:
        left = self.left[stream.name]
        found = (
            r for r in reversed(self.streams[stream.name]) if matches(pattern, r.subject) and r.sequence not in left
        )
        return next(found, None)

    @staticmethod
    def _decode(raw: RawMessage, deliveries: int = 1) -> Message[Any]:
        event = registry.decode(raw.subject, raw.payload)
        return Message(event, raw.subject, raw.sequence, raw.stored_at, raw.headers, deliveries)


class MemoryUploads:
    """The object store UPLOADS in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.renewed: list[str] = []

    async def put(self, sha256: str, data: bytes) -> None:
        """See `chassis.log.UploadStore.put`."""
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("the digest is not the data's")
        self.objects.setdefault(sha256, data)

    async def renew(self, sha256: str) -> None:
        """See `chassis.log.UploadStore.renew`."""
        self.renewed.append(sha256)

    async def get(self, sha256: str) -> bytes | None:
        """See `chassis.log.UploadStore.get`."""
        return self.objects.get(sha256)

    async def copy(self, sha256: str, target: BinaryIO) -> int | None:
        """See `chassis.log.UploadStore.copy`."""
        data = self.objects.get(sha256)
        return None if data is None else target.write(data)

    async def delete(self, sha256: str) -> None:
        """See `chassis.log.UploadStore.delete`."""
        self.objects.pop(sha256, None)
