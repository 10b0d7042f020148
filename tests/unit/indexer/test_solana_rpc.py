"""The node's answers, good and bad, as the counter is given them."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from chassis.json_rpc import JsonRpc
from services.indexer.adapters.solana_rpc import MAX_ACCOUNTS, SolanaRpc
from services.indexer.ports import Account, ChainUnavailable
from tests.support.indexing import address

URL = "https://node.example/?api-key=very-secret"
DAS_URL = "https://das.example/"

Answer = Callable[[dict[str, Any]], httpx.Response]


def node(answer: Answer) -> SolanaRpc:
    """A node that gives `answer` to each decoded request, which gets its URL under "url"."""

    def handle(request: httpx.Request) -> httpx.Response:
        return answer(msgspec.json.decode(request.content) | {"url": str(request.url)})

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return SolanaRpc(JsonRpc(http, URL, "rpc"), JsonRpc(http, DAS_URL, "das"))


def result(value: object) -> httpx.Response:
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": value})


def refusal(code: int, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no"}})


async def test_accounts_of_one_slot_by_address() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> httpx.Response:
        asked.append(request)
        data = [base64.b64encode(b"data").decode(), "base64"]
        found = {"owner": address("owner"), "data": data, "lamports": 1, "executable": False, "space": 4}
        return result({"context": {"slot": 7, "apiVersion": "3"}, "value": [found, None]})

    accounts = await node(answer).accounts([address("a"), address("b")])
    assert (accounts.slot, accounts.by_address) == (7, {address("a"): Account(address("owner"), b"data")})
    assert asked[0]["url"] == URL
    assert asked[0]["method"] == "getMultipleAccounts"
    assert asked[0]["params"] == [[address("a"), address("b")], {"encoding": "base64", "commitment": "confirmed"}]


async def test_das_answers_or_the_method_does_not_exist() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> httpx.Response:
        asked.append(request)
        return result({"total": 0, "limit": 1, "page": 1, "items": []})

    assert await node(answer).answers_das(address("c")) is True
    assert asked[0]["url"] == DAS_URL
    assert asked[0]["params"] == {"groupKey": "collection", "groupValue": address("c"), "page": 1, "limit": 1}
    assert await node(lambda _: refusal(-32601)).answers_das(address("c")) is False
    assert await node(lambda _: refusal(-32601, status=404)).answers_das(address("c")) is False


UNUSABLE: list[httpx.Response | httpx.HTTPError] = [
    httpx.ConnectError(f"cannot connect to {URL}"),
    httpx.Response(429, text="<html>slow down</html>"),
    httpx.Response(200, text=""),
    httpx.Response(200, text="[" * 100_000),
    httpx.Response(200, json={"jsonrpc": "2.0", "id": 1}),
    httpx.Response(503, json={"result": {"context": {"slot": 1}, "value": [None], "items": []}}),
    refusal(-32005),
    result({"context": {"slot": 1}, "value": []}),
    result({"context": {"slot": 1}, "value": [{"owner": "x", "data": ["%%%", "base64"]}]}),
    result({"context": {"slot": 1}, "value": [{"owner": "x", "data": ["", "base58"]}]}),
    result({"context": {}, "value": 3}),
]


@pytest.mark.parametrize("answer", UNUSABLE)
async def test_an_answer_that_cannot_be_used_proves_nothing(answer: httpx.Response | httpx.HTTPError) -> None:
    def give(_: dict[str, Any]) -> httpx.Response:
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    with pytest.raises(ChainUnavailable) as raised:
        await node(give).accounts([address("a")])
    assert "secret" not in str(raised.value)
    with pytest.raises(ChainUnavailable):
        await node(give).answers_das(address("a"))


async def test_more_accounts_than_a_node_takes_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="the most is 100"):
        await node(lambda _: result(None)).accounts([address("a")] * (MAX_ACCOUNTS + 1))
