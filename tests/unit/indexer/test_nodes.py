"""Several nodes: the next one is asked for what one does not answer, and none of another cluster is believed."""

from dataclasses import dataclass, field

import pytest

from chassis.chain import node_urls
from chassis.clock import ManualClock
from chassis.json_rpc import RpcError, RpcRefused
from chassis.redaction import Secret
from services.indexer.adapters.nodes import Nodes, of_one_cluster
from services.indexer.ports import ChainUnavailable
from services.indexer.preference import REST_SECONDS


@dataclass
class Answering:
    """A node that says its name, unless it is broken."""

    name: str
    genesis: str = "mainnet"
    error: Exception | None = None
    asked: list[str] = field(default_factory=list[str])

    async def call(self, method: str, params: object, result: type[str]) -> str:
        self.asked.append(method)
        if self.error is not None:
            raise self.error
        return self.genesis if method == "getGenesisHash" else self.name


def pool(clock: ManualClock, *nodes: Answering) -> Nodes:
    return Nodes(of_one_cluster(nodes), clock)  # type: ignore[arg-type] # every result here is a text


@pytest.mark.parametrize(
    "error", [ChainUnavailable("down"), RpcRefused("getSlot", RpcError(-32016, "Minimum context slot"))]
)
async def test_the_next_node_is_asked_and_the_first_again_later(error: Exception) -> None:
    clock, first, second = ManualClock(), Answering("first"), Answering("second")
    nodes = pool(clock, first, second)
    assert await nodes.call("getSlot", [], str) == "first"
    assert second.asked == []
    first.error = error
    assert await nodes.call("getSlot", [], str) == "second"
    first.error = None
    assert await nodes.call("getSlot", [], str) == "second"
    await clock.advance(REST_SECONDS)
    assert await nodes.call("getSlot", [], str) == "first"
    first.error = second.error = ChainUnavailable("down")
    with pytest.raises(ChainUnavailable, match=r"node 1: down; node 2: down"):
        await nodes.call("getSlot", [], str)


async def test_a_node_of_another_cluster_is_not_used() -> None:
    clock, first, stranger = ManualClock(), Answering("first"), Answering("stranger", "devnet")
    nodes = pool(clock, first, stranger)
    assert await nodes.call("getSlot", [], str) == "first"
    first.error = ChainUnavailable("down")
    with pytest.raises(ChainUnavailable, match="node 2 is of another cluster"):
        await nodes.call("getSlot", [], str)
    assert stranger.asked == ["getGenesisHash"]
    assert first.asked.count("getGenesisHash") == 1


async def test_a_single_node_is_asked_for_nothing_else() -> None:
    only = Answering("only")
    assert await pool(ManualClock(), only).call("getSlot", [], str) == "only"
    assert only.asked == ["getSlot"]


def test_urls_in_their_order_each_once() -> None:
    first = Secret("https://a")
    assert node_urls(first, None) == ["https://a"]
    assert node_urls(first, Secret("https://b, https://a,, https://c ")) == ["https://a", "https://b", "https://c"]
