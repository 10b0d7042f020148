"""Postgres for the services that have one: the connection pool.

Used by the indexer (owner of the tables) and the gateway (read-only role). Not done here: migrations
(`chassis.migrations`), SQL texts (`chassis.queries`), or anything about what the tables mean.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from chassis.clock import Clock, SystemClock
from chassis.database import KEEPALIVES, Connection, Executor, Pool, Row, create_pool
from chassis.migrations import migrate
from chassis.queries import Queries, Query, load_queries
from chassis.redaction import Secret
from chassis.telemetry import get_logger

__all__ = [
    "Connection",
    "DatabaseUnavailable",
    "Executor",
    "Pool",
    "Queries",
    "Query",
    "Row",
    "check",
    "load_queries",
    "migrate",
    "pool",
]

_log = get_logger(__name__)

# Seconds. A statement of ours that takes longer has lost its plan or its lock; waiting longer helps nobody.
_STATEMENT_TIMEOUT: Final = 30
_IDLE_IN_TRANSACTION_TIMEOUT: Final = 60
_CONNECT_TIMEOUT: Final = 5
# Less than the lifecycle gives to all resources together.
_CLOSE_TIMEOUT: Final = 2
_RETRY_PAUSE: Final = 0.5


class DatabaseUnavailable(Exception):
    """Postgres could not be reached in the time given; the reason follows, without the DSN's password."""


@asynccontextmanager
async def pool(
    dsn: Secret | str,
    *,
    application_name: str,
    min_size: int = 1,
    max_size: int = 8,
    wait_seconds: float = 30.0,
    server_settings: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[Pool, None]:
    """A pool of connections to `dsn`, closed at the end of the body.

    Waits up to `wait_seconds` for a server that is still starting. Statements are cut off after 30 s and idle
    transactions after 60 s. `json` and `jsonb` values are texts, as asyncpg has them by default.

    Raises `DatabaseUnavailable` and `UnusableDsn`; a wrong password or a missing database is raised at once as
    asyncpg's own error.
    """
    text = dsn.reveal() if isinstance(dsn, Secret) else dsn
    settings = {
        "application_name": application_name,
        "statement_timeout": f"{_STATEMENT_TIMEOUT}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_TIMEOUT}s",
        "timezone": "UTC",
        **KEEPALIVES,
        **(server_settings or {}),
    }
    opened = await _open(text, settings, min_size, max_size, wait_seconds, clock or SystemClock())
    try:
        yield opened
    finally:
        await _close(opened)


async def check(database: Executor) -> None:
    """A readiness check: one trivial statement. Raises what asyncpg raises."""
    await database.fetchval("SELECT 1", timeout=_CONNECT_TIMEOUT)


async def _close(opened: Pool) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await opened.close()  # when it fails or is cut off, asyncpg terminates the connections itself
    except (TimeoutError, OSError, RuntimeError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Stop: the server went first (RuntimeError: uvloop's closed transport), or a task kept its connection.
        _log.warning("postgres pool was not closed in order", reason=str(error) or "timed out")


async def _open(
    dsn: str, settings: Mapping[str, str], min_size: int, max_size: int, wait_seconds: float, clock: Clock
) -> Pool:
    deadline = clock.monotonic() + wait_seconds
    while True:
        try:
            return await create_pool(
                dsn,
                min_size=min_size,
                max_size=max_size,
                connect_timeout=_CONNECT_TIMEOUT,
                command_timeout=_STATEMENT_TIMEOUT,
                server_settings=settings,
            )
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as error:
            # Retry until the deadline: the server is not up yet, or is still recovering.
            if clock.monotonic() >= deadline:
                raise DatabaseUnavailable(f"no Postgres after {wait_seconds:g} s: {error or 'timed out'}") from error
            _log.info("postgres is not there yet, trying again", reason=str(error) or type(error).__name__)
            await clock.sleep(_RETRY_PAUSE)
