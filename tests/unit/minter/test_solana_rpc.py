"""The calls of every transaction, which go past solana-py: what a node's answers mean."""

import json
from typing import Any, cast

import httpx
import pytest

from chassis.json_rpc import JsonRpc
from services.minter.adapters.solana_rpc import NodeRefused, RateLimited, SolanaRpc
from services.minter.landing import Commitment, SignatureState
from services.minter.ports import ChainUnavailable

FAILED = {"InstructionError": [1, {"Custom": 6001}]}


class Endpoint:
    """A node that gives one answer and remembers what it was asked."""

    def __init__(self, answer: object, status: int = 200, **headers: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._response = httpx.Response(
            status, json=answer, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._handle))
        self.rpc = SolanaRpc(cast("Any", None), JsonRpc(http, "https://node.example/?key=secret", None))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content))
        return self._response


def result(value: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "result": value}


def error(code: int) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no"}}


def status(**told: object) -> dict[str, object]:
    return {"slot": 7, "confirmations": None, "err": None, "status": {"Ok": None}} | told


async def test_bytes_are_sent_without_preflight_and_without_the_nodes_own_retries() -> None:
    node = Endpoint(result("signature"))
    await node.rpc.send(b"wire")
    assert (node.asked[0]["method"], node.asked[0]["params"]) == (
        "sendTransaction",
        ["d2lyZQ==", {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}],
    )
    with pytest.raises(ChainUnavailable, match="no result"):
        await Endpoint(result(None)).rpc.send(b"wire")


async def test_what_is_found_of_signatures_is_told_with_its_commitment_and_error() -> None:
    told = [
        status(confirmationStatus="processed", confirmations=0),
        status(confirmationStatus="confirmed", confirmations=3, err=FAILED),
        status(confirmationStatus="finalized"),
        None,
        status(confirmations=3),
        status(),
    ]
    node = Endpoint(result({"context": {"slot": 9, "apiVersion": "3.0.0"}, "value": told}))
    answer = await node.rpc.statuses(list("abcdef"), search_history=True)
    assert node.asked[0]["params"] == [list("abcdef"), {"searchTransactionHistory": True}]
    assert answer.slot == 9
    assert answer.value == {
        "a": SignatureState(7, Commitment.PROCESSED),
        "b": SignatureState(7, Commitment.CONFIRMED, cast("Any", FAILED)),
        "c": SignatureState(7, Commitment.FINALIZED),
        # Old nodes do not word the level; what has no confirmations to count any more is rooted.
        "e": SignatureState(7, Commitment.PROCESSED),
        "f": SignatureState(7, Commitment.FINALIZED),
    }


async def test_an_answer_for_fewer_signatures_than_were_asked_for_proves_nothing() -> None:
    node = Endpoint(result({"context": {"slot": 9}, "value": [None]}))
    with pytest.raises(ChainUnavailable, match="told of 1 signatures, not 2"):
        await node.rpc.statuses(["a", "b"], search_history=True)


async def test_a_transaction_that_is_not_shown_yet_is_none_and_one_that_is_told_in_part_is_no_answer() -> None:
    assert await Endpoint(result(None)).rpc.transaction("a") is None
    with pytest.raises(ChainUnavailable, match="incompletely"):
        await Endpoint(result({"slot": 7, "meta": None, "transaction": ["", "base64"]})).rpc.transaction("a")


@pytest.mark.parametrize(("code", "kind"), [(-32602, NodeRefused), (-32002, NodeRefused), (-32005, ChainUnavailable)])
async def test_a_refusal_is_about_the_request_or_about_the_node(code: int, kind: type[Exception]) -> None:
    with pytest.raises(ChainUnavailable) as refused:
        await Endpoint(error(code)).rpc.send(b"wire")
    assert type(refused.value) is kind


async def test_429_says_for_how_long() -> None:
    with pytest.raises(RateLimited) as limited:
        await Endpoint(error(429), 429, retry_after="7").rpc.send(b"wire")
    assert limited.value.retry_after == 7.0
