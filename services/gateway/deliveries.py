"""What was queued for a webhook and how it stands, listed from the log. Called by `webhooks`.

Everything, or what ended in one way, the oldest first, a page at a time. What was parked is found by a fact of its own,
however much else there is; what was delivered is looked for among the attempts, of which it is nearly all.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final, TypeVar, cast
from uuid import UUID

import msgspec

from chassis.log import LogLookup, Message, RawMessage
from chassis.telemetry import get_logger
from contracts import registry
from contracts.fact import Fact
from contracts.streams import DELIVERY, Stream
from contracts.webhook import DeliveryAttempted, DeliveryParked, DeliveryQueued, DeliveryState

MAX_SCANNED: Final = 5000
"""Messages that one page looks through; a page may be shorter than asked for, and yet not the last."""

F = TypeVar("F", bound=Fact)
Of = TypeVar("Of", DeliveryQueued, DeliveryAttempted, DeliveryParked)
Facts = Sequence[Message[DeliveryQueued] | Message[DeliveryAttempted] | Message[DeliveryParked]]
_log = get_logger(__name__)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery with how it stands; `attempted` is None while it waits for its first attempt."""

    queued: DeliveryQueued
    queued_at: datetime
    attempted: DeliveryAttempted | None = None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some deliveries; `after` is where the next page begins, None at the end of the log."""

    deliveries: Sequence[Delivery]
    after: int | None


async def page_of_deliveries(
    log: LogLookup, webhook: UUID, state: DeliveryState | None, since: datetime | None, after: int, limit: int
) -> DeliveryPage:
    """Return up to `limit` deliveries beyond sequence `after`: all, or those in `state`. Raises LogUnavailable."""
    if state is None:
        queued, place = await _page(log, DeliveryQueued, webhook, since, after, limit)
        return _told(queued, queued, await _beside(log, DeliveryAttempted, queued), place)
    if state is DeliveryState.PARKED:
        parked, place = await _page(log, DeliveryParked, webhook, since, after, limit)
        queued = await _beside(log, DeliveryQueued, parked)
        return _told(parked, queued, await _beside(log, DeliveryAttempted, parked), place)
    ended, place = await _page(log, DeliveryAttempted, webhook, since, after, limit, state)
    return _told(ended, await _beside(log, DeliveryQueued, ended), ended, place)


def _told(
    listed: Facts,
    queued: Sequence[Message[DeliveryQueued]],
    attempted: Sequence[Message[DeliveryAttempted]],
    place: int | None,
) -> DeliveryPage:
    began = {each.data.delivery: each for each in queued}
    stand = {each.data.delivery: each.data for each in attempted}  # the newest attempt comes last
    deliveries = [
        Delivery(queued=found.data, queued_at=found.event.time, attempted=stand.get(found.data.delivery))
        for each in listed
        if (found := began.get(each.data.delivery)) is not None
    ]
    return DeliveryPage(deliveries=deliveries, after=place)


async def _page(
    log: LogLookup,
    kind: type[Of],
    webhook: UUID,
    since: datetime | None,
    after: int,
    limit: int,
    state: DeliveryState | None = None,
) -> tuple[list[Message[Of]], int | None]:
    """Return up to `limit` facts, and where to go on; None when the log has no more."""
    found: list[Message[Of]] = []
    scanned = 0
    pattern = kind.subject_of(webhook=webhook, about="*", delivery="*")
    async with aclosing(history(log, kind, DELIVERY, [pattern], since, after)) as messages:
        async for message in messages:
            if len(found) == limit or scanned == MAX_SCANNED:
                return found, after
            scanned += 1
            after = message.sequence
            if state is None or (isinstance(message.data, DeliveryAttempted) and message.data.state is state):
                found.append(message)
    return found, None


async def _beside(log: LogLookup, kind: type[Of], facts: Facts) -> list[Message[Of]]:
    """Return every fact of a kind about the same deliveries, in the order of the log: one reading."""
    subjects = [
        kind.subject_of(webhook=each.data.webhook, about=each.data.about, delivery=each.data.delivery) for each in facts
    ]
    if not subjects:
        return []
    async with aclosing(history(log, kind, DELIVERY, subjects)) as messages:
        return [message async for message in messages]


async def history(
    log: LogLookup,
    kind: type[F],
    stream: Stream,
    patterns: Sequence[str],
    since: datetime | None = None,
    after: int = 0,
) -> AsyncGenerator[Message[F]]:
    """Yield the facts of a kind that `stream` holds now on these subjects, in order. Raises LogUnavailable."""
    raws: AsyncIterator[RawMessage] = log.history(stream, patterns, since, after)
    async with aclosing(cast("AsyncGenerator[RawMessage]", raws)) as messages:
        async for raw in messages:
            try:
                event = registry.decode(raw.subject, raw.payload)
            except registry.UndecodableMessage as error:  # go on: a newer program's message, or somebody's noise
                _log.error("message not understood", stream=stream.name, subject=raw.subject, reason=str(error))
                continue
            if isinstance(event.data, kind):
                yield Message(event, raw.subject, raw.sequence, raw.stored_at)
