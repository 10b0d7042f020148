"""A frontend that is told what happened to its mint, by the whole stack."""

import pytest
from solders.keypair import Keypair

from contracts.mint import Confirmed
from tests.support.stack import URI, LiveStack, eventually
from tests.support.webhooks import receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_mint_is_told_in_order_and_signed(live: LiveStack) -> None:
    async with receiver() as shop:
        created = await live.http.post("/api/webhooks", json={"url": shop.url, "events": ["mint.*"]})
        assert created.status_code == 201, created.text
        webhook, secret = created.json()["data"]["webhook"], created.json()["data"]["secret"]
        collection = await live.collection()
        nfts = [{"name": f"Told #{each}", "image": URI} for each in range(3)]
        accepted = await live.api.mint_batch(collection["id"], str(Keypair().pubkey()), nfts, [])
        operation = accepted["transactionId"]
        requests = await shop.until(
            lambda found: {"mint.completed", "mint.finalized"} <= {each.event["type"] for each in found}
        )
        events = [each.verified(secret) for each in requests]
        assert {event["transactionId"] for event in events} == {operation}
        confirmed = [event for event in events if event["type"] == "mint.confirmed"]
        on_log = [each for each in await live.events() if isinstance(each.data, Confirmed)][-1]
        assert confirmed[-1]["id"] == str(on_log.event.id)
        assert confirmed[-1]["data"]["signature"] == on_log.data.signature
        assert sorted(item["index"] for event in confirmed for item in event["data"]["items"]) == [0, 1, 2]
        (completed,) = [event for event in events if event["type"] == "mint.completed"]
        assert completed["data"] == {"total": 3, "minted": 3, "failed": 0, "cancelled": 0}

        async def told() -> bool:
            answer = await live.http.get(f"/api/webhooks/{webhook['id']}/deliveries", params={"state": "delivered"})
            if answer.status_code == 503:  # the log has not answered in time: asked again
                return False
            assert answer.status_code == 200, answer.text
            return len(answer.json()["data"]["deliveries"]) >= len({event["id"] for event in events})

        await eventually(told, "the deliveries are listed")
        assert (await live.http.delete(f"/api/webhooks/{webhook['id']}")).status_code == 200
