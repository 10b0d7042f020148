"""How much a caller may ask for: quotas by class of endpoint, and what is told of them.

Counted in fixed windows, as the source document's middleware counts, so that `Retry-After` is exact. Counts are shared
between replicas when there is a Redis. When that does not answer, each replica counts for itself: a lost counter must
not stop mints that everything else could carry out, and one caller still gets no more than replicas x quota. Used by
`api/auth.py`. Not done here: counting in
Redis (`adapters/counting.py`).
"""

from collections import OrderedDict
from collections.abc import Mapping
from math import ceil
from typing import Final, Literal, Protocol

import msgspec

from chassis import metrics
from chassis.clock import Clock
from chassis.telemetry import get_logger
from services.gateway.errors import RateLimited

LimitClass = Literal["mint", "upload", "status", "login", "general"]
"""`mint`: what makes operations. `status`: following one, which the source document's frontend does every two seconds.
`login`: counted by address, as nobody is known yet."""

MAX_OWN_COUNTERS: Final = 100_000
REST_SECONDS: Final = 5.0
"""How long shared counters are left alone after they failed, so that not every request waits for them."""

MESSAGES: Final[Mapping[LimitClass, str]] = {
    "mint": "Too many mint requests",
    "upload": "Too many upload requests",
    "status": "Too many status requests",
    "login": "Too many sign-in requests",
    "general": "Too many requests",
}
"""The source document's words (section 4), and ours beside them."""

_log = get_logger(__name__)


class CountersUnavailable(Exception):
    """The counters cannot be read or written now."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """At most `most` requests in each stretch of `window` seconds."""

    most: int
    window: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a caller stands after a request was counted."""

    count: int
    """Requests of this window, this one included."""
    reset: float
    """Seconds until the window ends."""


class Counters(Protocol):
    """Counts requests."""

    async def hit(self, key: str, window: int) -> Standing:
        """Count one request under `key`, whose window of `window` seconds begins with the first. Raises
        CountersUnavailable.
        """
        ...


class OwnCounters:
    """Counters of this process alone. When there are too many, those whose window began first are forgotten.

    Not the memory storage of `limits`, which looks through all its keys at every request: with those of 100,000
    addresses that took 43 ms, and strangers choose how many there are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    async def hit(self, key: str, window: int) -> Standing:
        """See `Counters.hit`."""
        now = self._clock.monotonic()
        found = self._windows.get(key)
        if found is None or found.ends <= now:
            self._windows.pop(key, None)
            found = self._windows[key] = _Window(ends=now + window)
            if len(self._windows) > MAX_OWN_COUNTERS:
                self._windows.popitem(last=False)
        found.count += 1
        return Standing(count=found.count, reset=found.ends - now)


class _Window(msgspec.Struct):
    ends: float
    count: int = 0


class Limiter:
    """Counts a caller's requests and refuses those that are too many. A class without a quota is not limited."""

    def __init__(self, quotas: Mapping[LimitClass, Quota], shared: Counters | None, clock: Clock) -> None:
        self._quotas = quotas
        self._own = OwnCounters(clock)
        self._shared = shared
        self._clock = clock
        self._resting_until = float("-inf")

    async def count(self, limit: LimitClass, who: str, headers: dict[str, str]) -> None:
        """Count a request and put into `headers` what is left. Raises RateLimited."""
        quota = self._quotas.get(limit)
        if quota is None:
            return
        standing = await self._hit(f"{limit}:{who}", quota.window)
        reset = max(1, ceil(standing.reset))
        headers |= limit_headers(limit, quota, standing.count, reset)
        if standing.count > quota.most:
            metrics.RATE_LIMITED.add(limit=limit)
            raise RateLimited(MESSAGES[limit], f"{quota.most} in {quota.window} seconds are allowed", reset)

    async def _hit(self, key: str, window: int) -> Standing:
        if self._shared is not None and self._clock.monotonic() >= self._resting_until:
            try:
                return await self._shared.hit(key, window)
            except CountersUnavailable as error:  # go on: see the module's first lines
                self._resting_until = self._clock.monotonic() + REST_SECONDS
                _log.warning("rate limits are counted by this replica alone", reason=str(error))
        if self._shared is not None:
            metrics.COUNTED_ALONE.add()
        return await self._own.hit(key, window)


def limit_headers(limit: LimitClass, quota: Quota, count: int, reset: int) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it."""
    return {
        "RateLimit-Policy": f'"{limit}";q={quota.most};w={quota.window}',
        "RateLimit": f'"{limit}";r={max(0, quota.most - count)};t={reset}',
    }
