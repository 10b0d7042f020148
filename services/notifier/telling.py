"""From a queued delivery to the body that is sent: the event is read from where it stands on the log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

from chassis.log import EventLog, Message, RawMessage
from contracts import registry
from contracts.fact import Event, Fact
from contracts.mint import Confirmed, Finalized
from contracts.notification import TEST_EVENT, Notification, WebhookTest
from contracts.streams import COLLECTION, MINT, Stream
from contracts.webhook import DeliveryQueued, EventSource
from services.notifier.domain import data_of, subject_of
from services.notifier.ports import NotifierLog

TEST_MESSAGE = "This webhook works."
_STREAMS = {stream.name: stream for stream in (MINT, COLLECTION)}


class Untellable(Exception):
    """The event can never be told: the log does not hold it as it was queued."""


class Missing(Untellable):
    """The log does not hold the event, or what it needs. It may be given back what it has lost; else it has left."""


class Teller:
    """Makes the bodies of deliveries."""

    def __init__(self, log: NotifierLog) -> None:
        self._event_log = log

    async def tell(self, queued: Message[DeliveryQueued]) -> Notification:
        """Return the body; the same for every attempt. Raises Untellable, Missing among them, and LogUnavailable."""
        source = queued.data.source
        if source is None:
            if queued.data.event_type != TEST_EVENT:
                raise Untellable("it names no event")
            return Notification(
                id=queued.data.event,
                type=TEST_EVENT,
                timestamp=queued.event.time,
                data=WebhookTest(message=TEST_MESSAGE),
            )
        event = await self._event(queued.data, source)
        subject = subject_of(event.data)
        if subject is None:
            raise Untellable("its event is none that is told")
        return Notification(
            id=event.id,
            type=subject.event_type,
            timestamp=event.time,
            transaction_id=subject.operation,
            data=data_of(event.data, await confirmed(self._event_log, event.data)),
        )

    async def _event(self, queued: DeliveryQueued, source: EventSource) -> Event[Any]:
        stream = _STREAMS.get(source.stream)
        if stream is None:
            raise Untellable("its event is on no stream that is told of")
        try:
            found = await self._event_log.lookup.at(stream, source.sequence)
        except registry.UndecodableMessage as error:
            raise Untellable(f"its event cannot be read: {error}") from error
        if found is not None and found.event.id == queued.event:
            return found.event
        # A log that lost its tail and was given it back holds it, but maybe elsewhere.
        history = self._event_log.lookup.history(stream, patterns_about(stream, queued.about))
        async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
            async for raw in messages:
                event = _event_in(raw)
                if event is not None and event.id == queued.event:
                    return event
        raise Missing("its event is no longer on the log; the operation's timeline tells it")


def patterns_about(stream: Stream, about: str) -> Sequence[str]:
    """Return the subjects of everything that `stream` holds about an operation, a collection or a wallet."""
    (noun,) = (subject.removesuffix(".>") for subject in stream.subjects)
    return [f"{noun}.*.v1.{about}", f"{noun}.*.v1.{about}.>"]


def _event_in(raw: RawMessage) -> Event[Any] | None:
    try:
        return registry.decode(raw.subject, raw.payload)
    except registry.UndecodableMessage:  # go on: another one is looked for
        return None


async def confirmed(log: EventLog, fact: Fact) -> Confirmed | None:
    """Return what a `finalized` finalizes; None for other facts. Raises Missing when that is not on the log."""
    if not isinstance(fact, Finalized):
        return None
    found = await log.last(Confirmed, operation=fact.operation, chunk=fact.chunk, tx=fact.tx)
    if found is None:
        raise Missing("what it finalizes has left the log; the operation's timeline tells it")
    return found.data
