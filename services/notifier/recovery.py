"""When a receiver that took nothing takes something again: then all that waits for it is due, whatever was told. Pure.

Each process knows it of what it sends itself, and forgets it when it ends: what waits is then due when it was told.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

OPERATIONS: Final = 10
"""So many threads failing in a row, none taken in between, and it is the receiver that fails and not an event."""
KEPT_RECEIVERS: Final = 2000
LOOK_AGAIN_SECONDS: Final = 300.0
"""The longest that a waiting thread goes without looking whether its receiver has come back."""


@dataclass(slots=True)
class _Receiver:
    failing: set[str] = field(default_factory=set[str])
    """The threads that failed since it last took something; no more than OPERATIONS."""
    back: int = 0
    """The sequence of the delivery by which it came back; what was attempted before that is due."""


class Recoveries:
    """How receivers do, by webhook. Bounded: of too many the one that was heard of longest ago is forgotten."""

    def __init__(self) -> None:
        self._receivers: OrderedDict[UUID, _Receiver] = OrderedDict()

    def note(self, webhook: UUID, about: str, sequence: int, *, taken: bool) -> None:
        """Take in how an attempt ended, which stands at `sequence` on the log."""
        receiver = self._receivers.setdefault(webhook, _Receiver())
        self._receivers.move_to_end(webhook)
        if len(self._receivers) > KEPT_RECEIVERS:
            self._receivers.popitem(last=False)
        if not taken:
            if len(receiver.failing) < OPERATIONS:
                receiver.failing.add(about)
            return
        if len(receiver.failing) == OPERATIONS:
            receiver.back = sequence
        receiver.failing.clear()

    def is_back(self, webhook: UUID, attempted_at: int) -> bool:
        """Return whether the receiver came back after the attempt at sequence `attempted_at`."""
        receiver = self._receivers.get(webhook)
        return receiver is not None and receiver.back > attempted_at
