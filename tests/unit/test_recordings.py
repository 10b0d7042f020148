"""What the fetcher of recorded transactions makes of nodes that have one, lack it, fail or give another."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from tests.support.recordings import fetch_from

WANTED = Signature(b"\x07" * 64)
OTHER = Signature(b"\x08" * 64)


def recorded(signature: Signature) -> dict[str, Any]:
    message = Message.new_with_blockhash([], Pubkey.default(), Hash.default())
    wire = bytes(VersionedTransaction.populate(message, [signature]))
    return {"slot": 7, "transaction": [base64.b64encode(wire).decode(), "base64"], "meta": {"err": None}}


def node(answer: object) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json=answer)


def refused() -> httpx.Response:
    raise httpx.ConnectError("cannot connect to https://node/?api-key=secret")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (node({"result": None}), "node 1 does not have it"),
        (node({"error": {"code": -32005, "message": "slow down"}}), "node 1: slow down (-32005)"),
        (lambda: httpx.Response(403, text="no"), "node 1: HTTP status 403"),
        (lambda: httpx.Response(200, text="<html>"), "node 1: JSONDecodeError"),
        (refused, "node 1: ConnectError"),
        (node({"result": recorded(OTHER)}), f"node 1: it gave {OTHER} instead"),
        (node({"result": {"slot": 7}}), "node 1: not a getTransaction result: KeyError: 'meta'"),
    ],
)
def test_the_next_node_is_asked_and_why_is_told(answer: Callable[[], httpx.Response], reason: str) -> None:
    answers = {"first": answer, "second": node({"result": recorded(WANTED)})}
    http = httpx.Client(transport=httpx.MockTransport(lambda request: answers[request.url.host]()))
    urls = ["https://first/?api-key=secret", "https://second/"]
    assert fetch_from(http, urls, str(WANTED)) == (recorded(WANTED), [reason])
    assert fetch_from(http, urls[:1], str(WANTED)) == (None, [reason])
