"""Memory and file descriptors of processes over a run, and whether they stay what they were.

Used by the soak. A process is judged by its longest life: a leak shows between the middle third and the last third of
it, when what fills up at the beginning has filled up. Lives that are too short to tell are told and not judged.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median
from typing import Final

import psutil

EVERY: Final = 1.0
"""Seconds between two looks."""
ENOUGH: Final = 60.0
"""Seconds that a life has to last to be judged."""
MORE_MEMORY: Final = 0.10
"""By what part the median of memory may grow from the middle third to the last..."""
SPARE_MEMORY: Final = 8 * 1024**2
"""...or by so many bytes, whatever is more."""
MORE_DESCRIPTORS: Final = 16
MOST_LOOKS: Final = 3000
"""Looks that are kept of a life; beyond that every other one is forgotten, and half as many are made."""


@dataclass(frozen=True, slots=True)
class Look:
    """A process at one moment: seconds of the run, resident bytes, open file descriptors."""

    at: float
    memory: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Trend:
    """How a process's longest life went. `steady` is None when it was too short to judge."""

    name: str
    lives: int
    seconds: float
    memory: tuple[float, float]
    """Median bytes in the middle third, and in the last."""
    slope: float
    """Bytes an hour over both of them, by least squares."""
    descriptors: tuple[float, float]
    steady: bool | None


@dataclass
class Vitals:
    """Looks at processes by name until cancelled."""

    pid: Callable[[str], int | None]
    names: Sequence[str]
    lives: dict[str, dict[int, list[Look]]] = field(default_factory=dict[str, dict[int, list[Look]]])

    async def run(self) -> None:
        """Look at each again and again."""
        began, every = time.monotonic(), EVERY
        while True:
            longest = 0
            for name in self.names:
                looks = self._look(name, time.monotonic() - began)
                longest = max(longest, len(looks))
            if longest >= MOST_LOOKS:
                every *= 2
                self.lives = {
                    name: {pid: looks[::2] for pid, looks in lives.items()} for name, lives in self.lives.items()
                }
            await asyncio.sleep(every)

    def _look(self, name: str, at: float) -> list[Look]:
        pid = self.pid(name)
        if pid is None:
            return []
        looks = self.lives.setdefault(name, {}).setdefault(pid, [])
        try:
            process = psutil.Process(pid)
            looks.append(Look(at, process.memory_info().rss, process.num_fds()))
        except psutil.Error:  # go on: it has just ended
            pass
        return looks

    def trends(self) -> list[Trend]:
        """What every process came to, in the order of `names`."""
        return [trend(name, self.lives[name].values()) for name in self.names if self.lives.get(name)]


def trend(name: str, lives: Iterable[Sequence[Look]]) -> Trend:
    """Judge a process by the looks at each of its lives, of which one at least has a look. Pure."""
    each = [looks for looks in lives if looks]
    looks = max(each, key=lambda life: life[-1].at - life[0].at)
    begin, end = looks[0].at, looks[-1].at
    third = (end - begin) / 3
    middle = [look for look in looks if begin + third <= look.at < end - third] or list(looks)
    last = [look for look in looks if look.at >= end - third]
    memory = (median(look.memory for look in middle), median(look.memory for look in last))
    descriptors = (median(look.descriptors for look in middle), median(look.descriptors for look in last))
    both = [*middle, *last]
    moved = len({look.at for look in both}) > 1
    slope = linear_regression([look.at for look in both], [look.memory for look in both]).slope if moved else 0.0
    steady = (
        memory[1] - memory[0] <= max(MORE_MEMORY * memory[0], SPARE_MEMORY)
        and descriptors[1] - descriptors[0] <= MORE_DESCRIPTORS
    )
    judged = steady if end - begin >= ENOUGH else None
    return Trend(name, len(each), end - begin, memory, slope * 3600, descriptors, judged)
