"""The changes of one tree put into their order, with every hole in it named.

Used by whoever reads a tree's transactions. Account compression numbers a tree's changes from 1 without holes, so a
number that does not come is a change that was not seen. Transactions of one slot need not be told in their order;
what comes early waits here.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from bubblegum.errors import DecodeError

T = TypeVar("T")

MAX_WAITING = 10_000
"""Most changes that wait for an earlier one: far more than one slot holds, far less than memory."""


class Sequencer(Generic[T]):
    """Takes values by sequence number and gives them back in order; `seq` is the last one given back."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._waiting: dict[int, T] = {}

    def put(self, seq: int, value: T) -> None:
        """Take a value; one whose number was seen before changes nothing.

        Raises DecodeError when too many wait for one that does not come; that one is taken all the same.
        """
        if seq <= self.seq or seq in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING and seq != self.seq + 1:
            raise DecodeError(f"change {self.seq + 1} does not come, {len(self._waiting)} later ones did")
        self._waiting[seq] = value

    def ready(self) -> Iterator[tuple[int, T]]:
        """Yield what is next in order, as far as there is no hole."""
        while (seq := self.seq + 1) in self._waiting:
            self.seq = seq
            yield seq, self._waiting.pop(seq)

    @property
    def waits(self) -> bool:
        """Whether a value waits for an earlier one."""
        return bool(self._waiting)

    def missing(self) -> list[range]:
        """The holes before the last change that waits, the first one first."""
        holes: list[range] = []
        expected = self.seq + 1
        for seq in sorted(self._waiting):
            if seq != expected:
                holes.append(range(expected, seq))
            expected = seq + 1
        return holes
