"""From a request for a replay to the queue of its webhook: past events once more, behind what is queued already.

The handler of `notifier-replay`. It queues no more than its receiver gets done, so that what happens meanwhile waits
for a few hundred replayed events and not for a year of them. Killed at any line, the next process begins again, and
what is queued is found by its subject; within a process a replay goes on from where it was.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, cast
from uuid import UUID, uuid5

from msgspec import structs

from chassis.log import ConsumerWatch, LogUnavailable, Message, RawMessage, RetryLater
from chassis.telemetry import get_logger
from contracts import registry
from contracts.fact import Event
from contracts.streams import COLLECTION, DELIVERY, MINT, NOTIFIER_COLLECTION, NOTIFIER_MINT, Stream
from contracts.webhook import EventSource, ReplayRequested, WebhookConfigured, WebhookState, queue_name
from services.notifier.domain import may_know, subject_of, wants
from services.notifier.ports import NotifierLog
from services.notifier.queueing import Queueing
from services.notifier.telling import Untellable, confirmed, patterns_about

AHEAD: Final = 200
"""Deliveries that a replay queues before it looks at how many wait, and goes on if these are no more."""
PAUSE_SECONDS: Final = 2.0
TURN_SECONDS: Final = 5.0
KEPT_PLACES: Final = 1000

_log = get_logger(__name__)


class ReplayLog(NotifierLog, ConsumerWatch, Protocol):
    """The log as it is used here."""


class Replaying:
    """Replays. `draining` ends a long one, which goes on in the next process."""

    def __init__(self, log: ReplayLog, queueing: Queueing, draining: asyncio.Event) -> None:
        self._event_log = log
        self._queueing = queueing
        self._draining = draining
        self._busy: set[UUID] = set()
        """Webhooks that have a replay under way: one of many holds up no other webhook's."""
        self._places: OrderedDict[UUID, tuple[int, int]] = OrderedDict()
        """By replay: how far it is, as the number of its stream and a sequence there."""

    async def on_replay(self, message: Message[ReplayRequested]) -> None:
        """Queue the past events that were asked for, as far as the webhook's filters take them."""
        replay = message.data
        if replay.webhook in self._busy:
            raise RetryLater("another replay for this webhook is under way", after=TURN_SECONDS)
        found = await self._event_log.last(WebhookConfigured, webhook=replay.webhook)
        if found is None or found.data.state is WebhookState.DELETED:
            return
        self._busy.add(replay.webhook)
        try:
            # A disabled webhook keeps its filters, and what is queued for it is parked where one can see it.
            await self._go_on(structs.replace(found.data, state=WebhookState.ACTIVE), message)
        finally:
            self._busy.discard(replay.webhook)
        _log.info("replay queued", webhook=str(replay.webhook), replay=str(replay.replay))

    async def _go_on(self, webhook: WebhookConfigured, message: Message[ReplayRequested]) -> None:
        replay, said = message.data, 0
        number, after = self._places.pop(replay.replay, (0, 0))
        try:
            for stream, patterns in _sources(replay)[number:]:
                history = self._event_log.lookup.history(stream, patterns, replay.since, after)
                async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
                    async for raw in messages:
                        if replay.until is not None and raw.stored_at > replay.until:
                            break
                        said += await self._queue(webhook, replay, stream, raw, message.event)
                        after = raw.sequence
                        if self._draining.is_set():
                            raise RetryLater("shutting down", after=0)
                        if said == AHEAD:
                            said = 0
                            await self._require_room(webhook.webhook)
                number, after = number + 1, 0
        except (RetryLater, LogUnavailable):  # retried by the chassis, maybe by another process
            self._places[replay.replay] = (number, after)
            if len(self._places) > KEPT_PLACES:
                self._places.popitem(last=False)
            raise

    async def _require_room(self, webhook: UUID) -> None:
        name = queue_name(webhook)
        for standing in await self._event_log.consumers(DELIVERY):
            if standing.name == name and standing.pending > AHEAD:
                raise RetryLater("what is queued goes first", after=PAUSE_SECONDS)

    async def _queue(
        self, webhook: WebhookConfigured, replay: ReplayRequested, stream: Stream, raw: RawMessage, cause: Event[Any]
    ) -> bool:
        """Return whether a delivery was queued now."""
        try:
            event = registry.decode(raw.subject, raw.payload)
        except registry.UndecodableMessage:  # go on: it is dead-lettered where it was first met
            return False
        subject = subject_of(event.data)
        if subject is None or not wants(webhook, subject):
            return False
        if not may_know(webhook, subject, await self._queueing.owner(subject)):
            return False
        try:
            await confirmed(self._event_log, event.data)
        except Untellable:  # go on: of an operation whose messages have left, only what can be told is told
            return False
        source = EventSource(stream=stream.name, sequence=raw.sequence)
        delivery = uuid5(replay.replay, str(event.id))
        return await self._queueing.queue(
            webhook.webhook, subject, event, source, delivery=delivery, replay=replay.replay, cause=cause
        )


def _sources(replay: ReplayRequested) -> Sequence[tuple[Stream, Sequence[str]]]:
    """Return where the events stand that a replay is about."""
    if replay.operation is not None:
        return [(MINT, patterns_about(MINT, str(replay.operation)))]
    return [(MINT, NOTIFIER_MINT.filters), (COLLECTION, NOTIFIER_COLLECTION.filters)]
