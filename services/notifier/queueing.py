"""From a fact on the log to the queues of the webhooks that want it; from a request for a replay to the same.

Handlers of `notifier-mint`, `notifier-collection` and `notifier-replay`. Facts come one at a time, in order. Killed at
any line, the fact is delivered again, and what is queued already is found by its subject; so nothing is queued twice.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid5

from msgspec import structs

from chassis.log import Message, RawMessage, RetryLater, SequenceConflict
from chassis.telemetry import get_logger
from contracts import registry
from contracts.fact import Event, Fact
from contracts.mint import Requested
from contracts.streams import COLLECTION, DELIVERY, MINT, NOTIFIER_COLLECTION, NOTIFIER_MINT, Stream
from contracts.webhook import (
    DeliveryQueued,
    EventSource,
    ReplayRequested,
    WebhookConfigured,
    WebhookState,
    thread_pattern,
)
from services.notifier.directory import Directory
from services.notifier.domain import Subject, may_know, subject_of, wants
from services.notifier.ports import NotifierLog
from services.notifier.telling import Untellable, confirmed, patterns_about

MAX_CONFLICTS: Final = 16
KEPT_OWNERS: Final = 4096
CLOCK_SKEW: Final = timedelta(minutes=1)
"""By how much the clocks of two streams' leaders may differ: rather an event too many than one too few."""

_log = get_logger(__name__)


class Queueing:
    """Queues events. `draining` ends a long replay, which goes on in the next process."""

    def __init__(self, log: NotifierLog, directory: Directory, draining: asyncio.Event) -> None:
        self._event_log = log
        self._directory = directory
        self._draining = draining
        self._owners: OrderedDict[UUID, str] = OrderedDict()

    async def on_fact(self, message: Message[Any]) -> None:
        """Queue the fact for every webhook that wants it and whose owner may know it."""
        subject = subject_of(message.data)
        if subject is None:
            return
        fact: Fact = message.data
        source = EventSource(stream=registry.stream_of(type(fact)).name, sequence=message.sequence)
        candidates = [
            each.webhook
            for each in await self._directory.current()
            if wants(each.webhook, subject) and each.since - CLOCK_SKEW <= message.stored_at
        ]
        if not candidates:
            return
        owner = await self._owner(subject)
        queued = await asyncio.gather(
            *(
                self._queue(each.webhook, subject, message.event, source, delivery=message.event.id)
                for each in candidates
                if may_know(each, subject, owner)
            ),
            return_exceptions=True,
        )
        for outcome in queued:
            if isinstance(outcome, BaseException):
                raise outcome  # retried as a whole: what is queued is found there

    async def on_replay(self, message: Message[ReplayRequested]) -> None:
        """Queue the past events that were asked for, as far as the webhook's filters take them."""
        replay = message.data
        found = await self._event_log.last(WebhookConfigured, webhook=replay.webhook)
        if found is None or found.data.state is WebhookState.DELETED:
            return
        # A disabled webhook keeps its filters, and what is queued for it is parked where one can see it.
        count = 0
        for stream, patterns in _patterns(replay):
            history = self._event_log.lookup.history(stream, patterns, replay.since)
            async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
                async for raw in messages:
                    if replay.until is not None and raw.stored_at > replay.until:
                        break
                    count += await self._replay(found.data, replay, stream, raw, message.event)
                    if self._draining.is_set():
                        raise RetryLater("shutting down", after=0)
        _log.info("replay queued", webhook=str(replay.webhook), replay=str(replay.replay), events=count)

    async def _replay(
        self, webhook: WebhookConfigured, replay: ReplayRequested, stream: Stream, raw: RawMessage, cause: Event[Any]
    ) -> bool:
        try:
            event = registry.decode(raw.subject, raw.payload)
        except registry.UndecodableMessage:  # go on: it is dead-lettered where it was first met
            return False
        subject = subject_of(event.data)
        if subject is None or not wants(_active(webhook), subject):
            return False
        if not may_know(webhook, subject, await self._owner(subject)):
            return False
        try:
            await confirmed(self._event_log, event.data)
        except Untellable:  # go on: of an operation whose messages have left, only what can be told is told
            return False
        source = EventSource(stream=stream.name, sequence=raw.sequence)
        delivery = uuid5(replay.replay, str(event.id))
        await self._queue(webhook.webhook, subject, event, source, delivery=delivery, replay=replay.replay, cause=cause)
        return True

    async def _queue(
        self,
        webhook: UUID,
        subject: Subject,
        event: Event[Any],
        source: EventSource,
        *,
        delivery: UUID,
        replay: UUID | None = None,
        cause: Event[Fact] | None = None,
    ) -> None:
        """Say `delivery.queued` at the end of its thread, once."""
        thread = thread_pattern(webhook, subject.about)
        for _ in range(MAX_CONFLICTS):
            last = await self._event_log.last_matching(DELIVERY, thread)
            if last is not None and await self._is_queued(webhook, subject.about, delivery, last.data):
                return
            queued = DeliveryQueued(
                webhook=webhook,
                about=subject.about,
                delivery=delivery,
                event=event.id,
                event_type=subject.event_type,
                source=source,
                previous=None if last is None else last.data.delivery,
                replay=replay,
            )
            try:
                await self._event_log.publish(
                    queued, cause=cause or event, expected_sequence=last.sequence if last else 0, fence=thread
                )
            except SequenceConflict:  # go on: another event of the thread was queued; this one comes after it
                continue
            return
        raise RetryLater("others queue for the same thread", after=1.0)

    async def _is_queued(self, webhook: UUID, about: str, delivery: UUID, newest: DeliveryQueued) -> bool:
        if newest.delivery == delivery:
            return True
        found = await self._event_log.last(DeliveryQueued, webhook=webhook, about=about, delivery=delivery)
        return found is not None

    async def _owner(self, subject: Subject) -> str:
        """Return whose operation it is; empty for what is nobody's."""
        if subject.operation is None:
            return ""
        known = self._owners.get(subject.operation)
        if known is None:
            requested = await self._event_log.last(Requested, operation=subject.operation)
            known = "" if requested is None else requested.data.caller
            self._owners[subject.operation] = known
            if len(self._owners) > KEPT_OWNERS:
                self._owners.popitem(last=False)
        return known


def _active(webhook: WebhookConfigured) -> WebhookConfigured:
    return structs.replace(webhook, state=WebhookState.ACTIVE)


def _patterns(replay: ReplayRequested) -> Sequence[tuple[Stream, Sequence[str]]]:
    """Return where the events stand that a replay is about."""
    if replay.operation is not None:
        return [(MINT, patterns_about(MINT, str(replay.operation)))]
    return [(MINT, NOTIFIER_MINT.filters), (COLLECTION, NOTIFIER_COLLECTION.filters)]
