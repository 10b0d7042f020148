"""From a queued delivery to the body that is sent: the event is read from where it stands on the log."""

from chassis.log import EventLog, Message
from contracts import registry
from contracts.fact import Fact
from contracts.mint import Confirmed, Finalized
from contracts.notification import TEST_EVENT, Notification, WebhookTest
from contracts.streams import COLLECTION, MINT
from contracts.webhook import DeliveryQueued
from services.notifier.domain import data_of, subject_of
from services.notifier.ports import NotifierLog

TEST_MESSAGE = "This webhook works."
_STREAMS = {stream.name: stream for stream in (MINT, COLLECTION)}


class Untellable(Exception):
    """The event can never be told: the log does not hold it as it was queued."""


class Teller:
    """Makes the bodies of deliveries."""

    def __init__(self, log: NotifierLog) -> None:
        self._event_log = log

    async def tell(self, queued: Message[DeliveryQueued]) -> Notification:
        """Return the body; the same for every attempt. Raises Untellable and LogUnavailable."""
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
        found = None
        if stream := _STREAMS.get(source.stream):
            try:
                found = await self._event_log.lookup.at(stream, source.sequence)
            except registry.UndecodableMessage as error:
                raise Untellable(f"its event cannot be read: {error}") from error
        subject = None if found is None else subject_of(found.data)
        if found is None or subject is None or found.event.id != queued.data.event:
            raise Untellable("its event is no longer where it was on the log; the operation's timeline tells it")
        return Notification(
            id=found.event.id,
            type=subject.event_type,
            timestamp=found.event.time,
            transaction_id=subject.operation,
            data=data_of(found.data, await confirmed(self._event_log, found.data)),
        )


async def confirmed(log: EventLog, fact: Fact) -> Confirmed | None:
    """Return what a `finalized` finalizes; None for other facts. Raises Untellable when that has left the log."""
    if not isinstance(fact, Finalized):
        return None
    found = await log.last(Confirmed, operation=fact.operation, chunk=fact.chunk, tx=fact.tx)
    if found is None:
        raise Untellable("what it finalizes has left the log; the operation's timeline tells it")
    return found.data
