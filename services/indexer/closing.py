"""Says `mint.completed` of every operation whose items are all settled.

One task beside the projectors. It publishes after the rows are committed and finds its work by a query, so a crash in
between loses nothing: the next start finds the same operations. Saying it twice is impossible: the subject takes one
message for ever. The row's own end comes back through the log like everything else.
"""

import asyncio

from chassis import telemetry
from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable
from chassis.telemetry import get_logger
from contracts.mint import Completed
from contracts.registry import decode
from services.indexer.pauses import pause_after
from services.indexer.ports import SettledOperation, SettledOperations, StoreUnavailable

BATCH = 200
"""Operations fetched at once."""

_log = get_logger(__name__)


class Closer:
    """Publishes the closing totals of settled operations, in the order in which they were settled."""

    def __init__(self, log: EventLog, operations: SettledOperations, clock: Clock) -> None:
        self._log = log
        self._operations = operations
        self._clock = clock
        self._due = asyncio.Event()
        self._due.set()  # the first round finds what an earlier process left
        self._after = 0

    def wake(self) -> None:
        """An operation was settled."""
        self._due.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.close_settled()
                failures = 0
            except (LogUnavailable, StoreUnavailable) as error:
                # Retry: whatever was published already is refused the second time.
                failures += 1
                _log.warning("cannot complete operations", reason=str(error), again_in=pause_after(failures))
                self._due.set()
                await self._clock.sleep(pause_after(failures))

    async def close_settled(self) -> None:
        """Publish for every operation settled since the last one published."""
        while found := await self._operations.settled_operations(self._after, BATCH):
            for operation in found:
                await self._close(operation)
                self._after = operation.sequence

    async def _close(self, operation: SettledOperation) -> None:
        cause = decode(operation.subject, operation.payload)  # was decoded once to be projected
        fact = Completed(
            operation=operation.id,
            total=operation.total,
            minted=operation.minted,
            failed=operation.failed,
            cancelled=operation.cancelled,
        )
        context, links = telemetry.together([operation.headers])
        with telemetry.span("complete operation", context=context, links=links):
            published = await self._log.publish_once(fact, cause=cause)
        if published:
            _log.info(
                "operation completed",
                operation=str(operation.id),
                minted=operation.minted,
                failed=operation.failed,
                total=operation.total,
            )
