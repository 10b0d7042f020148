"""Statuses and collections: from the projection, from the log when it is late or away, in the document's shape."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from contracts.access import Scope
from contracts.collection import CollectionCounted, CollectionFailed, CollectionRequested, Standard, TreeShape
from contracts.mint import Completed, ImageUri, Nft, Requested, UploadedImage
from contracts.observation import Difference, DriftKind
from services.gateway.ports import CollectionTree, Drift, Operation, Result
from tests.support.gateway import COLLECTION, RECIPIENT, URI, Gateway, collection_row, created, png

OPERATION = UUID("0199b0a0-0000-7000-8000-00000000000a")
START = datetime(2026, 1, 1, tzinfo=UTC)
SIGNATURE = "5" * 88


def requested(copies: int = 4) -> Requested:
    nft = Nft(name="Tent 1", image=ImageUri(uri=URI), copies=copies)
    return Requested(
        operation=OPERATION, operation_type="mint", collection=COLLECTION, recipient=RECIPIENT, nfts=(nft,)
    )


def operation(**changes: Any) -> Operation:
    values: dict[str, Any] = {
        "id": OPERATION,
        "status": "processing",
        "total": 8,
        "completed": 3,
        "failed": 1,
        "start_time": START,
        "current_item": "Tent 5",
        "results": (
            Result(status="success", signature=SIGNATURE, leaf_index=7, asset_id=RECIPIENT),
            Result(status="failed", error="The tree is full."),
        ),
    }
    return Operation(**(values | changes))


async def status_of(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(f"/api/mint/status/{OPERATION}")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"success", "data"}
    return answer.json()["data"]


async def test_a_running_operation(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.projection.operations_by_id[OPERATION] = operation()
    await gateway.clock.advance(20)
    assert await status_of(client) == {
        "transactionId": str(OPERATION),
        "status": "processing",
        "progress": {
            "total": 8,
            "completed": 3,
            "failed": 1,
            "percentage": 38,
            "currentItem": "Tent 5",
            "estimatedTimeLeft": 20,
        },
        "results": [
            {"signature": SIGNATURE, "leafIndex": 7, "assetId": RECIPIENT, "status": "success"},
            {"error": "The tree is full.", "status": "failed"},
        ],
        "startTime": "2026-01-01T00:00:00Z",
    }


async def test_an_operation_that_has_ended(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.projection.operations_by_id[OPERATION] = operation(
        status="completed",
        completed=7,
        end_time=START + timedelta(seconds=90),
        error="1 of 8 NFTs failed: The tree is full.",
        current_item=None,
        results=(),
    )
    data = await status_of(client)
    assert data["progress"] == {"total": 8, "completed": 7, "failed": 1, "percentage": 88}
    assert data["endTime"] == "2026-01-01T00:01:30Z"
    assert data["error"] == "1 of 8 NFTs failed: The tree is full."
    assert data["results"] == []


@pytest.mark.parametrize("down", [False, True])
async def test_what_the_projection_does_not_have_is_pending(
    gateway: Gateway, client: httpx.AsyncClient, down: bool
) -> None:
    gateway.projection.down = down
    await gateway.log.publish(requested(), cause=None)
    data = await status_of(client)
    assert data["status"] == "pending"
    assert data["progress"] == {"total": 4, "completed": 0, "failed": 0, "percentage": 0}
    assert data["results"] == []
    assert datetime.fromisoformat(data["startTime"]) == gateway.log.messages(Requested)[0].event.time


@pytest.mark.parametrize(
    ("minted", "failed", "cancelled", "status", "percent"),
    [(4, 0, 0, "completed", 100), (3, 1, 0, "completed", 75), (0, 4, 0, "failed", 0), (1, 0, 3, "cancelled", 25)],
)
async def test_the_end_is_known_without_the_database(
    gateway: Gateway, client: httpx.AsyncClient, minted: int, failed: int, cancelled: int, status: str, percent: int
) -> None:
    gateway.projection.down = True
    await gateway.log.publish(requested(), cause=None)
    closing = Completed(operation=OPERATION, total=4, minted=minted, failed=failed, cancelled=cancelled)
    await gateway.log.publish(closing, cause=None)
    data = await status_of(client)
    assert (data["status"], data["progress"]["percentage"]) == (status, percent)
    assert "endTime" in data
    assert ("error" in data) == bool(failed)


async def test_a_status_without_database_and_log_is_unavailable(
    gateway: Gateway, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chassis.log import LogUnavailable

    async def fail(*_: object, **__: object) -> None:
        raise LogUnavailable("no answer")

    gateway.projection.down = True
    monkeypatch.setattr(gateway.log, "last", fail)
    answer = await client.get(f"/api/mint/status/{OPERATION}")
    assert answer.status_code == 503
    assert answer.json()["code"] == "log_unavailable"


DOCUMENTED = {
    "id", "name", "description", "symbol", "treeAddress", "collectionAddress", "creatorAddress", "capacity", "minted",
    "imageUrl", "externalUrl", "hasValidTree", "supportsDAS", "status", "isPublic", "allowMinting", "createdAt",
    "updatedAt",
}  # fmt: skip


async def test_the_list_has_the_documents_fields(gateway: Gateway, client: httpx.AsyncClient) -> None:
    row = collection_row(1, image_url=URI, external_url="https://example.org")
    gateway.projection.rows[row.id] = row
    data = (await client.get("/api/collections")).json()["data"]
    [collection] = data["collections"]
    assert set(collection) == DOCUMENTED
    assert collection["minted"] == 1
    assert collection["supportsDAS"] is True
    assert collection["createdAt"] == "2026-01-01T00:00:00Z"
    assert data["pagination"] == {"total": 1, "page": 1, "limit": 20, "totalPages": 1}


async def test_the_list_is_filtered_and_paged(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for number in range(1, 8):
        row = collection_row(number, status="paused" if number > 5 else "active", allow_minting=number <= 5)
        gateway.projection.rows[row.id] = row
    query = "status=active&allowMinting=true&page=3&limit=2"
    data = (await client.get(f"/api/collections?{query}")).json()["data"]
    assert [one["name"] for one in data["collections"]] == ["Camp 5"]
    assert data["pagination"] == {"total": 5, "page": 3, "limit": 2, "totalPages": 3}
    data = (await client.get("/api/collections?allowMinting=false")).json()["data"]
    assert data["pagination"]["total"] == 2


async def test_an_empty_list_has_no_pages(client: httpx.AsyncClient) -> None:
    data = (await client.get("/api/collections")).json()["data"]
    assert data == {"collections": [], "pagination": {"total": 0, "page": 1, "limit": 20, "totalPages": 0}}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("page=1.0", "page"),
        ("page=99999999999999999999", "page"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("status=open", "status"),
        ("allowMinting=maybe", "allowMinting"),
    ],
)
async def test_bad_query_parameters_are_refused(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/api/collections?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "validation_failed"
    assert [detail["field"] for detail in answer.json()["details"]] == [field]


async def test_a_list_without_the_database_is_unavailable(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.projection.down = True
    answer = await client.get("/api/collections")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.json()["code"] == "database_unavailable"


async def test_one_collection_from_the_projection(gateway: Gateway, client: httpx.AsyncClient) -> None:
    row = collection_row(3)
    gateway.projection.rows[row.id] = row
    data = (await client.get(f"/api/collections/{row.id}")).json()["data"]
    assert (data["name"], data["stage"], data["standard"]) == ("Camp 3", "created", "v2")


async def test_a_collection_tells_each_of_its_trees(gateway: Gateway, client: httpx.AsyncClient) -> None:
    def tree(number: int, **counted: Any) -> CollectionTree:
        shape: dict[str, Any] = {"max_depth": 3, "max_buffer_size": 8, "canopy_depth": 0, "capacity": 8}
        return CollectionTree(number=number, address=RECIPIENT, **(shape | counted))

    trees = (
        tree(0, minted=8, valid=True),
        tree(1, minted=3, valid=True),
        tree(2, minted=3, valid=False),
        tree(3, minted=None, valid=None, max_buffer_size=None, canopy_depth=None),
    )
    row = collection_row(3, trees=trees)
    gateway.projection.rows[row.id] = row
    told = (await client.get(f"/api/collections/{row.id}")).json()["data"]["trees"]
    states = [(one["state"], one.get("minted"), one.get("left")) for one in told]
    assert states == [("full", 8, 0), ("open", 3, 5), ("invalid", 3, 5), ("uncounted", None, None)]
    assert told[0] == {
        "number": 0,
        "address": RECIPIENT,
        "maxDepth": 3,
        "maxBufferSize": 8,
        "canopyDepth": 0,
        "capacity": 8,
        "minted": 8,
        "left": 0,
        "state": "full",
    }
    assert "maxBufferSize" not in told[3]
    await gateway.log.publish(created(row.id), cause=None)
    gateway.projection.down = True
    assert "trees" not in (await client.get(f"/api/collections/{row.id}")).json()["data"]


async def test_comparisons_with_the_chain_are_told_to_admins(gateway: Gateway, client: httpx.AsyncClient) -> None:
    row = collection_row(3)
    path = f"/api/collections/{row.id}/drift"
    assert (await client.get(path)).status_code == 404
    gateway.projection.rows[row.id] = row
    assert (await client.get(path)).json()["data"] == {"comparisons": []}
    difference = Difference(kind=DriftKind.BURNED, count=1, alarm=False, explanation="Burned.", examples=("a",))
    counts: dict[str, Any] = {"slot": 9, "log": 2, "projection": 2, "chain": 2, "observed": 2, "living": 1}
    gateway.projection.compared[row.id] = [
        Drift(time=row.updated_at, das=1, differences=(difference,), **counts),
        Drift(time=row.created_at, das=None, differences=(), **counts),
    ]
    newest, first = (await client.get(path)).json()["data"]["comparisons"]
    assert (newest["time"], newest["living"], newest["das"]) == ("2026-02-03T00:00:00Z", 1, 1)
    explained = {"kind": "burned", "count": 1, "alarm": False, "explanation": "Burned.", "examples": ["a"]}
    assert newest["differences"] == [explained]
    assert "das" not in first
    assert len((await client.get(path, params={"limit": 1})).json()["data"]["comparisons"]) == 1
    async with gateway.client(gateway.key("reader", Scope.READ)) as reader:
        assert (await reader.get(path)).status_code == 403
    gateway.projection.down = True
    await gateway.log.publish(created(row.id), cause=None)
    assert (await client.get(path)).json()["code"] == "database_unavailable"


async def test_one_collection_from_the_log(gateway: Gateway, client: httpx.AsyncClient) -> None:
    """The three ways in which a collection can stand, each before the projection knows."""
    identity = UUID(int=77)
    path = f"/api/collections/{identity}"
    assert (await client.get(path)).status_code == 404
    request = CollectionRequested(
        collection=identity,
        name="Camp",
        symbol="CAMP",
        standard=Standard.V1,
        tree=TreeShape(max_depth=3, max_buffer_size=8),
    )
    await gateway.log.publish(request, cause=None)
    data = (await client.get(path)).json()["data"]
    assert (data["stage"], data["status"], data["capacity"], data["standard"]) == ("requested", "paused", 8, "v1")
    assert "treeAddress" not in data
    failed = CollectionFailed(collection=identity, code="program_refused", reason="The program refused the tree.")
    await gateway.log.publish(failed, cause=None)
    data = (await client.get(path)).json()["data"]
    assert (data["stage"], data["errorCode"]) == ("failed", "program_refused")
    assert data["error"] == "The program refused the tree."
    await gateway.log.publish(created(identity), cause=None)
    counted = CollectionCounted(
        collection=identity, minted=8, capacity=8, has_valid_tree=True, supports_das=True, slot=9
    )
    await gateway.log.publish(counted, cause=None)
    gateway.projection.down = True
    data = (await client.get(path)).json()["data"]
    assert (data["stage"], data["status"], data["minted"]) == ("created", "completed", 8)
    assert data["treeAddress"] == RECIPIENT


async def test_asking_for_a_collection(gateway: Gateway, client: httpx.AsyncClient) -> None:
    body = {
        "name": "Camp",
        "symbol": "CAMP",
        "standard": "v1",
        "tree": {"maxDepth": 5, "maxBufferSize": 8, "canopyDepth": 2},
        "description": "Tents",
        "image": URI,
        "externalUrl": "https://example.org",
        "sellerFeeBasisPoints": 250,
        "isPublic": True,
        "allowMinting": False,
    }
    answer = await client.post("/api/collections", json=body)
    assert answer.status_code == 202, answer.text
    [request] = gateway.log.facts(CollectionRequested)
    assert answer.json() == {
        "success": True,
        "data": {"id": str(request.collection), "status": "queued"},
        "message": "Collection queued successfully",
    }
    assert (request.name, request.symbol, request.standard) == ("Camp", "CAMP", Standard.V1)
    assert request.tree == TreeShape(max_depth=5, max_buffer_size=8, canopy_depth=2)
    assert request.image == ImageUri(uri=URI)
    assert (request.seller_fee_basis_points, request.is_public, request.allow_minting) == (250, True, False)


async def test_asking_for_a_collection_with_a_form(gateway: Gateway, client: httpx.AsyncClient) -> None:
    form = {"name": "Camp", "symbol": "CAMP", "isPublic": "true", "tree": '{"maxDepth": "14", "canopyDepth": 0}'}
    answer = await client.post("/api/collections", data=form, files={"image": ("logo.png", png(), "image/png")})
    assert answer.status_code == 202, answer.text
    [request] = gateway.log.facts(CollectionRequested)
    assert (request.standard, request.is_public, request.allow_minting) == (Standard.V2, True, True)
    assert request.tree == TreeShape(max_depth=14, max_buffer_size=64, canopy_depth=0)
    assert isinstance(request.image, UploadedImage)
    assert list(gateway.uploads.objects) == [request.image.sha256]


async def test_a_collection_needs_no_image(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/collections", json={"name": "Camp", "symbol": "CAMP"})
    assert answer.status_code == 202
    assert gateway.log.facts(CollectionRequested)[0].image is None


async def test_a_collections_key_is_remembered(gateway: Gateway, client: httpx.AsyncClient) -> None:
    headers, body = {"Idempotency-Key": "camp"}, {"name": "Camp", "symbol": "CAMP"}
    first = await client.post("/api/collections", json=body, headers=headers)
    second = await client.post("/api/collections", json=body, headers=headers)
    third = await client.post("/api/collections", json=body | {"tree": {"maxDepth": 20}}, headers=headers)
    assert second.json() == first.json()
    assert third.status_code == 409
    assert [detail["field"] for detail in third.json()["details"]] == ["tree.maxDepth"]
    assert len(gateway.requests()) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "x" * 33}, "name"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": "x" * 11}, "symbol"),
        ({"standard": "v3"}, "standard"),
        ({"tree": {"maxDepth": 4}}, "tree.maxDepth"),
        ({"tree": {"maxDepth": 31}}, "tree.maxDepth"),
        ({"tree": {"maxDepth": 14, "maxBufferSize": 128}}, "tree.maxBufferSize"),
        ({"tree": {"maxDepth": 3, "maxBufferSize": 8, "canopyDepth": 4}}, "tree.canopyDepth"),
        ({"tree": {"maxDepth": 30, "maxBufferSize": 512, "canopyDepth": 18}}, "tree.canopyDepth"),
        ({"tree": {"canopyDepth": -1}}, "tree.canopyDepth"),
        ({"tree": {"depth": 14}}, "tree.depth"),
        ({"tree": 14}, "tree"),
        ({"image": "http://example.org/logo.png"}, "image"),
        ({"externalUrl": "ftp://example.org"}, "externalUrl"),
        ({"sellerFeeBasisPoints": 10_001}, "sellerFeeBasisPoints"),
        ({"isPublic": "yes"}, "isPublic"),
        ({"allowMinting": 1}, "allowMinting"),
        ({"owner": RECIPIENT}, "owner"),
    ],
)
async def test_collections_that_are_refused(
    gateway: Gateway, client: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    answer = await client.post("/api/collections", json={"name": "Camp", "symbol": "CAMP"} | changes)
    assert answer.status_code == 400
    assert [detail["field"] for detail in answer.json()["details"]] == [field]
    assert gateway.requests() == []
