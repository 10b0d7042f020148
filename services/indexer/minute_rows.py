"""What becomes of the rows of `mint_minutes`: operations, minted and failed items counted by the minute. Pure.

Used by `rows`, which tells of every row that comes to count and of every one that counts no more. So the counts follow
from the rows alone, however the log is cut into batches. Not done here: adding them to what is stored.
"""

from dataclasses import dataclass, field
from datetime import datetime

from contracts.mint import FailureCode
from services.indexer.tables import Item


@dataclass(slots=True)
class Minute:
    """What a minute's counts change by."""

    operations: int = 0
    minted: int = 0
    failed: int = 0


@dataclass(slots=True)
class MinuteRows:
    """The changes of a batch."""

    by_minute: dict[datetime, Minute] = field(default_factory=dict[datetime, Minute])

    def count_operation(self, start_time: datetime) -> None:
        """An operation was asked for."""
        self._of(start_time).operations += 1

    def count_item(self, item: Item, by: int) -> None:
        """Count the item as it is now (1), or no more (-1); one that is pending or cancelled counts nowhere."""
        if item.settled_at is None or item.error_code == FailureCode.CANCELLED:
            return
        if item.status == "success":
            self._of(item.settled_at).minted += by
        else:
            self._of(item.settled_at).failed += by

    def changes(self) -> list[tuple[datetime, int, int, int]]:
        """Return what minutes, operations, minted and failed change by, where they do."""
        found = [(at, each.operations, each.minted, each.failed) for at, each in self.by_minute.items()]
        return [change for change in found if any(change[1:])]

    def _of(self, at: datetime) -> Minute:
        minute = at.replace(second=0, microsecond=0)
        if minute not in self.by_minute:
            self.by_minute[minute] = Minute()
        return self.by_minute[minute]
