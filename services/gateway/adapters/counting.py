"""Counters of requests, in this process's memory or in Redis, on the storages of the `limits` library.

Used through `limiting.Counters`.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.errors import StorageError
from redis.asyncio import Redis

from chassis.settings import Secret
from services.gateway.limiting import CountersUnavailable, Standing

TIMEOUT: Final = 0.25
"""Seconds that Redis has for an answer: it is asked before every request."""
KEY_PREFIX: Final = "mintstream:limits"


class StoredCounters:
    """Implements `limiting.Counters`."""

    def __init__(self, storage: MemoryStorage | RedisStorage) -> None:
        self._storage = storage

    async def hit(self, key: str, window: int) -> Standing:
        """See `limiting.Counters.hit`."""
        try:
            count = await self._storage.incr(key, window)
            ends = await self._storage.get_expiry(key)
        except StorageError as error:  # stop: the caller of this decides what counts instead
            raise CountersUnavailable(type(error.storage_error).__name__) from error
        return Standing(count=count, reset=ends - time.time())


def own_counters() -> StoredCounters:
    """Return counters of this process alone."""
    return StoredCounters(MemoryStorage())


@asynccontextmanager
async def shared_counters(url: Secret) -> AsyncGenerator[StoredCounters]:
    """Yield counters in the Redis at `url`, and close their connections afterwards. Redis need not answer yet."""
    storage = RedisStorage(
        f"async+{url.reveal()}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=KEY_PREFIX,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
    )
    try:
        yield StoredCounters(storage)
    finally:
        # The library closes nothing itself, and its annotations hide the client that it made.
        await cast("Redis", cast("Any", storage.bridge).get_connection()).aclose()
