"""Packing and trees, end to end: fewer transactions than NFTs, each as planned, spread over the trees there are."""

import base64
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from chassis.log import Message
from contracts.collection import CollectionTableCreated, CollectionTreeAdded
from contracts.mint import Confirmed, Failed, FailureCode, Pinned, Planned, Requested, Signed
from contracts.streams import COLLECTION
from tests.support.exactly_once import check_exactly_once, trees_of
from tests.support.stack import LiveStack, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("standard", ["v1", "v2"])
async def test_a_batch_takes_fewer_transactions_than_nfts(live: LiveStack, standard: str) -> None:
    collection = await live.collection(standard)
    asked = await live.ask(collection, 20, batch_size=10)
    events = await check_exactly_once(live, asked)

    plans = facts(events, Planned)
    assert [[len(each.items) for each in plan.transactions] for plan in plans] == [[4, 4, 2], [4, 4, 2]]
    (table,) = tables(await live.events(COLLECTION), collection["id"])
    planned = {(plan.chunk, each.tx): each for plan in plans for each in plan.transactions}
    for signed in facts(events, Signed):
        plan = planned[signed.chunk, signed.tx]
        assert (signed.items, signed.tree, table.table_address) == (plan.items, plan.tree, plan.lookup_table)
        message = VersionedTransaction.from_bytes(base64.b64decode(signed.transaction)).message
        assert isinstance(message, MessageV0)
        (lookup,) = message.address_table_lookups
        assert str(lookup.account_key) == table.table_address
    assert len(facts(events, Confirmed)) == 6
    assert {fact.fee for fact in facts(events, Confirmed)} == {5_000}


async def test_work_is_spread_over_the_trees_that_were_asked_for(live: LiveStack) -> None:
    collection = await live.collection("v2", trees=3)
    asked = await live.ask(collection, 30, batch_size=30)
    events = await check_exactly_once(live, asked)
    trees = await trees_of(live, asked)
    assert len(set(trees)) == 3
    leaves = Counter(fact.tree for fact in facts(events, Confirmed) for _ in fact.leaves)
    assert set(leaves) == set(trees)
    assert max(leaves.values()) - min(leaves.values()) <= 4
    seen = await live.api.wait_for_collection(collection["id"], within=5.0)
    assert (seen["minted"], seen["capacity"]) == (30, 3 * 2**14)


async def test_a_collection_that_is_full_goes_on_in_further_trees(live: LiveStack) -> None:
    collection = await live.collection("v2", tree={"maxDepth": 3})
    asked = await live.ask(collection, 20, batch_size=10)
    await check_exactly_once(live, asked)
    added = [
        fact
        for fact in facts(await live.events(COLLECTION), CollectionTreeAdded)
        if str(fact.collection) == collection["id"]
    ]
    assert [fact.number for fact in added] == list(range(1, len(added) + 1))
    assert 20 <= 8 * (1 + len(added)) <= 40
    assert len(tables(await live.events(COLLECTION), collection["id"])) == 1 + len(added)


def tables(events: list[Message[Any]], collection: str) -> list[CollectionTableCreated]:
    """The lookup tables of a collection."""
    return [fact for fact in facts(events, CollectionTableCreated) if str(fact.collection) == collection]


async def test_what_failed_for_want_of_room_is_minted_anew_once_there_is_some(live: LiveStack) -> None:
    live.stack.reconfigure("minter", TREE_SUCCESSOR_AT="1")
    live.stack.kill("minter")
    await live.stack.wait("minter")
    collection = await live.collection("v2", tree={"maxDepth": 3})
    asked = await live.ask(collection, 12, batch_size=12)
    status = await live.settled(asked.operation)
    assert (status["status"], status["progress"]["completed"], status["progress"]["failed"]) == ("completed", 8, 4)
    failed = facts(await live.events(after=asked.after), Failed)
    assert {fact.failure.code for fact in failed} == {FailureCode.TREE_FULL}
    wanting = {index for fact in failed for index in fact.failure.items}

    live.stack.reconfigure("minter", TREE_SUCCESSOR_AT="0.9")
    live.stack.kill("minter")
    await live.stack.wait("minter")
    answers = [(await live.http.post(f"/api/mint/retry/{asked.operation}")).json()["data"] for _ in range(3)]
    assert len({answer["transactionId"] for answer in answers}) == 1, "asked again, it is the same retry"
    again = UUID(answers[0]["transactionId"])
    status = await live.settled(again)
    assert (status["progress"]["total"], status["progress"]["completed"]) == (4, 4)

    events = await live.events(after=asked.after)
    content = {(fact.operation, item.index): item for fact in facts(events, Pinned) for item in fact.items}
    minted = {leaf.asset_id: (fact.operation, leaf.item) for fact in facts(events, Confirmed) for leaf in fact.leaves}
    assert Counter(operation for operation, _ in minted.values()) == {asked.operation: 8, again: 4}
    assert sorted(content[item].name for item in minted.values()) == sorted(asked.names), "all twelve, and none twice"
    for asset, item in minted.items():
        assert (await live.chain.verify(asset, asked.recipient)).uri == content[item].uri
    assert sorted(await live.chain.assets_of(asked.recipient)) == sorted(minted)
    (retry,) = (fact for fact in facts(events, Requested) if fact.retry_of == asked.operation)
    assert {nft.name for nft in retry.nfts} == {asked.names[index] for index in wanting}
    assert sum([await live.chain.minted(tree) for tree in await trees_of(live, asked)]) == 12
    assert await live.dead_letters() == []
