"""The one question of the end-to-end and chaos tests: was what was asked for minted, each item exactly once?

Answered three times, by the log, the chain and the tables, and the three have to agree.
"""

from collections import Counter
from typing import Any

from chassis.log import Message
from contracts.collection import CollectionTreeAdded
from contracts.fact import Event, Fact
from contracts.mint import Completed, Confirmed, Failed, MintedLeaf, PinFailed, Pinned, PinnedItem, Requested, Signed
from contracts.streams import COLLECTION
from tests.support.stack import Asked, LiveStack, eventually, facts


async def check_exactly_once(live: LiveStack, asked: Asked, *, forked: bool = False) -> list[Message[Any]]:
    """Wait for the operation's end and check everything about it; returns its events, in order.

    After a fork (`forked`) an item may be confirmed more than once, and the last word counts.
    """
    status = await live.settled(asked.operation)
    assert status["status"] == "completed", status
    events = [
        message
        for message in await live.events(after=asked.after)
        if getattr(message.data, "operation", None) == asked.operation
    ]
    leaves = check_log(events, asked, forked=forked)
    await check_causes(live, events)
    await check_chain(live, events, asked, leaves)
    await check_tables(live, events, asked, leaves)
    assert status["progress"] == {"total": asked.count, "completed": asked.count, "failed": 0, "percentage": 100}
    assert [(one["assetId"], one["leafIndex"]) for one in status["results"]] == [
        (leaves[item].asset_id, leaves[item].leaf_index) for item in range(asked.count)
    ]
    assert await live.dead_letters() == []
    return events


def check_log(events: list[Message[Any]], asked: Asked, *, forked: bool) -> dict[int, MintedLeaf]:
    """One request, one pin and one confirmation an item, one end; returns the leaves by item."""
    assert len(facts(events, Requested)) == 1
    assert not facts(events, PinFailed)
    assert not facts(events, Failed)
    assert facts(events, Completed) == [
        Completed(operation=asked.operation, total=asked.count, minted=asked.count, failed=0)
    ]
    every_item = list(range(asked.count))
    assert sorted(pinned_items(events)) == every_item
    for subject, times in Counter(message.subject for message in events).items():
        if not (isinstance_at(events, subject, Signed) or (forked and isinstance_at(events, subject, Confirmed))):
            assert times == 1, f"{subject} was said {times} times"
    confirmed = {message.subject: message.data for message in events if isinstance(message.data, Confirmed)}
    assert sorted(leaf.item for fact in confirmed.values() for leaf in fact.leaves) == every_item
    leaves = {leaf.item: leaf for fact in confirmed.values() for leaf in fact.leaves}
    assert len({leaf.asset_id for leaf in leaves.values()}) == asked.count
    assert {leaf.owner for leaf in leaves.values()} == {asked.recipient}
    return leaves


def isinstance_at(events: list[Message[Any]], subject: str, kind: type[Fact]) -> bool:
    """Whether the events on `subject` are of a kind."""
    return any(message.subject == subject and isinstance(message.data, kind) for message in events)


def pinned_items(events: list[Message[Any]]) -> dict[int, PinnedItem]:
    """The pinned items; a second pin of an item fails the test."""
    items = [item for pinned in facts(events, Pinned) for item in pinned.items]
    assert len({item.index for item in items}) == len(items), "an item was pinned twice"
    return {item.index: item for item in items}


async def check_causes(live: LiveStack, events: list[Message[Any]]) -> None:
    """Only the command came from outside; everything else was caused by an event that is on the log."""
    known = {message.event.id for message in [*await live.events(COLLECTION), *events]}
    for message in events:
        event: Event[Fact] = message.event
        if isinstance(event.data, Requested):
            assert event.causation_id is None
        else:
            assert event.causation_id in known, f"{message.subject} was caused by nothing on the log"


async def check_chain(live: LiveStack, events: list[Message[Any]], asked: Asked, leaves: dict[int, MintedLeaf]) -> None:
    """The recipient has these assets and no others, each proven, and no attempt can add one."""
    assert sorted(await live.chain.assets_of(asked.recipient)) == sorted(leaf.asset_id for leaf in leaves.values())
    items = pinned_items(events)
    for index, leaf in leaves.items():
        asset = await live.chain.verify(leaf.asset_id, asked.recipient)
        assert (asset.leaf_index, asset.uri) == (leaf.leaf_index, items[index].uri)
    # Counted against the whole log, so that a leaf which nobody told of fails every later check as well.
    for tree in await trees_of(live, asked):
        assert await live.chain.minted(tree) == await live.leaves_on_log(tree)
    await check_attempts(live, events)


async def check_attempts(live: LiveStack, events: list[Message[Any]]) -> None:
    """Of every transaction's attempts one is on chain; the others are not, and never will be."""
    newest = {message.subject: message.data for message in events if isinstance(message.data, Signed)}
    confirmed = {fact.signature for fact in facts(events, Confirmed)}
    height: int = await live.rpc("getBlockHeight", {"commitment": "finalized"})
    for signed in newest.values():
        attempts = (*signed.earlier, signed.attempt)
        assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
        signatures = [attempt.signature for attempt in attempts]
        found = await live.rpc("getSignatureStatuses", signatures, {"searchTransactionHistory": True})
        landed = [one for one, state in zip(attempts, found["value"], strict=True) if state and state["err"] is None]
        assert len(landed) == 1, f"{len(landed)} attempts of {signed.subject()} are on chain"
        assert landed[0].signature in confirmed
        assert all(one.last_valid_block_height < height for one in attempts if one is not landed[0])


async def check_tables(
    live: LiveStack, events: list[Message[Any]], asked: Asked, leaves: dict[int, MintedLeaf]
) -> None:
    """The rows say what log and chain say."""
    await eventually(lambda: projected(live, events[-1].sequence), "the tables hold every event of the operation")
    await eventually(lambda: counted(live, asked), "the collection's row has the chain's count")
    rows = await live.tables()
    assert rows["parked_messages"] == []
    (operation,) = (row for row in rows["mint_operations"] if row["id"] == asked.operation)
    assert operation["transaction_id"] == str(asked.operation)
    assert str(operation["collection_id"]) == asked.collection["id"]
    assert (operation["recipient"], operation["status"]) == (asked.recipient, "completed")
    assert (operation["total_nfts"], operation["completed_nfts"], operation["failed_nfts"]) == (
        asked.count,
        asked.count,
        0,
    )
    assert operation["start_time"] <= operation["end_time"]
    confirmed = {leaf.item: fact for fact in facts(events, Confirmed) for leaf in fact.leaves}
    pinned = pinned_items(events)
    results = [row for row in rows["mint_results"] if row["operation_id"] == asked.operation]
    assert [row["item_index"] for row in results] == list(range(asked.count))
    for row, name in zip(results, asked.names, strict=True):
        index: int = row["item_index"]
        expected = {
            "nft_name": name,
            "status": "success",
            "error_message": None,
            "signature": confirmed[index].signature,
            "slot": confirmed[index].slot,
            "tree_address": confirmed[index].tree,
            "asset_id": leaves[index].asset_id,
            "leaf_index": leaves[index].leaf_index,
            "nonce": leaves[index].nonce,
            "ipfs_uri": pinned[index].uri,
            "ipfs_hash": pinned[index].uri.removeprefix("ipfs://"),
            "image_uri": pinned[index].image_uri,
        }
        assert {column: row[column] for column in expected} == expected


async def projected(live: LiveStack, sequence: int) -> bool:
    """Whether the tables hold everything of MINT up to `sequence`."""
    async with live.database() as database:
        return await database.fetchval("SELECT sequence FROM watermarks WHERE stream = 'MINT'") >= sequence


async def counted(live: LiveStack, asked: Asked) -> bool:
    """Whether the collection's row has as many minted leaves as its trees."""
    collection = await live.api.wait_for_collection(asked.collection["id"], within=5.0)
    return collection["minted"] == sum([await live.chain.minted(tree) for tree in await trees_of(live, asked)])


async def trees_of(live: LiveStack, asked: Asked) -> list[str]:
    """The collection's trees: the one it was created with, and those it got beside it."""
    added = facts(await live.events(COLLECTION), CollectionTreeAdded)
    return [asked.tree, *(fact.tree_address for fact in added if str(fact.collection) == asked.collection["id"])]
