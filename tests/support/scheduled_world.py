"""A whole little world in one process, driven by one seed: the real ipfs, minter and indexer parts, a log, a chain with
its nodes, tables; and weather in which every one of their calls may be lost, late, repeated or the last.

`scheduled_run` lives through it and `scheduled_checks` judges it. `Program` names the parts that mutations exchange.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar, cast
from uuid import UUID

from solders.keypair import Keypair

from chassis.connectivity import Connectivity
from chassis.log import LogLookup, RawMessage
from contracts.fact import Fact
from contracts.guard import Witness
from contracts.mint import Cancelled, Completed, Confirmed, Failed, Finalized, Requested
from contracts.registry import decode
from contracts.streams import (
    COLLECTION,
    INDEXER_GUARD,
    IPFS_MINT,
    MINT,
    MINTER_CANCELLED,
    MINTER_FINALITY,
    MINTER_FIRST,
    MINTER_MINT,
    Consumer,
    Stream,
)
from services.indexer.closing import Closer
from services.indexer.guard import Guard as TruncationGuard
from services.indexer.guarded import GuardedLog, GuardedTables, Tables
from services.indexer.ports import Committed, Fenced
from services.indexer.projector import Projector
from services.indexer.two_copies import Vault
from services.ipfs.chunk_turns import ChunkTurns
from services.ipfs.content import ContentPinner
from services.ipfs.domain import Outcome, Placed
from services.ipfs.domain import Refusal as PinRefusal
from services.ipfs.handlers import MintContent
from services.ipfs.ports import PinUnavailable
from services.ipfs.sessions import Sessions
from services.ipfs.uploads import WaitingUploads
from services.minter.adapters.node import Guard, Node
from services.minter.adapters.pool import PoolOptions, RpcPool
from services.minter.cancelling import Cancelling
from services.minter.gate import Gate
from services.minter.lander import Lander
from services.minter.minting import Minting
from services.minter.ports import Chain
from services.minter.relearning import Relearner
from services.minter.signer import Signer
from services.minter.watcher import SignatureWatcher
from tests.support.crashing import CrashingChain, CrashingLog, Fuse, crashed
from tests.support.ending import end
from tests.support.forking_chain import BLOCK_SECONDS, FaultyNode, ForkingChain
from tests.support.memory_log import MemoryUploads
from tests.support.scheduled_server import Durable, Server, WitnessedLog
from tests.support.scheduled_wires import FaultyLog, FaultyTables, consume
from tests.support.virtual_time import LoopClock
from tests.support.weather import Weather

T = TypeVar("T")


class Violation(Exception):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Program:
    """The parts of the program that mutations exchange."""

    lander: type[Lander] = Lander
    minting: type[Minting] = Minting
    tables: type[FaultyTables] = FaultyTables
    gate: type[Gate] = Gate
    guard: type[TruncationGuard] = TruncationGuard
    chain: Callable[[Chain], Chain] = lambda chain: chain


class WrongClock(LoopClock):
    """A process's own wall clock: set wrong now and then, by seconds or by an hour, and right when it is calm."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._error = timedelta(0)

    def now(self) -> datetime:
        if self._weather.happens("clock_jump"):
            self._error = timedelta(seconds=self._weather.clock_error())
        return super().now() + (timedelta(0) if self._weather.calm else self._error)


class Mortal(Fuse):
    """A fuse that blows when the weather says so, at any call, before or after its effect."""

    def __init__(self, weather: Weather, server: Server) -> None:
        super().__init__()
        self._weather = weather
        self._server = server

    async def around(self, call: str, effect: Awaitable[T]) -> T:
        """See `Fuse.around`."""
        if not self._server.is_feared_for and self._weather.happens("crash"):
            self.call, self.nth = call, self.calls[call] + 1
            self.when = self._weather.random.choice(["before", "after"])
        return await super().around(call, effect)


class ProcessLog(CrashingLog):
    """A process's log: whatever it does there may be its last."""

    def __init__(self, log: FaultyLog, fuse: Fuse) -> None:
        super().__init__(log, fuse)
        self._wire = log

    @property
    def connectivity(self) -> Connectivity:
        """See `guard.WatchedLog.connectivity`."""
        return self._wire.connectivity

    @property
    def witnesses(self) -> MutableMapping[str, Witness]:
        """See `gate.WatchedLog.witnesses`."""
        return self._wire.witnesses

    @property
    def lookup(self) -> LogLookup:
        """See `history.WholeLog.lookup`."""
        return self._wire.lookup

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`."""
        return await self._fuse.around("last_sequence", self._wire.last_sequence(stream))

    async def first_sequence(self, stream: Stream) -> int:
        """See `history.WholeLog.first_sequence`."""
        return await self._fuse.around("first_sequence", self._wire.first_sequence(stream))

    def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`."""
        return self._wire.read(stream, after)

    def repair(self) -> "ProcessLog":
        """See `guard.WatchedLog.repair`."""
        return self

    async def append(self, stream: Stream, raw: RawMessage, *, exactly: bool) -> int:
        """See `Repairing.append`."""
        return await self._fuse.around("append", self._wire.append(stream, raw, exactly=exactly))

    async def repeat(self, stream: Stream, raw: RawMessage) -> int:
        """See `Repairing.repeat`."""
        return await self._fuse.around("repeat", self._wire.repeat(stream, raw))

    async def renew(self, consumers: Iterable[Consumer]) -> None:
        """See `Repairing.renew`."""
        await self._fuse.around("renew", self._wire.renew(consumers))


@dataclass
class Pinning:
    """Stands for `services.ipfs.content.ContentPinner`: content is pinned, refused for good, or not now."""

    weather: Weather
    refused: Set[str]
    retrieved_from: str | None = None

    async def place_nfts(
        self, request: Requested, positions: list[int], collection: object, session: object
    ) -> dict[int, Outcome]:
        """See `ContentPinner.place_nfts`."""
        await self.weather.pass_time()
        if self.weather.happens("pin_lost"):
            raise PinUnavailable("no answer")
        return {position: self._place(request.nfts[position].name) for position in positions}

    def _place(self, name: str) -> Outcome:
        if name in self.refused:
            return PinRefusal(cast("Any", "image_refused"), "No picture.", "Send one.")
        return Placed(name, "RVR", f"ipfs://{name}", "ipfs://image")


@dataclass
class World:
    """What outlives every process."""

    weather: Weather
    program: Program
    clock: LoopClock
    log: WitnessedLog
    chain: ForkingChain
    tables: FaultyTables
    server: Server
    refused: set[str] = field(default_factory=set[str])
    found: list[str] = field(default_factory=list[str])
    """Violations seen on the way."""
    cancelled: set[UUID] = field(default_factory=set[UUID])
    """Operations that were ever cancelled, whatever the log still says."""
    deaths: int = 0

    @classmethod
    def drawn(cls, seed: int, program: Program) -> "World":
        """The world of a seed."""
        weather, clock = Weather.drawn(Random(seed)), LoopClock()
        log, tables = WitnessedLog(clock), program.tables()
        tables.weather = weather
        ack_wait = weather.random.choice([6.0, 6.0, 30.0])
        server = Server(log, tables, weather, clock)
        for each in (IPFS_MINT, MINTER_FIRST, MINTER_MINT, MINTER_CANCELLED, MINTER_FINALITY, INDEXER_GUARD):
            server.durables[each.name] = Durable(log, each, ack_wait)
        world = cls(weather, program, clock, log, ForkingChain(weather), tables, server)
        world.chain.on_send = world.sent
        return world

    def sent(self, signature: str) -> None:
        """Hold a send to the log."""
        if signature not in self.log.intended:
            self.found.append("a transaction was sent before its intent was on the log")

    def unfinished(self) -> str | None:
        """Say what has not come to its end; None when everything has."""
        completed = {fact.operation for fact in self.log.facts(Completed)}
        ended = completed | self.waiting()
        if waiting := [fact for fact in self.log.facts(Requested) if fact.operation not in ended]:
            return f"{len(waiting)} operations are not completed"
        for name, durable in self.server.durables.items():
            if any(raw.sequence not in durable.stopped for raw in durable.unsettled):
                return f"{name} has messages in hand"
        for stream in (MINT, COLLECTION):
            if self.tables.watermarks[stream.name] != len(self.log.streams[stream.name]):
                return f"{stream.name} is not projected to its end"
        confirmed = {fact.signature for fact in self.last_words().values() if isinstance(fact, Confirmed)}
        final = {fact.signature for fact in self.log.facts(Finalized)}
        return None if confirmed <= final else "what is confirmed is not final"

    async def say(self, fact: Fact) -> None:
        """Say what callers say through a gateway, which answers when the log has it."""
        await self.server.back()
        if isinstance(fact, Cancelled):
            self.cancelled.add(fact.operation)
        await self.log.publish_once(fact, cause=None)

    async def is_over(self, operation: UUID) -> bool:
        """Whether the operation is completed, or waits for a person."""
        return operation in self.waiting() or await self.log.last(Completed, operation=operation) is not None

    def waiting(self) -> set[UUID]:
        """The operations that wait for a person: something of them was begun that no plan explains."""
        ways = [self.server.durables[each.name] for each in (MINTER_FIRST, MINTER_MINT)]
        stopped = (raw for chunks in ways for raw in chunks.unsettled if raw.sequence in chunks.stopped)
        return {decode(raw.subject, raw.payload).data.operation for raw in stopped}

    def last_words(self) -> dict[tuple[UUID, int, int], Confirmed | Failed]:
        """What the log says last of each transaction's outcome; a fork may have it say another."""
        facts = (*self.log.messages(Confirmed), *self.log.messages(Failed))
        ordered = sorted(facts, key=lambda message: message.sequence)
        return {(each.data.operation, each.data.chunk, each.data.tx): each.data for each in ordered}


# The processes -------------------------------------------------------------------------------------------------------

Parts = Callable[[World, Fuse, contextlib.AsyncExitStack], Awaitable[list[Coroutine[Any, Any, None]]]]


async def ipfs(world: World, fuse: Fuse, resources: contextlib.AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
    """The parts of `services.ipfs.main` that mints need, before a pinning service that is none."""
    log = connected(world, fuse, resources)
    pinner = cast("ContentPinner", Pinning(world.weather, world.refused))
    content = MintContent(log, pinner, Sessions(), WaitingUploads(MemoryUploads(), world.clock), ChunkTurns(2))
    return [consume(world.server, IPFS_MINT.name, content.on_requested, world.weather, world.clock, 4)]


async def minter(world: World, fuse: Fuse, resources: contextlib.AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
    """The parts of `services.minter.main`, without funds, fees and growth."""
    clock = WrongClock(world.weather)
    guard = Guard("genesis", compare=True)
    rpcs = [FaultyNode(world.chain, forgetful=number == 1) for number in range(3)]
    nodes = [Node.guarded(n, f"https://node{n}.example", rpc, clock, guard) for n, rpc in enumerate(rpcs)]
    pool = RpcPool(nodes, clock, PoolOptions())
    resources.push_async_callback(pool.close)
    chain = world.program.chain(cast("Chain", CrashingChain(pool, fuse)))
    log = connected(world, fuse, resources, speaks_up=True)
    signer = Signer(Keypair.from_seed(bytes(32)))
    watcher = SignatureWatcher(chain, clock, BLOCK_SECONDS)
    gate = world.program.gate(log, chain, rpcs[0], clock)
    lander = world.program.lander(chain, signer, watcher, clock, max_in_flight=16, gate=gate)
    relearner = Relearner(log, gate, chain)
    minting = world.program.minting(log, chain, lander, watcher, signer.pubkey, clock, relearner=relearner)
    handlers = {
        MINTER_FIRST.name: minting.on_pinned,
        MINTER_MINT.name: minting.on_later_pinned,
        MINTER_CANCELLED.name: Cancelling(log).on_cancelled,
        MINTER_FINALITY.name: minting.on_confirmed,
    }
    work = [consume(world.server, name, handler, world.weather, clock, 8) for name, handler in handlers.items()]
    return [pool.run(), watcher.run(), gate.run(), *work]


async def indexer(world: World, fuse: Fuse, resources: contextlib.AsyncExitStack) -> list[Coroutine[Any, Any, None]]:
    """The parts of `services.indexer.term`: two projectors, and the closer once they have caught up; and the guard."""
    clock = WrongClock(world.weather)
    log = connected(world, fuse, resources)
    vault = cast("Vault", CrashingChain(cast("Chain", world.tables.vault), fuse))
    truncation = world.program.guard(log, vault)
    guarded = GuardedLog(log, truncation)
    tables = cast("Tables", CrashingChain(cast("Chain", world.tables), fuse))
    store = GuardedTables(tables, truncation)
    closer = Closer(guarded, store, clock)

    def on_commit(committed: Committed) -> None:
        if committed.settled or committed.unheard:
            closer.wake()

    projectors = [
        Projector(stream, log=guarded, store=store, clock=clock, on_commit=on_commit) for stream in (MINT, COLLECTION)
    ]

    async def close() -> None:
        for projector in projectors:
            await projector.caught_up.wait()
        await closer.run()

    challenges = consume(world.server, INDEXER_GUARD.name, truncation.on_challenged, world.weather, clock, 4)
    return [*(projector.run() for projector in projectors), close(), challenges, truncation.fence()]


def connected(world: World, fuse: Fuse, resources: contextlib.AsyncExitStack, *, speaks_up: bool = False) -> ProcessLog:
    """A connection to the log for as long as the process lives."""
    wire = FaultyLog(world.server, world.weather, speaks_up=speaks_up)
    world.server.connected.append(wire)
    resources.callback(world.server.connected.remove, wire)
    return ProcessLog(wire, fuse)


async def live(world: World, parts: Parts) -> None:
    """Run a process, again and again: it starts, and dies of its fuse or of nothing."""
    while True:
        fuse = Mortal(world.weather, world.server)
        async with contextlib.AsyncExitStack() as resources:
            tasks = [asyncio.create_task(each) for each in await parts(world, fuse, resources)]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(tasks)
        for task in done:
            error = task.exception()
            if not (crashed(error) or isinstance(error, Fenced)):
                raise Violation(f"a process ended by itself: {error!r}") from error
        world.deaths += 1
        await world.clock.sleep(world.weather.random.uniform(0.0, 15.0))
