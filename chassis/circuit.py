"""A circuit: leaves a neighbour alone for a while after failures in a row, so that it is not asked in vain.

Used by whoever calls nodes and pinning services. It only says whom to ask; nothing is ever concluded from it about what
was asked. By the monotonic clock: with the wall clock, a clock that is set right while a circuit is open would keep it
open for as long as the clock was wrong. Why this is no library's is told in docs/dependencies.md. Not done here: pauses
that the neighbour itself asks for.
"""

from types import TracebackType
from typing import Literal

from chassis.clock import Clock

State = Literal["closed", "opened", "half-opened"]


class CircuitOpen(Exception):
    """The neighbour is left alone for now. Retry: after the circuit's pause."""


class Circuit:
    """Around each call, as `with circuit:`; raises CircuitOpen instead of beginning it."""

    def __init__(self, clock: Clock, *, failures: int, pause: float, exclude: tuple[type[Exception], ...] = ()) -> None:
        """It opens after `failures` in a row, for `pause` seconds; then the next outcome decides.

        Errors of `exclude` speak of what was asked, or of how often: the neighbour is there. A call that is cancelled
        tells nothing.
        """
        self._clock = clock
        self._enough = failures
        self._pause = pause
        self._exclude = exclude
        self._failures = 0
        self._opened_at = 0.0

    @property
    def state(self) -> State:
        """How it stands now. While it is half-opened calls are let through."""
        if self._failures < self._enough:
            return "closed"
        return "opened" if self._clock.monotonic() < self._opened_at + self._pause else "half-opened"

    def __enter__(self) -> None:
        if self.state == "opened":
            raise CircuitOpen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, self._exclude):
            self._failures = 0
        elif issubclass(kind, Exception) and self.state != "opened":
            self._failures += 1
            self._opened_at = self._clock.monotonic()
