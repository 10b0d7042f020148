"""Which of two answers of nodes is the older one, by the slots that they tell: pure.

Used by whoever says nothing on the log that is older than what stands there.
"""

from typing import Final

MAX_LAG: Final = 1_000_000
"""Slots, some four days: no node that answers is so far behind. Who told a slot beyond that told nonsense, and must not
silence all who tell the true one."""


def is_older(slot: int, known: int) -> bool:
    """Return whether an answer of `slot` is of an earlier time than one of slot `known`."""
    return known - MAX_LAG < slot < known
