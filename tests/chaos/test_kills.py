"""SIGKILL for every process of the stack in the middle of a batch: each item is minted exactly once all the same."""

import asyncio
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from solders.keypair import Keypair

from contracts.fact import Fact
from contracts.mint import Completed, Confirmed, Pinned, Requested, Signed
from contracts.streams import MINT
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import URI, Asked, Json, LiveStack, eventually, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collection(live: LiveStack) -> Json:
    """One collection for all batches, so that every check counts what all of them left in its tree."""
    return await live.collection()


@pytest.mark.parametrize(
    ("victim", "moment"),
    [
        ("gateway", Requested),
        ("ipfs", Requested),
        ("ipfs", Pinned),
        ("minter", Pinned),
        ("minter", Signed),
        ("minter", Confirmed),
        ("indexer", Signed),
        ("indexer", Confirmed),
        ("nats", Signed),
        ("postgres", Confirmed),
        ("cluster", Signed),
        ("cluster", Confirmed),
        ("pinning", Pinned),
    ],
    ids=lambda value: value if isinstance(value, str) else value.type(),
)
async def test_a_killed_process(live: LiveStack, collection: Json, victim: str, moment: type[Fact]) -> None:
    restarts = live.stack.restarts(victim)
    asked = await live.ask(collection, COUNT, files=True, batch_size=3)
    await live.first(moment, asked)
    live.stack.kill(victim)
    await live.stack.wait(victim)
    assert live.stack.restarts(victim) == restarts + 1
    await check_exactly_once(live, asked)


async def test_everything_killed_at_once(live: LiveStack, collection: Json) -> None:
    asked = await live.ask(collection, COUNT, files=True, batch_size=3)
    await live.first(Signed, asked)
    for name in live.stack.names:
        live.stack.kill(name)
    for name in live.stack.names:
        await live.stack.wait(name)
    await check_exactly_once(live, asked)


async def test_a_request_that_was_cut_off_is_repeated_with_its_key(live: LiveStack, collection: Json) -> None:
    recipient, after = str(Keypair().pubkey()), await live.log.last_sequence(MINT)
    body = {
        "collectionId": collection["id"],
        "recipient": recipient,
        "nfts": [{"name": f"Tent #{number}", "image": URI} for number in range(COUNT)],
    }
    headers = {"Idempotency-Key": f"cut-off-{recipient}"}
    cut_off = asyncio.create_task(live.http.post("/api/mint/batch", json=body, headers=headers))
    await asyncio.sleep(0)
    live.stack.kill("gateway")
    await asyncio.wait([cut_off])  # answered or not: the caller cannot tell what became of it
    cut_off.exception()

    async def again() -> Json | None:
        try:
            answer = await live.http.post("/api/mint/batch", json=body, headers=headers)
        except httpx.TransportError:
            return None
        return answer.json()["data"] if answer.status_code == 200 else None

    accepted = await eventually(again, "the gateway takes the repeated request")
    asked = Asked(
        operation=UUID(accepted["transactionId"]),
        collection=collection,
        recipient=recipient,
        names=tuple(f"Tent #{number}" for number in range(COUNT)),
        after=after,
    )
    await check_exactly_once(live, asked)
    requests = [fact for fact in facts(await live.events(after=after), Requested) if fact.recipient == recipient]
    assert len(requests) == 1
    ends = [fact for fact in facts(await live.events(after=after), Completed) if fact.operation == asked.operation]
    assert len(ends) == 1
