"""Cancelling a batch in the middle: what was signed lands, nothing else does, and the totals are those of the chain."""

from uuid import UUID

import pytest
from solders.keypair import Keypair

from contracts.mint import Cancelled, Completed, Confirmed, Failed, FailureCode, PinFailed, Requested
from contracts.streams import MINT
from tests.support.stack import URI, Asked, Json, LiveStack, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 50


async def ask_slowly(live: LiveStack, collection: Json) -> Asked:
    """Ask for a batch whose chunks are minted one after another."""
    recipient, after = str(Keypair().pubkey()), await live.log.last_sequence(MINT)
    names = tuple(f"Tent #{number}" for number in range(COUNT))
    body = {
        "collectionId": collection["id"],
        "recipient": recipient,
        "nfts": [{"name": name, "image": URI} for name in names],
        "batchSize": 2,
        "delayBetweenBatches": 1500,
    }
    answer = await live.http.post("/api/mint/batch", json=body)
    assert answer.status_code == 200, answer.text
    operation = UUID(answer.json()["data"]["transactionId"])
    return Asked(operation=operation, collection=collection, recipient=recipient, names=names, after=after)


async def cancel(live: LiveStack, operation: UUID) -> dict[str, object]:
    answer = await live.http.delete(f"/api/mint/cancel/{operation}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_cancelled_in_the_middle_the_totals_are_those_of_the_chain(live: LiveStack) -> None:
    collection = await live.collection()
    asked = await ask_slowly(live, collection)
    await live.first(Confirmed, asked)
    said = await cancel(live, asked.operation)
    assert said == {"success": True, "message": "Operation cancelled successfully"}
    assert await cancel(live, asked.operation) == said

    status = await live.settled(asked.operation)
    assert status["status"] == "cancelled"
    progress = status["progress"]
    assert progress["completed"] > 0
    assert progress["cancelled"] > 0
    assert progress["completed"] + progress["cancelled"] == progress["total"] == COUNT
    assert progress["failed"] == 0
    minted = sorted(one["assetId"] for one in status["results"] if one["status"] == "success")
    assert minted == sorted(await live.chain.assets_of(asked.recipient))
    assert len(minted) == progress["completed"]

    events = [
        message
        for message in await live.events(after=asked.after)
        if getattr(message.data, "operation", None) == asked.operation
    ]
    assert len(facts(events, Cancelled)) == 1
    assert facts(events, Completed) == [
        Completed(operation=asked.operation, total=COUNT, minted=len(minted), failed=0, cancelled=progress["cancelled"])
    ]
    ended = [fact.failure for fact in facts(events, Failed)]
    ended += [failure for fact in facts(events, PinFailed) for failure in fact.failures]
    assert {failure.code for failure in ended} == {FailureCode.CANCELLED}
    landed = {leaf.item for fact in facts(events, Confirmed) for leaf in fact.leaves}
    cancelled = [item for failure in ended for item in failure.items]
    assert sorted([*landed, *cancelled]) == list(range(COUNT)), "every item ended once, one way or the other"
    assert await live.dead_letters() == []

    refused = await live.http.post(f"/api/mint/retry/{asked.operation}")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_retry")


async def test_an_operation_that_has_ended_cannot_be_cancelled(live: LiveStack) -> None:
    asked = await live.ask(await live.collection(), 1)
    await live.settled(asked.operation)
    answer = await live.http.delete(f"/api/mint/cancel/{asked.operation}")
    assert (answer.status_code, answer.json()["code"]) == (409, "operation_ended")
    assert not facts(await live.events(after=asked.after), Cancelled)
    assert len(facts(await live.events(after=asked.after), Requested)) == 1
