"""Lists, timelines, cancellations, retries, statistics and flags, each through its route."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.log import LogUnavailable
from contracts.access import Scope
from contracts.collection import CollectionUpdated
from contracts.mint import Cancelled, Completed, ImageUri, Nft, Requested, UploadedImage
from services.gateway.ports import FailedItem, Operation, OperationSummary, Overview, Result, WalletUnavailable
from tests.support.gateway import CLOSED_COLLECTION, COLLECTION, RECIPIENT, URI, Gateway, single

OPERATION = UUID("0199b0a0-0000-7000-8000-00000000000a")
START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "ab" * 32
SIGNATURE = "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW"


def requested(operation: UUID = OPERATION, **changes: Any) -> Requested:
    nfts = (
        Nft(name="Tent A", image=ImageUri(uri=URI), copies=2),
        Nft(name="Tent B", image=UploadedImage(sha256=DIGEST, content_type="image/png", size=9), copies=3),
    )
    values: dict[str, Any] = {
        "operation": operation,
        "operation_type": "batch_mint",
        "collection": COLLECTION,
        "recipient": RECIPIENT,
        "nfts": nfts,
    }
    return Requested(**(values | changes))


def summary(number: int, **changes: Any) -> OperationSummary:
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "caller": "app:shop",
        "collection": COLLECTION,
        "recipient": RECIPIENT,
        "operation_type": "mint",
        "status": "completed",
        "total": 1,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
        "start_time": START + timedelta(seconds=number // 2),
    }
    return OperationSummary(**(values | changes))


async def ended(gateway: Gateway, failed: list[FailedItem]) -> None:
    """An operation of five items that is over, on log and tables."""
    await gateway.log.publish(requested(), cause=None)
    closing = Completed(operation=OPERATION, total=5, minted=5 - len(failed), failed=len(failed))
    await gateway.log.publish(closing, cause=None)
    gateway.projection.failed[OPERATION] = failed
    gateway.projection.operations_by_id[OPERATION] = Operation(
        id=OPERATION,
        status="completed",
        total=5,
        completed=5 - len(failed),
        failed=len(failed),
        start_time=START,
        end_time=START,
    )


class TestList:
    async def test_pages_follow_each_other_without_gap_or_repetition(
        self, gateway: Gateway, client: httpx.AsyncClient
    ) -> None:
        gateway.projection.summaries = [summary(number) for number in range(1, 8)]
        seen: list[str] = []
        parameters: dict[str, Any] = {"limit": 3}
        for _ in range(3):
            data = (await client.get("/api/mint/operations", params=parameters)).json()["data"]
            seen += [one["transactionId"] for one in data["operations"]]
            parameters["cursor"] = data.get("nextCursor")
        assert seen == [str(UUID(int=number)) for number in range(7, 0, -1)]
        assert parameters["cursor"] is None

    async def test_filters(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        gateway.projection.summaries = [
            summary(1),
            summary(2, status="failed"),
            summary(3, collection=CLOSED_COLLECTION),
        ]
        for query, expected in (("status=failed", [2]), (f"collectionId={COLLECTION}", [2, 1]), ("limit=1", [3])):
            data = (await client.get(f"/api/mint/operations?{query}")).json()["data"]
            assert [one["transactionId"] for one in data["operations"]] == [str(UUID(int=one)) for one in expected]

    async def test_the_operation_of_an_asset_or_a_transaction_is_shown_to_its_caller_and_to_admins(
        self, gateway: Gateway, client: httpx.AsyncClient
    ) -> None:
        gateway.projection.summaries = [summary(1), summary(2)]
        minted = Result(status="success", asset_id=RECIPIENT, signature=SIGNATURE)
        gateway.projection.operations_by_id[UUID(int=1)] = Operation(
            id=UUID(int=1), status="completed", total=1, completed=1, failed=0, start_time=START, results=(minted,)
        )
        for query in ({"assetId": RECIPIENT}, {"signature": SIGNATURE}):
            data = (await client.get("/api/mint/operations", params=query)).json()["data"]
            assert [one["transactionId"] for one in data["operations"]] == [str(UUID(int=1))]
            for caller, found in (("app:shop", 1), ("app:other", 0)):
                async with gateway.client(gateway.key(caller, Scope.READ)) as reader:
                    data = (await reader.get("/api/mint/operations", params=query)).json()["data"]
                assert len(data["operations"]) == found

    @pytest.mark.parametrize("query", [{"assetId": SIGNATURE}, {"signature": RECIPIENT}, {"signature": "0" * 88}])
    async def test_what_is_no_asset_and_no_signature_is_refused(
        self, client: httpx.AsyncClient, query: dict[str, str]
    ) -> None:
        answer = await client.get("/api/mint/operations", params=query)
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert [one["field"] for one in answer.json()["details"]] == list(query)

    @pytest.mark.parametrize("cursor", ["x", "%00", "AAAA", "é", "A" * 33])
    async def test_a_cursor_of_nobody_is_refused(self, client: httpx.AsyncClient, cursor: str) -> None:
        answer = await client.get("/api/mint/operations", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert answer.json()["details"][0]["field"] == "cursor"

    async def test_without_its_tables_it_is_unavailable(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        gateway.projection.down = True
        answer = await client.get("/api/mint/operations")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


class TestTimeline:
    async def test_every_event_as_it_is_on_the_log(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        await ended(gateway, [])
        data = (await client.get(f"/api/mint/operations/{OPERATION}/timeline")).json()["data"]
        assert [event["type"] for event in data["events"]] == ["mint.requested.v1", "mint.completed.v1"]
        assert data["events"][0]["data"]["nfts"][0]["name"] == "Tent A"
        assert [event["sequence"] for event in data["events"]] == [1, 2]
        assert data["position"] == 2
        assert "nextAfter" not in data

    async def test_page_by_page(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        await ended(gateway, [])
        path = f"/api/mint/operations/{OPERATION}/timeline"
        first = (await client.get(path, params={"limit": 1})).json()["data"]
        assert (len(first["events"]), first["nextAfter"]) == (1, 1)
        second = (await client.get(path, params={"limit": 1, "after": 1})).json()["data"]
        assert second["events"][0]["type"] == "mint.completed.v1"

    async def test_of_nothing(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/api/mint/operations/{OPERATION}/timeline")
        assert (answer.status_code, answer.json()["code"]) == (404, "operation_not_found")


class TestCancel:
    path = f"/api/mint/cancel/{OPERATION}"

    async def test_it_is_said_once_and_answered_the_same_every_time(
        self, gateway: Gateway, client: httpx.AsyncClient
    ) -> None:
        await gateway.log.publish(requested(), cause=None)
        answers = [await client.delete(self.path) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert {answer.text for answer in answers} == {'{"success":true,"message":"Operation cancelled successfully"}'}
        assert gateway.log.facts(Cancelled) == [Cancelled(operation=OPERATION)]

    async def test_what_has_ended_stays_as_it_is(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        await ended(gateway, [])
        answer = await client.delete(self.path)
        assert (answer.status_code, answer.json()["code"]) == (409, "operation_ended")
        assert gateway.log.facts(Cancelled) == []

    async def test_of_nothing(self, client: httpx.AsyncClient) -> None:
        for name in (OPERATION, "nonsense"):
            answer = await client.delete(f"/api/mint/cancel/{name}")
            assert (answer.status_code, answer.json()["code"]) == (404, "operation_not_found")

    async def test_a_silent_log_is_told(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        await gateway.log.publish(requested(), cause=None)
        gateway.log.fail_publishes = [LogUnavailable("no answer")]
        answer = await client.delete(self.path)
        assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
        assert (await client.delete(self.path)).status_code == 200


class TestRetry:
    path = f"/api/mint/retry/{OPERATION}"

    async def test_the_failed_items_alone_are_asked_for_and_once(
        self, gateway: Gateway, client: httpx.AsyncClient
    ) -> None:
        failed = [
            FailedItem(index=1, image_uri=None),
            FailedItem(index=2, image_uri="ipfs://pinned"),
            FailedItem(index=4, image_uri="ipfs://pinned"),
        ]
        await ended(gateway, failed)
        answers = [await client.post(self.path) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()
        _, again = gateway.log.facts(Requested)
        assert answers[0].json()["data"]["transactionId"] == str(again.operation) != str(OPERATION)
        assert answers[0].json()["data"]["totalNfts"] == 3
        assert again.retry_of == OPERATION
        assert [(nft.name, nft.copies, nft.image) for nft in again.nfts] == [
            ("Tent A", 1, ImageUri(uri=URI)),
            ("Tent B", 2, ImageUri(uri="ipfs://pinned")),
        ]

    async def test_nothing_failed(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        await ended(gateway, [])
        answer = await client.post(self.path)
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_retry")

    async def test_it_is_not_over_yet(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        await gateway.log.publish(requested(), cause=None)
        gateway.projection.failed[OPERATION] = [FailedItem(index=0, image_uri=None)]
        answer = await client.post(self.path)
        assert (answer.status_code, answer.json()["code"]) == (409, "operation_running")
        assert len(gateway.log.facts(Requested)) == 1

    async def test_into_a_collection_that_was_closed_meanwhile(
        self, gateway: Gateway, client: httpx.AsyncClient
    ) -> None:
        await ended(gateway, [FailedItem(index=0, image_uri=None)])
        closed = CollectionUpdated(collection=COLLECTION, is_public=False, allow_minting=False)
        await gateway.log.publish(closed, cause=None)
        answer = await client.post(self.path)
        assert (answer.status_code, answer.json()["code"]) == (404, "collection_not_found")


class TestFlags:
    async def test_a_mint_after_the_answer_obeys_them(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        path = f"/api/collections/{COLLECTION}"
        closed = await client.patch(path, json={"allowMinting": False})
        assert closed.status_code == 200, closed.text
        assert (closed.json()["data"]["allowMinting"], closed.json()["data"]["status"]) == (False, "paused")
        refused = await client.post("/api/mint/single", json=single())
        assert (refused.status_code, refused.json()["code"]) == (404, "collection_not_found")
        opened = await client.patch(path, json={"allowMinting": True, "isPublic": True})
        assert (opened.json()["data"]["isPublic"], opened.json()["data"]["status"]) == (True, "active")
        assert (await client.post("/api/mint/single", json=single())).status_code == 200

    async def test_setting_what_is_set_says_nothing(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        answer = await client.patch(f"/api/collections/{COLLECTION}", json={"allowMinting": True})
        assert answer.status_code == 200
        assert gateway.log.facts(CollectionUpdated) == []

    @pytest.mark.parametrize("body", [{}, {"allowMinting": "perhaps"}, {"name": "Other"}])
    async def test_what_is_no_flag_is_refused(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        answer = await client.patch(f"/api/collections/{COLLECTION}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")

    async def test_of_nothing(self, client: httpx.AsyncClient) -> None:
        answer = await client.patch(f"/api/collections/{OPERATION}", json={"isPublic": True})
        assert (answer.status_code, answer.json()["code"]) == (404, "collection_not_found")


class ModelWallet:
    """A wallet whose node answers with what is left of `answers`."""

    def __init__(self, *answers: int | WalletUnavailable) -> None:
        self.answers = list(answers)

    async def balance(self) -> int:
        answer = self.answers.pop(0)
        if isinstance(answer, WalletUnavailable):
            raise answer
        return answer

    async def check(self) -> None:
        raise NotImplementedError


class TestStats:
    totals = Overview(
        collections=2,
        minted=30,
        capacity=32768,
        active_operations=1,
        recent_minted=29,
        recent_failed=1,
        recent_operations=4,
    )

    async def test_the_documents_shape(self) -> None:
        gateway = Gateway(wallet=ModelWallet(1_500_000_000))
        gateway.projection.totals = self.totals
        async with gateway.client() as client:
            assert (await client.get("/api/stats/overview")).json() == {
                "success": True,
                "data": {
                    "totalCollections": 2,
                    "totalMinted": 30,
                    "totalCapacity": 32768,
                    "activeOperations": 1,
                    "last24Hours": {"minted": 29, "operations": 4, "successRate": 96.67},
                    "walletBalance": 1.5,
                },
            }
        assert gateway.projection.since == gateway.clock.now() - timedelta(hours=24)

    async def test_the_balance_is_kept_for_a_while_and_an_old_one_beats_none(self) -> None:
        gateway = Gateway(wallet=ModelWallet(1_000_000_000, WalletUnavailable("away"), 2_000_000_000))
        balances: list[float] = []
        app = gateway.app()
        transport = httpx.ASGITransport(app=app)
        headers = {"X-API-Key": "the-key-of-the-tests"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            for wait in (0, 10, 300, 0):
                await gateway.clock.advance(wait)
                answer = await client.get("/api/stats/overview")
                balances.append(answer.json()["data"]["walletBalance"])
        assert balances == [1.0, 1.0, 1.0, 2.0]

    async def test_without_a_node_the_balance_is_left_out(self, client: httpx.AsyncClient) -> None:
        data = (await client.get("/api/stats/overview")).json()["data"]
        assert "walletBalance" not in data
        assert data["last24Hours"]["successRate"] == 0
