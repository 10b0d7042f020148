"""The main job, as a new user sees it: a collection, a batch, every asset proven, and nothing that disagrees."""

import io
from uuid import UUID

import pytest
from rich.console import Console

from contracts.collection import CollectionCreated
from contracts.streams import COLLECTION
from mintstream import demo
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import Asked, LiveStack, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 30


@pytest.mark.parametrize("standard", ["v1", "v2"])
async def test_the_demo_mints_what_it_says(live: LiveStack, standard: str) -> None:
    console = Console(file=io.StringIO(), width=200)
    outcome = await demo.run(live.stack, console, count=COUNT, standard=standard)
    demo.tell(outcome, console)
    assert len(outcome.minted) == COUNT

    created = facts(await live.events(COLLECTION), CollectionCreated)[-1]
    assert created.standard.value == standard
    collection = await live.api.wait_for_collection(str(created.collection), within=5.0)
    assert await live.chain.minted(created.tree_address) == COUNT
    operations = {message.data.operation for message in await live.events() if message.subject.startswith("mint.")}
    operation = next(one for one in operations if str(one) in console_text(console))
    asked = Asked(
        operation=operation,
        collection=collection,
        recipient=outcome.minted[0].asset.owner,
        names=tuple(each.name for each in outcome.minted),
        after=0,
    )
    await check_exactly_once(live, asked)
    for each in outcome.minted:
        for told in (each.asset.asset_id, each.signature, each.asset.uri):
            assert told in console_text(console)
    await check_collection_row(live, created)


async def check_collection_row(live: LiveStack, created: CollectionCreated) -> None:
    (row,) = [row for row in (await live.tables())["nft_collections"] if row["id"] == created.collection]
    tree = await live.chain.tree(created.tree_address)
    assert (row["tree_address"], row["collection_address"]) == (created.tree_address, created.collection_address)
    assert (row["minted"], row["capacity"]) == (COUNT, created.tree.capacity)
    assert tree.max_depth == created.tree.max_depth
    assert (row["stage"], row["status"], row["standard"]) == ("created", "active", created.standard.value)
    assert row["has_valid_tree"] is True
    assert row["supports_das"] is True


async def test_a_list_of_collections_tells_what_the_chain_counts(live: LiveStack) -> None:
    collection = await live.collection()
    asked = await live.ask(collection, 3)
    await check_exactly_once(live, asked)
    answer = (await live.http.get("/api/collections", params={"status": "active", "limit": 100})).json()
    (listed,) = [one for one in answer["data"]["collections"] if one["id"] == collection["id"]]
    assert listed["minted"] == await live.chain.minted(collection["treeAddress"]) == 3
    assert listed["hasValidTree"] is True
    assert UUID(listed["id"])


def console_text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
