"""The routes that are answered directly, held to what the framework makes of the same endpoints."""

import gc
import json
import weakref
from collections.abc import Sequence
from uuid import UUID

import httpx
import msgspec
import pytest
from starlette.types import Message, Scope

from contracts.mint import Requested
from services.gateway.api import app
from services.gateway.api.direct import Direct
from services.gateway.limiting import Quota
from tests.support.gateway import API_KEY, CLOSED_COLLECTION, Gateway, Json, batch, png, single

Told = tuple[int, Json, dict[str, str]]
Operations = list[Requested]

PATHS = ("/api/mint/single", "/api/mint/batch")
JSON = {"Content-Type": "application/json"}
KEY = {"Idempotency-Key": "order-17"}


class Nothing(Direct):
    """Stands in for `Direct`: every request goes to the framework."""

    def takes(self, scope: Scope) -> bool:
        return False


REQUESTS: dict[str, Json] = {
    "accepted": {"json": single()},
    "accepted as a batch": {"json": batch()},
    "accepted as a form": {
        "data": {name: json.dumps(value) for name, value in single(metadata={"name": "Tent"}).items()}
        | {"collectionId": single()["collectionId"], "recipient": single()["recipient"]},
        "files": {"image": ("tent.png", png(), "image/png")},
    },
    "with a key": {"json": single(), "headers": KEY},
    "with an empty key": {"json": single(), "headers": {"Idempotency-Key": ""}},
    "with a bad key": {"json": single(), "headers": {"Idempotency-Key": "no spaces"}},
    "with digits as text": {"json": single(copies="3")},
    "that waits": {"json": single(), "headers": {"Prefer": "wait=1, respond-async"}},
    "that prefers nothing known": {"json": single(), "headers": {"Prefer": "depth-noroot"}},
    "of a page of ours": {"json": single(), "headers": {"Origin": "https://app.example.org"}},
    "without a content type": {"content": b"{}"},
    "without a body": {"headers": JSON},
    "that is no JSON": {"content": b'{"collectionId":', "headers": JSON},
    "that is no object": {"content": b"[]", "headers": JSON},
    "that is not UTF-8": {"content": b'{"collectionId": "\xff"}', "headers": JSON},
    "that is compressed": {"content": b"x", "headers": JSON | {"Content-Encoding": "gzip"}},
    "that says it is too long": {"content": b" " * (2**21 + 1), "headers": JSON},
    "with a field too many": {"json": single(price=3)},
    "wrong in many ways": {"json": single(copies=0, recipient="me", metadata={"name": "x" * 33})},
    "for a closed collection": {"json": single(collectionId=str(CLOSED_COLLECTION))},
    "for no collection": {"json": single(collectionId=str(UUID(int=9)))},
    "without a credential": {"json": single(), "headers": {"X-API-Key": ""}},
    "with a wrong key": {"json": single(), "headers": {"X-API-Key": "guess"}},
    "with basic authorization": {"json": single(), "headers": {"X-API-Key": "", "Authorization": f"Basic {API_KEY}"}},
    "with an empty bearer": {"json": single(), "headers": {"X-API-Key": "", "Authorization": "Bearer  "}},
    "with a strange query": {"json": single(), "params": {"copies": "7"}},
}


async def asked(direct: bool, path: str, requests: Sequence[Json], most: int = 1000) -> tuple[list[Told], Operations]:
    """What a gateway tells to requests, one after another, and what is on its log then."""
    gateway = await Gateway(quotas={"mint": Quota(most=most, window=900)}).with_collections()
    with pytest.MonkeyPatch.context() as patch:
        if not direct:
            patch.setattr(app, "Direct", Nothing)
        async with gateway.client() as client:
            answers = [told(await client.post(path, **request)) for request in requests]
    nobody = UUID(int=0)
    return answers, [msgspec.structs.replace(each, operation=nobody) for each in gateway.log.facts(Requested)]


def told(answer: httpx.Response) -> Told:
    """What a caller sees, but for what is made anew for each request."""
    body = answer.json()
    body.pop("requestId", None)
    for made in ("transactionId", "startTime"):
        body.get("data", {}).pop(made, None)
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, body, headers


@pytest.mark.parametrize("path", PATHS)
async def test_it_answers_as_the_framework_does(path: str) -> None:
    direct, on_log = await asked(True, path, list(REQUESTS.values()))
    framework, on_its_log = await asked(False, path, list(REQUESTS.values()))
    assert dict(zip(REQUESTS, direct, strict=True)) == dict(zip(REQUESTS, framework, strict=True))
    assert on_log == on_its_log
    assert {200, 400, 401, 413, 415} <= {status for status, _, _ in direct}


READS: dict[str, Json] = {
    "its own": {},
    "without a credential": {"headers": {"X-API-Key": ""}},
    "of a page of ours": {"headers": {"Origin": "https://app.example.org"}},
    "with a query": {"params": {"fields": "all"}},
}
NAMES = ("{operation}", str(UUID(int=9)), "none", "", "{operation}/", "{operation}/events/", "a%2Fb", "%00", "%FF")


async def statuses(direct: bool, method: str) -> list[tuple[str, str, Told]]:
    """What a gateway tells of an operation, asked for in many ways."""
    gateway = await Gateway().with_collections()
    with pytest.MonkeyPatch.context() as patch:
        if not direct:
            patch.setattr(app, "Direct", Nothing)
        async with gateway.client() as client:
            minted = await client.post("/api/mint/single", json=single(), headers=KEY)
            operation = minted.json()["data"]["transactionId"]
            paths = [f"/api/mint/status/{name.format(operation=operation)}" for name in NAMES]
            answers = [
                (path, how, await client.request(method, path, **read)) for path in paths for how, read in READS.items()
            ]
    return [(path, how, told(answer)) for path, how, answer in answers]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_it_tells_how_an_operation_stands_as_the_framework_does(method: str) -> None:
    direct = await statuses(True, method)
    assert direct == await statuses(False, method)
    assert {status for _, _, (status, _, _) in direct} == ({200, 401, 404} if method == "GET" else {404, 405})


@pytest.mark.parametrize("headers", [{}, KEY])
async def test_it_limits_and_repeats_as_the_framework_does(headers: dict[str, str]) -> None:
    requests: list[Json] = [{"json": single(), "headers": headers}] * 3
    direct = await asked(True, "/api/mint/single", requests, most=2)
    assert direct == await asked(False, "/api/mint/single", requests, most=2)
    assert [status for status, _, _ in direct[0]] == [200, 200, 429]
    assert len(direct[1]) == (1 if headers else 2)


@pytest.mark.parametrize("path", PATHS)
async def test_it_leaves_other_methods_to_the_framework(gateway: Gateway, client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


async def test_a_mistake_of_ours_is_answered_without_any_of_it(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.log.fail_publishes = [RuntimeError("hunter2")]
    answer = await client.post("/api/mint/single", json=single())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text


class Cycle:
    """A request as the server holds it: what the application is given knows the request."""

    def __init__(self, body: bytes) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": "/api/mint/single",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"x-api-key", API_KEY.encode())],
            "client": ("127.0.0.1", 50_000),
            "state": {},
        }
        self.body = body
        self.status = 0

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)


@pytest.mark.parametrize(("body", "status"), [(single(), 200), ({}, 400)], ids=["accepted", "refused"])
async def test_a_mint_leaves_nothing_to_the_garbage_collector(gateway: Gateway, body: Json, status: int) -> None:
    """Which would stop all other requests for as long as it looks for what thousands of them have left."""
    app = gateway.app()
    gc.disable()
    try:
        request = Cycle(msgspec.json.encode(body))
        await app(request.scope, request.receive, request.send)
        assert request.status == status
        left = weakref.ref(request)
        del request
        assert left() is None
    finally:
        gc.enable()
