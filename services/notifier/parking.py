"""What was given up, told by a fact of its own: also what was parked before there was such a fact.

`Courier` says it of what it parks. `tell_parked` goes through an older log once: it looks at every attempt, says what
is missing, and when there was nothing to say, that it need not look again. Two that do so at a time do no harm.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, cast

from chassis.clock import Clock
from chassis.log import LogUnavailable, RawMessage
from chassis.telemetry import get_logger
from contracts import registry
from contracts.fact import Event
from contracts.streams import DELIVERY
from contracts.webhook import DeliveryAttempted, DeliveryParked, DeliveryState, ParkedTold
from services.notifier.ports import NotifierLog

RETRY_SECONDS: Final = 60.0
_PARKED: Final = DeliveryState.PARKED.encode()

_log = get_logger(__name__)


async def say_parked(log: NotifierLog, attempted: DeliveryAttempted, cause: Event[Any]) -> bool:
    """Say that the delivery was given up, if nobody has; return whether this call said it. Raises LogUnavailable."""
    parked = DeliveryParked(webhook=attempted.webhook, about=attempted.about, delivery=attempted.delivery)
    return await log.publish_once(parked, cause=cause)


async def tell_parked(log: NotifierLog, clock: Clock) -> None:
    """Say `parked` of what was parked before it was a fact. Ends when there is nothing to say."""
    while True:
        try:
            return await _tell_parked(log)
        except LogUnavailable as error:  # retry from the start: what was said is found
            _log.warning("cannot look for parked deliveries", reason=str(error))
            await clock.sleep(RETRY_SECONDS)


async def _tell_parked(log: NotifierLog) -> None:
    if await log.last_matching(DELIVERY, ParkedTold.pattern()) is not None:
        return
    said, through = 0, 0
    history = log.lookup.history(DELIVERY, [DeliveryAttempted.pattern()])
    async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as attempts:
        async for raw in attempts:
            through = raw.sequence
            said += await _tell_one(log, raw)
    _log.info("parked deliveries looked for", said=said, through=through)
    if not said:  # else a notifier of before may still be parking beside us: the next start looks once more
        await log.publish_once(ParkedTold(through=through), cause=None)


async def _tell_one(log: NotifierLog, raw: RawMessage) -> bool:
    if _PARKED not in raw.payload:  # most were taken, and decoding takes longer than looking
        return False
    try:
        event: Event[Any] = registry.decode(raw.subject, raw.payload)
    except registry.UndecodableMessage:  # go on: nobody can tell what it was
        return False
    attempted = event.data
    if not isinstance(attempted, DeliveryAttempted) or attempted.state is not DeliveryState.PARKED:
        return False
    place = {"webhook": attempted.webhook, "about": attempted.about, "delivery": attempted.delivery}
    if await log.last(DeliveryParked, **place) is not None:
        return False
    return await say_parked(log, attempted, event)
