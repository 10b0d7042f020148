"""Solana nodes that behave as a test says, below the pool: lagging, contradicting, over budget, dead or slow."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chassis.clock import Clock, ManualClock
from services.minter.adapters.node import Guard, Node
from services.minter.adapters.pool import PoolOptions, RpcPool
from services.minter.adapters.solana_rpc import Answer, SolanaRpc
from services.minter.landing import SignatureState
from services.minter.ports import ChainUnavailable, ConfirmedTransaction, FinalizedHead, RecentBlockhash, Simulation

FINALITY = 32
HOUR = 3600.0


@dataclass
class FakeNode(SolanaRpc):
    """A node at `at`, the slot that it processes; heights are slots. Every call raises what `fails` holds."""

    at: int = 1000
    found: Mapping[str, SignatureState] = field(default_factory=dict[str, SignatureState])
    fails: Exception | None = None
    genesis: str = "genesis"
    transactions: Mapping[str, ConfirmedTransaction] = field(default_factory=dict[str, ConfirmedTransaction])
    head: FinalizedHead | None = None
    oldest: int = 0
    """Height of the oldest block that it still has."""
    lamports: int = 0
    fees: tuple[int, ...] = ()
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: no call returns."""
    calls: list[str] = field(default_factory=list[str])
    sent: list[bytes] = field(default_factory=list[bytes])

    def __post_init__(self) -> None:
        self.open.set()

    async def _called(self, name: str) -> None:
        self.calls.append(name)
        await self.open.wait()
        if self.fails is not None:
            raise self.fails

    async def genesis_hash(self) -> str:
        await self._called("genesis_hash")
        return self.genesis

    async def slot(self) -> int:
        await self._called("slot")
        return self.at

    async def recent_blockhash(self) -> Answer[RecentBlockhash]:
        await self._called("recent_blockhash")
        return Answer(self.at, RecentBlockhash(Hash(self.at.to_bytes(32, "little")), self.at + 150))

    async def simulate(self, transaction: VersionedTransaction) -> Answer[Simulation]:
        await self._called("simulate")
        return Answer(self.at, Simulation(None, 1))

    async def send(self, wire: bytes) -> None:
        await self._called("send")
        self.sent.append(wire)

    async def finalized_head(self) -> FinalizedHead:
        await self._called("finalized_head")
        return self.head or FinalizedHead(self.at - FINALITY, self.at - FINALITY)

    async def history_from(self) -> int:
        await self._called("history_from")
        return self.oldest

    async def statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> Answer[Mapping[str, SignatureState]]:
        await self._called("history" if search_history else "statuses")
        return Answer(self.at, {each: self.found[each] for each in signatures if each in self.found})

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        await self._called("transaction")
        return self.transactions.get(signature)

    async def minimum_rent(self, size: int) -> int:
        await self._called("minimum_rent")
        return size

    async def recent_fees(self, addresses: Sequence[str]) -> tuple[int, ...]:
        await self._called("recent_fees")
        return self.fees

    async def balance(self, address: Pubkey) -> Answer[int]:
        await self._called("balance")
        return Answer(self.at, self.lamports)


def dead() -> Exception:
    """What a node raises that does not answer."""
    return ChainUnavailable("getSlot: ConnectError")


@asynccontextmanager
async def pool_of(
    *nodes: FakeNode, clock: Clock | None = None, genesis: str | None = "genesis", **options: float
) -> AsyncGenerator[RpcPool]:
    """A pool of these nodes. A slow node is never waited out by time unless `hedge_after` says so."""
    clock = clock or ManualClock()
    guard = Guard(genesis, compare=len(nodes) > 1)
    guarded = [
        Node.guarded(number, f"https://node{number}.example/v2/secret-key", rpc, clock, guard)
        for number, rpc in enumerate(nodes, 1)
    ]
    pool = RpcPool(
        guarded,
        clock,
        PoolOptions(
            hedge_after=options.get("hedge_after", HOUR),
            broadcast=int(options.get("broadcast", 2)),
            max_lag=int(options.get("max_lag", 8)),
        ),
    )
    try:
        yield pool
    finally:
        await pool.close()
