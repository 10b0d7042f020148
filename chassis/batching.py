"""Whether messages that wait at the same moment go to the log singly or as one atomic batch. Pure.

Used by `chassis.messaging_publish`. A batch takes about one sync of the disk for all its messages, and several times
the processor of as many single ones. So it pays where every write is synced and nowhere else; where that is, no client
can ask, and a stream's leader may move to another disk. What can be seen is how long both take: the rule reckons either
from what it has measured, takes the faster one, and tries the other now and then. Not done here: publishing.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from chassis.log import MAX_BATCH

MEASURABLE: Final = 4
"""Messages from which on a burst tells how long one more of them takes."""
TRIED: Final = 8
"""Most messages that try how fast single ones are: each may pay a sync of its own."""
TRY_SECONDS: Final = 5.0
"""After so long the way that is not taken is tried again."""
BATCHED_SECONDS: Final = 100e-6
"""Of nats-server's processor, that each message of a batch costs, about. What is stored faster alone stays alone."""
MARGIN: Final = 1.5
"""How many times as fast a batch must be."""
NEWEST: Final = 8
"""Measurements that count."""
ENOUGH: Final = 4
"""Measurements of single messages without which no batch is tried: a few may have met a busy moment of the machine."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What is published next: that many messages, as one batch or each by itself."""

    count: int
    batched: bool


class Batching:
    """The rule for one stream. `most` messages are a batch at the most; with 1 there are none."""

    def __init__(self, most: int = MAX_BATCH) -> None:
        self._most = most
        self._lone = _Least()
        """Seconds for a message all alone: the way there and back, and what it takes to store it."""
        self._further = _Least()
        """Seconds for each single message behind the first."""
        self._batch = _Least()
        """Seconds for a batch beside what each of its messages costs."""
        self._taken_at = {False: float("-inf"), True: float("-inf")}
        """When messages last went singly, and as a batch; of bursts that can be measured."""

    def burst(self, waiting: int, now: float) -> Burst:
        """Return how the first of `waiting` messages go; `now` in seconds of a monotonic clock."""
        batched = self._pays(waiting)
        most = self._most if batched else waiting if self._further.measured >= ENOUGH else TRIED
        if waiting >= MEASURABLE:
            if self._in_doubt(waiting) and now - self._taken_at[not batched] >= TRY_SECONDS:
                batched, most = not batched, TRIED if batched else self._most
            self._taken_at[batched] = now
        return Burst(min(waiting, most), batched)

    def stored(self, burst: Burst, seconds: float) -> None:
        """Note how long a burst was waited for, from its write to its last acknowledgement."""
        if burst.count == 1:
            self._lone.note(seconds)
        elif burst.count < MEASURABLE:
            return
        elif burst.batched:
            self._batch.note(seconds - burst.count * BATCHED_SECONDS)
        else:
            self._further.note((seconds - self._lone.seconds) / (burst.count - 1))

    def _in_doubt(self, waiting: int) -> bool:
        """Whether a batch could pay, by what is known of single messages."""
        if self._most == 1 or self._further.measured < ENOUGH:
            return False
        return self._singly(waiting) > MARGIN * waiting * BATCHED_SECONDS

    def _pays(self, waiting: int) -> bool:
        if waiting < 2 or not self._batch.measured:
            return False
        return self._singly(waiting) > MARGIN * (self._batch.seconds + waiting * BATCHED_SECONDS)

    def _singly(self, waiting: int) -> float:
        return self._lone.seconds + (waiting - 1) * self._further.seconds


class _Least:
    """The least of the newest measurements: what else the machine does makes some longer, a sync makes all so."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=NEWEST)

    @property
    def measured(self) -> int:
        """How many measurements there are."""
        return len(self._newest)

    @property
    def seconds(self) -> float:
        """0 as long as nothing was measured."""
        return min(self._newest, default=0.0)

    def note(self, seconds: float) -> None:
        self._newest.append(max(0.0, seconds))
