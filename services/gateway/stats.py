"""The numbers of `/api/stats`, each told by whoever knows it: the tables, and the chain for the wallet."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, Literal

import msgspec

from chassis.clock import Clock
from chassis.telemetry import get_logger
from services.gateway.errors import ProjectionDown
from services.gateway.ports import Interval, Overview, Projection, ProjectionUnavailable, Wallet, WalletUnavailable

WINDOW: Final = timedelta(hours=24)

Span = Literal["hour", "day"]
STEPS: Final[Mapping[Span, tuple[timedelta, int]]] = {
    "hour": (timedelta(minutes=1), 60),
    "day": (timedelta(hours=1), 24),
}
"""By span: how long each stretch is and how many there are, the one that is going on included."""

_log = get_logger(__name__)


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The tables' totals, and the wallet's balance in lamports; None when it was never known."""

    overview: Overview
    balance: int | None


class Stats:
    """Tells the totals. The balance is kept for `ttl` seconds, and longer while nobody can tell it."""

    def __init__(self, projection: Projection, wallet: Wallet | None, clock: Clock, *, ttl: float) -> None:
        self._projection = projection
        self._wallet = wallet
        self._clock = clock
        self._ttl = ttl
        self._balance: int | None = None
        self._asked_at: float | None = None

    async def overview(self) -> Totals:
        """Return the totals as of now. Raises ProjectionDown."""
        try:
            overview = await self._projection.overview(self._clock.now() - WINDOW)
        except ProjectionUnavailable as error:  # stop: sums cannot be had from the log by single reads
            raise ProjectionDown("The statistics are not available now; minting is not affected") from error
        return Totals(overview=overview, balance=await self._current_balance())

    async def series(self, span: Span) -> Sequence[Interval]:
        """Return every stretch of the span up to now, in order. Raises ProjectionDown."""
        step, count = STEPS[span]
        now = self._clock.now()
        begun = now.replace(minute=now.minute if span == "hour" else 0, second=0, microsecond=0)
        since = begun - (count - 1) * step
        try:
            found = {each.at: each for each in await self._projection.series(since, step)}
        except ProjectionUnavailable as error:  # stop: sums cannot be had from the log by single reads
            raise ProjectionDown("The statistics are not available now; minting is not affected") from error
        return [found.get(at) or Interval(at=at) for at in (since + number * step for number in range(count))]

    async def _current_balance(self) -> int | None:
        now = self._clock.monotonic()
        if self._wallet is None or (self._asked_at is not None and now - self._asked_at < self._ttl):
            return self._balance
        # Set before the node is asked, so that callers at the same moment do not ask it too.
        earlier, self._asked_at = self._asked_at, now
        try:
            self._balance = await self._wallet.balance()
        except WalletUnavailable as error:  # go on: an old balance is better than no statistics; the next call asks
            self._asked_at = earlier
            _log.warning("wallet balance unknown", reason=str(error))
        return self._balance


def quantile(latencies: Sequence[tuple[int, int]], share: float) -> float | None:
    """Return the seconds within which `share` of the items were confirmed, rounded up by at most a fifth.

    `latencies` as in `Interval`; None without any.
    """
    wanted = share * sum(items for _, items in latencies)
    for up_to, items in latencies:
        wanted -= items
        if wanted <= 0:
            return up_to / 1000
    return None
