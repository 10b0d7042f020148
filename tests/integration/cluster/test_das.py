"""The asset index on the cluster: fed at confirmed, rewound by forks, rebuilt at a restart, true to the tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.merkle import ConcurrentMerkleTree, verify_proof
from localnet.cluster.server import RunningCluster
from tests.integration.cluster.rpc_client import BareClient, RpcRefused
from tests.support.cluster import PROGRAMS, fund, stepped_cluster
from tests.support.minting import LocalTree


async def planted(cluster: RunningCluster, client: BareClient) -> LocalTree:
    """A confirmed, empty tree."""
    tree = LocalTree.planned(Keypair())
    await fund(cluster, tree.payer.pubkey())
    await client.send(tree.creation(cluster.node.ledger.svm, cluster.node.ledger.chain.head))
    await cluster.node.step(2)
    return tree


async def proof_holds(cluster: RunningCluster, client: BareClient, tree: LocalTree, index: int) -> bool:
    """Whether getAssetProof proves the asset against the root that the tree account itself has."""
    told = await client.call("getAssetProof", {"id": str(tree.asset_id(index))})
    account = cluster.node.ledger.account(tree.address, cluster.node.heads.confirmed)
    assert account is not None
    root = ConcurrentMerkleTree.parse(account.data).root
    assert told["root"] == str(Pubkey(root))
    nodes = [bytes(Pubkey.from_string(node)) for node in told["proof"]]
    return verify_proof(root, bytes(Pubkey.from_string(told["leaf"])), nodes, index)


async def test_a_mint_is_an_asset_from_confirmed_on() -> None:
    async with stepped_cluster(programs=PROGRAMS) as cluster, BareClient(cluster.addresses.rpc) as client:
        tree, owner = await planted(cluster, client), Keypair().pubkey()
        signature = await client.send(tree.mint(cluster.node.ledger.chain.head, 7, owner))
        await cluster.node.step()
        with pytest.raises(RpcRefused):
            await client.call("getAsset", {"id": str(tree.asset_id(0))})
        await cluster.node.step()
        asset = await client.call("getAsset", {"id": str(tree.asset_id(0))})
        assert asset["ownership"]["owner"] == str(owner)
        assert asset["content"]["json_uri"] == "https://example.com/7.json"
        assert asset["compression"]["tree"] == str(tree.address)
        owned = await client.call("getAssetsByOwner", {"ownerAddress": str(owner)})
        assert [each["id"] for each in owned["items"]] == [str(tree.asset_id(0))]
        assert await proof_holds(cluster, client, tree, 0)
        told = await client.call(
            "getTransaction", signature, {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        )
        assert told["meta"]["err"] is None
        heights = {call["stackHeight"] for group in told["meta"]["innerInstructions"] for call in group["instructions"]}
        assert {2, 3} <= heights


async def test_a_fork_takes_assets_back_and_the_index_goes_on_in_step() -> None:
    async with stepped_cluster(programs=PROGRAMS) as cluster, BareClient(cluster.addresses.rpc) as client:
        tree = await planted(cluster, client)
        for number in range(3):
            await client.send(tree.mint(cluster.node.ledger.chain.head, number))
            await cluster.node.step()
        await cluster.node.step()
        assert await proof_holds(cluster, client, tree, 2)
        await cluster.node.fork(3)  # the last two mints and the empty block on top
        with pytest.raises(RpcRefused):
            await client.call("getAsset", {"id": str(tree.asset_id(1))})
        assert await proof_holds(cluster, client, tree, 0)
        for number in (10, 11):
            await client.send(tree.mint(cluster.node.ledger.chain.head, number))
        await cluster.node.step(2)
        asset = await client.call("getAsset", {"id": str(tree.asset_id(2))})
        assert asset["content"]["json_uri"] == "https://example.com/11.json"
        assert all([await proof_holds(cluster, client, tree, index) for index in range(3)])


async def test_a_restart_rebuilds_the_index_from_the_ledger(tmp_path: Path) -> None:
    async with stepped_cluster(tmp_path, programs=PROGRAMS) as cluster, BareClient(cluster.addresses.rpc) as client:
        tree = await planted(cluster, client)
        for number in range(70):
            await client.send(tree.mint(cluster.node.ledger.chain.head, number))
        await cluster.node.step(3)
        before = await client.call("getAsset", {"id": str(tree.asset_id(69))})
        # Mined, not confirmed: the index must not know it yet, before and after the restart.
        await client.send(tree.mint(cluster.node.ledger.chain.head, 70))
        await cluster.node.step()
    async with stepped_cluster(tmp_path, programs=PROGRAMS) as cluster, BareClient(cluster.addresses.rpc) as client:
        assert await client.call("getAsset", {"id": str(tree.asset_id(69))}) == before
        assert await proof_holds(cluster, client, tree, 69)
        with pytest.raises(RpcRefused):
            await client.call("getAsset", {"id": str(tree.asset_id(70))})
        await cluster.node.step()
        assert await proof_holds(cluster, client, tree, 70)
