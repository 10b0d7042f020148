"""Who carries a thread, and what becomes of it when processes, logs, clocks, owners and receivers do what they do."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from chassis.clock import ManualClock
from chassis.log import LogUnavailable, RetryLater
from contracts import registry
from contracts.mint import Completed
from contracts.streams import DELIVERY, MINT
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryParked,
    DeliveryState,
    ParkedTold,
    WebhookConfigured,
    WebhookState,
)
from services.notifier.domain import FORSAKEN_SECONDS, Answer
from services.notifier.parking import tell_parked
from services.notifier.recovery import LOOK_AGAIN_SECONDS, OPERATIONS
from tests.support.delivering import WEBHOOK, World

REFUSED = Answer(500, "The endpoint answered 500.")
GONE = Answer(410, "The endpoint answered 410: it wants no more.")


def told(world: World) -> list[int]:
    return [sent.event["data"]["total"] for sent in world.sender.sent]


async def test_a_thread_that_another_process_carries_is_left_to_it() -> None:
    world = World()
    await world.configure()
    first, second, third = await world.queue(1, 1, 1)
    one, other = world.courier(), world.courier()
    at_third, go_on = asyncio.Event(), asyncio.Event()
    send = world.sender.send

    async def hold(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if headers["webhook-id"] == str(third.data.event):
            at_third.set()
            await go_on.wait()
        return await send(url, headers, body)

    world.sender.send = hold  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)
    carrying = asyncio.create_task(one.on_queued(first))
    await at_third.wait()
    await other.on_queued(second)  # it has ended: whoever ended it goes on
    assert told(world) == [0, 1]
    go_on.set()
    await carrying
    await other.on_queued(third)
    assert told(world) == [0, 1, 2]
    assert {each.carrier for each in world.log.facts(DeliveryAttempted)} == {first.data.delivery}


async def test_killed_in_the_middle_of_a_thread_its_carrier_goes_on() -> None:
    world = World()
    await world.configure()
    first, second, third = await world.queue(1, 1, 1)
    world.sender.answers = [Answer(204), LogUnavailable("killed")]
    with pytest.raises(LogUnavailable):
        await world.courier().on_queued(first)
    process = world.courier()
    await process.on_queued(third)  # acknowledged: the one before it has not ended
    await process.on_queued(first)
    await process.on_queued(second)
    assert told(world) == [0, 1, 1, 2]
    assert set(world.ended().values()) == {DeliveryState.DELIVERED}


async def test_what_the_log_forgot_is_taken_up_by_the_next_of_its_thread_in_order() -> None:
    """The log lost how the first ones stood, but not that their messages were dealt with: nobody is given these."""
    world = World()
    await world.configure()
    first, _, third = await world.queue(1, 1, 1)
    process = world.courier()
    await process.on_queued(third)
    assert told(world) == [], "the first is not long overdue: it is being carried"
    await world.clock.advance(FORSAKEN_SECONDS + 1)
    world.sender.answers = [REFUSED]
    with pytest.raises(RetryLater) as waits:
        await process.on_queued(third)
    await world.clock.advance(waits.value.after)
    await process.on_queued(first)  # acknowledged: the third carries the thread now
    assert told(world) == [0]
    await process.on_queued(third)
    assert told(world) == [0, 0, 1, 2]


async def test_a_thread_that_stands_still_goes_on_however_often_something_new_comes() -> None:
    world = World()
    await world.configure()
    process = world.courier()
    await world.queue(1)
    for _ in range(3):  # each too soon after the one before it to find that one forsaken
        await world.clock.advance(FORSAKEN_SECONDS * 0.4)
        await process.on_queued((await world.queue(1))[-1])
    assert told(world) == [0, 1, 2, 3]


async def test_what_came_before_and_is_gone_from_the_log_holds_up_nothing() -> None:
    world = World()
    await world.configure()
    first, second = await world.queue(1, 1)
    await world.log.purge(DELIVERY, first.subject, up_to=first.sequence)
    await world.courier().on_queued(second)
    assert told(world) == [1]


class Ahead(ManualClock):
    """A clock that was set wrong; the log's goes on as before."""

    def __init__(self, right: ManualClock) -> None:
        super().__init__()
        self._right = right
        self.ahead = timedelta()

    def now(self) -> datetime:
        return self._right.now() + self.ahead


async def test_a_clock_that_is_set_gives_up_nothing() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    clock = Ahead(world.clock)
    process = world.courier(clock=clock)
    world.log.publishers_now = clock.now
    world.sender.answers = [REFUSED] * 2
    with pytest.raises(RetryLater):
        await process.on_queued(message)
    clock.ahead = timedelta(days=30)
    with pytest.raises(RetryLater):
        await process.on_queued(message)
    assert world.newest().state is DeliveryState.RETRYING
    await process.on_queued(message)
    assert world.newest().state is DeliveryState.DELIVERED


async def test_an_event_that_the_log_lost_is_told_once_it_is_back_wherever_it_stands() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    lost = world.log.streams[MINT.name].pop()
    process = world.courier()
    with pytest.raises(RetryLater) as waits:
        await process.on_queued(message)
    assert "no longer on the log" in world.newest().reason
    for operation in (2, 3):
        await world.log.publish(Completed(operation=UUID(int=operation), total=9, minted=0, failed=0), cause=None)
    world.log.put_raw(MINT, lost.subject, lost.payload)
    await world.clock.advance(waits.value.after)
    await process.on_queued(message)
    assert told(world) == [0]


async def test_an_event_that_does_not_come_back_is_given_up_after_an_hour() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    world.log.streams[MINT.name].clear()
    process, begun = world.courier(), world.clock.now()
    while not world.ended():
        try:
            await process.on_queued(message)
        except RetryLater as waits:
            await world.clock.advance(waits.after)
    assert timedelta(minutes=20) < world.clock.now() - begun <= timedelta(hours=1)
    assert world.newest().state is DeliveryState.PARKED


async def test_gone_from_an_address_that_was_just_changed_parks_nothing() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    send = world.sender.send

    async def change(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        await world.configure(url="https://b.test")
        world.sender.send = send
        return GONE

    world.sender.send = change  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)
    process = world.courier()
    with pytest.raises(RetryLater) as waits:
        await process.on_queued(message)
    assert world.log.facts(WebhookConfigured)[-1].state is WebhookState.ACTIVE
    await world.clock.advance(waits.value.after)
    await process.on_queued(message)
    assert world.newest().state is DeliveryState.DELIVERED


async def test_gone_to_several_at_once_parks_them_all() -> None:
    world = World()
    await world.configure()
    messages = await world.queue(1, 2, 3)
    world.sender.answers = [GONE] * 3
    await asyncio.gather(*map(world.courier().on_queued, messages))
    assert [each.state for each in world.log.facts(WebhookConfigured)] == [WebhookState.ACTIVE, WebhookState.DISABLED]
    assert list(world.ended().values()) == [DeliveryState.PARKED] * 3


async def test_when_a_receiver_is_back_everything_that_waits_for_it_is_due() -> None:
    world = World()
    await world.configure()
    *waiting, fresh = await world.queue(*range(OPERATIONS + 1))
    process = world.courier()
    world.sender.answers = [Answer(None, "down", retry_after=20_000.0)] * OPERATIONS
    for message in waiting:
        with pytest.raises(RetryLater) as waits:
            await process.on_queued(message)
        assert waits.value.after == LOOK_AGAIN_SECONDS
    with pytest.raises(RetryLater):
        await process.on_queued(waiting[0])
    await process.on_queued(fresh)
    for message in waiting:
        await process.on_queued(message)
    assert set(world.ended().values()) == {DeliveryState.DELIVERED}


async def test_some_events_that_a_receiver_never_takes_wait_for_their_time() -> None:
    world = World()
    await world.configure()
    *refused, taken = await world.queue(*range(OPERATIONS))
    process = world.courier()
    world.sender.answers = [REFUSED] * len(refused)
    for message in refused:
        with pytest.raises(RetryLater):
            await process.on_queued(message)
    await process.on_queued(taken)
    for message in refused:
        with pytest.raises(RetryLater, match="not due yet"):
            await process.on_queued(message)


async def test_what_is_parked_is_said_once_whenever_the_process_dies() -> None:
    world = World()
    await world.configure()
    first, second = await world.queue(1, 1)
    world.sender.answers = [GONE]
    publish = world.log.publish

    async def die(*args: object, **kwargs: object) -> int:
        if isinstance(args[0], DeliveryParked):
            raise LogUnavailable("killed")
        return await publish(*args, **kwargs)  # pyright: ignore[reportArgumentType]  (passed on as they came)

    world.log.publish = die  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)
    with pytest.raises(LogUnavailable):
        await world.courier().on_queued(first)
    world.log.publish = publish
    assert world.log.facts(DeliveryParked) == []
    for message in (first, second, first):
        await world.courier().on_queued(message)
    assert [each.delivery for each in world.log.facts(DeliveryParked)] == [first.data.delivery, second.data.delivery]


async def test_what_an_older_log_parked_is_told_once_and_then_never_looked_for() -> None:
    world = World()
    at = world.clock.now()
    states = [DeliveryState.PARKED, DeliveryState.DELIVERED, DeliveryState.RETRYING, DeliveryState.PARKED]
    for number, state in enumerate(states):
        older = DeliveryAttempted(
            webhook=WEBHOOK,
            about="x",
            delivery=UUID(int=number),
            state=state,
            attempts=1,
            first_attempt_at=at,
            reason="it was parked",
        )
        await world.log.publish(older, cause=None)
    world.log.put_raw(DELIVERY, "delivery.attempted.v1.x.y.z", b'"parked", but by nobody who writes our messages')
    # Until there is nothing to say: while an older notifier still runs, it parks without a word.
    for _ in range(3):
        await tell_parked(world.log, world.clock)
    said = [raw for raw in world.log.streams[DELIVERY.name] if "attempted" not in raw.subject]
    facts = [registry.decode(raw.subject, raw.payload).data for raw in said]
    assert facts == [
        *(DeliveryParked(webhook=WEBHOOK, about="x", delivery=UUID(int=number)) for number in (0, 3)),
        ParkedTold(through=len(states) + 1),
    ]
