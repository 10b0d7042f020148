"""What can be done with an operation beside asking for it: list, read its events, cancel, mint its failures anew.

Called by `api/operations.py`. Not done here: how an operation stands (`handlers.Statuses`), and following it live
(`following.py`).
"""

from collections.abc import Sequence
from uuid import UUID

from chassis.log import EventLog, LogUnavailable
from chassis.telemetry import get_logger
from contracts.mint import Cancelled, Completed, Requested
from services.gateway.callers import Caller
from services.gateway.errors import (
    NOTHING_STORED,
    LogSilent,
    NothingToRetry,
    OperationEnded,
    OperationNotFound,
    OperationRunning,
    ProjectionDown,
)
from services.gateway.handlers import Asking
from services.gateway.ports import History, OperationQuery, OperationSummary, Projection, ProjectionUnavailable
from services.gateway.retrying import retry_request

_log = get_logger(__name__)


class Operations:
    """Lists operations, and carries out what callers want of one."""

    def __init__(self, asking: Asking, projection: Projection) -> None:
        self._asking = asking
        self._log: EventLog = asking.log
        self._projection = projection

    async def page(self, query: OperationQuery) -> Sequence[OperationSummary]:
        """Return up to `query.limit` operations, the newest first. Raises ProjectionDown."""
        try:
            return await self._projection.operations(query)
        except ProjectionUnavailable as error:  # stop: a list cannot be had from the log by single reads
            raise ProjectionDown("The list is not available now; minting is not affected") from error

    async def timeline(self, operation: UUID, viewer: Caller, after: int, limit: int) -> History:
        """Return events of the operation beyond MINT sequence `after`. Raises OperationNotFound and Unavailable."""
        await self._requested(operation, viewer)
        try:
            return await self._projection.history(operation, after, limit)
        except ProjectionUnavailable as error:  # stop: the log cannot be read by operation without it
            raise ProjectionDown("The timeline is not available now; minting is not affected") from error

    async def cancel(self, operation: UUID, viewer: Caller) -> None:
        """Say `mint.cancelled`, once; a repetition succeeds. Raises OperationNotFound, OperationEnded and LogSilent."""
        await self._requested(operation, viewer)
        try:
            if await self._log.last(Cancelled, operation=operation):
                return
            if await self._log.last(Completed, operation=operation):
                raise OperationEnded
            said = await self._log.publish_once(Cancelled(operation=operation), cause=None)
        except LogUnavailable as error:  # stop: the caller may say it again, which is safe
            raise LogSilent("The event log does not answer; the operation may or may not be cancelled") from error
        if said:
            _log.info("mint cancelled", operation=str(operation))

    async def retry(self, operation: UUID, viewer: Caller) -> Requested:
        """Ask anew for the operation's failed items; the same answer every time.

        Only items that are failed on the log are taken: nothing of them is, or ever can come, on chain. Raises
        OperationNotFound, OperationRunning, NothingToRetry, CollectionNotFound and Unavailable.
        """
        earlier = await self._requested(operation, viewer)
        try:
            completed = await self._log.last(Completed, operation=operation)
            found = await self._projection.operation(operation)
            failed = await self._projection.failed_items(operation)
        except LogUnavailable as error:  # stop: without the log nothing can be said or known
            raise LogSilent(NOTHING_STORED) from error
        except ProjectionUnavailable as error:  # stop: which items failed is told by the tables alone
            raise ProjectionDown("Which items failed cannot be told now; nothing was stored") from error
        if completed is None or found is None or found.end_time is None:
            raise OperationRunning
        if not failed:
            raise NothingToRetry
        request = retry_request(earlier, failed)
        if stored := await self._asking.earlier(request, key=str(operation)):
            return stored
        await self._asking.open_collections.require(request.collection)
        stored = await self._asking.say(request)
        _log.info("mint retried", operation=str(stored.operation), retry_of=str(operation), items=stored.total)
        return stored

    async def _requested(self, operation: UUID, viewer: Caller) -> Requested:
        try:
            requested = await self._log.last(Requested, operation=operation)
        except LogUnavailable as error:  # stop: without the log nothing can be said or known
            raise LogSilent(NOTHING_STORED) from error
        if requested is None:
            raise OperationNotFound
        viewer.require_sight(requested.data.caller)
        return requested.data
