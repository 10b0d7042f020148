"""JSON-RPC over HTTP: what an endpoint's answers mean, and that none of its URL is told."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from chassis import json_rpc
from chassis.chain import ChainUnavailable
from chassis.json_rpc import HttpRefused, JsonRpc, RpcRefused

URL = "https://node.example/?api-key=very-secret"


def endpoint(answer: object = None, status: int = 200, **headers: str) -> JsonRpc:
    """An endpoint that gives one answer: an object as JSON, or bytes as they are."""
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(handle)), URL, None)


def result(value: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": value}


async def test_a_result_is_returned_as_what_was_asked_for() -> None:
    assert await endpoint(result([1, 2])).call("getNumbers", [], list[int]) == [1, 2]


async def test_null_is_a_result_for_those_who_look_for_something_only() -> None:
    assert await endpoint(result(None)).find("getTransaction", [], dict[str, Any]) is None
    with pytest.raises(ChainUnavailable, match="getTransaction: no result"):
        await endpoint(result(None)).call("getTransaction", [], dict[str, Any])


@pytest.mark.parametrize("answer", [{"jsonrpc": "2.0", "id": 1}, result("text"), b"<html>", b'{"result": "\xff"}', []])
async def test_anything_else_is_no_answer(answer: object) -> None:
    with pytest.raises(ChainUnavailable):
        await endpoint(answer).find("getNumbers", [], list[int])


@pytest.mark.parametrize("said", [{"result": None}, {"error": {"code": -32602, "message": "Invalid params"}}])
async def test_the_answer_to_another_request_is_none(said: dict[str, object]) -> None:
    """A proxy may mix them up. A transaction that somebody else looked for was not found: ours may have landed."""
    with pytest.raises(ChainUnavailable, match="getTransaction: the answer to another request"):
        await endpoint({"jsonrpc": "2.0", "id": 7, **said}).find("getTransaction", [], dict[str, Any])


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_error_of_the_endpoint_is_a_refusal_whatever_the_http_status(status: int) -> None:
    answer = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "Invalid params"}}
    with pytest.raises(RpcRefused, match="Invalid params") as refused:
        await endpoint(answer, status).call("getNumbers", [], list[int])
    assert refused.value.code == -32602


@pytest.mark.parametrize("body", [b"slow down", b'{"error": {"code": 429, "message": "slow down"}}'])
async def test_429_tells_how_long_to_wait_whatever_its_body_says(body: bytes) -> None:
    with pytest.raises(HttpRefused) as refused:
        await endpoint(body, 429, retry_after="7").call("getNumbers", [], list[int])
    assert (refused.value.status, refused.value.retry_after) == (429, "7")


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", json.dumps(result([1])).encode()])
async def test_another_status_that_says_no_is_told_and_its_body_is_not_believed(body: bytes) -> None:
    with pytest.raises(HttpRefused, match="getNumbers: HTTP status 502") as refused:
        await endpoint(body, 502).call("getNumbers", [], list[int])
    assert refused.value.retry_after is None


async def test_trouble_on_the_way_is_told_without_the_address() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {request.url}")

    rpc = JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(handle)), URL, None)
    with pytest.raises(ChainUnavailable) as unavailable:
        await rpc.call("getNumbers", [], list[int])
    assert str(unavailable.value) == "getNumbers: ConnectError"


KEY = "a-key-of-some-length"


@pytest.mark.parametrize(
    "url",
    [
        f"https://node.example/?api-key={KEY}",
        f"https://node.example/mainnet-beta/{KEY}/",
        f"https://me:{KEY}@node.example",
    ],
)
async def test_a_key_that_a_provider_quotes_is_not_told_on(url: str) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        words = f"{KEY} may not ask mainnet-beta for {url}"
        return httpx.Response(403, json={"jsonrpc": "2.0", "id": 1, "error": {"code": -32052, "message": words}})

    rpc = JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(refuse)), url, None)
    with pytest.raises(RpcRefused, match="may not ask mainnet-beta for") as refused:
        await rpc.call("getSlot", [], int)
    assert KEY not in str(refused.value)


async def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rpc, "MAX_ANSWER", 100)
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield b" " * 40

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=endless())

    rpc = JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(handle)), URL, None)
    with pytest.raises(ChainUnavailable, match="getNumbers: an answer of more than 100 bytes"):
        await rpc.call("getNumbers", [], list[int])
    assert given == 3


async def test_a_compressed_answer_is_read() -> None:
    packed = gzip.compress(json.dumps(result([1, 2])).encode())
    assert await endpoint(packed, content_encoding="gzip").call("getNumbers", [], list[int]) == [1, 2]


@pytest.mark.parametrize("encoding", ["zstd", "gzip, gzip", "br"])
async def test_an_answer_that_unpacks_to_a_million_times_its_size_is_not_unpacked(encoding: str) -> None:
    """Its first piece would be more memory than there is."""

    def handle(_: httpx.Request) -> httpx.Response:
        unread = httpx.ByteStream(b"it is not looked at")
        return httpx.Response(200, headers={"Content-Encoding": encoding}, stream=unread)

    rpc = JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(handle)), URL, None)
    with pytest.raises(ChainUnavailable, match="getNumbers: an answer in an encoding that was not asked for"):
        await rpc.call("getNumbers", [], list[int])


async def test_no_more_is_asked_for_than_is_read() -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, json=result([1]))

    rpc = JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(handle)), URL, None)
    await rpc.call("getNumbers", [], list[int])
    assert asked == ["gzip"]
