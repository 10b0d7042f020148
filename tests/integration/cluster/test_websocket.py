"""WebSocket clients that are slow, wrong or gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from localnet.cluster import websocket as hub
from localnet.cluster.server import RunningCluster
from tests.integration.cluster.rpc_client import BareClient
from tests.support.cluster import fund, payment, stepped_cluster


@pytest.fixture
async def cluster() -> AsyncGenerator[RunningCluster]:
    async with stepped_cluster() as running:
        yield running


async def ask(socket: ClientConnection, method: str, *params: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}))
    return json.loads(await socket.recv())


async def read_to_the_end(socket: ClientConnection) -> None:
    async with asyncio.timeout(10):
        while True:
            await socket.recv()


WRONG: list[tuple[str, list[Any], int]] = [
    ("blockSubscribe", ["all"], -32601),
    ("getSlot", [], -32601),
    ("accountSubscribe", ["?"], -32602),
    ("logsSubscribe", [{"mentions": []}], -32602),
    ("signatureSubscribe", [], -32602),
    ("slotUnsubscribe", ["x"], -32602),
]


@pytest.mark.parametrize(("method", "params", "code"), WRONG)
async def test_wrong_requests_are_answered(cluster: RunningCluster, method: str, params: list[Any], code: int) -> None:
    async with connect(cluster.addresses.websocket) as socket:
        assert (await ask(socket, method, *params))["error"]["code"] == code
        await socket.send("{nonsense")
        assert json.loads(await socket.recv())["error"]["code"] == -32700
        assert isinstance((await ask(socket, "slotSubscribe"))["result"], int)
        assert (await ask(socket, "slotUnsubscribe", 999_999))["result"] is False


async def test_a_binary_frame_ends_only_that_client(cluster: RunningCluster) -> None:
    async with connect(cluster.addresses.websocket) as socket, connect(cluster.addresses.websocket) as other:
        await ask(other, "slotSubscribe")
        await socket.send(b"\x00\x01")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        await cluster.node.step()
        assert json.loads(await other.recv())["method"] == "slotNotification"


async def test_a_slow_client_is_closed_with_a_reason_and_others_go_on(
    cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MAX_QUEUED", 8)
    async with connect(cluster.addresses.websocket, max_queue=1) as slow:
        for _ in range(8):
            await ask(slow, "slotSubscribe")
        # The hub queues all of one block's notifications before its writer runs: 8 fit, 9 do not.
        await cluster.node.step()
        told = [json.loads(await slow.recv())["params"]["result"]["slot"] for _ in range(8)]
        assert told == [1] * 8
        await ask(slow, "slotSubscribe")
        await cluster.node.step()
        with pytest.raises(ConnectionClosed) as closed:
            await read_to_the_end(slow)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason.split(":")[0]) == (1008, "too slow")
    async with connect(cluster.addresses.websocket) as fresh:
        assert isinstance((await ask(fresh, "slotSubscribe"))["result"], int)


async def test_logs_are_told_once_each_across_a_fork(cluster: RunningCluster) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    async with connect(cluster.addresses.websocket) as socket, BareClient(cluster.addresses.rpc) as client:
        await ask(socket, "logsSubscribe", {"mentions": [str(payer.pubkey())]}, {"commitment": "confirmed"})
        transaction = payment(payer, cluster.node.ledger.chain.head)
        await client.send(transaction)
        await cluster.node.step(2)
        await cluster.node.fork(2)
        await cluster.node.step(3)
        await client.send(transaction)
        await cluster.node.step(2)
        slots = [json.loads(await socket.recv())["params"]["result"]["context"]["slot"] for _ in range(2)]
        # It landed twice, in two different slots: once on the dropped fork, once on this one.
        assert slots[0] < slots[1]
        # Nothing more was queued before the answer to the next request.
        assert "result" in await ask(socket, "slotSubscribe")
