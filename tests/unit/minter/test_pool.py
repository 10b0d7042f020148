"""The node pool with nodes that lag, contradict one another, are over budget, dead, slow or of another cluster."""

import asyncio

import pytest

from chassis.clock import ManualClock
from contracts.health import NodeReported
from contracts.mint import Attempt
from services.minter.adapters.node import FAILURES, FIRST_PAUSE, OPEN_SECONDS, host
from services.minter.adapters.pool import BLOCKHASH_REFRESH, PROBE_INTERVAL
from services.minter.adapters.solana_rpc import NodeRefused, RateLimited
from services.minter.landing import ChainView, Commitment, SignatureState, is_dead
from services.minter.ports import ChainUnavailable, FinalizedHead, Look
from tests.support.fake_nodes import FakeNode, dead, pool_of

LANDED = SignatureState(990, Commitment.CONFIRMED)
FAILED = SignatureState(990, Commitment.FINALIZED, {"InstructionError": [0, {"Custom": 1}]})


async def turn() -> None:
    """Let the calls in the background go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_reads_go_to_the_first_node_and_to_the_next_when_it_fails() -> None:
    first, second = FakeNode(), FakeNode()
    async with pool_of(first, second) as pool:
        await pool.minimum_rent(1)
        assert (first.calls, second.calls) == (["genesis_hash", "minimum_rent"], [])
        first.fails = dead()
        assert await pool.minimum_rent(2) == 2
    assert second.calls == ["genesis_hash", "minimum_rent"]


async def test_when_no_node_answers_each_says_why_and_none_shows_its_key() -> None:
    async with pool_of(FakeNode(fails=dead()), FakeNode(fails=RateLimited("HTTP status 429", None))) as pool:
        with pytest.raises(ChainUnavailable) as refused:
            await pool.minimum_rent(1)
    assert "1 node1.example: getSlot: ConnectError; 2 node2.example: HTTP status 429" in str(refused.value)
    assert "secret-key" not in str(refused.value)


async def test_an_answer_from_an_older_bank_than_the_last_one_is_not_taken() -> None:
    ahead, behind = FakeNode(at=1000), FakeNode(at=999, found={"a": LANDED})
    async with pool_of(ahead, behind) as pool:
        await pool.look(["a"], search_history=False)
        ahead.fails = dead()
        with pytest.raises(ChainUnavailable, match="behind"):
            await pool.look(["a"], search_history=False)
        behind.at = 1000
        assert (await pool.look(["a"], search_history=False)).found == {"a": LANDED}


async def test_a_proof_pairs_the_head_and_the_answer_of_one_node() -> None:
    """A head told by one node and an answer of another that lags must never meet."""
    ahead = FakeNode(at=5000, fails=None)
    lagging = FakeNode(at=100, head=FinalizedHead(101, 101))
    async with pool_of(lagging, ahead) as pool:
        ahead.fails = dead()
        assert await pool.look(["a"], search_history=True) == Look(None, {})
        ahead.fails = None
        assert await pool.look(["a"], search_history=True) == Look(FinalizedHead(4968, 4968), {})


async def test_before_anything_is_proven_expired_every_node_is_asked() -> None:
    first, second, third = FakeNode(at=1100), FakeNode(at=1000, found={"a": LANDED}), FakeNode(fails=dead())
    async with pool_of(first, second, third) as pool:
        look = await pool.look(["a", "b"], search_history=True)
    assert look == Look(FinalizedHead(1068, 1068), {"a": LANDED})


async def test_a_history_that_does_not_reach_back_proves_nothing_older() -> None:
    """A node without long-term storage does not find what landed days ago; that is no proof that it did not."""
    recent, archive = FakeNode(at=9000, oldest=8000), FakeNode(at=8990, oldest=0)
    async with pool_of(recent) as pool:
        look = await pool.look(["a"], search_history=True)
    assert (look.head, look.history_from) == (FinalizedHead(8968, 8968), 8000)
    old = Attempt(number=1, signature="a", blockhash="1" * 32, last_valid_block_height=8149)
    new = Attempt(number=1, signature="a", blockhash="1" * 32, last_valid_block_height=8150)
    view = ChainView(look.found, 8968, searched=True, history_from=look.history_from)
    assert [is_dead(attempt, view) for attempt in (old, new)] == [False, True]
    async with pool_of(recent, archive) as pool:
        assert await pool.look(["a"], search_history=True) == Look(FinalizedHead(8958, 8958), {}, 0)


async def test_a_node_that_does_not_tell_how_far_it_looked_back_proves_nothing() -> None:
    class Silent(FakeNode):
        async def history_from(self) -> int:
            raise ChainUnavailable("getBlock: HTTP status 500")

    async with pool_of(Silent(found={"a": LANDED})) as pool:
        assert await pool.look(["a", "b"], search_history=True) == Look(None, {"a": LANDED})


async def test_an_error_that_one_node_tells_is_held_against_the_others() -> None:
    async with pool_of(FakeNode(found={"a": FAILED}), FakeNode(found={"a": LANDED})) as pool:
        assert (await pool.look(["a"], search_history=False)).found == {"a": LANDED}


async def test_a_landing_that_one_node_tells_needs_no_second() -> None:
    second = FakeNode()
    async with pool_of(FakeNode(found={"a": LANDED}), second) as pool:
        await pool.look(["a"], search_history=False)
    assert second.calls == []


async def test_without_its_head_a_node_still_tells_what_landed() -> None:
    class Headless(FakeNode):
        async def finalized_head(self) -> FinalizedHead:
            raise ChainUnavailable("getEpochInfo: HTTP status 500")

    async with pool_of(Headless(found={"a": LANDED})) as pool:
        assert await pool.look(["a"], search_history=True) == Look(None, {"a": LANDED})


async def test_a_node_that_asks_for_rest_gets_it() -> None:
    clock = ManualClock()
    first, second = FakeNode(fails=RateLimited("HTTP status 429", 30.0)), FakeNode()
    async with pool_of(first, second, clock=clock) as pool:
        await pool.minimum_rent(1)
        first.calls.clear()
        first.fails = None
        await clock.advance(29)
        await pool.minimum_rent(2)
        assert first.calls == []
        await clock.advance(1)
        await pool.minimum_rent(3)
        assert first.calls[-1] == "minimum_rent"


async def test_a_429_without_a_time_doubles_the_rest_until_an_answer_comes() -> None:
    clock = ManualClock()
    node = FakeNode(fails=RateLimited("HTTP status 429", None))
    async with pool_of(node, clock=clock) as pool:
        for pause in (FIRST_PAUSE, FIRST_PAUSE * 2):
            with pytest.raises(ChainUnavailable, match="429"):
                await pool.minimum_rent(1)
            await clock.advance(pause - 0.1)
            with pytest.raises(ChainUnavailable, match="request budget"):
                await pool.minimum_rent(1)
            await clock.advance(0.1)
        node.fails = None
        await pool.minimum_rent(1)
        node.fails = RateLimited("HTTP status 429", None)
        with pytest.raises(ChainUnavailable):
            await pool.minimum_rent(2)
        await clock.advance(FIRST_PAUSE)
        node.fails = None
        await pool.minimum_rent(2)


async def test_a_node_that_fails_again_and_again_is_left_alone_and_tried_later() -> None:
    clock = ManualClock()
    first, second = FakeNode(fails=dead()), FakeNode()
    async with pool_of(first, second, clock=clock) as pool:
        for size in range(FAILURES + 3):
            await pool.minimum_rent(size)
        assert len(first.calls) == FAILURES
        assert _states(await pool.check()) == ["opened", "closed"]
        first.fails = None
        await clock.advance(OPEN_SECONDS)
        await pool.minimum_rent(100)
        assert first.calls[-1] == "minimum_rent"
        assert _states(await pool.check()) == ["closed", "closed"]


def _states(report: dict[str, NodeReported]) -> list[str]:
    return [node.circuit for node in report.values()]


async def test_a_request_that_the_node_refuses_does_not_open_its_circuit() -> None:
    node = FakeNode(fails=NodeRefused("sendTransaction: invalid transaction"))
    async with pool_of(node) as pool:
        for _ in range(FAILURES * 2):
            with pytest.raises(ChainUnavailable, match="invalid transaction"):
                await pool.send(b"wire")
        assert len(node.calls) == FAILURES * 2


async def test_a_transaction_goes_to_several_nodes_and_to_another_for_each_that_fails() -> None:
    nodes = [FakeNode(fails=dead()), FakeNode(), FakeNode(), FakeNode()]
    nodes[1].open.clear()
    async with pool_of(*nodes, broadcast=2) as pool:
        await pool.send(b"wire")
        nodes[1].open.set()
        await turn()
    assert [node.sent for node in nodes] == [[], [b"wire"], [b"wire"], []]


async def test_a_slow_node_delays_no_send_and_gets_it_all_the_same() -> None:
    slow, quick = FakeNode(), FakeNode()
    slow.open.clear()
    async with pool_of(slow, quick, broadcast=2) as pool:
        await pool.send(b"wire")
        assert (slow.sent, quick.sent) == ([], [b"wire"])
        slow.open.set()
        await turn()
        assert slow.sent == [b"wire"]


async def test_a_read_that_takes_long_is_put_to_the_next_node() -> None:
    slow, quick = FakeNode(), FakeNode()
    slow.open.clear()
    async with pool_of(slow, quick, hedge_after=0.01) as pool:
        assert await pool.minimum_rent(7) == 7
        assert quick.calls[-1] == "minimum_rent"


async def test_a_node_of_another_cluster_is_never_believed() -> None:
    stranger = FakeNode(at=9_000_000, genesis="other")
    async with pool_of(FakeNode(), stranger) as pool:
        look = await pool.look(["a"], search_history=True)
        assert look.head == FinalizedHead(968, 968)
        await pool.send(b"wire")
        await turn()
        assert stranger.calls == ["genesis_hash"]
        assert "another cluster" in str((await pool.check())["2 node2.example"].excluded)


async def test_without_a_known_genesis_the_nodes_must_agree_with_the_first() -> None:
    async with pool_of(FakeNode(genesis="x"), FakeNode(genesis="y"), genesis=None) as pool:
        await pool.minimum_rent(1)
        await pool.look(["a"], search_history=True)
        report = await pool.check()
    assert [bool(node.excluded) for node in report.values()] == [False, True]


async def test_a_transaction_that_the_first_node_does_not_show_is_asked_of_the_next() -> None:
    async with pool_of(FakeNode(), FakeNode(fails=dead())) as pool:
        assert await pool.transaction("a") is None
    async with pool_of(FakeNode(fails=dead()), FakeNode(fails=dead())) as pool:
        with pytest.raises(ChainUnavailable):
            await pool.transaction("a")


async def test_the_blockhash_is_shared_and_refreshed_ahead_of_need_while_it_is_used() -> None:
    clock, node = ManualClock(), FakeNode()
    async with pool_of(node, clock=clock) as pool:
        task = asyncio.create_task(pool.run())
        first = await pool.recent_blockhash()
        assert await pool.recent_blockhash() == first
        node.at = 1002
        await clock.advance(BLOCKHASH_REFRESH)
        await turn()
        node.calls.clear()
        assert (await pool.recent_blockhash()).last_valid_block_height == 1152
        assert node.calls == [], "read before it was asked for"
        await clock.advance(60)
        await turn()
        idle = len(node.calls)
        await clock.advance(60)
        await turn()
        assert len(node.calls) == idle, "not read while nobody uses it"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_node_that_falls_behind_is_asked_last_once_that_is_known() -> None:
    clock = ManualClock()
    first, second = FakeNode(at=1000), FakeNode(at=1000)
    async with pool_of(first, second, clock=clock) as pool:
        task = asyncio.create_task(pool.run())
        await turn()
        second.at = 1100
        await clock.advance(PROBE_INTERVAL)
        await turn()
        first.calls.clear()
        await pool.minimum_rent(5)
        assert first.calls == []
        assert (await pool.check())["1 node1.example"].lag_slots == 100
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://solana-mainnet.g.alchemy.com/v2/KEY", "solana-mainnet.g.alchemy.com"),
        ("https://user:KEY@rpc.example:8443/?api-key=KEY", "rpc.example:8443"),
        ("http://[::1]:8899", "::1:8899"),
        ("http://host:KEY/", "host"),
        ("KEY", "?"),
    ],
)
def test_only_the_host_of_an_endpoint_is_shown(url: str, shown: str) -> None:
    assert host(url) == shown
