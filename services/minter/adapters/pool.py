"""Several Solana nodes as one chain: implements `services.minter.ports.Chain` and `FeeMarket`.

Reads go to one node, and to the next one when it fails, is behind, or takes long; sends go to several at once. Looks
that prove something (an expiry, an error) go to every node. The rules are in `services.minter.pooling`, the guard of
each node is in `node`. Calls that lost a race run to their end in the background, so that a node's circuit hears how
they ended; their number is bounded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chassis.clock import Clock
from chassis.logs import get_logger
from contracts.health import NodeReported
from services.minter.adapters.node import Guard, Node
from services.minter.adapters.solana_rpc import Answer, SolanaRpc
from services.minter.pooling import Floor, lag, merge, newest_slot, order
from services.minter.ports import (
    ChainUnavailable,
    ConfirmedTransaction,
    FinalizedHead,
    Look,
    OwnedAccount,
    RecentBlockhash,
    Simulation,
)

BLOCKHASH_REFRESH: Final = 1.0
"""Seconds between two readings of the shared blockhash while it is in demand."""
BLOCKHASH_MAX_AGE: Final = 2.5
"""Seconds for which a blockhash is handed out; it lives for about a minute."""
BLOCKHASH_DEMAND: Final = 10.0
"""Seconds after its last use for which the blockhash is kept fresh."""
PROBE_INTERVAL: Final = 2.0
"""Seconds between two looks at how far behind each of several nodes is."""
MAX_CALLS: Final = 4096
"""Most calls under way, with those whose answer is no longer awaited."""

GENESIS: Final[Mapping[str, str]] = {
    "mainnet-beta": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
}
"""Genesis hashes of the public clusters (Solana's documentation of its clusters)."""

T = TypeVar("T")
Work = Callable[[Node], Coroutine[Any, Any, T]]
"""A call of a node, through its guard."""

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How the pool treats its nodes. Times in seconds."""

    timeout: float = 10.0
    hedge_after: float = 1.0
    """A read that has taken this long is also put to the next node; the first answer counts."""
    broadcast: int = 2
    """How many nodes a transaction is sent to at once."""
    max_lag: int = 8
    """Slots behind the newest node from which on a node is asked last."""
    genesis: str | None = None
    """Genesis hash of the cluster; None: several nodes must agree with the first that tells its own."""


class RpcPool:
    """Nodes in the operator's order of preference, as one chain."""

    def __init__(self, nodes: Sequence[Node], clock: Clock, options: PoolOptions) -> None:
        self._nodes = tuple(nodes)
        self._clock = clock
        self._options = options
        self._calls: set[asyncio.Task[Any]] = set()
        self._looks, self._confirmed = Floor(), Floor()
        self._blockhash: RecentBlockhash | None = None
        self._blockhash_read_at = float("-inf")
        self._blockhash_used_at = float("-inf")
        self._blockhash_lock = asyncio.Lock()
        self._rent: dict[int, int] = {}

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, urls: Sequence[str], clock: Clock, options: PoolOptions | None = None
    ) -> AsyncGenerator[Self]:
        """Open a client for each URL, closed on leaving. Nothing is asked of the nodes yet."""
        options = options or PoolOptions()
        guard = Guard(options.genesis, compare=len(urls) > 1)
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(SolanaRpc.connect(url, options.timeout)) for url in urls]
            pairs = enumerate(zip(urls, clients, strict=True), 1)
            pool = cls([Node.guarded(n, url, rpc, clock, guard) for n, (url, rpc) in pairs], clock, options)
            stack.push_async_callback(pool.close)
            yield pool

    async def close(self) -> None:
        """Cut off the calls whose answers nobody awaits any more."""
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def run(self) -> None:
        """Keep the blockhash fresh while it is used, and know how far behind each node is; until cancelled."""
        await asyncio.gather(self._refresh(), self._probe())

    async def recent_blockhash(self) -> RecentBlockhash:
        """See `Chain.recent_blockhash`; shared, and refreshed ahead of need while `run` is running."""
        self._blockhash_used_at = self._clock.monotonic()
        async with self._blockhash_lock:
            if self._blockhash is None or self._clock.monotonic() - self._blockhash_read_at >= BLOCKHASH_MAX_AGE:
                return await self._read_blockhash()
            return self._blockhash

    async def simulate(self, transaction: VersionedTransaction) -> Simulation:
        """See `Chain.simulate`."""
        return (await self._ask(lambda node: node.call(lambda rpc: rpc.simulate(transaction)), self._is_recent)).value

    async def send(self, wire: bytes) -> None:
        """See `Chain.send`: to `broadcast` nodes at once, and to another for each that fails; one is enough."""
        await self._race(lambda node: node.call(lambda rpc: rpc.send(wire)), at_once=self._options.broadcast)

    async def finalized_head(self) -> FinalizedHead:
        """See `Chain.finalized_head`."""
        return await self._ask(Node.finalized_head)

    async def look(self, signatures: Sequence[str], *, search_history: bool) -> Look:
        """See `Chain.look`. Recent signatures are asked of one node; the history, and after any error all, of every."""
        wanted = list(signatures)
        if search_history:
            return await self._look_everywhere(wanted, search_history=True)
        _, look = await self._ask(
            lambda node: node.look(wanted, search_history=False),
            lambda answer: self._looks.admits(answer[0], self._clock.monotonic()),
        )
        if len(self._nodes) > 1 and any(state.error is not None for state in look.found.values()):
            return merge([look, await self._look_everywhere(wanted, search_history=False)])
        return look

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        """See `Chain.transaction`; None when every node that answered does not have it yet."""
        missing = False

        def shown(found: ConfirmedTransaction | None) -> bool:
            nonlocal missing
            missing = missing or found is None
            return found is not None

        try:
            return await self._ask(lambda node: node.call(lambda rpc: rpc.transaction(signature)), shown)
        except ChainUnavailable:
            # The caller asks again for one that is only not shown yet; what failed elsewhere does not matter then.
            if missing:
                return None
            raise

    async def minimum_rent(self, size: int) -> int:
        """See `Chain.minimum_rent`; a constant of the cluster, asked once a size."""
        if size not in self._rent:
            self._rent[size] = await self._ask(lambda node: node.call(lambda rpc: rpc.minimum_rent(size)))
        return self._rent[size]

    async def accounts(self, addresses: Sequence[str]) -> Sequence[bytes | None]:
        """See `Chain.accounts`."""
        return [None if each is None else each.data for each in await self.owned_accounts(addresses)]

    async def owned_accounts(self, addresses: Sequence[str]) -> Sequence[OwnedAccount | None]:
        """See `importing.Accounts.owned_accounts`."""
        return (await self._ask(lambda node: node.call(lambda rpc: rpc.accounts(addresses)), self._is_recent)).value

    async def recent_fees(self, addresses: Sequence[str]) -> Sequence[int]:
        """See `FeeMarket.recent_fees`."""
        return await self._ask(lambda node: node.call(lambda rpc: rpc.recent_fees(addresses)))

    async def balance(self, address: Pubkey) -> int:
        """Return the lamports of an account at `confirmed`; raises ChainUnavailable."""
        return (await self._ask(lambda node: node.call(lambda rpc: rpc.balance(address)), self._is_recent)).value

    async def check(self) -> dict[str, NodeReported]:
        """Return what is known of each node, when one of them answers; raises ChainUnavailable. For readiness."""
        await self.finalized_head()
        await asyncio.gather(*(self._measure(node) for node in self._nodes))
        return {node.name: node for node in self.nodes()}

    def nodes(self) -> list[NodeReported]:
        """Return what was last known of each node, named by position and host: their URLs may hold keys."""
        facts = [node.facts() for node in self._nodes]
        newest = newest_slot(facts)
        return [
            NodeReported(
                name=node.name,
                slot=node.slot,
                lag_slots=lag(fact, newest),
                circuit=node.circuit,
                rests_for_seconds=round(node.rests_for, 1),
                excluded=node.excluded,
            )
            for node, fact in zip(self._nodes, facts, strict=True)
        ]

    def _is_recent(self, answer: Answer[Any]) -> bool:
        return self._confirmed.admits(answer.slot, self._clock.monotonic())

    async def _read_blockhash(self) -> RecentBlockhash:
        answer = await self._ask(lambda node: node.call(lambda rpc: rpc.recent_blockhash()), self._is_recent)
        self._blockhash, self._blockhash_read_at = answer.value, self._clock.monotonic()
        return self._blockhash

    async def _refresh(self) -> None:
        while True:
            await self._clock.sleep(BLOCKHASH_REFRESH)
            if self._clock.monotonic() - self._blockhash_used_at > BLOCKHASH_DEMAND:
                continue
            try:
                await self._read_blockhash()
            except ChainUnavailable as error:
                # Try again at the next turn; whoever needs one meanwhile reads it itself, and hears of the trouble.
                _logger.warning("blockhash not refreshed", reason=str(error))

    async def _probe(self) -> None:
        if len(self._nodes) == 1:
            return
        while True:
            await asyncio.gather(*(self._measure(node) for node in self._nodes))
            await self._clock.sleep(PROBE_INTERVAL)

    async def _measure(self, node: Node) -> None:
        try:
            node.learn(await node.call(lambda rpc: rpc.slot()))
        except ChainUnavailable as error:
            # Its circuit has heard; the next turn asks again.
            _logger.debug("node not measured", node=node.name, reason=str(error))

    def _order(self) -> list[Node]:
        facts = [node.facts() for node in self._nodes]
        by_position = {node.position: node for node in self._nodes}
        return [by_position[position] for position in order(facts, self._options.max_lag)]

    async def _look_everywhere(self, signatures: list[str], *, search_history: bool) -> Look:
        calls = [
            self._start(node, lambda each: each.look(signatures, search_history=search_history))
            for node in self._order()
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        looks: list[Look] = []
        reasons: list[str] = []
        for result in results:
            if isinstance(result, ChainUnavailable):
                reasons.append(str(result))  # proves nothing, and takes nothing from what the others prove
            elif isinstance(result, BaseException):
                raise result
            else:
                looks.append(result[1])
        if not looks:
            raise ChainUnavailable("; ".join(reasons) or self._idle())
        return merge(looks)

    async def _ask(self, work: Work[T], accept: Callable[[T], bool] | None = None) -> T:
        return await self._race(work, accept, at_once=1)

    async def _race(self, work: Work[T], accept: Callable[[T], bool] | None = None, *, at_once: int) -> T:
        """Return the first answer that is accepted; raises ChainUnavailable when no node gives one."""
        waiting = deque(self._order())
        running: dict[asyncio.Task[T], Node] = {}
        reasons: list[str] = []
        while waiting or running:
            while waiting and len(running) < at_once:
                node = waiting.popleft()
                running[self._start(node, work)] = node
            done, _ = await asyncio.wait(
                running, timeout=self._options.hedge_after if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                at_once = len(running) + 1  # the next one too: those asked take long
            for task in done:
                node = running.pop(task)
                error = task.exception()
                if error is None:
                    if accept is None or accept(task.result()):
                        return task.result()
                    reasons.append(f"{node.name}: behind")
                elif isinstance(error, ChainUnavailable):
                    reasons.append(f"{node.name}: {error}")  # the next node; when there is none, the caller decides
                else:
                    raise error
        raise ChainUnavailable("; ".join(reasons) or self._idle())

    def _idle(self) -> str:
        return "no node may be asked now: each is over its request budget or of another cluster"

    def _start(self, node: Node, work: Work[T]) -> asyncio.Task[T]:
        """Run a call that outlives whoever asked, to its own end: its node's circuit needs to hear how it ended."""
        if len(self._calls) >= MAX_CALLS:
            raise ChainUnavailable(f"more than {MAX_CALLS} calls under way")
        task: asyncio.Task[T] = asyncio.create_task(work(node))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, ChainUnavailable):
            # Whoever awaits it gets it raised; when nobody does any more, this line is all that tells of the defect.
            _logger.error("call of a node failed unexpectedly", exc_info=error)
