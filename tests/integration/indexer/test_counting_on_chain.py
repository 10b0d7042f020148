"""The counter on the local cluster: what the programs wrote is what the log says."""

import httpx
from solders.keypair import Keypair

from chassis.clock import ManualClock
from chassis.json_rpc import JsonRpc
from contracts.collection import CollectionCounted, TreeShape
from contracts.streams import COLLECTION
from services.indexer.adapters.solana_rpc import SolanaRpc
from services.indexer.counting import Counter
from services.indexer.entries import plan
from tests.support.cluster import PROGRAMS, fund, stepped_cluster
from tests.support.indexing import collection_created, uid
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables
from tests.support.minting import BUFFER, DEPTH, LocalTree


async def test_counts_follow_the_confirmed_chain() -> None:
    log, tables = MemoryLog(), MemoryTables()
    async with stepped_cluster(programs=PROGRAMS) as cluster, httpx.AsyncClient() as http:
        node = cluster.node
        url = cluster.addresses.rpc
        rpc = JsonRpc(http, url, None)
        counter = Counter(log, SolanaRpc(rpc, rpc), tables, ManualClock())
        tree = LocalTree.planned(Keypair())
        await fund(cluster, tree.payer.pubkey())
        assert node.ledger.submit(tree.creation(node.ledger.svm, node.heads.processed))
        await node.step(2)
        shape = TreeShape(max_depth=DEPTH, max_buffer_size=BUFFER, canopy_depth=0)
        created = collection_created(uid("cats"), tree_address=str(tree.address), tree=shape, slot=1)
        await log.publish(created, cause=None)
        await tables.apply("COLLECTION", 0, [plan(log.streams[COLLECTION.name][0])])

        await counter.count(None)
        for number in range(3):
            assert node.ledger.submit(tree.mint(node.heads.processed, number))
        await node.step(1)
        await counter.count(None)  # processed is not confirmed: nothing new
        await node.step(1)
        await counter.count(None)

    said = [
        (fact.minted, fact.capacity, fact.has_valid_tree, fact.supports_das) for fact in log.facts(CollectionCounted)
    ]
    assert said == [(0, 1 << DEPTH, True, True), (3, 1 << DEPTH, True, True)]
