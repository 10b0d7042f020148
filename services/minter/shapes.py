"""What transactions of one shape cost in compute units, simulated once for all of them.

Used by the lander. Two transactions that mint as many leaves into the same tree cost the same but for what
`plan.COMPUTE_RESERVE` allows for. What was learned is forgotten after a while, and at once when one like it is refused.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from chassis.clock import Clock

MAX_SHAPES: Final = 4096
MAX_AGE: Final = 300.0
"""Seconds for which a simulation stands for others: a program may be upgraded, an authority may change."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A number of mints into one tree, compiled with the tree's lookup table or without one."""

    tree: str
    mints: int
    table: bool


class Shapes:
    """Compute limits by shape; at most MAX_SHAPES, the least lately learned goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[Shape, tuple[int, float]] = OrderedDict()

    def units(self, shape: Shape | None) -> int | None:
        """Return the compute units to ask for; None when the transaction has to be simulated."""
        if shape is None or shape not in self._known:
            return None
        units, learned_at = self._known[shape]
        return units if self._clock.monotonic() - learned_at < MAX_AGE else None

    def learn(self, shape: Shape | None, units: int) -> None:
        """Keep what a simulation has shown."""
        if shape is None:
            return
        self._known[shape] = units, self._clock.monotonic()
        self._known.move_to_end(shape)
        if len(self._known) > MAX_SHAPES:
            self._known.popitem(last=False)

    def forget(self, shape: Shape | None) -> None:
        """Forget everything about the tree of `shape`."""
        if shape is not None:
            for known in [each for each in self._known if each.tree == shape.tree]:
                del self._known[known]
