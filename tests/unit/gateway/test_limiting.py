"""Counting requests when the shared counters fail, and whose address counts."""

import pytest

from chassis.clock import ManualClock
from services.gateway.adapters.counting import own_counters
from services.gateway.api.peers import client_host
from services.gateway.errors import RateLimited
from services.gateway.limiting import REST_SECONDS, CountersUnavailable, Limiter, Quota, Standing


class Shared:
    """Counters that do not answer while they are `down`."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0

    async def hit(self, key: str, window: int) -> Standing:
        self.asked += 1
        if self.down:
            raise CountersUnavailable("down")
        return Standing(count=1, reset=window)


async def test_without_shared_counters_a_replica_counts_for_itself_and_leaves_them_alone_for_a_while() -> None:
    shared, clock = Shared(), ManualClock()
    limiter = Limiter({"general": Quota(most=2, window=60)}, own_counters(), shared, clock)
    for _ in range(3):
        await limiter.count("general", "app:shop", {})
    shared.down = True
    for _ in range(2):
        await limiter.count("general", "app:shop", {})
    with pytest.raises(RateLimited):
        await limiter.count("general", "app:shop", {})
    assert shared.asked == 4
    shared.down = False
    await clock.advance(REST_SECONDS)
    await limiter.count("general", "app:shop", {})
    assert shared.asked == 5


async def test_callers_and_classes_are_counted_apart() -> None:
    once = Quota(most=1, window=60)
    limiter = Limiter({"general": once, "mint": once}, own_counters(), None, ManualClock())
    await limiter.count("general", "a", {})
    await limiter.count("general", "b", {})
    await limiter.count("mint", "a", {})
    with pytest.raises(RateLimited):
        await limiter.count("mint", "a", {})
    headers: dict[str, str] = {}
    await limiter.count("status", "a", headers)
    assert headers == {}, "a class without a quota is not counted"


@pytest.mark.parametrize(
    ("forwarded", "trusted", "host"),
    [
        ([], 0, "10.0.0.1"),
        (["203.0.113.7"], 0, "10.0.0.1"),
        ([], 1, "10.0.0.1"),
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6", "203.0.113.7, 10.0.0.2"], 2, "203.0.113.7"),
        (["203.0.113.7"], 2, "10.0.0.1"),
        (["unknown"], 1, "10.0.0.1"),
        (["[2001:db8::1]"], 1, "2001:db8::1"),
        (["203.0.113.7; DROP TABLE"], 1, "10.0.0.1"),
    ],
)
def test_the_callers_address_is_the_one_that_the_farthest_trusted_proxy_saw(
    forwarded: list[str], trusted: int, host: str
) -> None:
    assert client_host("10.0.0.1", forwarded, trusted) == host
