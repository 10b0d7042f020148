"""The log, the consumers and the tables as a process sees them over bad wires: calls are lost before they take effect
or after, acknowledgements get lost, and messages come again while the first worker is still at them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chassis.clock import Clock
from chassis.delivery import Ack, Again, Bury, judge
from chassis.log import Handler, LogUnavailable, Message, RawMessage
from contracts import registry
from contracts.dead import DeadLetter
from contracts.fact import Event, Fact
from contracts.streams import Consumer, Stream
from services.indexer.entries import Entry
from services.indexer.ports import Committed, StoreUnavailable
from tests.support.memory_log import MemoryLog, matches
from tests.support.memory_tables import MemoryTables
from tests.support.weather import Weather

F = TypeVar("F", bound=Fact)
T = TypeVar("T")
POLL = 0.2
"""Seconds between two looks for messages."""


class FaultyLog:
    """`chassis.log.EventLog` and `LogReader` over a bad wire."""

    def __init__(self, log: MemoryLog, weather: Weather) -> None:
        self._log = log
        self._weather = weather

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `EventLog.publish`."""
        return await self._told(
            lambda: self._log.publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)
        )

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """See `EventLog.publish_once`."""
        return await self._told(lambda: self._log.publish_once(fact, cause=cause))

    async def _told(self, effect: Callable[[], Awaitable[T]]) -> T:
        await self._weather.pass_time()
        if self._weather.happens("publish_lost"):
            raise LogUnavailable("not stored")
        result = await effect()
        await self._weather.pass_time()
        if self._weather.happens("publish_unheard"):
            raise LogUnavailable("stored, and the acknowledgement was lost")
        return result

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """See `EventLog.last`."""
        return await self._read(lambda: self._log.last(fact, **tokens))

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """See `EventLog.last_matching`."""
        return await self._read(lambda: self._log.last_matching(stream, pattern))

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`."""
        return await self._read(lambda: self._log.last_sequence(stream))

    async def _read(self, effect: Callable[[], Awaitable[T]]) -> T:
        await self._weather.pass_time()
        if self._weather.happens("read_lost"):
            raise LogUnavailable("no answer")
        return await effect()

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`."""
        async for raw in self._log.read(stream, after):
            if self._weather.happens("read_lost"):
                raise LogUnavailable("cut off")
            yield raw


@dataclass
class Durable:
    """A durable consumer: what outlives its workers. A message is somebody's for a while, and then anybody's again."""

    log: MemoryLog
    consumer: Consumer
    ack_wait: float
    done: set[int] = field(default_factory=set[int])
    leases: dict[int, float] = field(default_factory=dict[int, float])
    deliveries: Counter[int] = field(default_factory=Counter[int])
    failures: Counter[int] = field(default_factory=Counter[int])
    _open: list[RawMessage] = field(default_factory=list[RawMessage])
    _position: int = 0

    @property
    def unsettled(self) -> bool:
        """Whether a message was handed out or is to be, and is not done."""
        self._look()
        return bool(self._open)

    def take(self, now: float) -> RawMessage | None:
        """The next message that nobody has in hand."""
        self._look()
        for raw in self._open:
            if self.leases.get(raw.sequence, 0.0) <= now:
                self.leases[raw.sequence] = now + self.ack_wait
                self.deliveries[raw.sequence] += 1
                return raw
        return None

    def _look(self) -> None:
        messages = self.log.streams[self.consumer.stream]
        for raw in messages[self._position :]:
            if any(matches(pattern, raw.subject) for pattern in self.consumer.filters):
                self._open.append(raw)
        self._position = len(messages)
        self._open = [raw for raw in self._open if raw.sequence not in self.done]


async def consume(durable: Durable, handler: Handler, weather: Weather, clock: Clock, concurrency: int) -> None:
    """Work as one process of a service does, until it dies."""
    hands = asyncio.Semaphore(concurrency)
    async with asyncio.TaskGroup() as group:
        while True:
            await hands.acquire()
            while (raw := durable.take(clock.monotonic())) is None:
                await clock.sleep(POLL)
            task = group.create_task(_deliver(durable, handler, raw, weather, clock))
            task.add_done_callback(lambda _: hands.release())


async def _deliver(durable: Durable, handler: Handler, raw: RawMessage, weather: Weather, clock: Clock) -> None:
    """Hand one message to the handler and do as `chassis.delivery` says."""
    sequence, times = raw.sequence, durable.deliveries[raw.sequence]
    failure: Exception | None = None
    try:
        event = registry.decode(raw.subject, raw.payload)
        await handler(Message(event, raw.subject, sequence, raw.stored_at, raw.headers, times))
    except Exception as error:
        failure = error
    match judge(failure, times, durable.failures[sequence] + 1, durable.consumer.max_deliveries):
        case Ack():
            if not weather.happens("ack_lost"):
                durable.done.add(sequence)
        case Again(delay=delay, unknown=unknown):
            durable.failures[sequence] += unknown
            durable.leases[sequence] = clock.monotonic() + delay
        case Bury(reason=reason):
            letter = DeadLetter(
                stream=durable.consumer.stream,
                consumer=durable.consumer.name,
                subject_name=raw.subject,
                stream_sequence=sequence,
                reason=reason,
                deliveries=times,
                payload=raw.payload.decode(),
            )
            await durable.log.publish(letter, cause=None)
            durable.done.add(sequence)


class FaultyTables(MemoryTables):
    """Tables whose transactions fail, or are committed unheard."""

    weather: Weather

    async def watermark(self, stream: str) -> int:
        """See `ports.Store.watermark`."""
        await self.weather.pass_time()
        return await super().watermark(stream)

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        """See `ports.Store.apply`; rows and watermark change at one moment."""
        await self.fail_before()
        committed = await super().apply(stream, after, entries)
        await self.weather.pass_time()
        if self.weather.happens("store_unheard"):
            raise StoreUnavailable("committed, and nobody heard")
        return committed

    async def fail_before(self) -> None:
        """Let a transaction take its time, and perhaps end unfinished."""
        await self.weather.pass_time()
        if self.weather.happens("store_lost"):
            raise StoreUnavailable("rolled back")
