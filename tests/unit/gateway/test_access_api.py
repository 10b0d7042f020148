"""Who may do and see what, through the whole application."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from contracts.access import Scope
from contracts.mint import Cancelled, Completed, Requested
from services.gateway.callers import BOOTSTRAP, Caller
from services.gateway.limiting import Quota
from services.gateway.ports import FailedItem, Operation, OperationSummary
from tests.support.gateway import API_KEY, COLLECTION, RECIPIENT, Gateway, batch, single

READ_ONLY = {("GET", path) for path in ("/api/collections", "/api/mint/operations", "/api/stats/overview")}
MINTING = {
    ("POST", "/api/mint/single"),
    ("POST", "/api/mint/batch"),
    ("POST", "/api/upload/ipfs"),
    ("DELETE", f"/api/mint/cancel/{UUID(int=1)}"),
    ("POST", f"/api/mint/retry/{UUID(int=1)}"),
}
ADMINISTRATING = {
    ("POST", "/api/collections"),
    ("PATCH", f"/api/collections/{COLLECTION}"),
    ("POST", f"/api/collections/sync/{COLLECTION}"),
}


def without_id(answer: httpx.Response) -> dict[str, Any]:
    """The body, but for the id of the request."""
    return {name: value for name, value in answer.json().items() if name != "requestId"}


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        (Scope.READ, MINTING | ADMINISTRATING),
        (Scope.MINT, READ_ONLY | ADMINISTRATING),
    ],
)
async def test_what_a_scope_does_not_allow_is_forbidden_before_the_body_is_read(
    gateway: Gateway, scope: Scope, refused: set[tuple[str, str]]
) -> None:
    async with gateway.client(gateway.key("app:shop", scope)) as client:
        for method, path in sorted(READ_ONLY | MINTING | ADMINISTRATING):
            answer = await client.request(method, path, content=b"no body of any kind")
            told = (answer.status_code, answer.json().get("code"))
            assert (told == (403, "forbidden")) == ((method, path) in refused), (method, path, told)


async def test_every_route_under_api_wants_to_know_who_calls(gateway: Gateway) -> None:
    async with gateway.client(api_key=None) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        asked = 0
        for path, methods in paths.items():
            for method in methods:
                if path.startswith(("/health", "/api/auth/challenge", "/api/auth/login")):
                    continue
                answer = await client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code == 401, (method, path)
                assert answer.headers["WWW-Authenticate"].startswith("ApiKey ")
                asked += 1
        assert asked > 10


async def test_nobody_learns_of_the_operations_of_others(gateway: Gateway) -> None:
    async with (
        gateway.client(gateway.key("app:shop", Scope.MINT, Scope.READ)) as shop,
        gateway.client(gateway.key("app:other", Scope.MINT, Scope.READ)) as other,
        gateway.client() as admin,
    ):
        operation = (await shop.post("/api/mint/single", json=single())).json()["data"]["transactionId"]
        routes = (
            ("GET", "/api/mint/status/{}"),
            ("GET", "/api/mint/operations/{}/timeline"),
            ("POST", "/api/mint/retry/{}"),
            ("GET", "/api/mint/status/{}/events"),
            ("DELETE", "/api/mint/cancel/{}"),
        )
        for method, route in routes:
            theirs = await other.request(method, route.format(operation))
            nobodys = await other.request(method, route.format(uuid4()))
            assert theirs.status_code == 404, route
            assert without_id(theirs) == without_id(nobodys)
        assert gateway.log.facts(Cancelled) == []
        for client in (shop, admin):
            assert (await client.get(f"/api/mint/status/{operation}")).status_code == 200
            assert (await client.get(f"/api/mint/operations/{operation}/timeline")).status_code == 200
        assert (await shop.delete(f"/api/mint/cancel/{operation}")).status_code == 200


async def test_a_list_has_ones_own_operations_and_an_admins_has_all(gateway: Gateway) -> None:
    now = gateway.clock.now()
    gateway.projection.summaries = [
        OperationSummary(
            id=UUID(int=number),
            caller=caller,
            collection=COLLECTION,
            recipient=RECIPIENT,
            operation_type="mint",
            status="pending",
            total=1,
            completed=0,
            failed=0,
            cancelled=0,
            start_time=now,
        )
        for number, caller in enumerate(("app:shop", "app:other", ""))
    ]
    for key, callers in (
        (gateway.key("app:shop", Scope.READ), {"app:shop"}),
        (gateway.key("app:new", Scope.READ), set[str]()),
        (API_KEY, {"app:shop", "app:other", ""}),
    ):
        async with gateway.client(key) as client:
            listed = (await client.get("/api/mint/operations")).json()["data"]["operations"]
        assert {one["caller"] for one in listed} == callers
        assert len(listed) == len(callers)


async def test_what_the_tables_know_is_hidden_as_well(gateway: Gateway) -> None:
    now = gateway.clock.now()
    known = Operation(id=uuid4(), caller="app:shop", status="pending", total=1, completed=0, failed=0, start_time=now)
    gateway.projection.operations_by_id[known.id] = known
    for caller, status in (("app:shop", 200), ("app:other", 404)):
        async with gateway.client(gateway.key(caller, Scope.READ)) as client:
            assert (await client.get(f"/api/mint/status/{known.id}")).status_code == status


async def test_one_idempotency_key_of_two_callers_is_two_operations(gateway: Gateway) -> None:
    operations: set[str] = set()
    for caller in ("app:shop", "app:other"):
        async with gateway.client(gateway.key(caller, Scope.MINT)) as client:
            for _ in range(2):
                answer = await client.post("/api/mint/batch", json=batch(), headers={"Idempotency-Key": "order-1"})
                operations.add(answer.json()["data"]["transactionId"])
    assert len(operations) == 2
    assert [fact.caller for fact in gateway.log.facts(Requested)] == ["app:shop", "app:other"]


async def test_what_an_admin_retries_stays_its_owners(gateway: Gateway) -> None:
    async with gateway.client(gateway.key("app:shop", Scope.MINT)) as shop, gateway.client() as admin:
        operation = UUID((await shop.post("/api/mint/single", json=single())).json()["data"]["transactionId"])
        await gateway.log.publish(Completed(operation=operation, total=1, minted=0, failed=1), cause=None)
        now = gateway.clock.now()
        gateway.projection.operations_by_id[operation] = Operation(
            id=operation, status="failed", total=1, completed=0, failed=1, start_time=now, end_time=now
        )
        gateway.projection.failed[operation] = [FailedItem(index=0, image_uri=None)]
        assert (await admin.post(f"/api/mint/retry/{operation}")).status_code == 200
    assert [fact.caller for fact in gateway.log.facts(Requested)] == ["app:shop", "app:shop"]


def test_a_web_socket_is_as_closed_as_the_rest(gateway: Gateway) -> None:
    with TestClient(gateway.app()) as client:
        path = f"/api/mint/status/{uuid4()}/events"
        minter = gateway.key("app:shop", Scope.MINT)
        for headers, code in (({}, "unauthorized"), ({"X-API-Key": minter}, "forbidden")):
            with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path, headers=headers):
                pass
            assert refused.value.json()["code"] == code


@pytest.mark.parametrize("offers_token", [True, False])
def test_a_page_shows_who_it_is_by_a_subprotocol(gateway: Gateway, offers_token: bool) -> None:
    name = "app:shop"
    token = gateway.tokens().issue(Caller(name=name, scopes=frozenset({Scope.READ}))).text
    credential = f"mintstream.bearer.{token}" if offers_token else f"mintstream.key.{gateway.key(name, Scope.READ)}"
    with TestClient(gateway.app()) as client:
        path = f"/api/mint/status/{uuid4()}/events"
        for offered, code in (
            (["mintstream", credential], "operation_not_found"),
            (["mintstream", credential[:-1]], "unauthorized"),
            (["mintstream", "mintstream.key.", "mintstream.bearer."], "unauthorized"),
            (["mintstream"], "unauthorized"),
        ):
            with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path, offered):
                pass
            assert refused.value.json()["code"] == code
        # A header counts before it, as everywhere.
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect(path, ["mintstream", credential], headers={"X-API-Key": "wrong"}),
        ):
            pass
        assert refused.value.status_code == 401
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect(f"{path}?after=x", ["mintstream", credential]),
        ):
            pass
        assert refused.value.json()["details"] == [{"field": "after", "message": "must be a whole number"}]


async def test_a_token_works_where_a_key_does_and_a_wrong_key_is_not_excused_by_it(gateway: Gateway) -> None:
    token = gateway.tokens().issue(Caller(name="wallet:x", scopes=frozenset({Scope.READ}))).text
    async with gateway.client(api_key=None, token=token) as client:
        assert (await client.get("/api/auth/me")).json()["data"] == {"caller": "wallet:x", "scopes": ["read"]}
        assert (await client.get("/api/auth/me", headers={"X-API-Key": "wrong"})).status_code == 401
    async with gateway.client(api_key=None, token=token[:-2]) as client:
        answer = await client.get("/api/auth/me")
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (401, "Authorization")


async def test_whoever_is_known_may_ask_who_he_is(gateway: Gateway) -> None:
    async with gateway.client(gateway.key("app:shop", Scope.MINT)) as client:
        assert (await client.get("/api/auth/me")).json()["data"] == {"caller": "app:shop", "scopes": ["mint"]}


async def test_the_holder_of_api_key_may_do_everything(gateway: Gateway) -> None:
    async with gateway.client(API_KEY) as client:
        me = (await client.get("/api/auth/me")).json()["data"]
    assert me == {"caller": BOOTSTRAP, "scopes": ["admin", "mint", "read"]}


async def test_an_expired_key_is_refused(gateway: Gateway) -> None:
    text = gateway.key("app:shop", Scope.READ)
    (known,) = gateway.keys.keys.values()
    async with gateway.client(text) as client:
        assert (await client.get("/api/auth/me")).status_code == 200
        known.revoked_at = gateway.clock.now()
        assert (await client.get("/api/auth/me")).status_code == 401


async def test_what_is_left_is_told_and_what_is_too_much_is_refused(gateway: Gateway) -> None:
    gateway.quotas = {"mint": Quota(most=2, window=900), "general": Quota(most=1, window=60)}
    second_key = {"X-API-Key": gateway.key("app:shop", Scope.MINT)}
    async with gateway.client(gateway.key("app:shop", Scope.MINT, Scope.READ)) as shop:
        first = await shop.post("/api/mint/single", json=single())
        assert first.headers["RateLimit-Policy"] == '"mint";q=2;w=900'
        assert first.headers["RateLimit"].startswith('"mint";r=1;t=')
        # What is wrong with the request itself counts as well, and is told with the same headers.
        assert (await shop.post("/api/mint/single", json={})).headers["RateLimit"].startswith('"mint";r=0;t=')
        # Two keys of one caller are counted as one.
        for headers in ({}, second_key):
            refused = await shop.post("/api/mint/batch", json=batch(), headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(refused.headers["Retry-After"]) <= 900
        # Another class of endpoints has its own count.
        assert (await shop.get("/api/collections")).status_code == 200
        assert (await shop.get("/api/collections")).status_code == 429
        status = await shop.get(f"/api/mint/status/{first.json()['data']['transactionId']}")
        assert (status.status_code, "RateLimit" in status.headers) == (200, False)
        other = {"X-API-Key": gateway.key("app:other", Scope.MINT)}
        assert (await shop.post("/api/mint/single", json=single(), headers=other)).status_code == 200
    assert [fact.caller for fact in gateway.log.facts(Requested)] == ["app:shop", "app:other"]


async def test_strangers_are_counted_by_address_however_it_is_written(gateway: Gateway) -> None:
    gateway.quotas, gateway.trusted_proxies = {"login": Quota(most=100, window=60)}, 1
    left: list[tuple[str, str]] = []
    async with gateway.client(None) as stranger:
        for address in (
            "198.51.100.1",
            "::ffff:198.51.100.1",
            "198.51.100.1:4711",
            "::ffff:198.51.100.2",
            "2001:db8::1",
            "[2001:db8::ffff]:443",
        ):
            answer = await stranger.post("/api/auth/challenge", json={}, headers={"X-Forwarded-For": address})
            left.append((address, answer.headers["RateLimit"].split(";")[1]))
    assert [count for _, count in left] == ["r=99", "r=98", "r=97", "r=99", "r=99", "r=98"], left
