"""The nats-server of a schedule, a log in memory: it dies and comes back, perhaps without its newest messages.

Streams lose their tails apart from one another, as files do; a consumer remembers no more than its stream has, which
nats-server 2.15 sees to when it starts. A loss happens only if somebody knows of it who survives it: the tables, or a
minter that was told of a message that is gone. What nobody knows of is a limit that is documented.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Final

from chassis.connectivity import Connectivity
from chassis.log import RawMessage
from contracts.fact import Event, Fact
from contracts.guard import Truncated, Witness
from contracts.mint import Signed
from contracts.streams import COLLECTION, GUARD, MINT, Consumer, Stream
from tests.support.memory_log import MemoryLog, matches
from tests.support.memory_tables import MemoryTables
from tests.support.virtual_time import LoopClock
from tests.support.weather import Weather

PAUSE: Final = 20.0
"""Seconds, on the average, between two moments at which it may die."""


class WitnessedLog(MemoryLog):
    """Remembers what was intended and what was alarmed of, so that it can be asked for when it is lost."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(now=clock.now)
        self.intended: set[str] = set()
        self.alarms: Counter[str] = Counter()
        """By stream."""

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `MemoryLog.publish`, which decides before it first lets others run."""
        before = {stream: len(messages) for stream, messages in self.streams.items()}
        publishing = super().publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)
        try:
            return await publishing
        finally:
            if isinstance(fact, Signed) and len(self.streams[MINT.name]) > before.get(MINT.name, 0):
                self.intended.add(fact.attempt.signature)
            if isinstance(fact, Truncated):
                self.alarms[fact.stream] += 1

    def cut(self, stream: Stream, last: int) -> None:
        """Lose everything beyond sequence `last`."""
        del self.streams[stream.name][last:]


@dataclass
class Durable:
    """A durable consumer: what outlives its workers. A message is somebody's for a while, and then anybody's again."""

    log: MemoryLog
    consumer: Consumer
    ack_wait: float
    done: set[int] = field(default_factory=set[int])
    leases: dict[int, float] = field(default_factory=dict[int, float])
    deliveries: Counter[int] = field(default_factory=Counter[int])
    failures: Counter[int] = field(default_factory=Counter[int])
    stopped: dict[int, str] = field(default_factory=dict[int, str])
    """Messages that wait for a person, by sequence, with the reason."""
    _open: list[RawMessage] = field(default_factory=list[RawMessage])
    _position: int = 0

    @property
    def unsettled(self) -> list[RawMessage]:
        """What was handed out or is to be, and is not done."""
        self._look()
        return list(self._open)

    def take(self, now: float) -> RawMessage | None:
        """The next message that nobody has in hand."""
        self._look()
        for raw in self._open:
            if self.leases.get(raw.sequence, 0.0) <= now:
                self.leases[raw.sequence] = now + self.ack_wait
                self.deliveries[raw.sequence] += 1
                return raw
        return None

    def acknowledge(self, sequence: int) -> None:
        """What is in nobody's hand cannot be acknowledged; which message stood there when it was given is not asked."""
        if sequence in self.leases:
            self.done.add(sequence)

    def renew(self) -> None:
        """Begin at the stream's beginning, knowing nothing."""
        self._forget_beyond(0)

    def recover(self) -> None:
        """The server was started again: what is beyond the stream's end was never given."""
        self._forget_beyond(len(self.log.streams[self.consumer.stream]))

    def _forget_beyond(self, last: int) -> None:
        self.done = {each for each in self.done if each <= last}
        self.leases = {each: until for each, until in self.leases.items() if each <= last}
        self.deliveries = Counter({each: times for each, times in self.deliveries.items() if each <= last})
        self.failures = Counter({each: times for each, times in self.failures.items() if each <= last})
        self.stopped = {each: reason for each, reason in self.stopped.items() if each <= last}
        self._open = [raw for raw in self._open if raw.sequence <= last]
        self._position = min(self._position, last)

    def _look(self) -> None:
        messages = self.log.streams[self.consumer.stream]
        for raw in messages[self._position :]:
            if any(matches(pattern, raw.subject) for pattern in self.consumer.filters):
                self._open.append(raw)
        self._position = len(messages)
        self._open = [raw for raw in self._open if raw.sequence not in self.done]


@dataclass
class Connected:
    """A process's connection, and what the process was told is stored."""

    connectivity: Connectivity = field(default_factory=Connectivity)
    witnesses: MutableMapping[str, Witness] = field(default_factory=dict[str, Witness])
    speaks_up: bool = False
    """Whether it tells the guard what it was told: minters do."""


class Server:
    """Dies when the weather says so, and takes with it what was not synced."""

    def __init__(self, log: WitnessedLog, tables: MemoryTables, weather: Weather, clock: LoopClock) -> None:
        self.log = log
        self.durables: dict[str, Durable] = {}
        self.connected: list[Connected] = []
        self.lost: Counter[str] = Counter()
        """Messages of each stream."""
        self._tables = tables
        self._weather = weather
        self._clock = clock
        self._up = asyncio.Event()
        self._up.set()
        self._alarms_due: Counter[str] = Counter()

    @property
    def is_up(self) -> bool:
        """Whether anything can be asked of it."""
        return self._up.is_set()

    @property
    def is_feared_for(self) -> bool:
        """Whether a process alone knows of a loss: it does not die before it has spoken, nor does the server."""
        return any(self.log.alarms[stream] < due for stream, due in self._alarms_due.items())

    async def back(self) -> None:
        """Return when it is up."""
        await self._up.wait()

    def renew(self, consumers: Iterable[Consumer]) -> None:
        """Make consumers anew."""
        for each in consumers:
            if each.name in self.durables:
                self.durables[each.name].renew()

    async def run(self) -> None:
        """Die now and then, until cancelled."""
        while True:
            await self._clock.sleep(self._weather.random.expovariate(1 / PAUSE))
            if not self.is_feared_for and self._weather.happens("tail_lost"):
                await self._die()

    async def _die(self) -> None:
        self._up.clear()
        for each in self.connected:
            each.connectivity.lost()
        for stream in (MINT, COLLECTION, GUARD):
            self._lose(stream)
        for durable in self.durables.values():
            durable.recover()
        await self._clock.sleep(self._weather.random.uniform(0.2, 10.0))
        self._up.set()

    def _lose(self, stream: Stream) -> None:
        """Lose what was stored in the seconds before and not synced."""
        unsynced = self._weather.unsynced()
        messages = self.log.streams[stream.name]
        young = sum((self._clock.now() - raw.stored_at).total_seconds() <= unsynced for raw in messages)
        last = len(messages) - young
        if not young or (stream != GUARD and not self._is_known(stream, last + 1)):
            return
        self.lost[stream.name] += young
        self.log.cut(stream, last)

    def _is_known(self, stream: Stream, first: int) -> bool:
        """Whether somebody who survives knows that messages from `first` on are gone."""
        if self._tables.watermarks[stream.name] >= first:
            return True
        told = (each.witnesses.get(stream.name) for each in self.connected if each.speaks_up)
        if any(witness is not None and witness.sequence >= first for witness in told):
            self._alarms_due[stream.name] = self.log.alarms[stream.name] + 1
            return True
        return False
