"""The parts of asyncpg that this project uses, with types (asyncpg itself has none).

Used by `chassis.postgres`, `chassis.migrations` and the SQL adapters of the services: annotate with `Connection` and
`Pool` from here. Not done here: retries and settings, see `chassis.postgres`.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, cast

import asyncpg

Row = Mapping[str, Any]
"""A result row by column name; really an `asyncpg.Record`. Values are as asyncpg decodes them."""

# asyncpg has no annotations; every use of its functions goes through these protocols.
_asyncpg: Any = asyncpg


class Executor(Protocol):
    """What can run a statement: a connection, or a pool that lends one for the statement. Timeouts are in seconds."""

    async def execute(self, query: str, /, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Run a statement, or a script when there are no arguments; the command's tag, like `INSERT 0 1`."""
        ...

    async def executemany(
        self,
        command: str,
        /,
        args: Iterable[Sequence[object]],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Run one statement for each argument tuple, atomically."""
        ...

    async def fetch(self, query: str, /, *args: object, timeout: float | None = None) -> list[Row]:  # noqa: ASYNC109
        """All rows."""
        ...

    async def fetchrow(self, query: str, /, *args: object, timeout: float | None = None) -> Row | None:  # noqa: ASYNC109
        """The first row, or None."""
        ...

    async def fetchval(self, query: str, /, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """The first column of the first row, or None."""
        ...


class Connection(Executor, Protocol):
    """One connection; also what a pool lends."""

    def transaction(self, *, isolation: str | None = None, readonly: bool = False) -> AbstractAsyncContextManager[Any]:
        """A transaction around the body; a savepoint when one is open already."""
        ...

    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        ...

    async def copy_records_to_table(
        self, table_name: str, *, records: Iterable[Sequence[object]], columns: Sequence[str]
    ) -> str:
        """Append `records` by COPY, values in the order of `columns`; the command's tag."""
        ...

    def cursor(self, query: str, /, *args: object, prefetch: int | None = None) -> AsyncIterator[Row]:
        """The rows as they are needed, `prefetch` at a time; only inside of a transaction."""
        ...


class Pool(Executor, Protocol):
    """A pool of connections."""

    def acquire(self, *, timeout: float | None = None) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection for the body."""
        ...

    async def close(self) -> None:
        """Wait for lent connections and close all."""
        ...

    async def expire_connections(self) -> None:
        """Open each connection anew before it is lent again."""
        ...

    def terminate(self) -> None:
        """Close all at once."""
        ...


class OwnedConnection(Connection, Protocol):
    """A connection opened outside of a pool, which its opener closes."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Say goodbye to the server and close."""
        ...


UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg raises when the server ends an idle connection at the moment of its next use.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    # A server that only reads: after a failover, the former primary, at the other end of a connection from before.
    asyncpg.ReadOnlySQLTransactionError,
)
"""Errors by which the server or the way to it is at fault, and which may pass. Retry, on a new connection."""


KEEPALIVES: Final[Mapping[str, str]] = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""Session settings by which the server finds within 25 s that a client's machine is gone, and frees what it has locked.

Without them that takes two hours, in which nobody else can go on. Without meaning on a Unix socket.
"""


class UnusableDsn(ValueError):
    """The connection URL is none. The text holds nothing of it: what it was cut into wrongly may be its password."""

    def __init__(self) -> None:
        super().__init__(
            "the connection URL of Postgres cannot be used: percent-encode what is special in its password "
            "(/ is %2F, # is %23, ? is %3F, : is %3A), and look at its parameters"
        )


def quoted(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def connect(
    dsn: str,
    *,
    timeout: float = 10,  # noqa: ASYNC109
    server_settings: Mapping[str, str] | None = None,
) -> OwnedConnection:
    """One connection to `dsn`. Raises UnusableDsn, OSError, TimeoutError or an `asyncpg.PostgresError`."""
    try:
        opened = await _asyncpg.connect(dsn, timeout=timeout, server_settings=dict(server_settings or {}))
    except ValueError:  # stop: asyncpg and urllib find the parts of a URL wrong, and quote them
        raise UnusableDsn from None
    return cast("OwnedConnection", opened)


async def create_pool(
    dsn: str,
    *,
    min_size: int,
    max_size: int,
    connect_timeout: float,
    command_timeout: float,
    server_settings: Mapping[str, str],
) -> Pool:
    """A pool with `min_size` connections open. Raises as `connect` does."""
    try:
        pool = await _asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=connect_timeout,
            command_timeout=command_timeout,
            server_settings=dict(server_settings),
        )
    except ValueError:  # stop: see `connect`
        raise UnusableDsn from None
    return cast("Pool", pool)
