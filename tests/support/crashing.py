"""A minter that dies at a named point: its parts in this process, its log and its chain behind wires that break.

A `Fuse` says at which call the process dies, and whether the call's effect happened before. Once it has blown, every
other call of that life dies too, as nothing of a dead process goes on.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, cast

import msgspec
from solders.keypair import Keypair

from chassis.clock import Clock, SystemClock
from chassis.log import EventLog, LogUnavailable, Message
from chassis.messaging import Connection, Log
from contracts.fact import Event, Fact, Producer
from contracts.streams import MINTER_COLLECTION, MINTER_FINALITY, MINTER_MINT, STREAMS, Consumer, Stream
from services.minter.adapters.pool import RpcPool
from services.minter.founding import Founding
from services.minter.lander import Lander
from services.minter.minting import Minting
from services.minter.ports import Chain
from services.minter.signer import Signer
from services.minter.watcher import SignatureWatcher
from tests.support.ending import end
from tests.support.stack import eventually

ACK_WAIT = 0.5
"""Seconds after which the next life is given what the dead one had in hand."""
CONSUMERS = tuple(
    msgspec.structs.replace(each, ack_wait=ACK_WAIT) for each in (MINTER_MINT, MINTER_FINALITY, MINTER_COLLECTION)
)
STATUS_INTERVAL = 0.02
PATIENCE = 60.0
"""Seconds after which a life that leads nowhere fails its test."""

F = TypeVar("F", bound=Fact)
T = TypeVar("T")


class Crash(BaseException):
    """The process died. No `except Exception` of the program under test sees it."""


@dataclass
class Fuse:
    """Blows `when` the call `call` is made for the `nth` time; `Fuse()` never does."""

    call: str = ""
    when: Literal["before", "after"] = "before"
    nth: int = 1
    blown: bool = False
    calls: Counter[str] = field(default_factory=Counter[str])

    async def around(self, call: str, effect: Awaitable[T]) -> T:
        """Await `effect` as `call`, or die."""
        self.calls[call] += 1
        due = call == self.call and self.calls[call] == self.nth
        try:
            self._check(due=due and self.when == "before")
        except Crash:
            if asyncio.iscoroutine(effect):
                effect.close()
            raise
        result = await effect
        self._check(due=due and self.when == "after")
        return result

    def _check(self, *, due: bool) -> None:
        self.blown = self.blown or due
        if self.blown:
            raise Crash(f"{self.when} {self.call}")


class Lifespan(Fuse):
    """Blows at the call number `length`, whatever it is."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    async def around(self, call: str, effect: Awaitable[T]) -> T:
        """See `Fuse.around`."""
        if self.calls.total() + 1 == self.length:
            self.call, self.nth = call, self.calls[call] + 1
        return await super().around(call, effect)


class CrashingLog:
    """`chassis.log.EventLog` behind a fuse. Calls go by their facts: `publish mint.signed`, `last mint.signed`."""

    def __init__(self, log: EventLog, fuse: Fuse) -> None:
        self._log = log
        self._fuse = fuse

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `EventLog.publish`."""
        effect = self._log.publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)
        return await self._fuse.around(f"publish {_name(type(fact))}", effect)

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """See `EventLog.publish_once`."""
        return await self._fuse.around(f"publish {_name(type(fact))}", self._log.publish_once(fact, cause=cause))

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """See `EventLog.last`."""
        return await self._fuse.around(f"last {_name(fact)}", self._log.last(fact, **tokens))

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """See `EventLog.last_matching`."""
        return await self._fuse.around("last_matching", self._log.last_matching(stream, pattern))


class CrashingChain:
    """`services.minter.ports.Chain` behind a fuse. Calls go by the methods' names."""

    def __init__(self, chain: Chain, fuse: Fuse) -> None:
        self._chain = chain
        self._fuse = fuse

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method: Callable[..., Awaitable[Any]] = getattr(self._chain, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await self._fuse.around(name, method(*args, **options))

        return call


class LaterClock(SystemClock):
    """A clock a minute ahead, for which whatever was confirmed just now is old enough to be final."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return super().now() + timedelta(minutes=1)


@dataclass(frozen=True)
class World:
    """What outlives the minter's processes."""

    nats_url: str
    rpc_url: str
    wallet: Keypair
    replicas: int = 1

    def log(self, name: str) -> Connection:
        """How to reach the log as `name`; `nats_url` may be several, as in the services' NATS_URL."""
        servers = tuple(self.nats_url.split(","))
        return Connection(servers, Producer(name=name, version="test"), replicas=self.replicas)


async def declared(log: Log, *, streams: Iterable[Stream] = STREAMS, consumers: Iterable[Consumer]) -> None:
    """Make streams and consumers, as a service that the platform starts again until its cluster has a leader."""

    async def done() -> bool:
        try:
            await log.declare(streams=streams, consumers=consumers, buckets=())
        except LogUnavailable:  # retry: the servers have not found one another
            return False
        return True

    await eventually(done, "the streams are made")


async def live(world: World, fuse: Fuse, until: Callable[[Log], Awaitable[bool]], *, finality: bool = False) -> bool:
    """Run a minter until it dies by its fuse (True) or `until` holds (False). Any other end is an error.

    It watches what was confirmed to its finality only when asked to.
    """
    async with (
        RpcPool.connect([world.rpc_url], SystemClock()) as rpc,
        Log.session(world.log("minter")) as log,
    ):
        await declared(log, consumers=CONSUMERS)
        goal = asyncio.create_task(_reached(log, until), name="goal")
        tasks = [goal, *_tasks(world, fuse, rpc, log, finality=finality)]
        try:
            done, _ = await asyncio.wait(tasks, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            assert done, f"it neither died at {fuse} nor got anywhere"
            if goal in done:
                await goal
                return fuse.blown
            for task in done:
                _raise_unless_crash(task)
            return True
        finally:
            await end(tasks)


def _tasks(world: World, fuse: Fuse, rpc: Chain, log: Log, *, finality: bool) -> list[asyncio.Task[None]]:
    """The parts of `services.minter.main`, wired to a log and a chain that may break."""
    clock: Clock = LaterClock()
    signer = Signer(world.wallet)
    chain, events = cast("Chain", CrashingChain(rpc, fuse)), CrashingLog(log, fuse)
    watcher = SignatureWatcher(chain, clock, STATUS_INTERVAL)
    lander = Lander(chain, signer, watcher, clock, max_in_flight=16)
    minting = Minting(events, chain, lander, watcher, signer.pubkey, clock)
    founding = Founding(events, chain, lander, signer)
    mint, confirmed, collection = CONSUMERS
    tasks = [
        asyncio.create_task(watcher.run(), name="watcher"),
        _consume(log, mint, minting.on_pinned),
        _consume(log, collection, founding.on_pinned),
    ]
    if finality:
        tasks.append(_consume(log, confirmed, minting.on_confirmed))
    return tasks


def _consume(log: Log, consumer: Consumer, handler: Callable[[Message[Any]], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(log.consume(consumer, handler, concurrency=8), name=consumer.name)


async def _reached(log: Log, until: Callable[[Log], Awaitable[bool]]) -> None:
    while not await until(log):  # noqa: ASYNC110  (what it waits for happens on a server)
        await asyncio.sleep(STATUS_INTERVAL)


def _raise_unless_crash(task: "asyncio.Task[None]") -> None:
    error = task.exception()
    if not crashed(error):
        raise AssertionError(f"{task.get_name()} ended by itself") from error


def crashed(error: BaseException | None) -> bool:
    """Whether a task ended because its process died."""
    if not isinstance(error, BaseExceptionGroup):
        return isinstance(error, Crash)
    return any(crashed(each) for each in cast("BaseExceptionGroup[BaseException]", error).exceptions)


def _name(fact: type[Fact]) -> str:
    return fact.type().removesuffix(".v1")
