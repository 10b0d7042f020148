"""Priority fees: what a transaction offers beyond the base fee, from what others paid and never above a cap.

The two rules are pure; `PriorityFees` asks the chain and remembers. A price is never worth waiting for: when nobody
tells what others paid, the last known price is offered, or none.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from solders.instruction import Instruction

from chassis.clock import Clock
from chassis.logs import get_logger
from services.minter.ports import ChainUnavailable, FeeMarket

MICRO: Final = 1_000_000
MAX_ACCOUNTS: Final = 128
"""Most addresses of one getRecentPrioritizationFees call (Solana RPC API)."""
MAX_AGE: Final = 5.0
"""Seconds for which a price is offered again before the chain is asked anew."""
MAX_KNOWN: Final = 256
"""Most sets of accounts whose price is remembered."""

_logger = get_logger(__name__)


def price_at(fees: Sequence[int], percentile: int) -> int:
    """Return the price that `percentile` % of `fees` do not exceed (nearest rank), 0 when there are none."""
    if not fees:
        return 0
    rank = max(1, -(-len(fees) * percentile // 100))
    return sorted(fees)[rank - 1]


def within_cap(price: int, compute_units: int, cap: int) -> int:
    """Return the highest price up to `price` whose fee for `compute_units` is at most `cap` lamports.

    `price` is in micro-lamports a compute unit; the fee is rounded up to whole lamports, as the runtime does.
    """
    return min(price, cap * MICRO // max(1, compute_units))


class PriorityFees:
    """Offers a price for a transaction. `percentile` 0 offers nothing and asks nobody."""

    def __init__(self, market: FeeMarket, clock: Clock, *, percentile: int, cap: int) -> None:
        self._market = market
        self._clock = clock
        self._percentile = percentile
        self._cap = cap
        self._known: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    async def price(self, work: Sequence[Instruction], compute_units: int) -> int:
        """Return the price in micro-lamports for one of `compute_units`; what the transaction writes to sets it."""
        if self._percentile == 0 or self._cap == 0:
            return 0
        written = {str(account.pubkey) for each in work for account in each.accounts if account.is_writable}
        return within_cap(await self._market_price(tuple(sorted(written)[:MAX_ACCOUNTS])), compute_units, self._cap)

    async def _market_price(self, written: tuple[str, ...]) -> int:
        now = self._clock.monotonic()
        read_at, price = self._known.get(written, (float("-inf"), 0))
        if now - read_at < MAX_AGE:
            return price
        # Noted before the answer comes, so that whoever asks meanwhile goes on with the price that is known.
        self._remember(written, now, price)
        try:
            price = price_at(await self._market.recent_fees(written), self._percentile)
        except ChainUnavailable as error:
            # Go on with what is known: the transaction is worth more than its price, and the next one asks again.
            _logger.warning("priority fees not read", reason=str(error))
        self._remember(written, now, price)
        return price

    def _remember(self, written: tuple[str, ...], now: float, price: int) -> None:
        self._known[written] = (now, price)
        self._known.move_to_end(written)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
