"""The minter's node pool and its subscription against running local clusters, with their faults."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from solders.keypair import Keypair

from chassis.clock import SystemClock
from chassis.settings import Secret
from localnet.cluster.faults import Faults
from localnet.cluster.model import LedgerLimits
from localnet.cluster.node import NodeOptions
from localnet.cluster.server import RunningCluster, running_cluster
from localnet.cluster.settings import ClusterSettings
from services.minter.adapters.pool import PoolOptions, RpcPool
from services.minter.adapters.subscription import SignatureFeed
from services.minter.landing import Commitment
from services.minter.ports import ChainUnavailable
from tests.support.cluster import SOL, TestClock, fund, signed, stepped_cluster, transfer_to
from tests.support.ending import end

UNSEEN = "1" * 64
EXPIRED = 151 + 32 + 5


@asynccontextmanager
async def pool(*urls: str, **options: float) -> AsyncGenerator[RpcPool]:
    chosen = PoolOptions(hedge_after=options.get("hedge_after", 60.0), timeout=options.get("timeout", 10.0))
    async with RpcPool.connect(urls, SystemClock(), chosen) as opened:
        yield opened


@pytest.fixture
async def cluster() -> AsyncGenerator[RunningCluster]:
    async with stepped_cluster() as running:
        yield running


async def paid(cluster: RunningCluster, rpc: RpcPool) -> tuple[str, bytes]:
    """A payment that nobody has sent yet: its signature and its bytes."""
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    recent = await rpc.recent_blockhash()
    transaction = signed(payer, [transfer_to(payer, Keypair().pubkey(), SOL)], recent.blockhash)
    return str(transaction.signatures[0]), bytes(transaction)


async def test_from_blockhash_to_finality(cluster: RunningCluster) -> None:
    async with pool(cluster.addresses.rpc) as rpc:
        signature, wire = await paid(cluster, rpc)
        await rpc.send(wire)
        await cluster.node.step(3)
        state = (await rpc.look([signature], search_history=False)).found[signature]
        assert (state.commitment, state.error) == (Commitment.CONFIRMED, None)
        executed = await rpc.transaction(signature)
        assert executed is not None
        assert executed.fee == 5_000
        await cluster.node.step(40)
        state = (await rpc.look([signature], search_history=False)).found[signature]
        assert state.commitment is Commitment.FINALIZED


async def test_a_lagging_read_never_goes_back_behind_what_was_seen(cluster: RunningCluster) -> None:
    async with pool(cluster.addresses.rpc) as rpc:
        signature, wire = await paid(cluster, rpc)
        await rpc.send(wire)
        await cluster.node.step(3)
        await rpc.look([signature], search_history=False)
        cluster.node.set_faults(Faults(lag_slots=20))
        with pytest.raises(ChainUnavailable, match="behind"):
            await rpc.look([signature], search_history=False)
        cluster.node.set_faults(Faults())
        assert signature in (await rpc.look([signature], search_history=False)).found


async def test_a_429_sends_the_read_to_the_other_node_and_leaves_the_first_alone(cluster: RunningCluster) -> None:
    async with stepped_cluster() as limited:
        await limited.node.step(5)
        limited.node.set_faults(Faults(rate_limit_share=1.0, retry_after_seconds=3600))
        async with pool(limited.addresses.rpc, cluster.addresses.rpc) as rpc:
            await rpc.minimum_rent(1)
            first, second = (await rpc.check()).values()
    assert 60 < first.rests_for_seconds <= 120, "a node is not believed for ever"
    assert (second.rests_for_seconds, second.circuit) == (0, "closed")


async def test_a_cluster_with_another_genesis_proves_nothing() -> None:
    """Its blocks are far ahead: taken for ours, everything would be expired."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(stepped_cluster())
        options = NodeOptions(
            data=None, slot_seconds=None, limits=LedgerLimits(), seed=b"another genesis", clock=TestClock()
        )
        other = await stack.enter_async_context(running_cluster(ClusterSettings(), options))
        await other.node.step(EXPIRED)
        rpc = await stack.enter_async_context(pool(ours.addresses.rpc, other.addresses.rpc))
        head = (await rpc.look([UNSEEN], search_history=True)).head
    assert head is not None
    assert head.block_height < EXPIRED


async def test_what_was_never_sent_is_proven_expired_and_what_landed_is_found_in_the_history(
    cluster: RunningCluster,
) -> None:
    async with pool(cluster.addresses.rpc) as rpc:
        signature, wire = await paid(cluster, rpc)
        last_valid = (await rpc.recent_blockhash()).last_valid_block_height
        await rpc.send(wire)
        await cluster.node.step(EXPIRED)
        look = await rpc.look([signature, UNSEEN], search_history=True)
    assert list(look.found) == [signature]
    assert look.head is not None
    assert look.head.block_height > last_valid
    assert look.history_from == 0


async def test_a_node_that_errs_is_passed_over_and_one_that_is_gone_too(cluster: RunningCluster) -> None:
    async with stepped_cluster() as failing:
        failing.node.set_faults(Faults(error_share=1.0))
        async with pool("http://127.0.0.1:9", failing.addresses.rpc, cluster.addresses.rpc) as rpc:
            assert await rpc.minimum_rent(0) > 0
    async with pool("http://127.0.0.1:9") as rpc:
        with pytest.raises(ChainUnavailable, match=r"1 127\.0\.0\.1:9: "):
            await rpc.minimum_rent(0)


async def test_fees_and_balances_are_read(cluster: RunningCluster) -> None:
    async with pool(cluster.addresses.rpc) as rpc:
        payer = Keypair()
        await fund(cluster, payer.pubkey(), lamports=SOL)
        assert await rpc.balance(payer.pubkey()) == SOL
        recent = await rpc.recent_blockhash()
        work = [transfer_to(payer, Keypair().pubkey(), 1_000_000)]
        await rpc.send(bytes(signed(payer, work, recent.blockhash, price=7_000, units=10_000)))
        await cluster.node.step(3)
        assert max(await rpc.recent_fees([str(payer.pubkey())])) == 7_000


async def test_a_confirmation_is_heard_of_and_so_is_one_that_was_before(cluster: RunningCluster) -> None:
    heard = asyncio.Queue[None]()
    feed = SignatureFeed(Secret(cluster.addresses.websocket), SystemClock(), lambda: heard.put_nowait(None))
    running = asyncio.create_task(feed.run())
    try:
        async with pool(cluster.addresses.rpc) as rpc, asyncio.timeout(30):
            signature, wire = await paid(cluster, rpc)
            feed.listen(signature)
            await rpc.send(wire)
            await cluster.node.step(3)
            await heard.get()
            early, wire = await paid(cluster, rpc)
            await rpc.send(wire)
            await cluster.node.step(3)
            feed.listen(early)
            await heard.get()
            feed.listen(early)
            await cluster.node.step(3)
            assert heard.empty(), "what was heard is not listened for again"
    finally:
        await end([running])


@pytest.mark.parametrize("answers", [["not json"], ['{"method": 7}'], ["[]"], ['{"id": 1, "result": "x"}', "\x00"]])
async def test_a_feed_outlives_whatever_its_node_says(answers: Sequence[str]) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    connections = asyncio.Queue[None]()

    async def hostile(socket: ServerConnection) -> None:
        connections.put_nowait(None)
        await socket.recv()
        for answer in answers:
            await socket.send(answer)

    async with serve(hostile, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        feed = SignatureFeed(Secret(f"ws://127.0.0.1:{port}"), SystemClock(), lambda: None)
        running = asyncio.create_task(feed.run())
        feed.listen(UNSEEN)
        async with asyncio.timeout(30):
            await connections.get()
            await connections.get()
        assert not running.done()
        await end([running])
