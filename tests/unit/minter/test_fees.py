"""Priority fees: the percentile, the cap, and what happens when nobody tells."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from chassis.clock import ManualClock
from services.minter.fees import MAX_ACCOUNTS, MAX_AGE, MAX_KNOWN, MICRO, PriorityFees, price_at, within_cap
from services.minter.ports import ChainUnavailable

FEES = st.lists(st.integers(0, 10**9), min_size=1, max_size=150)


@given(FEES, st.integers(1, 100))
def test_the_price_is_one_that_was_paid_and_reaches_its_percentile(fees: list[int], percentile: int) -> None:
    price = price_at(fees, percentile)
    assert price in fees
    assert sum(fee <= price for fee in fees) * 100 >= percentile * len(fees)
    assert sum(fee < price for fee in fees) * 100 < percentile * len(fees)


def test_percentiles_of_an_ordinary_list() -> None:
    fees = [100, 0, 300, 200]
    assert [price_at(fees, each) for each in (1, 25, 26, 50, 75, 76, 100)] == [0, 0, 100, 100, 200, 300, 300]
    assert price_at([], 100) == 0


@given(st.integers(0, 2**63), st.integers(0, 1_400_000), st.integers(0, 10**9))
def test_no_price_makes_a_fee_above_the_cap(price: int, units: int, cap: int) -> None:
    offered = within_cap(price, units, cap)
    assert 0 <= offered <= price
    assert -(-offered * units // MICRO) <= cap
    if offered < price:
        assert (offered + 1) * units > cap * MICRO or units == 0


class Market:
    def __init__(self, fees: Sequence[int]) -> None:
        self.fees = fees
        self.asked: list[Sequence[str]] = []
        self.fails = False

    async def recent_fees(self, addresses: Sequence[str]) -> Sequence[int]:
        self.asked.append(addresses)
        if self.fails:
            raise ChainUnavailable("getRecentPrioritizationFees: method not found")
        return self.fees


def work(*written: Pubkey) -> list[Instruction]:
    readonly = AccountMeta(Pubkey.new_unique(), is_signer=False, is_writable=False)
    metas = [AccountMeta(key, is_signer=False, is_writable=True) for key in written]
    return [Instruction(Pubkey.default(), b"", [readonly, *metas])]


async def test_the_written_accounts_are_asked_for_once_in_a_while() -> None:
    market, clock = Market([10, 20, 30]), ManualClock()
    fees = PriorityFees(market, clock, percentile=50, cap=1000)
    tree = Pubkey.new_unique()
    assert [await fees.price(work(tree), 1000) for _ in range(3)] == [20, 20, 20]
    assert market.asked == [(str(tree),)]
    market.fees = [40]
    await clock.advance(MAX_AGE)
    assert await fees.price(work(tree), 1000) == 40


async def test_the_cap_is_in_lamports_of_the_whole_transaction() -> None:
    fees = PriorityFees(Market([5_000_000]), ManualClock(), percentile=100, cap=100)
    assert await fees.price(work(Pubkey.new_unique()), 200_000) == 500


async def test_when_nobody_tells_the_last_price_is_offered_or_none() -> None:
    market, clock = Market([7]), ManualClock()
    fees = PriorityFees(market, clock, percentile=50, cap=1000)
    tree = Pubkey.new_unique()
    await fees.price(work(tree), 1000)
    market.fails = True
    await clock.advance(MAX_AGE)
    assert await fees.price(work(tree), 1000) == 7
    assert await fees.price(work(Pubkey.new_unique()), 1000) == 0


async def test_turned_off_it_asks_nobody() -> None:
    market = Market([7])
    for percentile, cap in ((0, 1000), (50, 0)):
        assert await PriorityFees(market, ManualClock(), percentile=percentile, cap=cap).price(work(), 1) == 0
    assert market.asked == []


async def test_no_call_and_no_memory_grows_without_end() -> None:
    market, clock = Market([7]), ManualClock()
    fees = PriorityFees(market, clock, percentile=50, cap=1000)
    await fees.price(work(*(Pubkey.new_unique() for _ in range(MAX_ACCOUNTS + 1))), 1000)
    assert len(market.asked[0]) == MAX_ACCOUNTS
    keys = [Pubkey.new_unique() for _ in range(MAX_KNOWN + 1)]
    for key in keys:
        await fees.price(work(key), 1000)
    asked = len(market.asked)
    await fees.price(work(keys[-1]), 1000)
    assert len(market.asked) == asked
    await fees.price(work(keys[0]), 1000)
    assert len(market.asked) == asked + 1
