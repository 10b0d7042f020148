"""After a loss of DELIVERY's tail: what was queued is queued again, in order, and before anything new."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.clock import ManualClock
from chassis.log import ConsumerStanding, LogUnavailable
from contracts.mint import Completed
from contracts.streams import DELIVERY, MINT, NOTIFIER_MINT, Stream
from contracts.webhook import DeliveryQueued
from services.notifier.looking_back import RETRY_SECONDS, TRIES, LookingBack
from tests.support.ending import end
from tests.support.samples import CONFIRMED
from tests.unit.notifier.test_queueing import ADMINS, COMPLETED, OWNERS, World, running


@dataclass
class Scene:
    world: World
    looking_back: LookingBack
    clock: ManualClock

    def __post_init__(self) -> None:
        self.log = self.world.log

    def to_come(self, events: int) -> None:
        standing = ConsumerStanding(name=NOTIFIER_MINT.name, pending=events, in_hand=0, redelivered=0)
        self.log.standings[MINT.name] = [standing]

    def lose(self, deliveries: int) -> None:
        """NATS comes back without what it said last."""
        del self.log.streams[DELIVERY.name][-deliveries:]
        self.log.connectivity.lost()

    def chains(self) -> list[list[str]]:
        """What is queued for each webhook, along its chain."""
        found: list[list[str]] = []
        for webhook in (ADMINS, OWNERS):
            queued = [each for each in self.log.facts(DeliveryQueued) if each.webhook == webhook]
            assert [each.previous for each in queued[1:]] == [each.delivery for each in queued[:-1]]
            found.append([each.event_type for each in queued])
        return found


@asynccontextmanager
async def looking() -> AsyncGenerator[Scene]:
    async with running() as world:
        clock = ManualClock()
        scene = Scene(world, LookingBack(world.log, world.directory, world.queueing, clock), clock)
        scene.to_come(0)
        work = asyncio.create_task(scene.looking_back.run())
        try:
            yield scene
        finally:
            await end([work])


WHOLE = [["mint.confirmed", "mint.completed"]] * 2


async def test_what_was_queued_and_lost_is_queued_again_before_anything_new() -> None:
    async with looking() as scene:
        await scene.world.happen(CONFIRMED)
        scene.lose(2)
        assert scene.chains() == [[], []]
        await scene.log.publish(COMPLETED, cause=None)
        scene.to_come(1)
        await scene.looking_back.on_fact(scene.log.messages(Completed)[-1])
        assert scene.chains() == WHOLE


async def test_what_is_still_queued_is_left_as_it_is() -> None:
    async with looking() as scene:
        await scene.world.happen(CONFIRMED, COMPLETED)
        scene.lose(1)  # one webhook's alone
        await scene.looking_back.on_fact(scene.log.messages(Completed)[-1])
        assert scene.chains() == WHOLE
        before = len(scene.log.streams[DELIVERY.name])
        scene.log.connectivity.lost()
        await scene.looking_back.on_fact(scene.log.messages(Completed)[-1])
        assert len(scene.log.streams[DELIVERY.name]) == before


async def test_what_is_still_to_come_is_not_handled_out_of_its_turn() -> None:
    async with looking() as scene:
        await scene.world.happen(CONFIRMED)
        for _ in range(3):
            await scene.log.publish(COMPLETED, cause=None)
        scene.to_come(3)
        scene.lose(2)
        await scene.looking_back.on_fact(scene.log.messages(type(CONFIRMED))[-1])
        assert scene.chains() == [["mint.confirmed"]] * 2


async def test_noise_on_the_log_does_not_keep_anybody_from_what_is_new() -> None:
    async with looking() as scene:
        await scene.world.happen(CONFIRMED)
        await scene.log.publish(COMPLETED, cause=None)
        message = scene.log.messages(Completed)[-1]
        scene.log.put_raw(MINT, "mint.completed.v1.noise", b"noise")
        scene.log.connectivity.lost()
        await scene.looking_back.on_fact(message)
        scene.log.streams[MINT.name].pop()
        assert scene.chains() == WHOLE


async def test_a_log_that_does_not_let_us_look_keeps_nobody_from_what_is_new_for_long() -> None:
    async with looking() as scene:
        asked = 0

        async def refuse(stream: Stream) -> list[ConsumerStanding]:
            nonlocal asked
            asked += 1
            raise LogUnavailable("not permitted")

        scene.log.consumers = refuse  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)
        scene.log.connectivity.lost()
        for _ in range(TRIES):
            await scene.clock.advance(RETRY_SECONDS)
        assert asked == TRIES
        await scene.world.happen(CONFIRMED)
        await scene.looking_back.on_fact(scene.log.messages(type(CONFIRMED))[-1])
        assert scene.chains() == [["mint.confirmed"]] * 2


async def test_while_the_log_is_away_nobody_gives_up_looking() -> None:
    async with looking() as scene:
        away = True

        async def fail(*_: object) -> None:
            if away:
                raise LogUnavailable("away")

        consumers = scene.log.consumers
        scene.log.ping = fail  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)

        async def ask(stream: Stream) -> Sequence[ConsumerStanding]:
            await fail()
            return await consumers(stream)

        scene.log.consumers = ask  # pyright: ignore[reportAttributeAccessIssue]
        await scene.world.happen(CONFIRMED)
        scene.lose(2)
        for _ in range(TRIES * 3):
            await scene.clock.advance(RETRY_SECONDS)
        assert scene.chains() == [[], []]
        away = False
        await scene.clock.advance(RETRY_SECONDS)
        await scene.looking_back.on_fact(scene.log.messages(type(CONFIRMED))[-1])
        assert scene.chains() == [["mint.confirmed"]] * 2
