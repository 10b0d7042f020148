"""What a collection would cost, and collections that were made elsewhere, over HTTP."""

from typing import Any

import httpx
import pytest

from chassis.log import SequenceConflict
from contracts.collection import CollectionFailed, CollectionImportRequested, ImportFault
from contracts.fact import Fact
from services.gateway.identity import imported_id
from tests.support.gateway import COLLECTION, RECIPIENT, Gateway, collection_row, created

ADDRESS = "CoREENxT6tW1HoK8ypY1SxRMZTcVPm7R94rH4PZNhX7d"
ESTIMATE, IMPORT = "/api/collections/estimate", "/api/collections/import"


async def test_an_estimate_fills_in_the_tree_and_adds_up(client: httpx.AsyncClient) -> None:
    answer = await client.post(ESTIMATE, json={"trees": 2, "tree": {"maxDepth": 20}})
    assert answer.status_code == 200
    told = answer.json()["data"]
    assert told["tree"] == {"maxDepth": 20, "maxBufferSize": 64, "canopyDepth": 8}
    assert (told["standard"], told["capacity"], told["proofNodes"], told["transactions"]) == ("v2", 2 << 20, 12, 5)
    lamports = told["lamports"]
    total = lamports.pop("total")
    assert sum(lamports.values()) == total
    assert told["totalSol"] == total / 1e9
    assert told["perNft"] == {"creation": total / (2 << 20), "protocolFee": 90_000}
    one = (await client.post(ESTIMATE, json={"tree": {"maxDepth": 20}})).json()["data"]["lamports"]
    assert lamports["treeRent"] == 2 * one["treeRent"]
    longest = (await client.post(ESTIMATE, json={"name": "n" * 32})).json()["data"]["lamports"]["collectionRent"]
    shorter = (await client.post(ESTIMATE, json={"name": "n" * 31})).json()["data"]["lamports"]["collectionRent"]
    left_out = (await client.post(ESTIMATE, json={})).json()["data"]["lamports"]["collectionRent"]
    assert longest == left_out == shorter + 2 * 3480


async def test_an_estimate_of_what_cannot_be_made_is_refused_as_the_request_would_be(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"tree": {"maxDepth": 30, "canopyDepth": 0}}
    estimated = await client.post(ESTIMATE, json=body)
    asked = await client.post("/api/collections", json=body | {"name": "Camp", "symbol": "CAMP"})
    assert estimated.status_code == asked.status_code == 400
    assert estimated.json()["details"] == asked.json()["details"]


async def test_an_estimate_leaves_nothing_on_the_log(gateway: Gateway, client: httpx.AsyncClient) -> None:
    before = len(gateway.log.messages(Fact))
    await client.post(ESTIMATE, json={})
    assert len(gateway.log.messages(Fact)) == before


async def test_an_import_is_one_message_however_often_it_is_asked_for(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    body = {"collectionAddress": ADDRESS, "treeAddresses": [RECIPIENT, RECIPIENT], "symbol": "C", "isPublic": True}
    answers = [await client.post(IMPORT, json=body) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    (message,) = gateway.log.messages(CollectionImportRequested)
    asked = message.data
    assert (asked.collection_address, asked.tree_addresses, asked.symbol) == (ADDRESS, (RECIPIENT,), "C")
    assert (asked.is_public, asked.allow_minting) == (True, True)
    assert answers[0].json()["data"] == {
        "id": str(asked.collection),
        "collectionAddress": ADDRESS,
        "status": "queued",
    }
    shown = (await client.get(f"/api/collections/{asked.collection}")).json()["data"]
    assert (shown["stage"], shown["name"], shown["symbol"]) == ("requested", ADDRESS, "C")
    assert "standard" not in shown


async def test_a_failed_import_tells_why_and_can_be_asked_for_again(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    id_ = (await client.post(IMPORT, json={"collectionAddress": ADDRESS})).json()["data"]["id"]
    refused = CollectionFailed(
        collection=imported_id(ADDRESS), code=ImportFault.NO_TREES, reason="No tree.", cure="Tell."
    )
    await gateway.log.publish(refused, cause=None)
    shown = (await client.get(f"/api/collections/{id_}")).json()["data"]
    assert (shown["stage"], shown["errorCode"], shown["error"]) == ("failed", "trees_not_found", "No tree.")
    again = await client.post(IMPORT, json={"collectionAddress": ADDRESS, "treeAddresses": [RECIPIENT]})
    assert (again.status_code, again.json()["data"]["id"]) == (202, id_)
    assert [one.data.tree_addresses for one in gateway.log.messages(CollectionImportRequested)] == [(), (RECIPIENT,)]
    shown = (await client.get(f"/api/collections/{id_}")).json()["data"]
    assert (shown["stage"], shown.get("error")) == ("requested", None)


async def test_a_collection_that_is_known_is_not_imported(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.projection.rows[COLLECTION] = collection_row(1, id=COLLECTION, collection_address=ADDRESS)
    made_here = await client.post(IMPORT, json={"collectionAddress": ADDRESS})
    assert (made_here.status_code, made_here.json()["code"]) == (409, "collection_exists")
    assert made_here.json()["data"] == {"id": str(COLLECTION)}
    gateway.projection.rows.clear()
    # Imported just now, and not in the tables yet.
    await gateway.log.publish(created(imported_id(ADDRESS)), cause=None)
    imported = await client.post(IMPORT, json={"collectionAddress": ADDRESS})
    assert (imported.status_code, imported.json()["data"]) == (409, {"id": str(imported_id(ADDRESS))})


async def test_without_tables_nobody_knows_whether_it_is_known(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.projection.down = True
    answer = await client.post(IMPORT, json={"collectionAddress": ADDRESS})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert gateway.log.messages(CollectionImportRequested) == []


async def test_of_two_who_ask_at_once_the_second_follows(
    gateway: Gateway, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = gateway.log.publish

    async def beaten(fact: Fact, **options: Any) -> int:
        monkeypatch.setattr(gateway.log, "publish", publish)
        await publish(fact, **options)
        raise SequenceConflict(fact.subject(), 0)

    monkeypatch.setattr(gateway.log, "publish", beaten)
    assert (await client.post(IMPORT, json={"collectionAddress": ADDRESS})).status_code == 202
    assert len(gateway.log.messages(CollectionImportRequested)) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "collectionAddress"),
        ({"collectionAddress": "nope"}, "collectionAddress"),
        ({"collectionAddress": ADDRESS, "treeAddresses": ["nope"]}, "treeAddresses[0]"),
        ({"collectionAddress": ADDRESS, "treeAddresses": [RECIPIENT] * 17}, "treeAddresses"),
        ({"collectionAddress": ADDRESS, "standard": "v2"}, "standard"),
    ],
)
async def test_an_import_that_names_nothing_is_refused(client: httpx.AsyncClient, body: Any, field: str) -> None:
    answer = await client.post(IMPORT, json=body)
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["details"]] == [field]
