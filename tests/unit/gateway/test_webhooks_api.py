"""`/api/webhooks` on a log in memory: what callers are told, and what the notifier will read."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import jsonschema
import pytest

from chassis.log import EARLIEST, LATEST
from contracts.access import Scope
from contracts.fact import Fact
from contracts.mint import Confirmed, Finalized
from contracts.streams import MINT, WEBHOOK
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryParked,
    DeliveryQueued,
    DeliveryState,
    ReplayRequested,
    WebhookConfigured,
    WebhookState,
)
from services.gateway import deliveries
from services.gateway.api.export import DOCUMENT
from services.gateway.webhooks import MAX_WEBHOOKS
from tests.support.gateway import SEALER, Gateway
from tests.support.samples import CONFIRMED, OPERATION, REQUESTED

BODY = {"url": "https://shop.example.com/hook", "events": ["mint.*", "collection.created"], "description": "Shop"}


@dataclass
class World:
    gateway: Gateway
    client: httpx.AsyncClient

    async def create(self, **changes: object) -> tuple[str, str]:
        """A new webhook: its path and its secret."""
        answer = await self.client.post("/api/webhooks", json=BODY | changes)
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        return f"/api/webhooks/{data['webhook']['id']}", data["secret"]

    def facts(self, kind: type[Any]) -> list[Any]:
        return self.gateway.log.facts(kind)


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    gateway = Gateway()
    async with gateway.client() as client:
        yield World(gateway, client)


async def test_a_webhook_is_made_shown_changed_and_deleted(world: World) -> None:
    path, _ = await world.create()
    shown = (await world.client.get(path)).json()["data"]
    assert shown == {
        "id": path.rsplit("/", 1)[1],
        **BODY,
        "active": True,
        "allCallers": False,
        "createdAt": shown["createdAt"],
    }
    changed = await world.client.patch(path, json={"active": False, "events": ["*"]})
    assert changed.json()["data"] | {"active": None} == shown | {
        "active": None,
        "events": ["*"],
        "disabledReason": "Switched off.",
    }
    back = (await world.client.patch(path, json={"active": True, "allCallers": True})).json()["data"]
    assert (back["active"], back["allCallers"], "disabledReason" in back) == (True, True, False)
    assert [each["id"] for each in (await world.client.get("/api/webhooks")).json()["data"]["webhooks"]] == [
        shown["id"]
    ]
    assert (await world.client.delete(path)).status_code == 200
    assert (await world.client.get("/api/webhooks")).json()["data"] == {"webhooks": []}
    for answer in (
        await world.client.get(path),
        await world.client.delete(path),
        await world.client.post(f"{path}/test"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")
    last = world.facts(WebhookConfigured)[-1]
    assert (last.state, last.secrets) == (WebhookState.DELETED, ())


async def test_a_secret_is_shown_once_and_stands_nowhere(world: World) -> None:
    path, secret = await world.create()
    assert secret.startswith("whsec_")
    for answer in (await world.client.get(path), await world.client.get("/api/webhooks")):
        assert "whsec_" not in answer.text
    for stream in world.gateway.log.streams.values():
        assert all(secret.encode() not in raw.payload for raw in stream)
    (configured,) = world.facts(WebhookConfigured)
    assert SEALER.open(configured.secrets[0].sealed).reveal() == secret


async def test_rotated_secrets_overlap_and_end(world: World) -> None:
    path, first = await world.create()
    second = (await world.client.post(f"{path}/rotate", json={"overlapSeconds": 3600})).json()["data"]["secret"]
    until = world.gateway.clock.now() + timedelta(hours=1)
    secrets = world.facts(WebhookConfigured)[-1].secrets
    assert [(SEALER.open(each.sealed).reveal(), each.expires_at) for each in secrets] == [
        (second, None),
        (first, until),
    ]
    third = (await world.client.post(f"{path}/rotate", json={"overlapSeconds": 0})).json()["data"]["secret"]
    secrets = world.facts(WebhookConfigured)[-1].secrets
    assert [SEALER.open(each.sealed).reveal() for each in secrets] == [third], "0: the old ones are worthless at once"
    for _ in range(6):
        await world.client.post(f"{path}/rotate", json={})
    assert len(world.facts(WebhookConfigured)[-1].secrets) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://shop.example.com"},
        {"url": "https://user:password@shop.example.com"},
        {"url": "nowhere"},
        {"events": []},
        {"events": ["mint.nothing"]},
        {"events": ["mint*"]},
        {"events": ["*"] * 21},
        {"secret": "whsec_mine"},
        {"allCallers": 7},
    ],
)
async def test_what_makes_no_webhook_is_refused(world: World, changes: dict[str, object]) -> None:
    answer = await world.client.post("/api/webhooks", json=BODY | changes)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert world.facts(Fact) == []


async def test_webhooks_are_their_callers_own_and_for_admins(world: World) -> None:
    path, _ = await world.create()
    gateway = world.gateway
    async with gateway.client(gateway.key("app:other", Scope.ADMIN)) as other:
        assert (await other.get(path)).status_code == 404
        assert (await other.get("/api/webhooks")).json()["data"] == {"webhooks": []}
    async with gateway.client(gateway.key("app:shop", Scope.MINT, Scope.READ)) as minter:
        assert (await minter.post("/api/webhooks", json=BODY)).status_code == 403
    async with gateway.client(None) as stranger:
        assert (await stranger.get(path)).status_code == 401


async def test_there_are_only_so_many(world: World) -> None:
    for _ in range(MAX_WEBHOOKS):
        await world.create()
    answer = await world.client.post("/api/webhooks", json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


async def test_a_test_and_a_replay_are_asked_for_on_the_log(world: World) -> None:
    path, _ = await world.create()
    webhook = UUID(path.rsplit("/", 1)[1])
    test = (await world.client.post(f"{path}/test")).json()["data"]["deliveryId"]
    (queued,) = world.facts(DeliveryQueued)
    assert (queued.webhook, str(queued.delivery), queued.event_type) == (webhook, test, "webhook.test")
    await world.gateway.log.publish(REQUESTED, cause=None)
    for body in (
        {"transactionId": str(OPERATION)},
        {"since": "2026-01-02T03:04:05Z", "until": "2026-01-03T00:00:00+01:00"},
    ):
        answer = await world.client.post(f"{path}/replay", json=body)
        assert (answer.status_code, UUID(answer.json()["data"]["replayId"]).version) == (202, 7)
    first, second = world.facts(ReplayRequested)
    assert (first.operation, first.since) == (OPERATION, None)
    assert (second.operation, second.since < second.until) == (None, True)
    for wrong in (
        {},
        {"since": "2026-01-02"},
        {"since": "x"},
        {"transactionId": str(OPERATION), "since": "2026-01-02T00:00:00Z"},
    ):
        assert (await world.client.post(f"{path}/replay", json=wrong)).status_code == 400


async def test_a_replay_of_an_operation_that_nobody_asked_for_is_refused(world: World) -> None:
    path, _ = await world.create()
    answer = await world.client.post(f"{path}/replay", json={"transactionId": str(OPERATION)})
    assert (answer.status_code, answer.json()["code"]) == (404, "operation_not_found")
    assert world.facts(ReplayRequested) == []


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z"])
async def test_times_that_the_log_cannot_tell_are_its_first_or_last(world: World, since: str) -> None:
    path, _ = await world.create()
    answer = await world.client.post(f"{path}/replay", json={"since": since})
    assert answer.status_code == 202
    (asked,) = world.facts(ReplayRequested)
    assert asked.since == (EARLIEST if since < "2000" else LATEST)
    assert (await world.client.get(f"{path}/deliveries", params={"since": since})).status_code == 200


async def test_a_replay_of_an_operation_whose_attempts_have_left_the_log_is_refused(world: World) -> None:
    path, _ = await world.create()
    log = world.gateway.log
    finalized = Finalized(
        operation=OPERATION, chunk=CONFIRMED.chunk, tx=CONFIRMED.tx, signature=CONFIRMED.signature, slot=9
    )
    for fact in (REQUESTED, CONFIRMED, finalized):
        await log.publish(fact, cause=None)
    asked = {"transactionId": str(OPERATION)}
    assert (await world.client.post(f"{path}/replay", json=asked)).status_code == 202
    await log.purge(MINT, Confirmed.pattern(), up_to=2)
    answer = await world.client.post(f"{path}/replay", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (409, "events_archived")
    assert len(world.facts(ReplayRequested)) == 1


async def test_deliveries_are_told_as_they_stand_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = await world.create()
    webhook, now = UUID(path.rsplit("/", 1)[1]), world.gateway.clock.now()
    for number in range(5):
        event = UUID(int=number)
        queued = DeliveryQueued(webhook=webhook, about="x", delivery=event, event=event, event_type="mint.completed")
        await world.gateway.log.publish(queued, cause=None)
    states = (DeliveryState.DELIVERED, DeliveryState.PARKED, DeliveryState.RETRYING, DeliveryState.PARKED)
    for number, state in enumerate(states):
        for attempts in (1, 2) if state is DeliveryState.PARKED else (1,):
            stands = DeliveryAttempted(
                webhook=webhook,
                about="x",
                delivery=UUID(int=number),
                state=state if attempts == 2 or state is not DeliveryState.PARKED else DeliveryState.RETRYING,
                attempts=attempts,
                first_attempt_at=now,
                status=500,
                reason="The endpoint answered 500.",
            )
            await world.gateway.log.publish(stands, cause=None)
        if state is DeliveryState.PARKED:
            parked = DeliveryParked(webhook=webhook, about="x", delivery=UUID(int=number))
            await world.gateway.log.publish(parked, cause=None)

    async def pages(query: str) -> list[list[tuple[int, str, int]]]:
        found, cursor = list[list[tuple[int, str, int]]](), 0
        while cursor is not None:
            data = (await world.client.get(f"{path}/deliveries?{query}&cursor={cursor}")).json()["data"]
            found.append([(UUID(each["id"]).int, each["state"], each["attempts"]) for each in data["deliveries"]])
            cursor = data.get("nextCursor")
        return found

    everything = [(0, "delivered", 1), (1, "parked", 2), (2, "retrying", 1), (3, "parked", 2), (4, "queued", 0)]
    assert await pages("limit=2") == [everything[:2], everything[2:4], everything[4:]]
    assert await pages("limit=5") == [everything]
    assert await pages("state=parked&limit=1") == [[everything[1]], [everything[3]]]
    assert await pages("state=delivered") == [[everything[0]]]
    monkeypatch.setattr(deliveries, "MAX_SCANNED", 3)
    assert await pages("state=parked") == [[everything[1], everything[3]]], "however much else there is"
    assert [page for page in await pages("state=delivered") if page] == [[everything[0]]]
    assert await pages("since=2999-01-01T00:00:00Z") == [[]]
    for wrong in ("state=queued", "since=0.5", "since=2026-01-02", "since=20260102T030405Z"):
        assert (await world.client.get(f"{path}/deliveries?{wrong}")).status_code == 400, wrong


async def test_a_message_that_nobody_understands_hides_no_webhook(world: World) -> None:
    path, _ = await world.create()
    world.gateway.log.put_raw(WEBHOOK, "webhook.configured.v1.noise", b"noise")
    listed = (await world.client.get("/api/webhooks")).json()["data"]["webhooks"]
    assert [each["id"] for each in listed] == [path.rsplit("/", 1)[1]]


async def test_the_events_are_in_the_openapi_document(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    assert "mint.completed" in document["webhooks"]
    operation = document["webhooks"]["mint.confirmed"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"] | {"components": document["components"]}
    body = {
        "id": str(UUID(int=1)),
        "type": "mint.confirmed",
        "timestamp": "2026-01-02T03:04:05Z",
        "transactionId": str(OPERATION),
        "data": {"signature": "2" * 88},
    }
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(body))  # pyright: ignore[reportUnknownMemberType]
    assert {"'items' is a required property", "'slot' is a required property"} <= {error.message for error in errors}
    assert json.dumps(document).count("#/$defs/") == 0


async def test_the_document_that_clients_are_generated_from_has_all_of_the_api(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    written = json.loads(DOCUMENT.read_bytes())
    assert written | {"info": document["info"]} == document
