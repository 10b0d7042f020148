"""Past events once more: once, in order, for those who may know, and no faster than they are taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import pytest
from msgspec import structs

from chassis.log import ConsumerStanding, LogUnavailable, RawMessage, RetryLater
from contracts.mint import Confirmed, Finalized
from contracts.streams import DELIVERY, MINT, Stream
from contracts.webhook import DeliveryQueued, ReplayRequested, queue_name
from services.notifier.replaying import AHEAD
from services.notifier.telling import Teller, Untellable
from tests.support.samples import COLLECTION_CREATED, CONFIRMED, OPERATION
from tests.unit.notifier.test_queueing import ADMINS, COMPLETED, OTHERS, OWNERS, running


async def test_a_replay_of_an_operation_comes_behind_what_is_queued_and_comes_once() -> None:
    async with running() as world:
        await world.happen(CONFIRMED, COMPLETED)
        replay = ReplayRequested(webhook=OWNERS, replay=UUID(int=5), operation=OPERATION)
        await world.log.publish(replay, cause=None)
        for _ in range(2):  # killed after the last line, before the acknowledgement
            await world.replaying.on_replay(world.log.messages(ReplayRequested)[-1])
        queued = [each for each in world.log.facts(DeliveryQueued) if each.webhook == OWNERS]
        assert [each.event_type for each in queued] == ["mint.confirmed", "mint.completed"] * 2
        assert [each.event for each in queued[2:]] == [each.event for each in queued[:2]], "the same events"
        assert len({each.delivery for each in queued}) == 4, "and new deliveries of them"
        assert [each.previous for each in queued] == [None, *(each.delivery for each in queued[:3])]


async def test_a_replay_leaves_out_what_has_left_the_log() -> None:
    async with running() as world:
        finalized = Finalized(
            operation=OPERATION, chunk=CONFIRMED.chunk, tx=CONFIRMED.tx, signature=CONFIRMED.signature, slot=9
        )
        await world.happen(CONFIRMED, finalized, COMPLETED)
        await world.log.purge(MINT, Confirmed.pattern(), up_to=10)
        await world.log.publish(ReplayRequested(webhook=OWNERS, replay=UUID(int=5), operation=OPERATION), cause=None)
        await world.replaying.on_replay(world.log.messages(ReplayRequested)[-1])
        assert world.queued(OWNERS) == ["mint.confirmed", "mint.finalized", "mint.completed", "mint.completed"]
        teller = Teller(world.log)
        queued = [each for each in world.log.messages(DeliveryQueued) if each.data.webhook == OWNERS]
        for one in queued[:2]:
            with pytest.raises(Untellable, match="the operation's timeline tells it"):
                await teller.tell(one)
        assert [(await teller.tell(one)).type for one in queued[2:]] == ["mint.completed"] * 2


async def test_a_replay_of_a_time_ends_where_it_was_told_and_keeps_the_filters() -> None:
    async with running() as world:
        await world.happen(CONFIRMED, COLLECTION_CREATED)
        middle = world.clock.now()
        await world.happen(COMPLETED)
        for number, (since, until) in enumerate(((None, middle), (middle, None))):
            replay = ReplayRequested(webhook=OWNERS, replay=UUID(int=number), since=since, until=until)
            await world.log.publish(replay, cause=None)
            await world.replaying.on_replay(world.log.messages(ReplayRequested)[-1])
        assert world.queued(OWNERS) == ["mint.confirmed", "mint.completed", "mint.confirmed", "mint.completed"]
        assert world.queued(ADMINS) == ["mint.confirmed", "collection.created", "mint.completed"], "not theirs"


async def test_a_long_replay_waits_for_its_receiver_and_goes_on_from_where_it_was() -> None:
    async with running() as world:
        events = AHEAD + 10
        for number in range(events):
            await world.log.publish(structs.replace(COLLECTION_CREATED, collection=UUID(int=number)), cause=None)
        await world.log.publish(ReplayRequested(webhook=OTHERS, replay=UUID(int=5)), cause=None)
        message = world.log.messages(ReplayRequested)[-1]
        history, begun = world.log.history, list[tuple[str, int]]()

        def begin(
            stream: Stream, patterns: Sequence[str], since: datetime | None = None, after: int = 0
        ) -> AsyncIterator[RawMessage]:
            begun.append((stream.name, after))
            return history(stream, patterns, since, after)

        world.log.history = begin  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)
        waiting = ConsumerStanding(name=queue_name(OTHERS), pending=AHEAD + 1, in_hand=0, redelivered=0)
        world.log.standings[DELIVERY.name] = [waiting]
        with pytest.raises(RetryLater, match="goes first"):
            await world.replaying.on_replay(message)
        assert len(world.queued(OTHERS)) == AHEAD
        world.log.standings[DELIVERY.name] = []
        world.log.fail_publishes = [LogUnavailable("down")]
        with pytest.raises(LogUnavailable):
            await world.replaying.on_replay(message)
        await world.replaying.on_replay(message)
        assert len(world.queued(OTHERS)) == events
        assert begun == [("MINT", 0), ("COLLECTION", 0), ("COLLECTION", AHEAD), ("COLLECTION", AHEAD)]


async def test_one_replay_of_a_webhook_is_under_way_at_a_time() -> None:
    async with running() as world:
        await world.happen(CONFIRMED)
        for number in range(2):
            replay = ReplayRequested(webhook=OWNERS, replay=UUID(int=number), operation=OPERATION)
            await world.log.publish(replay, cause=None)
        replays = map(world.replaying.on_replay, world.log.messages(ReplayRequested))
        outcomes = await asyncio.gather(*replays, return_exceptions=True)
        assert [type(each) for each in outcomes] == [type(None), RetryLater]


async def test_a_replay_shows_nobody_the_operations_of_others() -> None:
    async with running() as world:
        await world.happen(CONFIRMED)
        replay = ReplayRequested(webhook=OTHERS, replay=UUID(int=5), operation=OPERATION)
        await world.log.publish(replay, cause=None)
        await world.replaying.on_replay(world.log.messages(ReplayRequested)[-1])
        assert world.queued(OTHERS) == []
