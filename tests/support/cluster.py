"""Local clusters for tests: in the test's own event loop (stepped or timed), or as a process of their own.

`stepped_cluster` is the deterministic one: no slot passes unless the test says so, and the chain's clock stands still
unless the test moves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from solders.account import Account
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from localnet.cluster.airdrop import airdrop_transaction
from localnet.cluster.ledger import Ledger, genesis_snapshot
from localnet.cluster.model import Block, Genesis, LedgerLimits
from localnet.cluster.node import NodeOptions
from localnet.cluster.server import Addresses, RunningCluster, running_cluster
from localnet.cluster.settings import ClusterSettings
from localnet.cluster.svm import Svm
from localnet.cluster.wire import ParsedTransaction, parsed

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "programs"
SOL = 1_000_000_000
START = 1_750_000_000
START_SECONDS = 30.0


def ledger_with(*funded: Keypair, limits: LedgerLimits | None = None) -> Ledger:
    """A new chain, without programs, on which each key has 1000 SOL."""
    accounts = {key.pubkey(): Account(1_000 * SOL, b"", Pubkey.default()) for key in funded}
    return Ledger(Svm({}), genesis_snapshot(Genesis(START, b"test", accounts)), limits)


def signed(
    payer: Keypair,
    instructions: Sequence[Instruction],
    recent: Hash | Block,
    *,
    price: int = 0,
    units: int | None = None,
    signers: Sequence[Keypair] = (),
) -> VersionedTransaction:
    """A version 0 transaction, signed. `price` in micro-lamports per compute unit."""
    budget = [set_compute_unit_price(price)] if price else []
    if units is not None:
        budget.append(set_compute_unit_limit(units))
    blockhash = recent.hash if isinstance(recent, Block) else recent
    message = MessageV0.try_compile(payer.pubkey(), [*budget, *instructions], [], blockhash)
    return VersionedTransaction(message, [payer, *signers])


def transfer_to(payer: Keypair, to: Pubkey, lamports: int) -> Instruction:
    """A plain transfer."""
    return transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))


def payment(
    payer: Keypair, recent: Hash | Block, to: Pubkey | None = None, lamports: int = SOL, **options: int
) -> ParsedTransaction:
    """A transfer as the ledger takes it; to a new address unless one is given."""
    instruction = transfer_to(payer, Keypair().pubkey() if to is None else to, lamports)
    return parsed(signed(payer, [instruction], recent, price=options.get("price", 0), units=options.get("units")))


@dataclass(slots=True)
class TestClock:
    """The chain's clock, in Unix seconds, moved by hand."""

    now: float = START
    __test__ = False

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def stepped_cluster(
    data: Path | None = None,
    *,
    programs: Path | None = None,
    limits: LedgerLimits | None = None,
    clock: TestClock | None = None,
) -> AsyncGenerator[RunningCluster]:
    """A cluster whose slots pass only by `cluster.node.step()` or `localnet_step`."""
    options = NodeOptions(
        data=data, slot_seconds=None, limits=limits or LedgerLimits(), seed=b"test", clock=clock or TestClock()
    )
    async with running_cluster(ClusterSettings(programs=programs), options) as cluster:
        yield cluster


@contextlib.asynccontextmanager
async def timed_cluster(
    data: Path | None = None, *, slot_ms: int = 20, programs: Path | None = None, limits: LedgerLimits | None = None
) -> AsyncGenerator[RunningCluster]:
    """A cluster whose slots pass by themselves, by default twenty times faster than a real one."""
    options = NodeOptions(data=data, slot_seconds=slot_ms / 1000, limits=limits or LedgerLimits())
    async with running_cluster(ClusterSettings(programs=programs), options) as cluster:
        yield cluster


async def fund(cluster: RunningCluster, *keys: Pubkey, lamports: int = 100 * SOL) -> None:
    """Give lamports to keys and step until that is confirmed. For stepped clusters."""
    node = cluster.node
    for key in keys:
        assert node.ledger.submit(airdrop_transaction(node.faucet, key, lamports, node.heads.processed.hash))
    await node.step(1 + node.ledger.limits.confirmed_after)


@dataclass(slots=True)
class ClusterProcess:
    """A cluster as its own process, to be killed and started again on the same folder."""

    data: Path
    flags: Sequence[str] = ()
    addresses: Addresses = field(default_factory=lambda: Addresses("", ""))
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers on the addresses it wrote."""
        ports = self.data / "ports.json"
        ports.unlink(missing_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "cluster.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "localnet.cluster", "--listen", "127.0.0.1:0", "--data", str(self.data),
                "--ports-file", str(ports), *self.flags,
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(START_SECONDS):
            while not ports.exists():
                if self._process.returncode is not None:
                    raise RuntimeError((self.data / "cluster.log").read_text("utf-8"))
                await asyncio.sleep(0.02)
        self.addresses = msgspec.json.decode(ports.read_bytes(), type=Addresses)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            os.kill(self._process.pid, number)
        return await self._process.wait()


@contextlib.asynccontextmanager
async def cluster_process(data: Path, *flags: str) -> AsyncGenerator[ClusterProcess]:
    """A cluster process for the length of the block."""
    process = ClusterProcess(data, flags)
    try:
        await process.start()
        yield process
    finally:
        await process.stop(signal.SIGKILL)
