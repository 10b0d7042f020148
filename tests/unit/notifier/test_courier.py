"""Deliveries whatever fails: in the order of their threads, each taken at least once, none left behind."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from chassis.log import LogUnavailable, Message, RetryLater
from chassis.redaction import Secret
from chassis.sealing import Sealer
from contracts.notification import TEST_EVENT
from contracts.streams import DELIVERY
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryQueued,
    DeliveryState,
    EventSource,
    SealedSecret,
    WebhookConfigured,
    WebhookState,
)
from services.notifier.courier import Courier
from services.notifier.domain import FORSAKEN_SECONDS, Answer, Schedule
from tests.support.delivering import SEALER, WEBHOOK, World
from tests.support.webhooks import OTHER_SECRET, SECRET


async def test_a_delivery_is_signed_told_and_recorded() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    await world.courier().on_queued(message)
    (sent,) = world.sender.sent
    assert sent.id == str(message.data.event) == sent.event["id"]
    assert sent.event["transactionId"] == str(UUID(int=1))
    assert sent.event["data"] == {"total": 0, "minted": 0, "failed": 0, "cancelled": 0}
    assert int(sent.headers["webhook-timestamp"]) == int(world.clock.now().timestamp())
    newest = world.newest()
    assert (newest.state, newest.attempts, newest.status) == (DeliveryState.DELIVERED, 1, 204)


async def test_a_failure_waits_and_holds_up_its_own_thread_only() -> None:
    world = World()
    await world.configure()
    first, second, other = await world.queue(1, 1, 2)
    world.sender.answers = [Answer(500, "The endpoint answered 500.", retry_after=60.0)]
    courier = world.courier()
    with pytest.raises(RetryLater) as waits:
        await courier.on_queued(first)
    assert waits.value.after == 60.0
    await courier.on_queued(second)  # acknowledged: the first one carries it
    await courier.on_queued(other)
    assert [sent.event["data"]["total"] for sent in world.sender.sent] == [0, 2]
    with pytest.raises(RetryLater):  # too early
        await courier.on_queued(first)
    await world.clock.advance(60.0)
    await courier.on_queued(first)
    assert [sent.event["data"]["total"] for sent in world.sender.taken] == [2, 0, 1]
    assert len({sent.id for sent in world.sender.sent}) == 3, "the id stays the same over attempts"


async def test_after_three_days_it_is_parked_and_the_next_one_goes() -> None:
    world = World()
    await world.configure()
    first, _ = await world.queue(1, 1)
    world.sender.answers = [Answer(500)] * 40
    courier, attempts = world.courier(), 0
    while not world.ended():
        attempts += 1
        with pytest.raises(RetryLater) as waits:
            await courier.on_queued(first)
        await world.clock.advance(waits.value.after)
    assert world.ended() == {first.data.delivery: DeliveryState.PARKED}
    assert timedelta(days=2.5) < world.clock.now() - world.log.facts(DeliveryAttempted)[0].first_attempt_at
    world.sender.answers = []
    await courier.on_queued(first)
    assert list(world.ended().values()) == [DeliveryState.PARKED, DeliveryState.DELIVERED]


async def test_gone_disables_and_what_is_queued_is_parked_unsent() -> None:
    world = World()
    await world.configure()
    first, _, _ = await world.queue(1, 1, 2)
    world.sender.answers = [Answer(410, "The endpoint answered 410: it wants no more.")]
    await world.courier().on_queued(first)
    webhook = world.log.facts(WebhookConfigured)[-1]
    assert (webhook.state, "410" in webhook.disabled_reason) == (WebhookState.DISABLED, True)
    assert len(world.sender.sent) == 1
    assert list(world.ended().values()) == [DeliveryState.PARKED] * 2
    assert world.newest().attempts == 0


async def test_a_secret_that_no_key_opens_is_retried_and_never_told() -> None:
    world = World()
    foreign = Sealer(Secret(Fernet.generate_key().decode())).seal(Secret(SECRET))
    await world.configure(secrets=(SealedSecret(sealed=foreign),))
    (message,) = await world.queue(1)
    with pytest.raises(RetryLater):
        await world.courier().on_queued(message)
    assert world.sender.sent == []
    assert "WEBHOOK_SEALING_KEYS" in world.newest().reason
    assert foreign not in world.newest().reason


async def test_rotated_secrets_sign_side_by_side_until_the_old_one_expires() -> None:
    world = World()
    until = world.clock.now() + timedelta(hours=1)
    new, old = SEALER.seal(Secret(OTHER_SECRET)), SEALER.seal(Secret(SECRET))
    await world.configure(secrets=(SealedSecret(sealed=new), SealedSecret(sealed=old, expires_at=until)))
    first, second = await world.queue(1, 2)
    await world.courier().on_queued(first)
    await world.clock.advance(3600.0)
    await world.courier().on_queued(second)
    assert [len(sent.headers["webhook-signature"].split(" ")) for sent in world.sender.sent] == [2, 1]


async def test_what_can_never_be_told_is_parked() -> None:
    world = World()
    await world.configure()
    lost = DeliveryQueued(
        webhook=WEBHOOK, about="x", delivery=UUID(int=3), event=UUID(int=3), event_type="mint.completed"
    )
    for number, source in enumerate((None, EventSource(stream="X", sequence=1))):
        queued = structs.replace(lost, source=source, about=f"x{number}")
        await world.log.publish(queued, cause=None)
        await world.courier().on_queued(world.log.messages(DeliveryQueued)[-1])
        assert world.newest().state is DeliveryState.PARKED
    assert world.sender.sent == []


async def test_a_test_tells_of_nothing_on_the_log() -> None:
    world = World()
    await world.configure()
    event = UUID(int=3)
    test = DeliveryQueued(webhook=WEBHOOK, about=str(event), delivery=event, event=event, event_type=TEST_EVENT)
    await world.log.publish(test, cause=None)
    await world.courier().on_queued(world.log.messages(DeliveryQueued)[-1])
    assert world.sender.taken[0].event["type"] == TEST_EVENT


async def test_a_mistake_of_ours_is_seen_and_retried() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    world.sender.answers = [ValueError("secret detail")]
    with pytest.raises(RetryLater):
        await world.courier().on_queued(message)
    assert world.newest().state is DeliveryState.RETRYING
    assert "secret detail" not in world.newest().reason


async def test_a_deleted_webhook_is_sent_nothing_and_a_draining_process_nothing_new() -> None:
    world = World()
    await world.configure()
    (message,) = await world.queue(1)
    world.draining.set()
    with pytest.raises(RetryLater):
        await world.courier().on_queued(message)
    world.draining.clear()
    await world.configure(state=WebhookState.DELETED)
    await world.courier().on_queued(message)
    assert world.sender.sent == []


async def test_a_long_thread_takes_no_more_than_its_share_of_the_slots() -> None:
    world = World()
    await world.configure()
    messages = await world.queue(*[1] * 50)
    gate = asyncio.Event()

    async def hold(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        await gate.wait()
        return Answer(204)

    world.sender.send = hold  # pyright: ignore[reportAttributeAccessIssue]  (a method of this one object)
    courier = world.courier()
    tasks = [asyncio.create_task(courier.on_queued(message)) for message in messages]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(not task.done() for task in tasks) == 1, "only the carrier stays"
    gate.set()
    await asyncio.gather(*tasks)
    assert len(world.ended()) == 50


ANSWERS: Mapping[str, Answer | Exception] = {
    "taken": Answer(200),
    "refused": Answer(500),
    "crash before": LogUnavailable("the process died before the answer"),
    "crash after": Answer(200),
}


@dataclass
class Crashing:
    """JetStream and two processes: what is not acknowledged comes again, in any order, several at once, to either."""

    world: World
    order: Random
    crashes_after: int
    """How often a process dies between the answer and the record of it."""
    losses: int
    """How often the log loses its tail, but not that messages were acknowledged."""

    def __post_init__(self) -> None:
        self.couriers = [self.new_process() for _ in range(2)]

    def new_process(self) -> Courier:
        return self.world.courier(Schedule(first=1.0, longest=2.0))

    async def deliver(self, waiting: list[Message[DeliveryQueued]]) -> None:
        for _ in range(500):
            if not waiting:
                return
            await self._step(waiting)
        raise AssertionError("messages are left")

    async def _step(self, waiting: list[Message[DeliveryQueued]]) -> None:
        order, log = self.order, self.world.log
        batch = order.sample(waiting, k=min(len(waiting), order.randint(1, 3)))
        if self.crashes_after and order.random() < 0.3:
            self.crashes_after -= 1
            log.fail_publishes = [LogUnavailable("the process died after the answer")]
        takers = [order.choice(self.couriers) for _ in batch]
        work = [taker.on_queued(message) for taker, message in zip(takers, batch, strict=True)]
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        log.fail_publishes = []
        for message, outcome in zip(batch, outcomes, strict=True):
            assert outcome is None or isinstance(outcome, RetryLater | LogUnavailable), outcome
            if outcome is None:
                waiting.remove(message)
        deliveries = log.streams[DELIVERY.name]
        if self.losses and order.random() < 0.3:
            self.losses -= 1
            for _ in range(order.randint(1, 3)):
                if ".attempted." in deliveries[-1].subject:
                    deliveries.pop()
        await self.world.clock.advance(1.0)
        if order.random() < 0.3:
            self.couriers.append(self.new_process())
            self.couriers.pop(0)


@settings(max_examples=60, deadline=None)
@given(
    operations=st.lists(st.integers(1, 3), min_size=1, max_size=12),
    failures=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=30),
    losses=st.integers(0, 4),
    order=st.randoms(use_true_random=False),
)
def test_whatever_fails_every_thread_is_delivered_in_order(
    operations: list[int], failures: list[str], losses: int, order: Random
) -> None:
    async def run() -> None:
        world = World()
        await world.configure()
        waiting = await world.queue(*operations)
        world.sender.answers = [ANSWERS[each] for each in failures]
        crashing = Crashing(world, order, failures.count("crash after"), losses)
        await crashing.deliver(waiting)
        queued = list(operations)
        if crashing.losses < losses:  # what nobody is given any more is taken up when something new comes
            await world.clock.advance(FORSAKEN_SECONDS + 2.0)
            crashing.losses = 0
            again = sorted(set(operations))
            await crashing.deliver((await world.queue(*again))[-len(again) :])
            queued += again
        assert set(world.ended().values()) == {DeliveryState.DELIVERED}
        assert len(world.ended()) == len(queued)
        taken: defaultdict[str, list[int]] = defaultdict(list)
        for received in world.sender.taken:
            number = json.loads(received.body)["data"]["total"]
            thread = taken[received.event["transactionId"]]
            if number not in thread:
                thread.append(number)
        for thread, numbers in taken.items():
            assert numbers == [number for number, each in enumerate(queued) if str(UUID(int=each)) == thread]

    asyncio.run(run())
