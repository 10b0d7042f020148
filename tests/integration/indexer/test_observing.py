"""Trees of the local cluster followed into Postgres, and compared with the log, the tables and DAS."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import hashing, instructions
from bubblegum.instructions import LeafProof
from bubblegum.merkle import MerkleTree
from bubblegum.types import MetadataArgsV2
from chassis.clock import ManualClock, SystemClock
from chassis.database import Pool
from chassis.json_rpc import JsonRpc
from chassis.settings import Secret
from contracts.collection import TreeShape
from contracts.mint import Confirmed, MintedLeaf
from contracts.observation import CollectionDrift, CollectionObserved, Difference, DriftKind, LeafFate
from contracts.streams import COLLECTION, MINT
from localnet.cluster.wire import parsed
from services.indexer.adapters import endpoints
from services.indexer.adapters.das import DasProviders
from services.indexer.adapters.nodes import Nodes
from services.indexer.adapters.solana_rpc import SolanaRpc
from services.indexer.adapters.tree_feed import TreeFeed
from services.indexer.adapters.tree_history import RpcHistory
from services.indexer.chain.asset_store import PostgresComparisons
from services.indexer.chain.following import TreeFollower
from services.indexer.chain.listing import Landed
from services.indexer.chain.parts import Parts
from services.indexer.chain.reconciling import Reconciler
from services.indexer.entries import plan
from services.indexer.ports import ChainUnavailable
from services.indexer.settings import IndexerSettings
from services.indexer.store import PostgresStore
from tests.support.cluster import PROGRAMS, RunningCluster, fund, signed, stepped_cluster
from tests.support.indexing import address, collection_created, confirmed, requested, uid
from tests.support.leaves import ModelTree, key, metadata_v2
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables
from tests.support.minting import BUFFER, DEPTH, LocalTree
from tests.support.tree_histories import CATS, MemoryHistory, with_collection

OPERATION = uid("operation")
FINALITY = 33
"""Slots after which the model chain finalizes a block (32), and one more."""


class Forgetful(RpcHistory):
    """A node that does not list some of what it has."""

    def __init__(self, rpc: JsonRpc) -> None:
        super().__init__(rpc)
        self.hidden: set[str] = set()

    async def signatures(
        self, address: str, before: str | None, until: str | None, limit: int, min_slot: int
    ) -> list[Landed]:
        """See `History.signatures`."""
        found = await super().signatures(address, before, until, limit, min_slot)
        return [each for each in found if each.signature not in self.hidden]


@dataclass
class World:
    cluster: RunningCluster
    history: Forgetful
    tree: LocalTree
    log: MemoryLog
    store: PostgresStore
    follower: TreeFollower
    reconciler: Reconciler
    minted: int = 0

    async def project(self) -> None:
        """Bring the tables up to the log."""
        for stream in (MINT, COLLECTION):
            after = await self.store.watermark(stream.name)
            if new := self.log.streams[stream.name][after:]:
                await self.store.apply(stream.name, after, [plan(raw) for raw in new])

    async def mint(self, *, told: bool) -> str:
        """Mint one on chain; `told`: by the operation, so that the log says it was confirmed."""
        node = self.cluster.node
        tx = self.tree.mint(node.heads.processed, self.minted)
        assert node.ledger.submit(tx)
        await node.step(2)
        if told:
            asset = str(self.tree.asset_id(self.minted))
            leaf = MintedLeaf(
                item=self.minted,
                asset_id=asset,
                leaf_index=self.minted,
                nonce=self.minted,
                owner=address("recipient"),
                leaf_hash="00" * 32,
            )
            slot = node.heads.confirmed.slot
            fact = confirmed(OPERATION, 0, self.minted, [self.minted])
            told_fact = Confirmed(
                operation=OPERATION, chunk=0, tx=self.minted, collection=CATS, tree=str(self.tree.address),
                signature=tx.signature, slot=slot, leaves=(leaf,), fee=fact.fee, attempt=1,
            )  # fmt: skip
            await self.log.publish(told_fact, cause=None)
        self.minted += 1
        return tx.signature

    async def differences(self) -> tuple[CollectionDrift, dict[DriftKind, Difference]]:
        """Finalize everything, observe it, compare and say it."""
        await self.cluster.node.step(FINALITY)
        await self.follower.catch_up(CATS, str(self.tree.address))
        await self.project()
        await self.reconciler.reconcile(None)
        fact = self.log.facts(CollectionDrift)[-1]
        return fact, {each.kind: each for each in fact.differences}

    async def burn(self, index: int) -> None:
        """Burn the asset at `index` by hand."""
        plain = MerkleTree(DEPTH)
        for fact in self.log.facts(CollectionObserved):
            for leaf in fact.leaves:
                plain.append(bytes.fromhex(leaf.leaf_hash))
        owner = self.tree.payer.pubkey()
        metadata = MetadataArgsV2(f"Item #{index}", "ITM", f"https://example.com/{index}.json", 500)
        nodes = [Pubkey.from_bytes(node) for node in plain.proof(index)]
        hashes = hashing.data_hash(metadata), hashing.creator_hash(())
        proof = LeafProof(plain.root, *hashes, index, index, nodes)
        payer = self.tree.payer
        burned = instructions.burn_v2(tree=self.tree.address, payer=owner, leaf_owner=owner, leaf=proof)
        node = self.cluster.node
        assert node.ledger.submit(parsed(signed(payer, [burned], node.heads.processed, units=200_000)))
        await node.step(2)


@asynccontextmanager
async def world(pool: Pool, store: PostgresStore) -> AsyncGenerator[World]:
    """A collection of one tree on a stepped cluster, and an operation for ten items, on the log and in the tables."""
    log, clock = MemoryLog(), SystemClock()
    async with stepped_cluster(programs=PROGRAMS) as cluster, httpx.AsyncClient() as http:
        node, url = cluster.node, cluster.addresses.rpc
        tree = LocalTree.planned(Keypair())
        await fund(cluster, tree.payer.pubkey())
        assert node.ledger.submit(tree.creation(node.ledger.svm, node.heads.processed))
        await node.step(2)
        rpc = JsonRpc(http, url, "rpc")
        history = Forgetful(rpc)
        follower = TreeFollower(log, [history], store, clock)
        providers = DasProviders([JsonRpc(http, url, "das"), JsonRpc(http, url, "das")], clock, rate=1e9)
        parts = Parts(SolanaRpc(rpc, rpc), follower, providers, PostgresComparisons(pool), store)
        made = World(cluster, history, tree, log, store, follower, Reconciler(log, parts, clock))
        shape = TreeShape(max_depth=DEPTH, max_buffer_size=BUFFER, canopy_depth=0)
        await log.publish(collection_created(CATS, tree_address=str(tree.address), tree=shape, slot=1), cause=None)
        await log.publish(requested(OPERATION, 10, collection=CATS), cause=None)
        await made.project()
        yield made


async def test_what_the_log_says_and_the_chain_has_agrees(pool: Pool, store: PostgresStore) -> None:
    async with world(pool, store) as here:
        for _ in range(3):
            await here.mint(told=True)
        fact, differences = await here.differences()
        assert differences == {}
        assert (fact.log, fact.projection, fact.chain, fact.observed, fact.living) == (3, 3, 3, 3, 3)
        assert fact.das is not None
        rows = await pool.fetch("SELECT * FROM assets ORDER BY leaf_index")
        assert [row["asset_id"] for row in rows] == [str(here.tree.asset_id(index)) for index in range(3)]
        assert {row["owner"] for row in rows} == {str(here.tree.payer.pubkey())}
        # The same again is not said twice, and what nobody minted here is.
        await here.differences()
        assert len(here.log.facts(CollectionDrift)) == 1
        await here.mint(told=False)
        fact, differences = await here.differences()
        assert differences.keys() == {DriftKind.MINTED_ELSEWHERE}
        assert differences[DriftKind.MINTED_ELSEWHERE].examples == (str(here.tree.asset_id(3)),)
        await here.burn(0)
        fact, differences = await here.differences()
        assert differences.keys() == {DriftKind.MINTED_ELSEWHERE, DriftKind.BURNED}
        assert (fact.observed, fact.living) == (4, 3)


async def test_a_confirmation_that_a_fork_dropped_is_an_alarm(pool: Pool, store: PostgresStore) -> None:
    async with world(pool, store) as here:
        await here.mint(told=True)
        dropped = await here.mint(told=True)
        await here.cluster.node.fork(2)
        fact, differences = await here.differences()
        alarm = differences[DriftKind.NOT_ON_CHAIN]
        assert alarm.alarm
        assert (alarm.count, alarm.examples) == (1, (dropped,))
        assert (fact.log, fact.chain, fact.observed) == (2, 1, 1)
        # It lands after all, by another transaction: the counts are right again.
        here.minted -= 1
        await here.mint(told=True)
        fact, differences = await here.differences()
        assert differences == {}
        assert (fact.log, fact.chain, fact.observed) == (2, 2, 2)


async def test_a_confirmation_that_no_node_shows_is_no_alarm(pool: Pool, store: PostgresStore) -> None:
    async with world(pool, store) as here:
        for _ in range(2):
            await here.mint(told=True)
        here.history.hidden.add(await here.mint(told=True))
        fact, differences = await here.differences()
        assert differences.keys() == {DriftKind.OBSERVATION_BEHIND}
        assert differences[DriftKind.OBSERVATION_BEHIND].examples == (f"{here.tree.address}: 3 to 3",)
        assert (fact.log, fact.chain, fact.observed) == (3, 3, 2)
        here.history.hidden.clear()
        fact, differences = await here.differences()
        assert differences == {}
        assert fact.observed == 3


async def test_a_lost_or_changed_row_is_seen_by_the_root(pool: Pool, store: PostgresStore) -> None:
    async with world(pool, store) as here:
        for _ in range(3):
            await here.mint(told=True)
        await here.cluster.node.step(FINALITY)
        await here.follower.catch_up(CATS, str(here.tree.address))
        await here.project()
        await pool.execute("UPDATE assets SET leaf_hash = decode(repeat('ab', 32), 'hex') WHERE leaf_index = 1")
        _, differences = await here.differences()
        assert differences[DriftKind.ROOT_DIFFERS].examples == (str(here.tree.address),)
        assert differences[DriftKind.ROOT_DIFFERS].alarm


async def test_postgres_holds_what_the_fold_in_memory_does(store: PostgresStore, pool: Pool) -> None:
    """Every batch size gives the same rows as the tables in memory."""
    model, history, log, tables = ModelTree(key(2), 2), MemoryHistory(), MemoryLog(), MemoryTables()
    await with_collection(log, tables, str(key(2)))
    for number in range(8):
        history.ran(model.mint(key(3), metadata_v2(f"N{number}")))
    history.ran(model.transfer(1, key(6)), model.burn(2), model.transfer(1, key(7)))
    follower = TreeFollower(log, [history], tables, ManualClock())
    await follower.catch_up(CATS, str(key(2)))
    history.ran(model.transfer(5, key(6)), model.burn(1))
    await follower.catch_up(CATS, str(key(2)))
    messages = log.streams[COLLECTION.name]
    await tables.apply(COLLECTION.name, tables.watermarks[COLLECTION.name], [plan(raw) for raw in messages[1:]])
    for after in range(len(messages)):
        await store.apply(COLLECTION.name, after, [plan(messages[after])])
    rows = await pool.fetch("SELECT * FROM assets ORDER BY leaf_index")
    expected = sorted(tables.assets.values(), key=lambda row: row.leaf_index)
    assert len(rows) == len(expected) == 8
    for row, asset in zip(rows, expected, strict=True):
        for name, value in row.items():
            assert value == getattr(asset, name), name
    assert [row["fate"] for row in rows][:3] == [LeafFate.LIVING, LeafFate.BURNED, LeafFate.BURNED]
    tree = (await pool.fetch("SELECT seq, root FROM observed_trees"))[0]
    assert (tree["seq"], tree["root"]) == (model.seq, model.tree.root)


async def test_a_backup_is_asked_when_the_first_node_is_away() -> None:
    async with stepped_cluster() as cluster:
        settings = IndexerSettings(
            nats_url="nats://127.0.0.1:1",
            database_url=Secret("postgresql://nobody@127.0.0.1:1/none"),
            rpc_url=Secret("http://127.0.0.1:1"),
            backup_rpc_urls=Secret(cluster.addresses.rpc),
            das_url=Secret(cluster.addresses.rpc),
        )
        async with endpoints.connect(settings) as connected:
            chain = SolanaRpc(Nodes(connected.nodes, SystemClock()), connected.das[0])
            nobody = str(Keypair().pubkey())
            for commitment in ("confirmed", "finalized"):
                assert (await chain.accounts([nobody], commitment)).by_address == {}
            away, there = (RpcHistory(node) for node in connected.nodes)
            assert await there.signatures(nobody, None, None, 1000, 0) == []
            with pytest.raises(ChainUnavailable, match="slot"):
                await there.signatures(nobody, None, None, 1000, 10**9)
            with pytest.raises(ChainUnavailable):
                await away.signatures(nobody, None, None, 1000, 0)


async def test_a_change_of_a_tree_is_heard_of() -> None:
    async with stepped_cluster(programs=PROGRAMS) as cluster:
        node = cluster.node
        tree = LocalTree.planned(Keypair())
        await fund(cluster, tree.payer.pubkey())
        assert node.ledger.submit(tree.creation(node.ledger.svm, node.heads.processed))
        await node.step(FINALITY)
        heard, news = asyncio.Event(), list[str]()

        def on_news(trees: Iterable[str]) -> None:
            news.extend(trees)
            heard.set()

        feed = TreeFeed(Secret(cluster.addresses.websocket), SystemClock(), lambda: [str(tree.address)], on_news)
        listening = asyncio.create_task(feed.run())
        try:
            async with asyncio.timeout(60):
                number = 0
                while not heard.is_set():  # until the subscription stands, nobody hears
                    assert node.ledger.submit(tree.mint(node.heads.processed, number))
                    number += 1
                    await node.step(FINALITY)
                    await asyncio.sleep(0.05)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        assert news[0] == str(tree.address)
