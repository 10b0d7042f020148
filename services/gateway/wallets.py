"""Whether a paying wallet is out of SOL, as the log says: told in `/health` and beside the status of what waits.

One read of the log, used again for a moment. It tells of the wallet that was paused last, and of it alone.
"""

from typing import Final

from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable
from chassis.telemetry import get_logger
from contracts.streams import MINT
from contracts.wallet import PAUSE_RENEWAL, Paused, wallet_fence

MAX_AGE: Final = 1.0
"""Seconds for which an answer is used again."""

_log = get_logger(__name__)


class WalletPaused(Exception):
    """A wallet's work waits for SOL; the text is for people."""


class Wallets:
    """Tells which wallet's work waits."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._event_log = log
        self._clock = clock
        self._known: Paused | None = None
        self._read_at = float("-inf")

    async def paused(self) -> Paused | None:
        """Return the pause that lasts, None when there is none. Raises LogUnavailable."""
        now = self._clock.monotonic()
        if now - self._read_at >= MAX_AGE:
            self._known = await self._read()
            self._read_at = now
        return self._known

    async def hint(self) -> str | None:
        """Return what callers whose work may wait are told; None when there is nothing to tell."""
        try:
            paused = await self.paused()
        except LogUnavailable as error:  # go on: the status itself is known, the hint is not
            _log.warning("pauses not read", reason=str(error))
            return None
        return paused.sentence() if paused else None

    async def check(self) -> None:
        """Raise WalletPaused while a wallet's work waits; for health reports. Raises LogUnavailable."""
        paused = await self.paused()
        if paused is not None:
            raise WalletPaused(paused.sentence())

    async def _read(self) -> Paused | None:
        last = await self._event_log.last_matching(MINT, Paused.pattern())
        if last is None or not isinstance(last.data, Paused):
            return None
        newest = await self._event_log.last_matching(MINT, wallet_fence(last.data.wallet))
        if newest is None or not isinstance(newest.data, Paused):
            return None
        age = (self._clock.now() - newest.event.time).total_seconds()
        return newest.data if age < 2 * PAUSE_RENEWAL else None
