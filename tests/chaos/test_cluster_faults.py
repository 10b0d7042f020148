"""A cluster that drops, lags, refuses, delays and forks: each item is minted exactly once, and that is final.

Slots are short, so that blockhashes expire and blocks become final within seconds.
"""

from collections import Counter
from typing import Any

import pytest
import pytest_asyncio

from chassis.log import Message
from contracts.mint import Confirmed, Finalized, Signed
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import Asked, Json, LiveStack, eventually, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOT_MS = 25
COUNT = 30
FAULTY_COUNT = 15


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collection(live: LiveStack) -> Json:
    """One collection for all batches, so that every check counts what all of them left in its tree."""
    return await live.collection()


FAULTS: list[tuple[str, Json]] = [
    ("a fifth of the sends is dropped", {"dropSendShare": 0.2}),
    ("half of the sends fails, though they went out", {"sendErrorShare": 0.5}),
    ("reads lag", {"lagSlots": 12}),
    ("rate limits", {"rateLimitShare": 0.2, "retryAfterSeconds": 1}),
    ("errors and delays", {"errorShare": 0.2, "delayMs": 100}),
    ("every second slot is skipped", {"skipSlotShare": 0.5}),
    (
        "all at once",
        {"dropSendShare": 0.2, "sendErrorShare": 0.2, "rateLimitShare": 0.1, "errorShare": 0.1, "lagSlots": 4},
    ),
]


@pytest.mark.parametrize("faults", [each[1] for each in FAULTS], ids=[each[0] for each in FAULTS])
async def test_a_faulty_cluster(live: LiveStack, collection: Json, faults: Json) -> None:
    await live.faults(seed=7, **faults)
    asked = await live.ask(collection, FAULTY_COUNT, batch_size=5)
    await live.settled(asked.operation)
    await live.faults()
    await check_exactly_once(live, asked)


async def test_an_expired_blockhash_is_signed_again_and_only_then(live: LiveStack, collection: Json) -> None:
    await live.faults(dropSendShare=1.0)
    asked = await live.ask(collection, 5, batch_size=5)
    seconds = await first_attempts(live, asked, 2)
    await live.faults()
    events = await check_exactly_once(live, asked)
    for signed in seconds:
        (earlier,) = signed.data.earlier
        assert signed.data.attempt.last_valid_block_height > earlier.last_valid_block_height + 150
    assert min(fact.attempt for fact in facts(events, Confirmed)) >= 2


async def first_attempts(live: LiveStack, asked: Asked, number: int) -> list[Message[Any]]:
    """Every transaction's attempt `number`, once each has one."""

    async def look() -> list[Message[Any]] | None:
        found = [
            message
            for message in await live.events(after=asked.after)
            if isinstance(message.data, Signed)
            and message.data.operation == asked.operation
            and message.data.attempt.number == number
        ]
        return found if sum(len(message.data.items) for message in found) == asked.count else None

    return await eventually(look, f"attempt {number} is signed")


async def test_a_fork_drops_what_was_confirmed(live: LiveStack, collection: Json) -> None:
    asked = await live.ask(collection, COUNT, batch_size=5)
    await live.confirmed(asked)
    dropped = await live.rpc("localnet_fork", 20)
    assert dropped["droppedSignatures"], "the fork took confirmed mints away"
    final = await finalized(live, asked)
    events = await check_exactly_once(live, asked, forked=True)
    confirmed = {message.subject: message.data for message in events if isinstance(message.data, Confirmed)}
    assert {fact.signature for fact in final} == {fact.signature for fact in confirmed.values()}
    times = Counter(message.subject for message in events if isinstance(message.data, Confirmed))
    assert max(times.values()) == 2, "what was dropped was confirmed again"


async def test_every_confirmation_becomes_final(live: LiveStack, collection: Json) -> None:
    asked = await live.ask(collection, 3)
    events = await check_exactly_once(live, asked)
    final = await finalized(live, asked)
    assert {(fact.tx, fact.chunk, fact.signature) for fact in final} == {
        (fact.tx, fact.chunk, fact.signature) for fact in facts(events, Confirmed)
    }
    height = await live.rpc("getSlot", {"commitment": "finalized"})
    assert all(fact.slot <= height for fact in final)

    async def in_the_tables() -> bool:
        rows = (await live.tables())["mint_results"]
        return all(row["finalized_slot"] for row in rows if row["operation_id"] == asked.operation)

    await eventually(in_the_tables, "the tables tell of the finality")


async def finalized(live: LiveStack, asked: Asked) -> list[Finalized]:
    """The finality of every transaction of the operation."""
    return [message.data for message in await live.finalized(asked)]
