"""`GET /api/stats/series`: every minute of an hour and every hour of a day, and how long confirming took."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.clock import ManualClock
from contracts.access import Scope
from services.gateway.ports import Interval
from services.gateway.stats import quantile
from services.indexer.minute_rows import LATENCIES, latency
from tests.support.gateway import Gateway

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
PATH = "/api/stats/series"


@pytest.mark.parametrize(
    ("span", "first", "step", "count"),
    [
        ("hour", datetime(2026, 1, 2, 2, 5, tzinfo=UTC), timedelta(minutes=1), 60),
        ("day", datetime(2026, 1, 1, 4, tzinfo=UTC), timedelta(hours=1), 24),
    ],
)
async def test_every_stretch_is_there_with_what_the_tables_have(
    span: str, first: datetime, step: timedelta, count: int
) -> None:
    gateway = Gateway(clock=ManualClock(NOW))
    busy = first + 2 * step
    gateway.projection.intervals = [
        Interval(at=busy, accepted=9, confirmed=7, failed=1, latencies=((1500, 4), (2200, 2), (82_000, 1)))
    ]
    async with gateway.client(gateway.key("shop", Scope.READ)) as client:
        answer = await client.get(PATH, params={"span": span})
    data = answer.json()["data"]
    assert (data["span"], data["stepSeconds"]) == (span, step.total_seconds())
    assert (gateway.projection.since, gateway.projection.step) == (first, step)
    points = {datetime.fromisoformat(each.pop("at")): each for each in data["points"]}
    assert list(points) == [first + number * step for number in range(count)]
    assert max(points) <= NOW < max(points) + step
    assert points.pop(busy) == {"accepted": 9, "confirmed": 7, "failed": 1, "p50Seconds": 1.5, "p95Seconds": 82.0}
    assert all(each == {"accepted": 0, "confirmed": 0, "failed": 0} for each in points.values())


async def test_without_the_tables_it_is_unavailable_and_another_span_is_refused() -> None:
    gateway = Gateway()
    gateway.projection.down = True
    async with gateway.client() as client:
        assert (await client.get(PATH)).json()["code"] == "database_unavailable"
        assert (await client.get(PATH, params={"span": "year"})).json()["code"] == "validation_failed"


@given(
    taken=st.lists(st.integers(1, 99_000_000), min_size=1, max_size=60),
    share=st.sampled_from([0.01, 0.5, 0.95, 1.0]),
)
def test_a_quantile_is_the_true_one_rounded_up_by_a_fifth_at_most(taken: list[int], share: float) -> None:
    counts: dict[int, int] = {}
    for each in taken:
        bound = latency(timedelta(milliseconds=each))
        counts[bound] = counts.get(bound, 0) + 1
    told = quantile(tuple(sorted(counts.items())), share)
    ranked = sorted(taken)
    true = next(each for place, each in enumerate(ranked, 1) if place >= share * len(ranked)) / 1000
    assert told is not None
    assert true <= told <= max(0.1, true * 1.25)


def test_latencies_rise_by_a_fifth_or_so_and_have_a_place_for_everything() -> None:
    assert quantile((), 0.5) is None
    assert all(1.15 <= later / earlier <= 1.25 for earlier, later in pairwise(LATENCIES))
    assert latency(timedelta(seconds=-5)) == LATENCIES[0]
    assert latency(timedelta(days=400)) == LATENCIES[-1]
