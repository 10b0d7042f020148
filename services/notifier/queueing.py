"""From a fact on the log to the queues of the webhooks that want it.

The handler of `notifier-mint` and `notifier-collection`. Facts come one at a time, in order. Killed at any line, the
fact is delivered again, and what is queued already is found by its subject; so nothing is queued twice. Not done here:
past events once more (`replaying`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from chassis.log import Message, RetryLater, SequenceConflict
from contracts import registry
from contracts.fact import Event, Fact
from contracts.mint import Requested
from contracts.streams import DELIVERY
from contracts.webhook import DeliveryQueued, EventSource, WebhookConfigured, thread_pattern
from services.notifier.directory import Directory, Subscription
from services.notifier.domain import Subject, may_know, subject_of, wants
from services.notifier.ports import NotifierLog

MAX_CONFLICTS: Final = 16
KEPT_OWNERS: Final = 4096
CLOCK_SKEW: Final = timedelta(minutes=1)
"""By how much the clocks of two streams' leaders may differ: rather an event too many than one too few."""


class Queueing:
    """Queues events."""

    def __init__(self, log: NotifierLog, directory: Directory) -> None:
        self._event_log = log
        self._directory = directory
        self._owners: OrderedDict[UUID, str] = OrderedDict()

    async def on_fact(self, message: Message[Any]) -> None:
        """Queue the fact for every webhook that wants it and whose owner may know it."""
        subject = subject_of(message.data)
        if subject is None:
            return
        fact: Fact = message.data
        source = EventSource(stream=registry.stream_of(type(fact)).name, sequence=message.sequence)
        queued = await asyncio.gather(
            *(
                self.queue(each.webhook, subject, message.event, source, delivery=message.event.id)
                for each in await self._told(message, subject, await self._directory.current(), CLOCK_SKEW)
            ),
            return_exceptions=True,
        )
        for outcome in queued:
            if isinstance(outcome, BaseException):
                raise outcome  # retried as a whole: what is queued is found there

    async def is_queued(self, message: Message[Any], webhooks: Sequence[Subscription]) -> bool | None:
        """Return whether the fact is queued for each of `webhooks` that wants it; None when none does.

        Raises LogUnavailable.
        """
        subject = subject_of(message.data)
        told = [] if subject is None else await self._told(message, subject, webhooks, timedelta())
        if subject is None or not told:
            return None
        for webhook in told:
            place = {"webhook": webhook.webhook, "about": subject.about, "delivery": message.event.id}
            if await self._event_log.last(DeliveryQueued, **place) is None:
                return False
        return True

    async def _told(
        self, message: Message[Any], subject: Subject, webhooks: Sequence[Subscription], skew: timedelta
    ) -> list[WebhookConfigured]:
        """Return the webhooks that want the fact and whose owners may know it, as they were when it was stored.

        Not as they are: a log that was given back what it had lost gives everything once more.
        """
        first = message.stored_at
        then = [[each for each in webhook.between(first, first + skew) if wants(each, subject)] for webhook in webhooks]
        wanting = [each[0] for each in then if each]
        if not wanting:
            return []
        owner = await self.owner(subject)
        return [each for each in wanting if may_know(each, subject, owner)]

    async def queue(
        self,
        webhook: UUID,
        subject: Subject,
        event: Event[Any],
        source: EventSource,
        *,
        delivery: UUID,
        replay: UUID | None = None,
        cause: Event[Fact] | None = None,
    ) -> bool:
        """Say `delivery.queued` at the end of its thread, once; return whether this call said it.

        Raises LogUnavailable and RetryLater.
        """
        thread = thread_pattern(webhook, subject.about)
        for _ in range(MAX_CONFLICTS):
            last = await self._event_log.last_matching(DELIVERY, thread)
            if last is not None and await self._is_queued(webhook, subject.about, delivery, last.data):
                return False
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
            return True
        raise RetryLater("others queue for the same thread", after=1.0)

    async def _is_queued(self, webhook: UUID, about: str, delivery: UUID, newest: DeliveryQueued) -> bool:
        if newest.delivery == delivery:
            return True
        found = await self._event_log.last(DeliveryQueued, webhook=webhook, about=about, delivery=delivery)
        return found is not None

    async def owner(self, subject: Subject) -> str:
        """Return whose operation it is; empty for what is nobody's. Raises LogUnavailable."""
        if subject.operation is None:
            return ""
        known = self._owners.get(subject.operation)
        if known is not None:
            return known
        requested = await self._event_log.last(Requested, operation=subject.operation)
        if requested is None:  # not kept: a log that lost it may be given it back, and then gives the event once more
            return ""
        self._owners[subject.operation] = requested.data.caller
        if len(self._owners) > KEPT_OWNERS:
            self._owners.popitem(last=False)
        return requested.data.caller
