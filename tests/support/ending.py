"""Ends tasks that may swallow a cancellation, as `asyncio.wait_for` does until Python 3.12."""

import asyncio
from collections.abc import Iterable

from chassis import telemetry

_ROUND = 1.0
"""Seconds that tasks get to end before they are cancelled once more."""

_log = telemetry.get_logger(__name__)


async def end(tasks: Iterable["asyncio.Task[object]"]) -> None:
    """Cancel `tasks` until each has ended; what they raise is nobody's business any more.

    A result that comes at the moment of the cancellation is returned by `asyncio.wait_for` in its place, in the
    clients of NATS and HTTP too; a loop that goes on after that waits for ever to be cancelled again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ROUND)
        for task in pending:
            _log.warning("a task goes on after its cancellation", task=task.get_name())
    await asyncio.gather(*tasks, return_exceptions=True)
