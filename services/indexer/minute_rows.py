"""What becomes of the rows of `mint_minutes` and `mint_latencies`: what is asked for and settled, by the minute. Pure.

Used by `rows`, which tells of every row that comes to count and of every one that counts no more. So the counts follow
from the rows alone, however the log is cut into batches. Not done here: adding them to what is stored.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from contracts.mint import FailureCode
from services.indexer.tables import Item

_STEPS: Final = (100, 120, 150, 180, 220, 270, 330, 390, 470, 560, 680, 820)
LATENCIES: Final = (*(step * 10**decade for decade in range(6) for step in _STEPS), 100_000_000)
"""Milliseconds up to which minted items are counted together: each a fifth above the one before, to beyond a day."""


@dataclass(slots=True)
class Minute:
    """What a minute's counts change by."""

    operations: int = 0
    minted: int = 0
    failed: int = 0
    asked: int = 0
    """NFTs of the operations."""


@dataclass(slots=True)
class MinuteRows:
    """The changes of a batch."""

    by_minute: dict[datetime, Minute] = field(default_factory=dict[datetime, Minute])
    by_latency: Counter[tuple[datetime, int]] = field(default_factory=Counter[tuple[datetime, int]])

    def count_operation(self, start_time: datetime, items: int) -> None:
        """An operation of so many items was asked for."""
        minute = self._at(whole_minute(start_time))
        minute.operations += 1
        minute.asked += items

    def count_item(self, item: Item, by: int) -> None:
        """Count the item as it is now (1), or no more (-1); one that is pending or cancelled counts nowhere."""
        if item.settled_at is None or item.error_code == FailureCode.CANCELLED:
            return
        if item.status == "success":
            minute = whole_minute(item.settled_at)
            self._at(minute).minted += by
            self.by_latency[minute, latency(item.settled_at - item.created_at)] += by
        else:
            self._at(whole_minute(item.settled_at)).failed += by

    def changes(self) -> list[tuple[datetime, int, int, int, int]]:
        """Return what minutes, operations, minted, failed and asked change by, where they do."""
        found = [(at, each.operations, each.minted, each.failed, each.asked) for at, each in self.by_minute.items()]
        return [change for change in found if any(change[1:])]

    def latencies(self) -> list[tuple[datetime, int, int]]:
        """Return minutes, milliseconds and what the number of items changes by, where it does."""
        return [(at, up_to, items) for (at, up_to), items in self.by_latency.items() if items]

    def _at(self, minute: datetime) -> Minute:
        found = self.by_minute.get(minute)
        if found is None:
            found = self.by_minute[minute] = Minute()
        return found


# Both are remembered: the items of a message have the same times.
@lru_cache(maxsize=64)
def whole_minute(at: datetime) -> datetime:
    """Return the beginning of the minute that `at` falls into."""
    return at.replace(second=0, microsecond=0)


@lru_cache(maxsize=64)
def latency(taken: timedelta) -> int:
    """Return the least of `LATENCIES`, in milliseconds, that is no less than `taken`; the last for what took longer."""
    place = bisect_left(LATENCIES, taken / timedelta(milliseconds=1))
    return LATENCIES[min(place, len(LATENCIES) - 1)]
