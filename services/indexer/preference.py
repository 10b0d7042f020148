"""Which of several nodes is asked first: the operator's order, but one that gave no answer is asked last for a while.

Used by `adapters.nodes` for single calls and by `chain.following` for whole histories. It only says whom to ask;
nothing is concluded from it.
"""

from typing import Final

from chassis.clock import Clock

REST_SECONDS: Final = 30.0
"""How long a node that gave no answer is asked last: each try can cost a whole timeout."""


class Preference:
    """The order of `count` nodes, by their positions."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._clock = clock
        self._rests_until = [float("-inf")] * count

    def order(self) -> list[int]:
        """Every position, those that rest behind those that do not."""
        now = self._clock.monotonic()
        return sorted(range(len(self._rests_until)), key=lambda position: self._rests_until[position] > now)

    def failed(self, position: int) -> None:
        """This one gave no answer."""
        self._rests_until[position] = self._clock.monotonic() + REST_SECONDS
