"""What goes wrong in a schedule, and how often: drawn once from a seed, asked at every call that crosses a wire."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

WORST: Final[Mapping[str, float]] = {
    "drop_send": 0.7,
    "slow_send": 0.5,
    "fork": 0.06,
    "passing_error": 0.2,
    "fatal_error": 0.05,
    "storm": 0.15,
    "node_error": 0.3,
    "lag": 0.4,
    "stall": 0.01,
    "publish_lost": 0.15,
    "publish_unheard": 0.15,
    "read_lost": 0.1,
    "ack_lost": 0.3,
    "store_lost": 0.2,
    "store_unheard": 0.2,
    "pin_lost": 0.3,
    "pin_refused": 0.2,
    "crash": 0.04,
    "clock_jump": 0.5,
    "tail_lost": 1.0,
}
"""The most often that each can happen: a share of the calls (blocks, for forks; half minutes, for tails) that it can
happen to."""
UNSYNCED: Final = (0.0, 0.5, 3.0, 15.0, 60.0, 120.0)
"""For how many seconds the log may not have been synced; the last is nats-server's default (`sync_interval`)."""


@dataclass
class Weather:
    """Faults by name with their odds; `calm` ends them all."""

    random: Random
    odds: Mapping[str, float]
    calm: bool = False
    struck: Counter[str] = field(default_factory=Counter[str])
    """How often each fault came."""

    @classmethod
    def drawn(cls, random: Random) -> "Weather":
        """Some faults, each as often as chance has it: one alone now and then, most of them together more often."""
        share = random.choice([0.1, 0.3, 0.6, 1.0])
        odds = {name: random.random() * worst for name, worst in WORST.items() if random.random() < share}
        return cls(random, odds)

    def happens(self, fault: str) -> bool:
        """Whether it happens this time."""
        struck = not self.calm and self.random.random() < self.odds.get(fault, 0.0)
        self.struck[fault] += struck
        return struck

    async def pass_time(self) -> None:
        """Let a call take its time: milliseconds, or so long that leases and blockhashes run out."""
        await asyncio.sleep(self.random.uniform(5.0, 40.0) if self.happens("stall") else self.random.uniform(0, 0.05))

    def lag(self) -> int:
        """How many blocks a node is behind this time."""
        return self.random.choice([1, 2, 5, 12, 40]) if self.happens("lag") else 0

    def clock_error(self) -> float:
        """By how many seconds a wall clock that jumps is wrong from then on."""
        return self.random.choice([-3600.0, -90.0, -5.0, 5.0, 90.0, 3600.0])

    def unsynced(self) -> float:
        """How many seconds of a stream's newest messages are gone when the log's server dies."""
        return self.random.choice(UNSYNCED)

    def blocks_until_landing(self) -> int:
        """How many blocks a transaction waits in the mempool, more than its blockhash lives at times."""
        return self.random.choice([2, 8, 20, 29, 30, 31, 40]) if self.happens("slow_send") else 1

    def told(self) -> str:
        """The odds in words."""
        return ", ".join(f"{name} {odds:.1%}" for name, odds in sorted(self.odds.items())) or "no fault"
