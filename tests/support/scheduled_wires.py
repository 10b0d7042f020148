"""The log, the consumers and the tables as a process sees them over bad wires: calls are lost before they take effect
or after, acknowledgements get lost, and messages come again while the first worker is still at them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from chassis.clock import Clock
from chassis.delivery import Ack, Again, Bury, judge
from chassis.log import Handler, LogUnavailable, Message, RawMessage, RetryLater, SequenceConflict
from contracts import registry
from contracts.dead import DeadLetter
from contracts.fact import Event, Fact
from contracts.guard import Truncated, Witness
from contracts.leaving import operation_of
from contracts.streams import MINT, Consumer, Stream
from services.indexer.entries import Entry
from services.indexer.ports import Committed, StoreUnavailable
from tests.support.memory_tables import MemoryTables
from tests.support.scheduled_server import Connected, Durable, Server
from tests.support.weather import Weather

F = TypeVar("F", bound=Fact)
T = TypeVar("T")
POLL = 0.2
"""Seconds between two looks for messages."""
A_PERSON = 60.0
"""Seconds from which on a retry waits for somebody to look."""


class FaultyLog(Connected):
    """`chassis.messaging.Log` over a bad wire, as far as the processes use it.

    A publish that the server's death cuts off is tried again when there is a server again, as the real one does.
    """

    def __init__(self, server: Server, weather: Weather, *, speaks_up: bool = False) -> None:
        super().__init__(speaks_up=speaks_up)
        self._server = server
        self._log = server.log
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
        stream = registry.stream_of(type(fact))

        async def store() -> int:
            return await self._log.publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)

        sequence = await self._stored(stream, store)
        event: Event[Any] = registry.decode(fact.subject(), self._log.streams[stream.name][sequence - 1].payload)
        self.witnesses[stream.name] = Witness(stream=stream.name, sequence=sequence, event=event.id)
        return sequence

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """See `EventLog.publish_once`."""
        try:
            await self.publish(fact, cause=cause, expected_sequence=0)
        except SequenceConflict:
            return False
        return True

    async def _stored(self, stream: Stream, store: Callable[[], Awaitable[int]]) -> int:
        """Store a message; what was stored and lost again before anybody heard of it is stored once more."""
        while True:
            epoch = self.connectivity.epoch
            await self._weather.pass_time()
            if self._weather.happens("publish_lost"):
                raise LogUnavailable("not stored")
            if self._server.is_up:
                sequence = await store()
                stored = self._log.streams[stream.name][sequence - 1 : sequence]
                await self._weather.pass_time()
                if self._weather.happens("publish_unheard"):
                    raise LogUnavailable("stored, and the acknowledgement was lost")
                if self.connectivity.epoch == epoch:
                    return sequence
                await self._server.back()
                if stored and self._log.streams[stream.name][sequence - 1 : sequence] == stored:
                    return sequence
            else:
                await self._server.back()

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """See `EventLog.last`."""
        return await self._read(lambda: self._log.last(fact, **tokens))

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """See `EventLog.last_matching`."""
        return await self._read(lambda: self._log.last_matching(stream, pattern))

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`."""
        return await self._read(lambda: self._log.last_sequence(stream))

    async def first_sequence(self, stream: Stream) -> int:
        """See `services.indexer.history.WholeLog.first_sequence`."""
        return await self._read(lambda: self._log.first_sequence(stream))

    async def _read(self, effect: Callable[[], Awaitable[T]]) -> T:
        await self._weather.pass_time()
        if self._weather.happens("read_lost") or not self._server.is_up:
            raise LogUnavailable("no answer")
        return await effect()

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`; goes on when there is a server again."""
        await self._server.back()
        async for raw in self._log.read(stream, after):
            if self._weather.happens("read_lost"):
                raise LogUnavailable("cut off")
            yield raw

    @property
    def lookup(self) -> "FaultyLog":
        """See `history.WholeLog.lookup`."""
        return self

    async def at(self, stream: Stream, sequence: int) -> Message[Any] | None:
        """See `LogLookup.at`."""
        return await self._read(lambda: self._log.at(stream, sequence))

    async def next(self, stream: Stream, pattern: str, after: int) -> Message[Any] | None:
        """See `LogLookup.next`."""
        return await self._read(lambda: self._log.next(stream, pattern, after))

    def history(
        self, stream: Stream, patterns: Sequence[str], since: datetime | None = None, after: int = 0
    ) -> AsyncIterator[RawMessage]:
        """See `LogLookup.history`."""
        return self._log.history(stream, patterns, since, after)

    def repair(self) -> "FaultyLog":
        """See `chassis.messaging.Log.repair`."""
        return self

    async def append(self, stream: Stream, raw: RawMessage, *, exactly: bool) -> int:
        """See `Repairing.append`."""

        async def store() -> int:
            if exactly and len(self._log.streams[stream.name]) != raw.sequence - 1:
                raise SequenceConflict(raw.subject, raw.sequence - 1)
            self._log.put_raw(stream, raw.subject, raw.payload)
            return len(self._log.streams[stream.name])

        return await self._stored(stream, store)

    async def repeat(self, stream: Stream, raw: RawMessage) -> int:
        """See `Repairing.repeat`."""

        async def store() -> int:
            newest = await self._log.last_matching(stream, raw.subject)
            if newest is None or newest.sequence != raw.sequence:
                raise SequenceConflict(raw.subject, raw.sequence)
            self._log.put_raw(stream, raw.subject, raw.payload)
            return len(self._log.streams[stream.name])

        return await self._stored(stream, store)

    async def renew(self, consumers: Iterable[Consumer]) -> None:
        """See `Repairing.renew`."""

        async def made() -> None:
            self._server.renew(consumers)

        await self._read(made)


async def consume(
    server: Server, name: str, handler: Handler, weather: Weather, clock: Clock, concurrency: int
) -> None:
    """Work as one process of a service does, until it dies."""
    durable, hands = server.durables[name], asyncio.Semaphore(concurrency)
    async with asyncio.TaskGroup() as group:
        while True:
            await hands.acquire()
            while not server.is_up or (raw := durable.take(clock.monotonic())) is None:
                await clock.sleep(POLL)
            task = group.create_task(_deliver(server, durable, handler, raw, weather, clock))
            task.add_done_callback(lambda _: hands.release())


async def _deliver(
    server: Server, durable: Durable, handler: Handler, raw: RawMessage, weather: Weather, clock: Clock
) -> None:
    """Hand one message to the handler and do as `chassis.delivery` says, which the client says when it is connected."""
    sequence, times = raw.sequence, durable.deliveries[raw.sequence]
    failure: Exception | None = None
    try:
        event = registry.decode(raw.subject, raw.payload)
        await handler(Message(event, raw.subject, sequence, raw.stored_at, raw.headers, times))
    except Exception as error:
        failure = error
    await server.back()
    if isinstance(failure, RetryLater) and failure.after >= A_PERSON:
        durable.stopped[sequence] = failure.reason
    else:
        durable.stopped.pop(sequence, None)
    match judge(failure, times, durable.failures[sequence] + 1, durable.consumer.max_deliveries):
        case Ack():
            if not weather.happens("ack_lost"):
                durable.acknowledge(sequence)
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
            durable.acknowledge(sequence)


class FaultyTables(MemoryTables):
    """Tables whose transactions fail, or are committed unheard."""

    weather: Weather

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Truncated] = []

    @property
    def vault(self) -> "Vault":
        """The second copy of the log."""
        return Vault(self)

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


class Vault:
    """See `services.indexer.guard.Vault`, on the tables in memory."""

    def __init__(self, tables: FaultyTables) -> None:
        self._tables = tables

    async def watermark(self, stream: str) -> int:
        """See `Vault.watermark`."""
        await self._tables.fail_before()
        return self._tables.watermarks[stream]

    async def messages(self, stream: str, first: int, last: int) -> Sequence[RawMessage]:
        """See `Vault.messages`."""
        await self._tables.fail_before()
        kept = (self._tables.log.get((stream, sequence)) for sequence in range(first, last + 1))
        return [raw for raw in kept if raw is not None]

    async def subjects(self, operations: Collection[str]) -> Sequence[tuple[int, str]]:
        """See `Vault.subjects`."""
        await self._tables.fail_before()
        kept = ((sequence, raw.subject) for (stream, sequence), raw in self._tables.log.items() if stream == MINT.name)
        return [(sequence, subject) for sequence, subject in kept if operation_of(subject) in operations]

    async def losses(self) -> Sequence[Truncated]:
        """See `Vault.losses`."""
        await self._tables.fail_before()
        return list(self._tables.losses)

    async def keep(self, loss: Truncated) -> None:
        """See `Vault.keep`."""
        await self._tables.fail_before()
        if loss.truncation not in {each.truncation for each in self._tables.losses}:
            self._tables.losses.append(loss)

    async def empty(self) -> None:
        """See `Vault.empty`."""
        await self._tables.fail_before()
        fresh = MemoryTables()
        for each in fields(MemoryTables):
            setattr(self._tables, each.name, getattr(fresh, each.name))
