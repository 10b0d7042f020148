"""The main job on a validator that is not ours: the whole pipeline against Surfpool, judged from its chain alone.

Surfpool serves no DAS, so the judge reads the tree's transactions over plain JSON-RPC, decodes them, builds the tree
from their leaves, and holds that against the accounts that Surfpool has.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.decode import Change, Minted, TreeCreated, Unknown, decode
from bubblegum.merkle import ConcurrentMerkleTree, TreeConfig, verify_proof
from contracts.collection import CollectionCreated
from contracts.streams import COLLECTION
from localnet.das import DasIndex
from tests.integration.cluster.rpc_client import BareClient, RpcRefused
from tests.support.exactly_once import check_attempts, check_causes, check_log, check_tables, pinned_items
from tests.support.history import account_data, history, transaction
from tests.support.stack import Asked, LiveStack, eventually, facts, live_stack, stack_settings
from tests.support.surfpool import NEEDS_SURFPOOL, surfpool

pytestmark = [*NEEDS_SURFPOOL, pytest.mark.asyncio(loop_scope="module")]

COUNT = 6
VERSIONS = {"v1": 1, "v2": 2}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_surfpool(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LiveStack]:
    """A stack whose cluster is Surfpool."""
    directory = tmp_path_factory.mktemp("surfpool")
    async with surfpool(directory) as addresses:
        settings = replace(stack_settings(directory / "stack"), external_rpc_url=addresses.rpc)
        async with live_stack(settings) as live:
            assert "cluster" not in live.stack.names
            assert live.stack.rpc_url == addresses.rpc
            yield live


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(on_surfpool: LiveStack) -> AsyncGenerator[BareClient]:
    """Surfpool's JSON-RPC."""
    async with BareClient(on_surfpool.stack.rpc_url) as client:
        yield client


async def test_the_judge_is_surfpool_and_serves_no_das(node: BareClient) -> None:
    assert "surfnet-version" in await node.call("getVersion")
    with pytest.raises(RpcRefused, match="Method not found"):
        await node.call("getAssetsByGroup", {"groupKey": "collection", "groupValue": "x"})


@pytest.mark.parametrize("standard", ["v1", "v2"])
async def test_what_was_asked_for_is_on_its_chain_once(on_surfpool: LiveStack, node: BareClient, standard: str) -> None:
    live = on_surfpool
    collection = await live.collection(standard)
    asked = await live.ask(collection, COUNT, files=True)
    status = await live.settled(asked.operation)
    assert status["status"] == "completed", status
    # Surfpool calls every block final about as soon as it is there; the last words are these.
    await live.finalized(asked)

    events = [
        message
        for message in await live.events(after=asked.after)
        if getattr(message.data, "operation", None) == asked.operation
    ]
    leaves = check_log(events, asked, forked=False)
    await check_causes(live, events)
    await check_attempts(live, events)
    await check_tables(live, events, asked, leaves)
    assert await live.dead_letters() == []

    minted = await minted_on_chain(node, asked, VERSIONS[standard])
    uris = {index: item.uri for index, item in pinned_items(events).items()}
    assert {
        (str(leaf.asset_id), leaf.leaf_index, leaf.nonce, str(leaf.owner), leaf.metadata.name, leaf.metadata.uri)
        for leaf in minted
    } == {
        (leaf.asset_id, leaf.leaf_index, leaf.nonce, asked.recipient, asked.names[item], uris[item])
        for item, leaf in leaves.items()
    }
    assert {(result["assetId"], result["leafIndex"]) for result in status["results"]} == {
        (str(leaf.asset_id), leaf.leaf_index) for leaf in minted
    }
    await check_founding(live, node, collection)
    (row,) = (row for row in (await live.tables())["nft_collections"] if str(row["id"]) == collection["id"])
    assert (row["minted"], row["has_valid_tree"], row["supports_das"]) == (COUNT, True, False)


async def minted_on_chain(node: BareClient, asked: Asked, version: int) -> list[Minted]:
    """Every mint in the tree's history, each proven against the tree's account; the counts agree.

    The history is the wallet's: Surfpool does not list a transaction under an account from a lookup table.
    """
    tree, collection = Pubkey.from_string(asked.tree), Pubkey.from_string(asked.collection["collectionAddress"])
    index = DasIndex()
    changes: list[Change] = []
    for executed in await history(node, asked.collection["creatorAddress"]):
        index.apply(executed)
        changes += [change for change in decode(executed) if getattr(change, "tree", tree) == tree]
    assert not [change for change in changes if isinstance(change, Unknown)]
    (created,) = (change for change in changes if isinstance(change, TreeCreated))
    assert (created.tree, created.version) == (tree, version)
    minted = [change for change in changes if isinstance(change, Minted)]
    assert len(minted) == len(changes) - 1 == COUNT
    assert index.out_of_step(tree) is None

    account = ConcurrentMerkleTree.parse(await account_data(node, asked.tree))
    config = TreeConfig.parse(await account_data(node, str(pda.tree_config(tree))))
    assert (account.num_leaves, config.num_minted, config.version) == (COUNT, COUNT, version)
    for change in minted:
        assert change.asset_id == pda.asset_id(tree, change.nonce)
        assert (change.tree, change.collection, change.metadata_matches) == (tree, collection, True)
        proof: Any = index.handle("getAssetProof", {"id": str(change.asset_id)})
        nodes = [bytes(Pubkey.from_string(one)) for one in proof["proof"]]
        assert verify_proof(account.root, change.leaf.schema.hash(), nodes, change.leaf_index)
    return minted


async def check_founding(live: LiveStack, node: BareClient, collection: dict[str, Any]) -> None:
    """The collection's two transactions are on chain as the log says."""
    (created,) = (
        fact
        for fact in facts(await live.events(COLLECTION), CollectionCreated)
        if str(fact.collection) == collection["id"]
    )
    asset, tree = [await transaction(node, signature) for signature in created.signatures]
    assert (asset.err, tree.err) == (None, None)
    assert max(asset.slot, tree.slot) == created.slot
    assert await account_data(node, created.collection_address)
    await eventually(lambda: is_final(node, created.signatures), "the founding is final")


async def is_final(node: BareClient, signatures: tuple[str, ...]) -> bool:
    """Whether every signature is in a finalized block."""
    found = await node.value("getSignatureStatuses", list(signatures), {"searchTransactionHistory": True})
    return all(state is not None and state["confirmationStatus"] == "finalized" for state in found)
