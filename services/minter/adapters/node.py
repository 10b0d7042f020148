"""A guarded node: which cluster it is of, its request budget, its circuit. Used by the pool alone.

Its circuit opens after failures in a row and lets requests through again after a while. It only says whom to ask; no
outcome is ever concluded from it. A 429 does not count as a failure: the node works, and is left alone for as long as
it asks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from chassis import metrics
from chassis.circuit import Circuit, CircuitOpen, State
from chassis.clock import Clock
from chassis.logs import get_logger
from services.minter.adapters.solana_rpc import NodeRefused, RateLimited, SolanaRpc
from services.minter.pooling import NodeFacts, proof
from services.minter.ports import ChainUnavailable, FinalizedHead, Look

FAILURES: Final = 5
"""Failures in a row after which a node is left alone."""
OPEN_SECONDS: Final = 5.0
"""Seconds after which a node that failed is tried again."""
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
"""Seconds of rest after a 429 that names no time; doubled with each further one, up to the second number."""
HEAD_MAX_AGE: Final = 1.0
"""Seconds for which a finalized head is used again. An older head only delays a proof of expiry."""

T = TypeVar("T")

_logger = get_logger(__name__)


class Guard:
    """What all nodes of a pool are held to: one cluster."""

    def __init__(self, genesis: str | None, *, compare: bool) -> None:
        """`genesis` is the cluster's genesis hash; without one, and with `compare`, the first that is told decides."""
        self.verifies = compare or genesis is not None
        self._genesis = genesis

    def admits(self, genesis: str) -> bool:
        """Return whether a node that tells this genesis hash is of the pool's cluster."""
        if self._genesis is None:
            self._genesis = genesis
        return self._genesis == genesis


class Node:
    """One node of the pool, with a circuit that opens after FAILURES for OPEN_SECONDS."""

    def __init__(self, position: int, name: str, rpc: SolanaRpc, clock: Clock, guard: Guard) -> None:
        self.position = position
        self.name = name
        self.slot: int | None = None
        self.excluded: str | None = None
        """Why this node is never asked; None when it may be."""
        self._rpc = rpc
        self._circuit = Circuit(clock, failures=FAILURES, pause=OPEN_SECONDS, exclude=(RateLimited, NodeRefused))
        self._clock = clock
        self._guard = guard
        self._verified = not guard.verifies
        self._verifying = asyncio.Lock()
        self._rests_until = float("-inf")
        self._pause = FIRST_PAUSE
        self._head: FinalizedHead | None = None
        self._head_read_at = float("-inf")

    @classmethod
    def guarded(cls, position: int, url: str, rpc: SolanaRpc, clock: Clock, guard: Guard) -> "Node":
        """Return the node, named by its position and host."""
        return cls(position, f"{position} {host(url)}", rpc, clock, guard)

    @property
    def circuit(self) -> State:
        """How its circuit stands."""
        return self._circuit.state

    @property
    def rests_for(self) -> float:
        """Seconds until its request budget allows another one; 0 when it does now."""
        return max(0.0, self._rests_until - self._clock.monotonic())

    def facts(self) -> NodeFacts:
        """Return what the choice of nodes is made from. An opened circuit is asked: it knows when to try again."""
        return NodeFacts(self.position, self.excluded is None and self.rests_for == 0.0, self.slot)

    def learn(self, slot: int) -> None:
        """Note a slot that the node told. Not the highest one: a node that fell back is behind again."""
        self.slot = slot

    async def call(self, work: Callable[[SolanaRpc], Awaitable[T]]) -> T:
        """Do `work` with the node; raises ChainUnavailable, or at once when the node is not to be asked."""
        if self.excluded is not None:
            raise ChainUnavailable(self.excluded)
        if self.rests_for > 0:
            raise ChainUnavailable(f"{self.name}: over its request budget for another {self.rests_for:.0f} s")
        try:
            with self._circuit:
                await self._verify()
                result = await work(self._rpc)
        except CircuitOpen:
            metrics.RPC_ERRORS.add(node=self.name, kind="circuit_open")
            # Another node: this one has failed several times in a row and is left alone for a moment.
            raise ChainUnavailable(f"{self.name}: circuit open") from None
        except ChainUnavailable as error:
            # Told to whoever asked, who tries another node; counted here, where the node is known.
            metrics.RPC_ERRORS.add(node=self.name, kind=_kind(error))
            if isinstance(error, RateLimited):
                self._rest(error.retry_after)
            raise
        self._pause = FIRST_PAUSE
        return result

    async def finalized_head(self) -> FinalizedHead:
        """Return a finalized head that this node told at most HEAD_MAX_AGE ago."""
        now = self._clock.monotonic()
        if self._head is None or now - self._head_read_at >= HEAD_MAX_AGE:
            self._head = await self.call(lambda rpc: rpc.finalized_head())
            self._head_read_at = now
        return self._head

    async def look(self, signatures: list[str], *, search_history: bool) -> tuple[int, Look]:
        """Return the slot that the node answered from and what it found; head first, then signatures."""
        try:
            head = await self.finalized_head()
        except ChainUnavailable as error:
            # Without the head nothing is proven dead; whether something landed can still be seen.
            _logger.warning("finalized head not read", node=self.name, reason=str(error))
            head = None
        answer = await self.call(lambda rpc: rpc.statuses(signatures, search_history=search_history))
        self.learn(answer.slot)
        proven = proof(head, answer.slot)
        if not search_history or proven is None:
            return answer.slot, Look(proven, answer.value)
        # Read after the search: a node purges its oldest blocks meanwhile, and what is there now was there then.
        try:
            return answer.slot, Look(proven, answer.value, await self.call(lambda rpc: rpc.history_from()))
        except ChainUnavailable as error:
            # How far the search reached is not known, so it proves nothing; what it found is found.
            _logger.warning("start of history not read", node=self.name, reason=str(error))
            return answer.slot, Look(None, answer.value)

    async def _verify(self) -> None:
        """Ask once which cluster this is: a proof of expiry from another cluster would mint twice."""
        if self._verified:
            return
        async with self._verifying:
            if not self._verified:
                told = await self._rpc.genesis_hash()
                if not self._guard.admits(told):
                    self.excluded = f"{self.name}: of another cluster (genesis hash {told})"
                    _logger.error("node of another cluster is not used", node=self.name, genesis=told)
                    raise NodeRefused(self.excluded)
                self._verified = True

    def _rest(self, seconds: float | None) -> None:
        if seconds is None:
            seconds = self._pause
            self._pause = min(self._pause * 2, MAX_PAUSE)
        self._rests_until = max(self._rests_until, self._clock.monotonic() + seconds)
        _logger.warning("node over its request budget", node=self.name, seconds=seconds)


def _kind(error: ChainUnavailable) -> str:
    if isinstance(error, RateLimited):
        return "rate_limited"
    return "refused" if isinstance(error, NodeRefused) else "unavailable"


def host(url: str) -> str:
    """Return the host of `url` with its port: what may be shown of an endpoint whose path and query hold keys."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:  # stop: the client will refuse the URL by itself
        port = None
    name = parts.hostname or "?"
    return name if port is None else f"{name}:{port}"
