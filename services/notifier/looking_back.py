"""After every start and every lost connection: is what was queued last still queued? If not, it is queued again.

A nats-server that loses its power may forget what it has acknowledged last, of DELIVERY more than of the other streams.
Nobody would come back to the events of which the queued deliveries are gone: they were dealt with. Deliveries are
queued in the order of the events, and a log loses its tail; so the newest event that was queued and still is shows
that all before it are. What was dealt with after it is handled once more, before anything new.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final, Protocol, cast

from chassis.clock import Clock
from chassis.connectivity import Connectivity
from chassis.log import ConsumerWatch, LogUnavailable, Message, RawMessage, RetryLater
from chassis.telemetry import get_logger
from contracts import registry
from contracts.streams import COLLECTION, MINT, NOTIFIER_COLLECTION, NOTIFIER_MINT, Consumer, Stream
from services.notifier.directory import Directory, Subscription
from services.notifier.ports import NotifierLog
from services.notifier.queueing import Queueing

WINDOW: Final = timedelta(minutes=10)
"""How far before a stream's last message it is looked: nats-server syncs its files every two minutes unless it is told
otherwise, and an event is queued within seconds."""
MAX_EVENTS: Final = 10_000
TRIES: Final = 12
"""So often it is tried on a log that answers, and does not let us look: an upgrade before its permissions."""
RETRY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 5.0
"""How long a new event waits in hand; then it is delivered again later."""
_LOOKED_AT: Final[tuple[tuple[Stream, Consumer], ...]] = ((MINT, NOTIFIER_MINT), (COLLECTION, NOTIFIER_COLLECTION))

_log = get_logger(__name__)


class WatchedLog(NotifierLog, ConsumerWatch, Protocol):
    """The log, how far its consumers are, and whether the connection to it was cut."""

    @property
    def connectivity(self) -> Connectivity:
        """Counts the cuts."""
        ...

    async def ping(self) -> None:
        """Return when the log answers; raises LogUnavailable."""
        ...


class LookingBack:
    """Hands new events to `queueing` once nothing is missing of the old ones."""

    def __init__(self, log: WatchedLog, directory: Directory, queueing: Queueing, clock: Clock) -> None:
        self._event_log = log
        self._directory = directory
        self._queueing = queueing
        self._clock = clock
        self._looked_in = -1
        """The connection, as `connectivity.epoch`, over which nothing was missing."""
        self._looked = asyncio.Condition()

    async def run(self) -> None:
        """Look back now and after every lost connection, until cancelled."""
        while True:
            epoch = self._event_log.connectivity.epoch
            tries = 0
            while tries < TRIES and not await self._has_looked():
                await self._clock.sleep(RETRY_SECONDS)
                tries += await self._answers()
            async with self._looked:
                self._looked_in = epoch
                self._looked.notify_all()
            await self._event_log.connectivity.left(epoch)

    async def _has_looked(self) -> bool:
        try:
            await self._look_back()
        except (LogUnavailable, RetryLater) as error:  # retry: new events wait on the log
            _log.warning("cannot look back", reason=str(error))
            return False
        except Exception:
            # Go on: noise on the log, or a mistake of ours. What is new must not wait for what may be missing.
            _log.exception("looking back failed")
        return True

    async def _answers(self) -> bool:
        try:
            await self._event_log.ping()
        except LogUnavailable:  # go on trying: when it is back is when something may be missing
            return False
        return True

    async def on_fact(self, message: Message[Any]) -> None:
        """See `Queueing.on_fact`. Raises RetryLater while it is not known whether something is missing."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._looked:
                await self._looked.wait_for(lambda: self._looked_in == self._event_log.connectivity.epoch)
        except TimeoutError as error:
            raise RetryLater("what was queued last is looked for", after=RETRY_SECONDS) from error
        await self._queueing.on_fact(message)

    async def _look_back(self) -> None:
        if webhooks := await self._directory.current():
            for stream, consumer in _LOOKED_AT:
                await self._look_back_on(stream, consumer, webhooks)

    async def _look_back_on(self, stream: Stream, consumer: Consumer, webhooks: Sequence[Subscription]) -> None:
        missing: list[Message[Any]] = []
        for message in reversed(await self._dealt_with(stream, consumer)):
            queued = await self._queueing.is_queued(message, webhooks)
            if queued:
                break
            if queued is not None:
                missing.append(message)
        for message in reversed(missing):
            await self._queueing.on_fact(message)
        if missing:
            _log.warning("events handled that were queued no more", stream=stream.name, events=len(missing))

    async def _dealt_with(self, stream: Stream, consumer: Consumer) -> list[Message[Any]]:
        """Return the newest events that the consumer was done with, in order."""
        standings = [each for each in await self._event_log.consumers(stream) if each.name == consumer.name]
        newest = [await self._event_log.last_matching(stream, pattern) for pattern in consumer.filters]
        stored = [each.stored_at for each in newest if each is not None]
        if not standings or not stored:
            return []
        # Asked before the rest is read: what is new since then comes after these and is handled in order all the same.
        to_come = standings[0].pending + standings[0].in_hand
        if to_come > MAX_EVENTS:
            _log.warning("too much is to come to look back", stream=stream.name, events=to_come)
            return []
        events: deque[RawMessage] = deque(maxlen=MAX_EVENTS + to_come)
        history = self._event_log.lookup.history(stream, consumer.filters, max(stored) - WINDOW)
        async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
            async for raw in messages:
                events.append(raw)
        return [message for raw in list(events)[: max(len(events) - to_come, 0)] if (message := _decoded(raw))]


def _decoded(raw: RawMessage) -> Message[Any] | None:
    try:
        event = registry.decode(raw.subject, raw.payload)
    except registry.UndecodableMessage:  # go on: it is dead-lettered when it is handled
        return None
    return Message(event, raw.subject, raw.sequence, raw.stored_at)
