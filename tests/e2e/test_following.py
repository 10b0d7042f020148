"""Callers that follow a mint on the real stack: streams, WebSockets, webhooks, waiting answers, the timeline."""

import json
from typing import Any
from uuid import UUID

import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from contracts.mint import Completed, Confirmed
from tests.support.stack import IMAGES, PATIENCE, URI, LiveStack, eventually
from tests.support.webhooks import Received, receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def stream(live: LiveStack, operation: UUID, last: int | None = None, until: str = "end") -> list[dict[str, Any]]:
    """The events of a stream up to the first of a kind."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    found: list[dict[str, Any]] = []
    path = f"/api/mint/status/{operation}/events"
    async with live.http.stream("GET", path, headers=headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if line.startswith("event: ") and line.endswith(until):
                break
    return found


async def timeline_up_to(live: LiveStack, operation: UUID, sequence: int) -> dict[str, Any]:
    """The timeline once the tables have what a stream, which reads the log, has told already."""

    async def look() -> dict[str, Any] | None:
        answer = await live.http.get(f"/api/mint/operations/{operation}/timeline")
        timeline: dict[str, Any] = answer.json()["data"]
        return timeline if timeline["position"] >= sequence else None

    return await eventually(look, f"the tables have sequence {sequence}")


async def test_a_stream_that_broke_goes_on_where_it_ended(live: LiveStack) -> None:
    asked = await live.ask(await live.collection(), 4, batch_size=2)
    before = await stream(live, asked.operation, until=Confirmed.type())
    after = [event for event in await stream(live, asked.operation, before[-1]["sequence"]) if event]
    sequences = [event["sequence"] for event in [*before, *after]]
    timeline = await timeline_up_to(live, asked.operation, sequences[-1])
    assert sequences == [event["sequence"] for event in timeline["events"]]
    assert after[-1]["type"] == "mint.finalized.v1"
    known = {event["id"] for event in timeline["events"]}
    assert [event["type"] for event in timeline["events"] if event.get("causationId") not in known] == [
        "mint.requested.v1"
    ]


async def test_the_same_over_a_websocket(live: LiveStack) -> None:
    asked = await live.ask(await live.collection(), 1)
    url = f"{live.stack.api_url.replace('http', 'ws', 1)}/api/mint/status/{asked.operation}/events"
    async with connect(url, additional_headers={"X-API-Key": live.stack.api_key}) as socket:
        # Until the gateway closes it in good order.
        types = [json.loads(message)["type"] async for message in socket]
    assert (types[0], types[-1]) == ("mint.requested.v1", "mint.finalized.v1")
    with pytest.raises(InvalidStatus):
        async with connect(url):
            pass


async def test_an_answer_that_waits_carries_the_result(live: LiveStack) -> None:
    collection, recipient = await live.collection(), str(Keypair().pubkey())
    body = {
        "collectionId": collection["id"],
        "recipient": recipient,
        "metadata": {"name": "Now", "image": URI},
        "copies": 2,
    }
    answer = await live.http.post("/api/mint/single", json=body, headers={"Prefer": "wait=60"}, timeout=PATIENCE)
    assert answer.headers["preference-applied"] == "wait=60"
    data = answer.json()["data"]
    assert data["status"] == "completed"
    assert sorted(data["assetIds"]) == sorted(await live.chain.assets_of(recipient))
    assert sorted(data["leafIndexes"]) == [0, 1]
    assert len(data["ipfsUris"]) == 2
    assert data["signatures"]


async def test_a_collection_is_counted_when_somebody_asks(live: LiveStack) -> None:
    collection = await live.collection()
    asked = await live.ask(collection, 3)
    await live.first(Completed, asked)
    answers = [await live.http.post(f"/api/collections/sync/{collection['id']}", timeout=PATIENCE) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"] == {
            "updated": {"minted": 3, "capacity": collection["capacity"], "hasValidTree": True}
        }


async def test_operations_are_listed_from_the_newest(live: LiveStack) -> None:
    collection = await live.collection()
    asked = [await live.ask(collection, 1, files=bool(IMAGES)) for _ in range(3)]
    for one in asked:
        await live.settled(one.operation)
    first = (await live.http.get(f"/api/mint/operations?collectionId={collection['id']}&limit=2")).json()["data"]
    rest = await live.http.get(
        "/api/mint/operations", params={"collectionId": collection["id"], "cursor": first["nextCursor"]}
    )
    listed = [*first["operations"], *rest.json()["data"]["operations"]]
    assert [one["transactionId"] for one in listed] == [str(one.operation) for one in reversed(asked)]
    bad = [one for one in listed if one["status"] != "completed"]
    told = [(await live.http.get(f"/api/mint/status/{one['transactionId']}")).text for one in bad]
    assert bad == [], told


async def test_a_webhook_is_told_in_order_and_signed(live: LiveStack) -> None:
    collection = await live.collection()
    async with receiver() as shop:
        created = await live.http.post("/api/webhooks", json={"url": shop.url, "events": ["mint.*"]})
        assert created.status_code == 201, created.text
        secret, path = created.json()["data"]["secret"], f"/api/webhooks/{created.json()['data']['webhook']['id']}"
        asked = await live.ask(collection, 3)

        def told(requests: list[Received]) -> list[Received]:
            """What was told of this operation, and not of others that come to their finality now."""
            return [each for each in requests if each.event["transactionId"] == str(asked.operation)]

        ends = {"mint.completed", "mint.finalized"}
        requests = told(await shop.until(lambda found: ends <= {each.event["type"] for each in told(found)}))
        events = [each.verified(secret) for each in requests]
        on_log = (await live.confirmed(asked))[-1]
        confirmed = [event for event in events if event["type"] == "mint.confirmed"]
        assert confirmed[-1]["id"] == str(on_log.event.id)
        assert confirmed[-1]["data"]["signature"] == on_log.data.signature
        assert sorted(item["index"] for event in confirmed for item in event["data"]["items"]) == [0, 1, 2]
        (completed,) = [event for event in events if event["type"] == "mint.completed"]
        assert completed["data"] == {"total": 3, "minted": 3, "failed": 0, "cancelled": 0}
        assert events.index(confirmed[-1]) < events.index(completed)

        async def listed() -> bool:
            answer = await live.http.get(f"{path}/deliveries", params={"state": "delivered", "limit": 100})
            if answer.status_code == 503:  # the log has not answered in time: asked again
                return False
            assert answer.status_code == 200, answer.text
            delivered = {each["eventId"] for each in answer.json()["data"]["deliveries"]}
            return {event["id"] for event in events} <= delivered

        await eventually(listed, "the deliveries are listed")
        assert (await live.http.delete(path)).status_code == 200
