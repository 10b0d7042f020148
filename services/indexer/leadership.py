"""One active projector: an advisory lock in Postgres, held on a connection of its own for as long as the work runs.

Used by the composition root. A second replica waits here in standby and takes over when the first one is gone, or is
not heard of: the server ends the session of one that hangs or is cut off. Losing the connection stops the work. The
lock only spares two replicas useless work: what makes double application impossible is the watermark's
compare-and-set.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import asyncpg

from chassis import metrics
from chassis.clock import Clock
from chassis.database import KEEPALIVES, OwnedConnection, connect
from chassis.redaction import Secret
from chassis.telemetry import get_logger
from services.indexer.pauses import pause_after
from services.indexer.ports import Fenced

# Any constant serves, as long as nothing else in the database uses it.
LOCK_KEY: Final = 0x6D696E74_00000002
_STATEMENT_TIMEOUT: Final = 5.0
# InternalClientError is what asyncpg raises when the server ends an idle connection at the moment of its next use.
_TRANSIENT: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

_log = get_logger(__name__)


class LeadershipLost(Exception):
    """The connection that holds the lock is gone, and another replica may have the lock by now."""


class Leadership:
    """Runs work in at most one process of all that share a database. Intervals are in seconds."""

    def __init__(
        self,
        dsn: Secret,
        clock: Clock,
        *,
        poll_interval: float = 1.0,
        heartbeat_interval: float = 5.0,
        patience: float = 30.0,
    ) -> None:
        """`patience` is for how long the server hears nothing of a leader before it gives the lock to another."""
        # A session without heartbeats is idle, also for a server that was never told that its client is gone.
        self._session = {**KEEPALIVES, "idle_session_timeout": f"{patience * 1000:.0f}ms"}
        self._dsn = dsn
        self._clock = clock
        self._poll_interval = poll_interval
        self._heartbeat_interval = heartbeat_interval
        self._stopping = asyncio.Event()
        self.leading = False

    def stop(self) -> None:
        """Let `run` return: at once in standby, else when the work does."""
        self._stopping.set()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait in standby, then run `work` until it returns; start over whenever the lead is lost."""
        while (connection := await self._acquire()) is not None:
            try:
                await self._work_while_leading(connection, work)
                return
            except (LeadershipLost, Fenced) as error:
                _log.warning("no longer leading", reason=str(error))
                await self._pause(self._poll_interval)
            finally:
                self._set_leading(False)
                await _close(connection)

    async def _acquire(self) -> OwnedConnection | None:
        """Return a connection that holds the lock; None after `stop`."""
        failures = 0
        while not self._stopping.is_set():
            connection: OwnedConnection | None = None
            led = False
            try:
                connection = await connect(
                    self._dsn.reveal(), timeout=_STATEMENT_TIMEOUT, server_settings=self._session
                )
                led = await self._take_lock(connection)
            except _TRANSIENT as error:
                # Retry: Postgres is away, or will not let us in; there is nothing to do but to wait and say so.
                failures += 1
                pause = pause_after(failures)
                _log.warning("cannot ask for the lead", reason=f"{type(error).__name__}: {error}", again_in=pause)
                await self._pause(pause)
            finally:
                if connection is not None and not led:
                    await _close(connection)
            if led:
                self._set_leading(True)
                return connection
        return None

    async def _take_lock(self, connection: OwnedConnection) -> bool:
        """Poll for the lock: a statement that waited for it would hold back vacuum for as long as it waits."""
        told = False
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY, timeout=_STATEMENT_TIMEOUT):
            if not told:
                _log.info("standby: another indexer is projecting")
                told = True
            await self._pause(self._poll_interval)
            if self._stopping.is_set():
                return False
        _log.info("leading: this indexer projects")
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        waits = (asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._stopping.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _work_while_leading(self, connection: OwnedConnection, work: Callable[[], Awaitable[None]]) -> None:
        working = asyncio.ensure_future(work())
        watching = asyncio.ensure_future(self._watch(connection))
        both = (working, watching)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                watching.result()
            await _cancelled(watching)
            return working.result()
        finally:
            # The lock is given back only when the work has stopped.
            await _cancelled(*both)

    async def _watch(self, connection: OwnedConnection) -> None:
        """Return never; raises LeadershipLost when the connection no longer answers."""
        while True:
            await self._clock.sleep(self._heartbeat_interval)
            try:
                await connection.fetchval("SELECT 1", timeout=_STATEMENT_TIMEOUT)
            except _TRANSIENT as error:  # stop: whoever cannot see its lock must take it for lost
                raise LeadershipLost(f"{type(error).__name__}: {error}") from error

    def _set_leading(self, leading: bool) -> None:
        self.leading = leading
        metrics.LEADING.set(int(leading))


async def _close(connection: OwnedConnection) -> None:
    with suppress(*_TRANSIENT):  # stop: the server gives the lock back when the connection is gone
        await connection.close(timeout=_STATEMENT_TIMEOUT)


async def _cancelled(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
