"""Looking up what landed: paging, forks and lagging nodes, on the wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from solders.keypair import Keypair

from localnet.cluster.model import LedgerLimits
from localnet.cluster.server import RunningCluster
from tests.integration.cluster.rpc_client import BareClient
from tests.support.cluster import SOL, fund, payment, stepped_cluster

CONFIRMED = {"commitment": "confirmed"}
PROCESSED = {"commitment": "processed"}


@pytest.fixture
async def cluster() -> AsyncGenerator[RunningCluster]:
    async with stepped_cluster() as running:
        yield running


@pytest.fixture
async def client(cluster: RunningCluster) -> AsyncGenerator[BareClient]:
    async with BareClient(cluster.addresses.rpc) as opened:
        yield opened


async def test_history_of_an_address_pages_newest_first(cluster: RunningCluster, client: BareClient) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    sent: list[str] = []
    for _ in range(4):
        sent.append(await client.send(payment(payer, cluster.node.ledger.chain.head)))
        await cluster.node.step()
    address = str(payer.pubkey())

    async def listed(**config: Any) -> list[str]:
        found = await client.call("getSignaturesForAddress", address, {**CONFIRMED, **config})
        return [each["signature"] for each in found]

    every = await listed()
    assert every[:3] == [sent[2], sent[1], sent[0]]
    assert await listed(limit=2) == every[:2]
    assert await listed(before=sent[1]) == every[2:]
    assert await listed(until=sent[0]) == every[:2]


async def test_a_forked_away_transaction_is_unknown_and_can_land_again(
    cluster: RunningCluster, client: BareClient
) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    transaction = payment(payer, cluster.node.ledger.chain.head)
    signature = await client.send(transaction)
    await cluster.node.step(3)
    assert (await client.value("getSignatureStatuses", [signature]))[0]["confirmationStatus"] == "confirmed"
    forked = await client.call("localnet_fork", 3)
    assert forked["droppedSignatures"] == [signature]
    for history in (False, True):
        assert await client.value("getSignatureStatuses", [signature], {"searchTransactionHistory": history}) == [None]
    assert await client.call("getTransaction", signature, CONFIRMED) is None
    assert await client.send(transaction) == signature
    await client.call("localnet_step", 2)
    assert (await client.value("getSignatureStatuses", [signature]))[0]["err"] is None


async def test_a_lagging_node_knows_only_the_past() -> None:
    async with (
        stepped_cluster(limits=LedgerLimits(finalized_after=4)) as cluster,
        BareClient(cluster.addresses.rpc) as client,
    ):
        payer, to = Keypair(), Keypair().pubkey()
        await fund(cluster, payer.pubkey())
        signature = await client.send(payment(payer, cluster.node.ledger.chain.head, to))
        await cluster.node.step(3)
        await client.call("localnet_setFaults", {"lagSlots": 10})
        assert await client.value("getSignatureStatuses", [signature]) == [None]
        assert await client.value("getBalance", str(to), PROCESSED) == 0
        assert await client.call("getSlot", PROCESSED) == 0
        await client.call("localnet_setFaults", {})
        assert await client.value("getBalance", str(to), CONFIRMED) == SOL


async def test_one_slow_node_behind_a_balancer_answers_its_share_of_the_reads() -> None:
    async with (
        stepped_cluster(limits=LedgerLimits(finalized_after=4)) as cluster,
        BareClient(cluster.addresses.rpc) as client,
    ):
        await cluster.node.step(12)
        newest = await client.call("getSlot", PROCESSED)
        await client.call("localnet_setFaults", {"lagSlots": 10, "lagShare": 0.3, "seed": 1})
        slots = [await client.call("getSlot", PROCESSED) for _ in range(60)]
        assert set(slots) == {newest, newest - 10}
        assert 5 < slots.count(newest - 10) < 35
