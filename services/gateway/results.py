"""Waiting for the result of a mint, as `Prefer: wait=N` asks for (RFC 7240, section 4.3)."""

import asyncio
import re
from typing import Final
from uuid import UUID

import msgspec

from chassis.log import EventLog, LogUnavailable
from contracts.mint import Completed
from services.gateway.errors import Unavailable
from services.gateway.following import Following, StreamOver
from services.gateway.ports import Operation, Projection, ProjectionUnavailable
from services.gateway.status import closing_status

MAX_WAIT: Final = 60
"""Seconds that a caller can have an answer wait."""
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)
_POLL: Final = 1.0


def preferred_wait(prefer: str | None) -> int:
    """Return the seconds that a `Prefer` header asks to wait, at most MAX_WAIT; 0 when it does not ask.

    What cannot be understood is ignored, as the RFC has it.
    """
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), MAX_WAIT) if found else 0


class Results:
    """Waits for operations to end."""

    def __init__(self, log: EventLog, projection: Projection, following: Following) -> None:
        self._log = log
        self._projection = projection
        self._following = following

    async def within(self, operation: UUID, seconds: int) -> Operation | None:
        """Return the operation once it has ended; None when it has not within `seconds`, or cannot be followed."""
        try:
            async with asyncio.timeout(seconds), self._following.follow(operation) as follower:
                # Whatever ended before the follower's place is on the log already; everything later comes to it.
                if not await self._log.last(Completed, operation=operation):
                    while (event := await follower.next(_POLL)) is None or not _ends(event.subject):
                        pass
            # The rows of all items were committed before the indexer said `completed`; that itself may be on its way.
            completed = await self._log.last(Completed, operation=operation)
            found = await self._projection.operation(operation)
        except (TimeoutError, Unavailable, LogUnavailable, ProjectionUnavailable, StreamOver):
            # Go on: the request is stored and is answered as one that does not wait.
            return None
        if completed is None or found is None:
            return None
        return msgspec.structs.replace(found, status=closing_status(completed.data), end_time=completed.event.time)


def _ends(subject: str) -> bool:
    return subject.startswith(f"{Completed.type()}.")
