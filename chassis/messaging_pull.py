# nats-py is annotated in part only: its callbacks and header types are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""Pulling messages from JetStream: the loop of a durable consumer, and the ordered reader of a whole stream.

Used by `chassis.messaging` only. Written on plain pull requests, because the client's own `fetch` waits for a full
batch or its timeout, which would cost a lone mint up to that timeout.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import nats.errors
import uuid_utils.compat as uuid_utils
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api

from chassis import metrics
from chassis.clock import Clock
from chassis.delivery import Ack, Again, BurialCap, Bury, ConsumerHalted, Verdict, backoff, judge
from chassis.log import Handler, LogUnavailable, Message, RawMessage, RetryLater
from chassis.logs import get_logger
from chassis.messaging_spans import processing
from contracts import registry
from contracts.streams import Consumer, Stream

PULL_EXPIRES = 30.0
"""Seconds that a pull request waits on the server for messages."""
PULL_HEARTBEAT = 5.0
"""Seconds between the server's signs of life while a pull request waits."""
PULL_BYTES = 16 * 1024 * 1024
"""About the most bytes of messages that one pull request brings; more than the largest message."""
READ_BATCH = 2048
_SHORT_REPLY = 9
"""Tokens of a reply subject that names neither domain nor account."""
READER_INACTIVE = 60.0
"""Seconds after which the server forgets a reader that vanished."""
FORGETTING_SECONDS = 1.0
"""Seconds for telling it sooner; a process that ends has few."""

_logger = get_logger(__name__)

Burier = Callable[[Consumer, RawMessage, int, str], Awaitable[None]]


class PullLost(Exception):
    """The pull request is gone: the server restarted, the consumer moved or was deleted. Ask again."""


class Pull:
    """One pull request at a time on one consumer, over one inbox."""

    def __init__(self, client: Client, stream: str, consumer: str) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: deque[Msg] = deque()
        """What has come of the request and was not yielded; never more than was asked for."""
        self._news = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the next message is there already."""
        return bool(self._arrived)

    async def open(self) -> None:
        """Subscribe to the inbox."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._take)

    async def _take(self, message: Msg) -> None:
        self._arrived.append(message)
        self._news.set()

    async def _next(self) -> Msg:
        # Not the client's `next_msg`: it makes two tasks and a timer for each message.
        while not self._arrived:
            self._news.clear()
            try:
                async with asyncio.timeout(2 * PULL_HEARTBEAT):
                    await self._news.wait()
            except TimeoutError as error:
                raise PullLost("no heartbeat") from error
        return self._arrived.popleft()

    async def close(self) -> None:
        """Give the inbox up; messages not yet taken are delivered again after the consumer's ack wait."""
        if self._subscription is not None and not self._client.is_closed:
            # A closed connection has forgotten the subscription already; nothing is left to undo.
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    async def messages(self, batch: int, *, wait: bool = True) -> AsyncIterator[Msg]:
        """Ask for up to `batch` messages and yield them as they come, until the request ends; raises PullLost.

        It ends with the batch, with its time, or with about PULL_BYTES of messages; without `wait` as soon as there is
        no more.
        """
        assert self._subscription is not None, "open() comes first"
        request: dict[str, object] = {"batch": batch, "max_bytes": PULL_BYTES}
        if wait:
            request |= {"expires": int(PULL_EXPIRES * 1e9), "idle_heartbeat": int(PULL_HEARTBEAT * 1e9)}
        else:
            request["no_wait"] = True
        await self._client.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)
        left = batch
        while left:
            message = self._arrived.popleft() if self._arrived else await self._next()
            if message.reply.startswith("$JS.ACK"):
                left -= 1
                yield message
                continue
            headers = message.headers or {}
            match headers.get("Status"), headers.get("Description", ""):
                # The server is alive and has nothing yet; or it says so of the request before, which had its batch.
                case ("100", _) | ("409", "Batch Completed"):
                    continue
                case ("404" | "408", _) | ("409", "Message Size Exceeds MaxBytes"):  # no more for this request
                    return
                case status, description:
                    raise PullLost(f"{status} {description}")


class Place(NamedTuple):
    """Where a delivered message stands, as the server tells in its reply subject."""

    deliveries: int
    """How often the consumer was given it, this time included."""
    sequence: int
    """In the stream."""
    given: int
    """In the consumer: how many messages it has given, this one included."""
    stored_at: datetime
    pending: int
    """Messages that the consumer has still to give after this one."""


def place_of(message: Msg) -> Place:
    """Read the reply subject: `$JS.ACK.<stream>.<consumer>.<numbers>`, or domain and account before the stream.

    The client's own `metadata` makes three objects of it, which each message of a replay would pay for. Raises
    PullLost for what no server says. https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md
    """
    tokens = message.reply.split(".")
    first = 4 if len(tokens) == _SHORT_REPLY else 6
    try:
        deliveries, sequence, given, stored_at, pending = map(int, tokens[first : first + 5])
    except ValueError as error:
        raise PullLost(f"a message came with the reply subject {message.reply}") from error
    return Place(deliveries, sequence, given, datetime.fromtimestamp(stored_at / 1_000_000_000.0, UTC), pending)


def counted(place: Place, given: int) -> int:
    """Return how many messages have arrived, this one included; `given` is how many had before.

    The consumer counts what it gives, and gives it once. Raises PullLost when something of it did not arrive, as when
    the client changes servers meanwhile.
    """
    if place.given != given + 1:
        raise PullLost(f"{given} messages arrived, and then number {place.given}")
    return place.given


def raw_message(message: Msg, place: Place) -> RawMessage:
    """Return a delivered message with its place in the stream."""
    return RawMessage(
        subject=message.subject,
        sequence=place.sequence,
        stored_at=place.stored_at,
        payload=message.data,
        headers=dict(message.headers or {}),
    )


@dataclass(slots=True)
class ConsumerLoop:
    """Feeds one handler from one durable consumer."""

    client: Client
    consumer: Consumer
    handler: Handler
    concurrency: int
    bury: Burier
    cap: BurialCap
    clock: Clock
    draining: asyncio.Event
    _in_flight: dict[int, Msg] = field(default_factory=dict[int, Msg])
    """By the object's id: a consumer that is made anew gives messages with reply subjects that were used before."""
    _unknown_failures: dict[int, int] = field(default_factory=dict[int, int])
    """Stream sequence -> failures for unknown reasons; an entry leaves with its message."""

    async def run(self) -> None:
        """Pull and handle until `draining` is set and every handler has returned; raises ConsumerHalted."""
        slots = asyncio.Semaphore(self.concurrency)
        pull = Pull(self.client, self.consumer.stream, self.consumer.name)
        await pull.open()
        try:
            async with asyncio.TaskGroup() as handlers:
                progress = handlers.create_task(self._report_progress())
                puller = handlers.create_task(self._pull(pull, slots, handlers))
                draining = handlers.create_task(self.draining.wait())
                await asyncio.wait((puller, draining), return_when=asyncio.FIRST_COMPLETED)
                puller.cancel()
                draining.cancel()
                for _ in range(self.concurrency):
                    await slots.acquire()
                progress.cancel()
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                if isinstance(error, ConsumerHalted):
                    raise error from None
            raise
        finally:
            await pull.close()

    async def _pull(self, pull: Pull, slots: asyncio.Semaphore, handlers: asyncio.TaskGroup) -> None:
        while True:
            free = await _acquire_all(slots)
            used = 0
            try:
                async for message in pull.messages(free):
                    used += 1
                    metrics.CONSUMER_LAG.set(place_of(message).pending, consumer=self.consumer.name)
                    handlers.create_task(self._handle(message, slots))
                if used < free:  # the server waited and had no more: whatever other processes left is theirs
                    metrics.CONSUMER_LAG.set(0, consumer=self.consumer.name)
            except (PullLost, nats.errors.Error) as error:
                # Says nothing about any message: whatever was delivered is handled, the rest is asked for again.
                _logger.warning("pull lost, asking again", consumer=self.consumer.name, reason=str(error))
                await self.clock.sleep(0.5)
            finally:
                for _ in range(free - used):
                    slots.release()

    async def _handle(self, message: Msg, slots: asyncio.Semaphore) -> None:
        self._in_flight[id(message)] = message
        try:
            place = place_of(message)
            raw, deliveries = raw_message(message, place), place.deliveries
            verdict = await self._verdict(raw, deliveries)
            if isinstance(verdict, Bury):
                verdict = await self._buried(verdict, raw, deliveries)
            await self._carry_out(verdict, message, raw)
        finally:
            del self._in_flight[id(message)]
            slots.release()

    async def _verdict(self, raw: RawMessage, deliveries: int) -> Verdict:
        failure: Exception | None = None
        try:
            with processing(self.consumer, raw):
                event = registry.decode(raw.subject, raw.payload)
                await self.handler(
                    Message(event, raw.subject, raw.sequence, raw.stored_at, raw.headers, deliveries=deliveries)
                )
        except Exception as error:
            # Every failure is judged in one place, below; nothing is swallowed.
            failure = error
        unknown = self._unknown_failures.get(raw.sequence, 0) + 1
        verdict = judge(failure, deliveries, unknown, self.consumer.max_deliveries)
        if isinstance(verdict, Again):
            if verdict.unknown:
                self._unknown_failures[raw.sequence] = unknown
            # An announced retry is the normal course of things; anything else is worth a look.
            log = _logger.debug if isinstance(failure, RetryLater) else _logger.warning
            log(
                "delivering again later",
                consumer=self.consumer.name,
                subject=raw.subject,
                after=round(verdict.delay, 3),
                reason=verdict.reason,
            )
        return verdict

    async def _buried(self, verdict: Bury, raw: RawMessage, deliveries: int) -> Verdict:
        """Store the message among the dead letters, or have it delivered again until there is room for it."""
        try:
            await self.bury(self.consumer, raw, deliveries, verdict.reason)
        except LogUnavailable as error:
            # Retry: it may be there or not, and twice is better than never. The consumer goes on with the others.
            _logger.error("message not buried", consumer=self.consumer.name, subject=raw.subject, reason=str(error))
            return Again(backoff(deliveries), str(error))
        _logger.error("message buried", consumer=self.consumer.name, subject=raw.subject, reason=verdict.reason)
        return verdict

    async def _carry_out(self, verdict: Verdict, message: Msg, raw: RawMessage) -> None:
        try:
            match verdict:
                case Ack():
                    await message.ack()
                case Again(delay=delay):
                    await message.nak(delay=delay)
                case Bury():
                    # It is stored among the dead letters: dying before this line delivers it once more.
                    await message.term()
        except (TimeoutError, nats.errors.Error) as error:
            # The verdict did not reach the server: the message comes again, and its handler is idempotent.
            _logger.warning("verdict not delivered", subject=raw.subject, error=type(error).__name__)
            return
        if not isinstance(verdict, Again):
            self._unknown_failures.pop(raw.sequence, None)
        metrics.CONSUMED.add(consumer=self.consumer.name, verdict=type(verdict).__name__.lower())
        if isinstance(verdict, Bury) and self.cap.record(self.clock.monotonic()):
            raise ConsumerHalted(
                f"consumer {self.consumer.name} buried more than {self.cap.limit} messages within "
                f"{self.cap.window:.0f} seconds and stopped; look at `dead.letter.v1.{self.consumer.stream}."
                f"{self.consumer.name}` before starting it again"
            )

    async def _report_progress(self) -> None:
        """Keep long-running handlers' messages from being delivered to somebody else."""
        while True:
            await asyncio.sleep(self.consumer.ack_wait / 3)
            for message in list(self._in_flight.values()):
                try:
                    await message.in_progress()
                except nats.errors.Error:
                    # Worst case the message is delivered twice, which every handler must bear.
                    break


async def _acquire_all(slots: asyncio.Semaphore) -> int:
    """Wait for one slot, then take every other that is free; return how many were taken."""
    await slots.acquire()
    taken = 1
    while not slots.locked():
        await slots.acquire()
        taken += 1
    return taken


class StreamReader:
    """Reads a whole stream in order through ephemeral consumers, made again whenever one is lost."""

    def __init__(self, client: Client, jetstream: JetStreamContext, stream: Stream, clock: Clock) -> None:
        self._client = client
        self._jetstream: Any = jetstream
        self._stream = stream
        self._clock = clock

    async def read(self, after: int) -> AsyncIterator[RawMessage]:
        """Yield every message beyond `after`; holes in the sequences are the stream's: what was there has left."""
        position = after
        while True:
            try:
                async for message in self._read_from(position + 1):
                    if message.sequence <= position:
                        # Never backwards, whatever a server gives whose stream ends before the place asked for.
                        raise PullLost(f"expected a sequence beyond {position}, was given {message.sequence}")
                    position = message.sequence
                    yield message
            except (PullLost, TimeoutError, nats.errors.Error) as error:
                # The consumer was lost or skipped; the position is ours, so a new one goes on from it.
                _logger.info("reader starts again", stream=self._stream.name, after=position, reason=str(error))
                await self._clock.sleep(0.25)

    async def _read_from(self, start: int) -> AsyncIterator[RawMessage]:
        info = await self._jetstream.add_consumer(
            self._stream.name,
            api.ConsumerConfig(
                name=reader_name(),
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=start,
                ack_policy=api.AckPolicy.NONE,
                replay_policy=api.ReplayPolicy.INSTANT,
                inactive_threshold=READER_INACTIVE,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        pull = Pull(self._client, self._stream.name, info.name)
        await pull.open()
        given = 0
        try:
            while True:
                async for message in pull.messages(READ_BATCH):
                    place = place_of(message)
                    given = counted(place, given)
                    if not pull.ready:
                        metrics.CONSUMER_LAG.set(place.pending, consumer=self._stream.name)
                    yield raw_message(message, place)
        finally:
            await pull.close()
            await forget_reader(self._client, self._jetstream, self._stream, info.name)


def reader_name() -> str:
    """Return a new name for a consumer to read a stream with.

    With one the request's subject names the consumer, and permissions can say which must not be touched: without, the
    server goes by the name in the request's body, and changes a durable consumer of that name.
    """
    return f"reader-{uuid_utils.uuid7().hex}"


async def forget_reader(client: Client, jetstream: JetStreamContext, stream: Stream, consumer: str) -> None:
    """Have the server forget a reader's consumer now: a courtesy, it does so after READER_INACTIVE seconds anyway."""
    if client.is_connected:  # else the request would wait for a server to come back, in a process that may be ending
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(FORGETTING_SECONDS):
                await jetstream.delete_consumer(stream.name, consumer)
