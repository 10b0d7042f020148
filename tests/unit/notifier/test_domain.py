"""What is told of which fact, to whom, and when it is tried again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from contracts import mint
from contracts.fact import Fact
from contracts.generate import webhook_schemas
from contracts.notification import EVENT_TYPES, TEST_EVENT, Notification, WebhookTest
from contracts.streams import NOTIFIER_COLLECTION, NOTIFIER_MINT
from contracts.webhook import DeliveryState, WebhookConfigured, WebhookState
from services.notifier.domain import (
    Answer,
    Schedule,
    Subject,
    data_of,
    judge,
    may_know,
    seconds_left,
    subject_of,
    takes,
    wants,
)
from tests.support.memory_log import matches
from tests.support.samples import CONFIRMED, OPERATION, SAMPLES, SIGNATURE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOLD = [sample for sample in SAMPLES if subject_of(sample) is not None]
WEBHOOK = WebhookConfigured(webhook=UUID(int=1), caller="app:shop", url="https://a.test", events=("*",), created_at=NOW)
CONFIRMATION = Subject("mint.confirmed", str(OPERATION), OPERATION)
SCHEDULE = Schedule()


def body(subject: Subject, data: Any) -> Any:
    notification = Notification(
        id=UUID(int=2), type=subject.event_type, timestamp=NOW, transaction_id=subject.operation, data=data
    )
    return json.loads(msgspec.json.encode(notification))


@pytest.mark.parametrize("sample", TOLD, ids=lambda fact: fact.type())
def test_what_is_sent_fits_its_published_schema(sample: Fact) -> None:
    subject = subject_of(sample)
    assert subject is not None
    schema = webhook_schemas()[subject.event_type]
    jsonschema.validate(body(subject, data_of(sample, CONFIRMED)), schema, jsonschema.Draft202012Validator)


def test_every_event_type_is_made_by_a_fact_or_a_test() -> None:
    told = {subject.event_type for sample in TOLD if (subject := subject_of(sample))}
    assert told | {TEST_EVENT} == set(EVENT_TYPES)
    test = body(Subject(TEST_EVENT, "x"), WebhookTest(message="hello"))
    jsonschema.validate(test, webhook_schemas()[TEST_EVENT], jsonschema.Draft202012Validator)


def test_the_consumers_bring_exactly_what_is_told() -> None:
    patterns = (*NOTIFIER_MINT.filters, *NOTIFIER_COLLECTION.filters)
    brought = [sample for sample in SAMPLES if any(matches(each, sample.subject()) for each in patterns)]
    assert brought == TOLD


def test_a_finalized_transaction_names_the_items_of_its_own_confirmation() -> None:
    final = mint.Finalized(operation=OPERATION, chunk=0, tx=1, signature=CONFIRMED.signature, slot=9)
    assert body(CONFIRMATION, data_of(final, CONFIRMED))["data"]["items"] == [leaf.item for leaf in CONFIRMED.leaves]
    other = structs.replace(CONFIRMED, signature="4" * 88)
    assert "items" not in body(CONFIRMATION, data_of(final, other))["data"]
    assert body(CONFIRMATION, data_of(final))["data"] == {"signature": SIGNATURE, "slot": 9}


@pytest.mark.parametrize(
    ("event_filter", "taken"),
    [("*", True), ("mint.*", True), ("mint.confirmed", True), ("mint.confirm", False), ("collection.*", False)],
)
def test_filters(event_filter: str, taken: bool) -> None:
    assert takes(event_filter, "mint.confirmed") is taken
    assert wants(structs.replace(WEBHOOK, events=("webhook.test", event_filter)), CONFIRMATION) is taken


@pytest.mark.parametrize("state", [WebhookState.DISABLED, WebhookState.DELETED])
def test_only_active_webhooks_want_anything(state: WebhookState) -> None:
    assert not wants(structs.replace(WEBHOOK, state=state), CONFIRMATION)


def test_operations_are_told_to_their_own_callers_only() -> None:
    assert may_know(WEBHOOK, CONFIRMATION, "app:shop")
    assert not may_know(WEBHOOK, CONFIRMATION, "app:other")
    nobodys = structs.replace(WEBHOOK, caller="")
    assert not may_know(nobodys, CONFIRMATION, "")
    assert may_know(WEBHOOK, Subject("collection.created", "c"), "")
    assert not may_know(WEBHOOK, Subject("mint.paused", "wallet", for_admins=True), "")
    everybodys = structs.replace(WEBHOOK, all_callers=True)
    for subject in (CONFIRMATION, Subject("mint.paused", "wallet", for_admins=True)):
        assert may_know(everybodys, subject, "app:other")


def test_only_success_is_taken() -> None:
    states = {
        status: judge(Answer(status), 1, 0.0, NOW, SCHEDULE, 0.5).state for status in (200, 204, 301, 404, 429, 500)
    }
    assert states.pop(200) == states.pop(204) == DeliveryState.DELIVERED
    assert set(states.values()) == {DeliveryState.RETRYING}
    assert judge(Answer(None), 1, 0.0, NOW, SCHEDULE, 0.5).state is DeliveryState.RETRYING


def test_gone_ends_the_delivery_and_the_webhook() -> None:
    outcome = judge(Answer(410), 1, 0.0, NOW, SCHEDULE, 0.5)
    assert (outcome.state, outcome.disable) == (DeliveryState.PARKED, True)


def test_a_receiver_may_ask_for_more_time_and_not_for_less() -> None:
    later = judge(Answer(503, retry_after=600.0), 1, 0.0, NOW, SCHEDULE, 0.5)
    assert later.next_attempt_at == NOW + timedelta(seconds=600)
    sooner = judge(Answer(503, retry_after=0.0), 3, 0.0, NOW, SCHEDULE, 0.5)
    assert sooner.next_attempt_at == NOW + timedelta(seconds=20)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_retries_go_on_for_three_days_and_end(lucks: list[float]) -> None:
    now, pauses = NOW, list[float]()
    for attempts in range(1, 1000):
        outcome = judge(Answer(500), attempts, (now - NOW).total_seconds(), now, SCHEDULE, lucks[attempts % len(lucks)])
        if outcome.next_attempt_at is None:
            break
        pauses.append((outcome.next_attempt_at - now).total_seconds())
        now = outcome.next_attempt_at
    assert NOW + timedelta(days=3) - timedelta(seconds=SCHEDULE.longest * 1.25) <= now <= NOW + timedelta(days=3)
    assert 20 <= len(pauses) <= 35
    for attempts, pause in enumerate(pauses, start=1):
        rule = min(SCHEDULE.longest, SCHEDULE.first * 2 ** (attempts - 1))
        assert rule * 0.74 <= pause <= rule * 1.26


@given(st.floats(0, 20_000), st.floats(-100_000, 100_000))
def test_no_clock_holds_up_an_attempt_for_longer_than_its_pause(pause: float, skew: float) -> None:
    def left(after: float) -> float:
        return seconds_left(pause, NOW, NOW + timedelta(seconds=skew + after))

    first = max(left(0.0), 0.0)
    assert first <= pause
    again = max(left(first), 0.0)  # delivered again when the log has let that much time pass
    assert first + again <= 2 * pause + 1e-3


def test_an_attempt_is_due_when_its_pause_is_over() -> None:
    assert [seconds_left(10.0, NOW, NOW + timedelta(seconds=after)) for after in (0, 4, 10)] == [10.0, 6.0, 0.0]
