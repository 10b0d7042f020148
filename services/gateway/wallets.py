"""Whether a paying wallet is out of SOL, as the log says: told in `/health` and beside the status of what waits.

Read from the log and used again for a moment: one message while no wallet was paused lately, else what was said of all.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Final, Protocol, cast

from chassis.clock import Clock
from chassis.log import EventLog, LogLookup, LogUnavailable, RawMessage
from chassis.telemetry import get_logger
from contracts import registry
from contracts.streams import MINT
from contracts.wallet import PAUSE_RENEWAL, Paused, Resumed

MAX_AGE: Final = 1.0
"""Seconds for which an answer is used again."""
MEMORY: Final = timedelta(seconds=2 * PAUSE_RENEWAL)
"""A pause that lasts was said again within this time."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""By how much the log's clock and this one may differ."""

_log = get_logger(__name__)


class WalletPaused(Exception):
    """Work of wallets waits for SOL; the text is for people."""


class WalletLog(EventLog, Protocol):
    """The log as it is used here."""

    @property
    def lookup(self) -> LogLookup:
        """What it holds of some subjects."""
        ...


class Wallets:
    """Tells which wallets' work waits."""

    def __init__(self, log: WalletLog, clock: Clock) -> None:
        self._event_log = log
        self._clock = clock
        self._known: Sequence[Paused] = ()
        self._read_at = float("-inf")

    async def paused(self) -> Sequence[Paused]:
        """Return the pauses that last, one a wallet. Raises LogUnavailable."""
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
        return _told(paused) or None

    async def check(self) -> None:
        """Raise WalletPaused while any wallet's work waits; for health reports. Raises LogUnavailable."""
        if paused := await self.paused():
            raise WalletPaused(_told(paused))

    async def _read(self) -> Sequence[Paused]:
        last = await self._event_log.last_matching(MINT, Paused.pattern())
        now = self._clock.now()
        if last is None or now - last.event.time >= MEMORY:
            return ()
        standing: dict[str, Paused] = {}
        history = self._event_log.lookup.history(
            MINT, (Paused.pattern(), Resumed.pattern()), since=now - MEMORY - CLOCK_SKEW
        )
        async with aclosing(cast("AsyncGenerator[RawMessage]", history)) as messages:
            async for raw in messages:
                event = registry.decode(raw.subject, raw.payload)
                if isinstance(event.data, Paused) and now - event.time < MEMORY:
                    standing[event.data.wallet] = event.data
                elif isinstance(event.data, Resumed):
                    standing.pop(event.data.wallet, None)
        return tuple(standing.values())


def _told(paused: Sequence[Paused]) -> str:
    return ". ".join(each.sentence() for each in paused)
