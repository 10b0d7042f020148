"""One queue for every webhook: whatever becomes of one, the others are worked on."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.clock import ManualClock
from chassis.delivery import ConsumerHalted
from chassis.log import Handler, LogUnavailable
from contracts.streams import Consumer
from contracts.webhook import WebhookState
from services.notifier.couriers import Couriers, queue_of
from services.notifier.directory import Directory
from tests.support.memory_log import MemoryLog
from tests.unit.notifier.test_queueing import a_webhook


@dataclass
class Queues:
    """A log on which some queues cannot be made or removed."""

    refused: set[str] = field(default_factory=set[str])
    halting: set[str] = field(default_factory=set[str])
    halts: asyncio.Event = field(default_factory=asyncio.Event)
    made: Counter[str] = field(default_factory=Counter[str])
    removed: Counter[str] = field(default_factory=Counter[str])
    running: set[str] = field(default_factory=set[str])

    async def keep(self, consumer: Consumer) -> None:
        if consumer.name in self.refused:
            raise LogUnavailable("refused")
        self.made[consumer.name] += 1

    async def remove(self, consumer: Consumer) -> None:
        if consumer.name in self.refused:
            raise LogUnavailable("refused")
        self.removed[consumer.name] += 1

    async def consume(self, consumer: Consumer, handler: Handler, *, concurrency: int) -> None:
        self.running.add(consumer.name)
        try:
            await self.halts.wait()
            if consumer.name in self.halting:
                raise ConsumerHalted("too many dead letters")
            await asyncio.Event().wait()
        finally:
            self.running.discard(consumer.name)


@dataclass
class World:
    log: MemoryLog
    clock: ManualClock
    queues: Queues

    async def configure(self, number: int, **changes: Any) -> str:
        webhook = a_webhook(UUID(int=number), **changes)
        await self.log.publish(webhook, cause=None)
        return queue_of(webhook.webhook).name

    async def until(self, reached: Callable[[], bool]) -> None:
        for _ in range(1000):
            if reached():
                return
            await asyncio.sleep(0)
        raise AssertionError("it does not come to pass")


@asynccontextmanager
async def following() -> AsyncGenerator[World]:
    world = World(MemoryLog(), ManualClock(), Queues())
    directory = Directory(world.log, world.clock)

    async def handle(_: Any) -> None: ...

    couriers = Couriers(world.queues, directory, handle, world.clock, concurrency=1)
    work = [asyncio.create_task(directory.run()), asyncio.create_task(couriers.run(asyncio.Event()))]
    try:
        yield world
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)


async def test_a_queue_that_cannot_be_made_holds_up_no_other_and_is_tried_again() -> None:
    async with following() as world:
        world.queues.refused.add(queue_of(UUID(int=1)).name)
        refused, other = await world.configure(1), await world.configure(2)
        await world.until(lambda: world.queues.running == {other})
        world.queues.refused.clear()
        await world.clock.advance(1.0)
        await world.until(lambda: world.queues.running == {refused, other})
        assert world.queues.made == {refused: 1, other: 1}


async def test_a_queue_that_cannot_be_removed_holds_up_no_other_and_is_tried_again() -> None:
    async with following() as world:
        deleted = await world.configure(1)
        await world.until(lambda: world.queues.running == {deleted})
        world.queues.refused.add(deleted)
        await world.configure(1, state=WebhookState.DELETED)
        other = await world.configure(2)
        await world.until(lambda: not world.queues.running)
        await world.clock.advance(1.0)
        await world.until(lambda: world.queues.running == {other})
        world.queues.refused.clear()
        await world.clock.advance(1.0)
        await world.until(lambda: world.queues.removed[deleted] == 1)


async def test_a_queue_that_is_halted_stops_no_other() -> None:
    async with following() as world:
        halted, other = await world.configure(1), await world.configure(2)
        await world.until(lambda: len(world.queues.running) == 2)
        world.queues.halting.add(halted)
        world.queues.halts.set()
        await world.until(lambda: world.queues.running == {other})
        later = await world.configure(3)
        await world.until(lambda: world.queues.running == {other, later})


async def test_the_operators_webhook_may_come_and_go() -> None:
    """WEBHOOK_URL is taken out of the settings, put back, and taken out again, each time by another process."""
    async with following() as world:
        for times in (1, 2):
            queue = await world.configure(1)
            await world.until(lambda: bool(world.queues.running))
            await world.configure(1, state=WebhookState.DELETED)
            await world.until(lambda: world.queues.removed[queue] == times)  # noqa: B023  (called before the next turn)
            assert not world.queues.running
