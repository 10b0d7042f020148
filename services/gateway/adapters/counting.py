"""Counters of requests in Redis, on the storage of the `limits` library.

Used through `limiting.Counters`.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from limits.aio.storage import RedisStorage
from limits.errors import ConfigurationError, StorageError
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chassis.settings import Secret
from services.gateway.limiting import CountersUnavailable, Standing

TIMEOUT: Final = 0.25
"""Seconds that Redis has for each step: it is asked before every request."""
MAX_CONNECTIONS: Final = 32
KEY_PREFIX: Final = "mintstream:limits"


class RedisCounters:
    """Implements `limiting.Counters`."""

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage

    async def hit(self, key: str, window: int) -> Standing:
        """See `limiting.Counters.hit`."""
        try:
            count = await self._storage.incr(key, window)
            ends = await self._storage.get_expiry(key)
        except StorageError as error:  # stop: the caller of this decides what counts instead
            raise CountersUnavailable(type(error.storage_error).__name__) from error
        return Standing(count=count, reset=ends - time.time())


@asynccontextmanager
async def shared_counters(url: Secret) -> AsyncGenerator[RedisCounters]:
    """Yield counters in the Redis at `url`, and close their connections afterwards. Redis need not answer yet.

    Raises ValueError, without the URL in its text, when that is none.
    """
    pool, storage = _storage(url.reveal())
    try:
        yield RedisCounters(storage)
    finally:
        await pool.disconnect()


def _storage(address: str) -> tuple[BlockingConnectionPool, RedisStorage]:
    try:
        pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]  (its options are not annotated)
            address.replace("redis+unix:", "unix:"),
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            # Once, for a connection that was closed while it was idle; without a pause, because a request waits.
            retry=Retry(NoBackoff(), 1),
        )
        # `limits` takes a pool as an option, which its annotations leave out.
        options = cast("dict[str, Any]", {"connection_pool": pool})
        return pool, RedisStorage(
            f"async+{address}", wrap_exceptions=True, implementation="redispy", key_prefix=KEY_PREFIX, **options
        )
    except (ValueError, ConfigurationError):
        # Stop: the operator has to correct it. What was found wrong is quoted, and may be the password.
        raise ValueError(
            "REDIS_URL cannot be used: percent-encode what is special in its password (/ is %2F, # is %23)"
        ) from None
