"""Several Solana nodes of one cluster: each by itself for what has to come from one, and any of them for single calls.

`Node` serves `tree_history`, where pages of one listing must come from one node; `Nodes` serves `solana_rpc`. Where
there are several, each is asked once which cluster it is of, and one of another cluster than the first that told is not
used: its slots would make everything that the right ones say look old.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeVar

from chassis.clock import Clock
from chassis.json_rpc import JsonRpc, RpcRefused
from chassis.telemetry import get_logger
from services.indexer.ports import ChainUnavailable
from services.indexer.preference import Preference

T = TypeVar("T")

_log = get_logger(__name__)


class Caller(Protocol):
    """What answers JSON-RPC calls: `chassis.json_rpc.JsonRpc`, or one of the classes here."""

    async def call(self, method: str, params: object, result: type[T]) -> T:
        """Return the call's result; raises RpcRefused and ChainUnavailable."""
        ...


class Cluster:
    """The cluster that all nodes have to be of: that of the first node which told its own."""

    def __init__(self) -> None:
        self._genesis: str | None = None

    def admits(self, genesis: str) -> bool:
        """Whether a node with this genesis hash is of the cluster."""
        self._genesis = self._genesis or genesis
        return genesis == self._genesis


class Node:
    """One of several nodes; `number` is its place in the operator's order, from 1."""

    def __init__(self, rpc: JsonRpc, cluster: Cluster, number: int) -> None:
        self._rpc = rpc
        self._cluster = cluster
        self._number = number
        self._admitted = False
        self._asking = asyncio.Lock()

    async def call(self, method: str, params: object, result: type[T]) -> T:
        """See `Caller.call`; ChainUnavailable also from a node of another cluster."""
        if not self._admitted:
            async with self._asking:
                await self._verify()
        return await self._rpc.call(method, params, result)

    async def _verify(self) -> None:
        if self._admitted:
            return
        genesis = await self._rpc.call("getGenesisHash", [], str)
        if not self._cluster.admits(genesis):
            _log.error("node of another cluster is not used", node=self._number, genesis=genesis)
            raise ChainUnavailable(f"node {self._number} is of another cluster (genesis hash {genesis})")
        self._admitted = True


class Nodes:
    """Any of several nodes, in the operator's order; one that gave no answer is asked last for a while."""

    def __init__(self, nodes: Sequence[Caller], clock: Clock) -> None:
        self._nodes = nodes
        self._preference = Preference(len(nodes), clock)

    async def call(self, method: str, params: object, result: type[T]) -> T:
        """Return the first answer; raises ChainUnavailable when no node gives one."""
        reasons: list[str] = []
        for position in self._preference.order():
            try:
                return await self._nodes[position].call(method, params, result)
            except (ChainUnavailable, RpcRefused) as error:
                # Ask the next node: the requests are well-formed, so this one is unfit just now.
                self._preference.failed(position)
                reasons.append(f"node {position + 1}: {error}")
        raise ChainUnavailable("; ".join(reasons))


def of_one_cluster(rpcs: Sequence[JsonRpc]) -> Sequence[Caller]:
    """Return each node guarded by the others' cluster; a single one needs no guard."""
    cluster = Cluster()
    return [Node(rpc, cluster, number) for number, rpc in enumerate(rpcs, 1)] if len(rpcs) > 1 else list(rpcs)
