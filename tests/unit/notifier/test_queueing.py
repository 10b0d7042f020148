"""What is queued for whom: once, in order, for those who may know."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from chassis.clock import SystemClock
from chassis.log import LogUnavailable, Message, RetryLater
from contracts.fact import Fact
from contracts.mint import Completed, Confirmed
from contracts.streams import MINT, WEBHOOK
from contracts.wallet import Paused
from contracts.webhook import DeliveryQueued, WebhookConfigured, WebhookState
from services.notifier.configured import CONFIGURED, configure
from services.notifier.directory import Directory
from services.notifier.queueing import Queueing
from services.notifier.replaying import Replaying
from tests.support.memory_log import MemoryLog
from tests.support.samples import COLLECTION_CREATED, CONFIRMED, OPERATION, REQUESTED, WALLET

ADMINS, OWNERS, OTHERS = UUID(int=1), UUID(int=2), UUID(int=3)
COMPLETED = Completed(operation=OPERATION, total=3, minted=3, failed=0)


def a_webhook(webhook: UUID, **changes: Any) -> WebhookConfigured:
    configured = WebhookConfigured(
        webhook=webhook, caller="app:shop", url="https://a.test", events=("*",), created_at=SystemClock().now()
    )
    return structs.replace(configured, **changes)


@dataclass
class World:
    """The queueing of a notifier on a log in memory."""

    draining: asyncio.Event = field(default_factory=asyncio.Event)
    later: timedelta = timedelta()
    """By how much the log's clock has moved on."""

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.log = MemoryLog(now=lambda: self.clock.now() + self.later)
        self.directory = Directory(self.log, self.clock)
        self.queueing = Queueing(self.log, self.directory)
        self.replaying = Replaying(self.log, self.queueing, self.draining)

    async def configure(self, webhook: UUID, **changes: Any) -> None:
        await self.log.publish(a_webhook(webhook, **changes), cause=None)

    async def happen(self, *facts: Fact) -> None:
        for fact in facts:
            await self.log.publish(fact, cause=None)
            await self.queueing.on_fact(self.log.messages(type(fact))[-1])

    def queued(self, webhook: UUID) -> list[str]:
        return [each.event_type for each in self.log.facts(DeliveryQueued) if each.webhook == webhook]


@asynccontextmanager
async def running() -> AsyncGenerator[World]:
    world = World()
    await world.configure(ADMINS, caller="", all_callers=True)
    await world.configure(OWNERS, caller=REQUESTED.caller, events=("mint.*",))
    await world.configure(OTHERS, caller="app:other")
    await world.log.publish(REQUESTED, cause=None)
    following = asyncio.create_task(world.directory.run())
    try:
        yield world
    finally:
        following.cancel()
        await asyncio.wait([following])


async def test_everybody_is_told_what_they_may_know_and_asked_for() -> None:
    async with running() as world:
        await world.happen(CONFIRMED, COMPLETED, Paused(wallet=WALLET, balance=1, needed=2), COLLECTION_CREATED)
        assert world.queued(ADMINS) == ["mint.confirmed", "mint.completed", "mint.paused", "collection.created"]
        assert world.queued(OWNERS) == ["mint.confirmed", "mint.completed"]
        assert world.queued(OTHERS) == ["collection.created"]


async def test_a_thread_is_a_chain_and_nothing_is_queued_twice() -> None:
    async with running() as world:
        await world.happen(CONFIRMED, COMPLETED)
        messages: list[Message[Any]] = world.log.messages()
        for message in messages:
            await world.queueing.on_fact(message)
        first, second = [each for each in world.log.facts(DeliveryQueued) if each.webhook == OWNERS]
        assert (first.previous, second.previous) == (None, first.delivery)
        assert first.about == second.about == str(OPERATION)


async def test_what_is_configured_now_counts_at_once() -> None:
    async with running() as world:
        await world.configure(OWNERS, caller=REQUESTED.caller, state=WebhookState.DISABLED)
        await world.happen(CONFIRMED)
        assert world.queued(OWNERS) == []


async def test_an_event_is_told_by_the_filters_of_its_time_however_late_it_comes() -> None:
    async with running() as world:
        narrow, off = UUID(int=9), UUID(int=10)
        await world.configure(narrow, all_callers=True, events=("mint.completed",))
        await world.configure(off, all_callers=True, state=WebhookState.DISABLED)
        await world.log.publish(CONFIRMED, cause=None)
        await world.log.publish(COMPLETED, cause=None)
        world.later = timedelta(hours=1)
        await world.configure(narrow, all_callers=True, url="https://b.test")
        await world.configure(off, all_callers=True)
        await world.configure(OWNERS, caller=REQUESTED.caller, state=WebhookState.DISABLED)
        for kind in (Confirmed, Completed):  # such as after a repair of the log
            await world.queueing.on_fact(world.log.messages(kind)[-1])
        assert (world.queued(narrow), world.queued(off)) == (["mint.completed"], [])
        assert world.queued(OWNERS) == ["mint.confirmed", "mint.completed"], "parked, where its owner sees them"
        await world.happen(CONFIRMED)
        assert (world.queued(narrow)[1:], world.queued(off)) == (["mint.confirmed"], ["mint.confirmed"])
        assert len(world.queued(OWNERS)) == 2


async def test_an_event_from_just_before_a_change_is_told_by_what_was_before_it() -> None:
    async with running() as world:
        await world.log.publish(CONFIRMED, cause=None)
        await world.configure(OWNERS, caller=REQUESTED.caller, state=WebhookState.DISABLED)
        await world.queueing.on_fact(world.log.messages(Confirmed)[-1])
        await world.happen(COMPLETED)
        assert world.queued(OWNERS) == ["mint.confirmed"]


async def test_an_owner_that_the_log_has_lost_is_asked_for_again() -> None:
    async with running() as world:
        requested = world.log.streams[MINT.name].pop()
        await world.happen(COMPLETED)
        assert world.queued(OWNERS) == []
        world.log.put_raw(MINT, requested.subject, requested.payload)
        await world.queueing.on_fact(world.log.messages(Completed)[-1])
        assert world.queued(OWNERS) == ["mint.completed"]


async def test_a_webhook_is_not_told_of_what_was_before_it() -> None:
    async with running() as world:
        await world.log.publish(CONFIRMED, cause=None)
        world.later = timedelta(hours=1)
        late = UUID(int=9)
        await world.configure(late, all_callers=True)
        await world.queueing.on_fact(world.log.messages(Confirmed)[-1])
        assert world.queued(late) == []


async def test_a_gateway_with_a_wrong_clock_costs_its_webhooks_nothing() -> None:
    async with running() as world:
        ahead = UUID(int=9)
        await world.configure(ahead, all_callers=True, created_at=world.clock.now() + timedelta(hours=1))
        await world.happen(CONFIRMED)
        assert world.queued(ahead) == ["mint.confirmed"]


async def test_webhooks_are_read_anew_when_their_log_has_lost_its_tail() -> None:
    async with running() as world:
        lost = UUID(int=9)
        await world.configure(lost, all_callers=True)
        await world.happen(CONFIRMED)
        assert world.queued(lost) == ["mint.confirmed"]
        world.log.streams[WEBHOOK.name].pop()
        await world.configure(UUID(int=10), all_callers=True)  # at the sequence that the lost one had
        await world.log.publish(COMPLETED, cause=None)
        message = world.log.messages(Completed)[-1]
        with pytest.raises(RetryLater):
            await world.queueing.on_fact(message)
        for _ in range(10):  # until the directory has begun anew
            await asyncio.sleep(0)
        await world.queueing.on_fact(message)
        assert world.queued(lost) == ["mint.confirmed"]
        assert world.queued(UUID(int=10)) == ["mint.completed"]


async def test_a_log_that_fails_in_between_leaves_nothing_out() -> None:
    async with running() as world:
        await world.log.publish(CONFIRMED, cause=None)
        world.log.fail_publishes = [LogUnavailable("down")]
        message = world.log.messages(type(CONFIRMED))[-1]
        with pytest.raises(LogUnavailable):
            await world.queueing.on_fact(message)
        await world.queueing.on_fact(message)
        assert (world.queued(ADMINS), world.queued(OWNERS)) == (["mint.confirmed"], ["mint.confirmed"])


async def test_the_operators_webhook_follows_the_settings() -> None:
    log, now = MemoryLog(), SystemClock().now()

    async def states(url: str | None, *events: str) -> list[tuple[str, WebhookState]]:
        await configure(log, url, events or ("*",), now)
        return [(each.url, each.state) for each in log.facts(WebhookConfigured)]

    active = ("https://a.test", WebhookState.ACTIVE)
    assert await states(None) == []
    assert await states("https://a.test") == [active]
    assert await states("https://a.test") == [active], "nothing has changed"
    assert len(await states("https://a.test", "mint.*")) == 2
    disabled = structs.replace(log.facts(WebhookConfigured)[-1], state=WebhookState.DISABLED)
    await log.publish(disabled, cause=None)
    assert len(await states("https://a.test", "mint.*")) == 3, "its receiver wants no more"
    assert (await states("https://b.test"))[-1] == ("https://b.test", WebhookState.ACTIVE)
    assert (await states(None))[-1] == ("https://b.test", WebhookState.DELETED)
    assert len(await states(None)) == 5
    assert {each.webhook for each in log.facts(WebhookConfigured)} == {CONFIGURED}
