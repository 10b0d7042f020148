"""What is minted through the API is found again on the finalized chain, and nothing differs."""

import asyncio
from uuid import UUID

import pytest

from chassis.database import Row
from contracts.observation import CollectionDrift, DriftKind
from tests.support.stack import Asked, LiveStack, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def observed_and_compared(live: LiveStack, asked: Asked) -> None:
    """The operation's assets are in the table with their owner, and the comparison has no alarm."""
    collection = asked.collection

    async def look() -> list[Row] | None:
        async with live.database() as database:
            rows = await database.fetch("SELECT * FROM assets WHERE owner = $1", asked.recipient)
        return rows if len(rows) == asked.count else None

    async def compared() -> CollectionDrift | None:
        said = await live.log.last(CollectionDrift, collection=UUID(str(collection["id"])))
        return said.data if said else None

    status = await live.settled(asked.operation)
    rows = await eventually(look, "every asset is observed")
    assert {row["asset_id"] for row in rows} == {each["assetId"] for each in status["results"]}
    assert {row["fate"] for row in rows} == {"living"}
    assert {row["collection_address"] for row in rows} == {collection["collectionAddress"]}
    drift = await eventually(compared, "the collection is compared")
    assert not [each for each in drift.differences if each.alarm or each.kind is DriftKind.PROOF_REFUSED]


async def test_minted_assets_are_observed_on_chain(live: LiveStack) -> None:
    collections = await asyncio.gather(live.collection("v1"), live.collection("v2"))
    asked = [await live.ask(collection, 3) for collection in collections]
    await asyncio.gather(*(observed_and_compared(live, each) for each in asked))
