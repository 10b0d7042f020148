"""Counting requests when the shared counters fail, and whose address counts."""

import traceback

import pytest

from chassis.clock import ManualClock
from chassis.settings import Secret
from services.gateway import limiting
from services.gateway.adapters.counting import shared_counters
from services.gateway.api.peers import client_host
from services.gateway.errors import RateLimited
from services.gateway.limiting import REST_SECONDS, CountersUnavailable, Limiter, OwnCounters, Quota, Standing


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
    limiter = Limiter({"general": Quota(most=2, window=60)}, shared, clock)
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
    once, clock = Quota(most=1, window=60), ManualClock()
    limiter = Limiter({"general": once, "mint": once}, None, clock)
    await limiter.count("general", "a", {})
    await limiter.count("general", "b", {})
    await limiter.count("mint", "a", {})
    with pytest.raises(RateLimited) as refused:
        await limiter.count("mint", "a", {})
    await clock.advance(float(refused.value.headers["Retry-After"]))
    await limiter.count("mint", "a", {})
    headers: dict[str, str] = {}
    await limiter.count("status", "a", headers)
    assert headers == {}, "a class without a quota is not counted"


async def test_strangers_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "MAX_OWN_COUNTERS", 3)
    counters = OwnCounters(ManualClock())
    counts = [(await counters.hit(key, 60)).count for key in ("a", "b", "c", "a", "d", "b", "a")]
    # The window of "a" began first, so it made room for "d", and then "b" for "a".
    assert counts == [1, 1, 1, 2, 1, 2, 1]


async def test_a_redis_that_is_not_there_is_told_as_such() -> None:
    async with shared_counters(Secret("redis://:password@127.0.0.1:1/0")) as counters:
        with pytest.raises(CountersUnavailable, match=r"^ConnectionError$"):
            await counters.hit("general:app:shop", 60)


@pytest.mark.parametrize("url", ["redis://:hunter2/x@h:1/0", "redis://:hunter2#x@h:1/0", "redis://u:a@hunter2:x@h/0"])
async def test_a_url_of_redis_that_is_none_is_not_told(url: str) -> None:
    with pytest.raises(ValueError, match="REDIS_URL cannot be used") as refused:
        async with shared_counters(Secret(url)):
            pass
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


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
        (["[2001:db8::1]:443"], 1, "2001:db8::1"),
        (["203.0.113.7:51000"], 1, "203.0.113.7"),
        (["203.0.113.7:"], 1, "10.0.0.1"),
        (["203.0.113.7; DROP TABLE"], 1, "10.0.0.1"),
    ],
)
def test_the_callers_address_is_the_one_that_the_farthest_trusted_proxy_saw(
    forwarded: list[str], trusted: int, host: str
) -> None:
    assert client_host("10.0.0.1", forwarded, trusted) == host
