"""What is done to a running stack during a soak, each fault by name: first every one alone, then together at random.

Used by `soak.py`. Which fault strikes, what it strikes and for how long is drawn from the seed; when that is, and what
the system is doing at the moment, is up to the machine. What is done is undone when its time is over, and by `calm`.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import httpx

from chassis.database import Connection, connect
from localnet.postgres import socket_directory, superuser_dsn
from tests.support import rude_callers, slow_disk
from tests.support.bad_pinning import MOODS, BadPinning
from tests.support.fault_proxy import FaultProxy
from tests.support.jumping_clock import JumpingClock
from tests.support.small_disk import SmallDisk
from tests.support.stack import Json, LiveStack

SHORTEST: Final = 0.5
"""Seconds that a fault lasts at least."""
TOGETHER: Final = 3
"""Most faults at the same time."""
JUMPS: Final = (-3600.0, -90.0, -5.0, 5.0, 90.0, 3600.0)
"""Seconds by which a clock is set wrong."""
SLOW_SECONDS: Final = 0.1
"""What each write and sync of a slow disk takes."""
CLUSTER_FAULTS: Final[Mapping[str, float]] = {
    "dropSendShare": 0.5,
    "sendErrorShare": 0.3,
    "rateLimitShare": 0.5,
    "errorShare": 0.3,
    "delayMs": 500,
    "lagSlots": 20,
    "skipSlotShare": 0.3,
    "forkShare": 0.05,
}
"""In the names of `localnet_setFaults`, each at its worst."""

Act = tuple[str, Callable[[], Awaitable[None]]]
"""What is done, in words, and how."""


@dataclass
class Receiving:
    """Whether the receiver of webhooks takes what comes."""

    takes: bool = True

    def take(self, takes: bool) -> None:
        """From now on it does, or does not."""
        self.takes = takes


@dataclass
class Faults:
    """The faults that `kinds` names, drawn from `chance`; each lasts up to `longest` seconds."""

    live: LiveStack
    chance: random.Random
    kinds: Sequence[str]
    longest: float
    links: Mapping[tuple[str, str], FaultProxy]
    clocks: Mapping[str, JumpingClock]
    disks: Mapping[str, SmallDisk]
    pinning: BadPinning
    receiving: Receiving
    mint: Json
    """Where rude callers mint: `collection` and `recipient`."""
    first: int = 1
    """How many at a time when each fault comes once, before chance decides."""
    struck: Counter[str] = field(default_factory=Counter[str])
    each_came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when every fault has come once."""

    async def run(self) -> None:
        """Each fault once, `first` at a time, then up to TOGETHER as chance has it, until cancelled."""
        kinds = self.chance.sample(self.kinds, len(self.kinds))
        for start in range(0, len(kinds), self.first):
            await self._strike(kinds[start : start + self.first])
        self.each_came.set()
        while True:
            await self._strike(self.chance.choices(self.kinds, k=self.chance.randint(1, TOGETHER)))
            await asyncio.sleep(self.chance.uniform(0.0, 2.0))

    async def calm(self) -> None:
        """Undo everything, however often what has to be told is away meanwhile."""
        for proxy in self.links.values():
            proxy.heal()
        for clock in self.clocks.values():
            clock.jump(0.0)
        for disk in self.disks.values():
            disk.make_room()
        self.pinning.answer("good")
        self.receiving.take(True)
        for name in self.live.stack.names:
            self.live.stack.kill(name, signal.SIGCONT)
        await self._cluster_faults()
        await self._writable(True)

    async def _strike(self, kinds: Sequence[str]) -> None:
        acts = [DRAWN[kind](self, self.chance.uniform(SHORTEST, self.longest)) for kind in kinds]
        for kind, (told, _) in zip(kinds, acts, strict=True):
            self.struck[f"{kind}: {told}"] += 1
        await asyncio.gather(*(act() for _, act in acts))

    # Processes ---------------------------------------------------------------------------------------------------

    def kill(self, _: float) -> Act:
        """SIGKILL a process and wait until it is back."""
        name = self.chance.choice(self.live.stack.names)

        async def act() -> None:
            self.live.stack.kill(name)
            await self.live.stack.wait(name)

        return name, act

    def freeze(self, seconds: float) -> Act:
        """SIGSTOP, and SIGCONT later."""
        name = self.chance.choice(self.live.stack.names)

        kill = self.live.stack.kill
        return name, _lasting(seconds, lambda: kill(name, signal.SIGSTOP), lambda: kill(name, signal.SIGCONT))

    def jump(self, seconds: float) -> Act:
        """Set a service's wall clock wrong; other machines' clocks, as those of NATS and Postgres, stay right."""
        name, by = self.chance.choice(sorted(self.clocks)), self.chance.choice(JUMPS)
        clock = self.clocks[name]
        told = f"{name} {'ahead' if by > 0 else 'behind'}"
        return told, _lasting(seconds, lambda: clock.jump(by), lambda: clock.jump(0.0))

    # Networks and neighbours -------------------------------------------------------------------------------------

    def network(self, seconds: float) -> Act:
        """Cut, hold up or slow down one way between a service and what it needs."""
        link, mode = self.chance.choice(sorted(self.links)), self.chance.choice(["cut", "hang", "slow"])
        proxy = self.links[link]
        begin = {"cut": proxy.cut, "hang": proxy.hang, "slow": lambda: proxy.slow(0.2)}[mode]
        return f"{' '.join(link)} {mode}", _lasting(seconds, begin, proxy.heal)

    def cluster(self, seconds: float) -> Act:
        """Let the cluster drop, refuse, lag, skip and fork."""
        drawn = {name: worst for name, worst in CLUSTER_FAULTS.items() if self.chance.random() < 0.4}
        drawn["seed"] = self.chance.randrange(2**31)

        async def act() -> None:
            await self._cluster_faults(**drawn)
            try:
                await asyncio.sleep(seconds)
            finally:
                await self._cluster_faults()

        return "misbehaves", act

    async def _cluster_faults(self, **drawn: float) -> None:
        while True:
            try:
                await self.live.faults(**drawn)
            except (httpx.HTTPError, AssertionError):  # retry: it is dead or frozen
                await asyncio.sleep(0.2)
            else:
                return

    def pin(self, seconds: float) -> Act:
        """Let the pinning service refuse, hang, or break off its answers."""
        mood = self.chance.choice(MOODS)
        return mood, _lasting(seconds, lambda: self.pinning.answer(mood), lambda: self.pinning.answer("good"))

    def receive(self, seconds: float) -> Act:
        """Let the receiver of webhooks answer 503."""

        return "refuses", _lasting(seconds, lambda: self.receiving.take(False), lambda: self.receiving.take(True))

    # Disks -------------------------------------------------------------------------------------------------------

    def fill_disk(self, seconds: float) -> Act:
        """Leave no room on the disk of NATS or of Postgres."""
        name = self.chance.choice(sorted(self.disks))
        return name, _lasting(seconds, self.disks[name].fill, self.disks[name].make_room)

    def slow_disk(self, seconds: float) -> Act:
        """Let every write and sync of NATS or Postgres take its time."""
        name = self.chance.choice(["nats", "postgres"])

        async def act() -> None:
            pid = self.live.stack.pid(name)
            if pid is not None:
                async with slow_disk.slow_disk(slow_disk.family(pid), SLOW_SECONDS):
                    await asyncio.sleep(seconds)

        return name, act

    # Postgres ----------------------------------------------------------------------------------------------------

    def fail_over(self, seconds: float) -> Act:
        """End every session, and be found again where nothing can be written, as by those who come to a former primary;
        then end every session once more.
        """

        async def act() -> None:
            await self._writable(False)
            try:
                await asyncio.sleep(seconds)
            finally:
                await self._writable(True)

        return "to one that only reads, and back", act

    async def _writable(self, writable: bool) -> None:
        while True:
            try:
                async with self._superuser() as connection:
                    setting = (
                        "RESET default_transaction_read_only" if writable else "SET default_transaction_read_only = on"
                    )
                    await connection.execute(f"ALTER SYSTEM {setting}")
                    await connection.execute("SELECT pg_reload_conf()")
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # retry: it is away, frozen or full
                await asyncio.sleep(0.2)
            else:
                return

    @asynccontextmanager
    async def _superuser(self) -> AsyncGenerator[Connection]:
        plan = self.live.stack.plan
        socket = socket_directory(plan.data_dir / "postgres")
        async with asyncio.timeout(10.0):
            connection = await connect(superuser_dsn({"socket": str(socket), "port": str(plan.postgres_port)}))
        try:
            yield connection
        finally:
            await connection.close()

    # Callers -----------------------------------------------------------------------------------------------------

    def flood(self, seconds: float) -> Act:
        """Open hundreds of connections to the gateway on which nothing useful happens."""
        return "gateway", lambda: rude_callers.flood(self._port, self.chance.randint(100, 400), seconds)

    def drip(self, seconds: float) -> Act:
        """Send bodies to the gateway a byte at a time."""
        return "gateway", lambda: rude_callers.drip(self._port, self.live.stack.api_key, 20, seconds)

    def break_off(self, seconds: float) -> Act:
        """Break off uploads to the gateway in the middle."""
        collection, recipient = self.mint["collection"], self.mint["recipient"]
        return "gateway", lambda: rude_callers.half_uploads(
            self._port, self.live.stack.api_key, collection, recipient, 12, seconds
        )

    @property
    def _port(self) -> int:
        port = urlsplit(self.live.stack.api_url).port
        assert port is not None
        return port


def _lasting(seconds: float, begin: Callable[[], None], undo: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """What is begun, lasts, and is undone whatever happens meanwhile."""

    async def act() -> None:
        begin()
        try:
            await asyncio.sleep(seconds)
        finally:
            undo()

    return act


DRAWN: Final[Mapping[str, Callable[[Faults, float], Act]]] = {
    "kill": Faults.kill,
    "freeze": Faults.freeze,
    "network": Faults.network,
    "cluster": Faults.cluster,
    "pinning": Faults.pin,
    "receiver": Faults.receive,
    "clock jump": Faults.jump,
    "full disk": Faults.fill_disk,
    "slow disk": Faults.slow_disk,
    "failover": Faults.fail_over,
    "flood": Faults.flood,
    "slow callers": Faults.drip,
    "broken uploads": Faults.break_off,
}
"""Every fault by name."""
