"""A pipeline whose log can lose its tail: the parts of minter and indexer in this process, on real servers.

`Tail.keep` copies the log's files as they are; `Tail.cut` kills nats-server and starts it on that copy, as a loss of
power would: what was acknowledged in between is gone.
"""

import asyncio
import shutil
import signal
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from solders.keypair import Keypair

from chassis import postgres
from chassis.clock import SystemClock
from chassis.messaging import Connection, Log
from chassis.redaction import Secret
from contracts.fact import Producer
from contracts.streams import CONSUMERS, MINTER_COLLECTION, MINTER_FINALITY, MINTER_FIRST, MINTER_MINT
from localnet.child import Child
from services.indexer.entries import Entry
from services.indexer.guard import Guard
from services.indexer.guarded import GuardedLog, GuardedTables, attend
from services.indexer.leadership import Leadership
from services.indexer.ports import Account, Accounts, Committed, StoreUnavailable
from services.indexer.store import PostgresStore
from services.indexer.term import Term
from services.indexer.vault import PostgresVault
from services.minter.adapters.pool import RpcPool
from services.minter.adapters.trail import RpcTrail
from services.minter.founding import Founding
from services.minter.gate import Gate
from services.minter.lander import Lander
from services.minter.minting import Minting
from services.minter.relearning import Relearner
from services.minter.signer import Signer
from services.minter.watcher import SignatureWatcher
from tests.support.crashing import LaterClock
from tests.support.ending import end

STATUS_INTERVAL = 0.02
QUICK = [msgspec.structs.replace(each, ack_wait=1.0) for each in CONSUMERS]
"""Consumers that give up on a lost connection's messages sooner than in production."""


@dataclass
class Tail:
    """The log's files, and the server on them."""

    server: Child
    directory: Path
    """The server's data directory."""

    @property
    def _copy(self) -> Path:
        return self.directory.with_name(self.directory.name + "-copy")

    def keep(self) -> None:
        """Remember the files as they are now; the server stands still meanwhile."""
        self.server.kill(signal.SIGSTOP)
        try:
            shutil.copytree(self.directory / "jetstream", self._copy)
        finally:
            self.server.kill(signal.SIGCONT)

    async def cut(self) -> None:
        """Kill the server and put the files back to what they were."""
        self.server.kill()
        await self.server.wait()
        shutil.rmtree(self.directory / "jetstream")
        shutil.move(self._copy, self.directory / "jetstream")

    async def back(self) -> None:
        """Start the server again."""
        await self.server.start()


class LaggingStore(PostgresStore):
    """The tables, out of reach for as long as `away` is set: the projection lags behind the log."""

    away: bool = False

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        """See `ports.Store.apply`."""
        if self.away:
            raise StoreUnavailable("away")
        return await super().apply(stream, after, entries)


class NoCounts:
    """A chain that nobody counts on: the indexer's other work is none of this test's."""

    async def accounts(self, addresses: Sequence[str], *, min_slot: int = 0) -> Accounts:
        """See `ports.Chain.accounts`."""
        return Accounts(0, dict[str, Account]())

    async def answers_das(self, collection_address: str) -> bool:
        """See `ports.Chain.answers_das`."""
        return True


@dataclass
class Pipeline:
    """Minter and indexer at work."""

    store: LaggingStore
    gate: Gate
    minter_log: Log
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def check(self) -> None:
        """Raise what ended any of the parts: none ends by itself."""
        for task in self.tasks:
            assert not task.done(), task.exception()


@asynccontextmanager
async def pipeline(
    nats_url: str, rpc_url: str, dsn: str, wallet: Keypair, *, guarded: bool = True
) -> AsyncGenerator[Pipeline]:
    """The running parts; without `guarded`, the minter has no gate."""
    async with AsyncExitStack() as resources:
        pool = await resources.enter_async_context(postgres.pool(Secret(dsn), application_name="indexer"))
        logs = [
            await resources.enter_async_context(
                Log.session(Connection((nats_url,), Producer(name=name, version="test")))
            )
            for name in ("indexer", "minter")
        ]
        await logs[0].declare(consumers=QUICK, buckets=())
        store = LaggingStore(pool)
        chain = await resources.enter_async_context(RpcPool.connect([rpc_url], SystemClock()))
        trail = await resources.enter_async_context(RpcTrail.connect([rpc_url]))
        gate = Gate(logs[1], chain, trail, SystemClock())
        running = Pipeline(store, gate, logs[1])
        work = [_lead(logs[0], store, PostgresVault(pool), dsn), gate.run()]
        work += _minter(logs[1], chain, wallet, gate if guarded else None)
        running.tasks = [asyncio.create_task(each) for each in work]
        try:
            yield running
        finally:
            await end(running.tasks)


async def _lead(log: Log, store: LaggingStore, vault: PostgresVault, dsn: str) -> None:
    """As `services.indexer.main` does."""

    async def lead() -> None:
        guard = Guard(log, vault)
        term = Term(
            GuardedLog(log, guard),
            GuardedTables(store, guard),
            NoCounts(),
            SystemClock(),
            count_interval=3600.0,
            beside=lambda: attend(log, guard),
        )
        await term.run(asyncio.Event())

    await Leadership(Secret(dsn), SystemClock()).run(lead)


def _minter(log: Log, chain: RpcPool, wallet: Keypair, gate: Gate | None) -> list[Coroutine[Any, Any, None]]:
    """As `services.minter.main` does."""
    clock = LaterClock()
    signer = Signer(wallet)
    watcher = SignatureWatcher(chain, clock, STATUS_INTERVAL)
    lander = Lander(chain, signer, watcher, clock, max_in_flight=4, gate=gate)
    relearner = None if gate is None else Relearner(log, gate, chain)
    minting = Minting(log, chain, lander, watcher, signer.pubkey, clock, relearner=relearner)
    founding = Founding(log, chain, lander, signer)
    return [
        watcher.run(),
        log.consume(MINTER_FIRST, minting.on_pinned, concurrency=4),
        log.consume(MINTER_MINT, minting.on_later_pinned, concurrency=4),
        log.consume(MINTER_FINALITY, minting.on_confirmed, concurrency=16),
        log.consume(MINTER_COLLECTION, founding.on_pinned, concurrency=2),
    ]
