"""Injected faults as a client meets them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from solders.keypair import Keypair

from localnet.cluster.server import RunningCluster
from tests.integration.cluster.rpc_client import BareClient, RpcRefused
from tests.support.cluster import fund, payment, stepped_cluster


@pytest.fixture
async def cluster() -> AsyncGenerator[RunningCluster]:
    async with stepped_cluster() as running:
        yield running


@pytest.fixture
async def client(cluster: RunningCluster) -> AsyncGenerator[BareClient]:
    async with BareClient(cluster.addresses.rpc) as opened:
        yield opened


async def test_a_dropped_send_looks_like_any_other_and_never_lands(cluster: RunningCluster, client: BareClient) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    transaction = payment(payer, cluster.node.ledger.chain.head)
    await client.call("localnet_setFaults", {"dropSendShare": 1})
    assert await client.send(transaction) == transaction.signature
    await cluster.node.step(3)
    assert await client.value("getSignatureStatuses", [transaction.signature]) == [None]
    await client.call("localnet_setFaults", {})
    await client.send(transaction)
    await cluster.node.step()
    assert await client.value("getSignatureStatuses", [transaction.signature]) != [None]


async def test_a_send_that_errs_may_land_all_the_same(cluster: RunningCluster, client: BareClient) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    transaction = payment(payer, cluster.node.ledger.chain.head)
    await client.call("localnet_setFaults", {"sendErrorShare": 1})
    with pytest.raises(RpcRefused) as refused:
        await client.send(transaction)
    assert refused.value.code == -32603
    await cluster.node.step()
    assert (await client.value("getSignatureStatuses", [transaction.signature]))[0]["err"] is None


async def test_a_rate_limit_is_http_429_with_retry_after(client: BareClient) -> None:
    await client.call("localnet_setFaults", {"rateLimitShare": 1, "retryAfterSeconds": 7})
    request = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
    for body in (request, [request, request]):
        response = await client.http.post("/", json=body)
        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert response.json()["error"]["code"] == 429
    # The switch itself always works.
    assert (await client.call("localnet_setFaults", {}))["rateLimitShare"] == 0
    assert await client.call("getHealth") == "ok"


async def test_faults_can_be_kept_to_some_methods(client: BareClient) -> None:
    await client.call("localnet_setFaults", {"errorShare": 1, "methods": ["getSlot"]})
    assert await client.call("getHealth") == "ok"
    with pytest.raises(RpcRefused, match="injected"):
        await client.call("getSlot")


async def test_the_same_seed_gives_the_same_faults(client: BareClient) -> None:
    async def draw(seed: int) -> list[bool]:
        await client.call("localnet_setFaults", {"errorShare": 0.5, "seed": seed})
        drawn: list[bool] = []
        for _ in range(24):
            try:
                await client.call("getHealth")
                drawn.append(True)
            except RpcRefused:
                drawn.append(False)
        return drawn

    first = await draw(1)
    assert await draw(1) == first
    assert await draw(2) != first
    assert set(first) == {True, False}
