"""The pure parts of the load bench: when requests are due, which looks are told, and which ceiling comes next."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.bench.driving import Due, Sample, deepest, evenly, later, merged
from tests.bench.load import HOUR, scenarios, spread
from tests.bench.scaling import ceilings, counted


def nfts(load: Sequence[Due]) -> int:
    return sum(due.nfts for due in load)


@pytest.mark.parametrize(("count", "size"), [(100, 10), (101, 10), (9, 10), (10_000, 10), (167, 1)])
def test_a_load_asks_for_all_of_its_nfts_within_its_time(count: int, size: int) -> None:
    load = evenly(count, size=size, seconds=60.0)
    assert nfts(load) == count
    assert all(0 <= due.at < 60 and 1 <= due.nfts <= size for due in load)
    gaps = {round(after.at - before.at, 9) for before, after in pairwise(load)}
    assert len(gaps) <= 1, "evenly"


def test_loads_are_merged_in_order_of_time() -> None:
    load = merged(evenly(40, size=10, seconds=8.0), later(evenly(30, size=10, seconds=0.0), 3.0))
    assert [due.at for due in load] == [0.0, 2.0, 3.0, 3.0, 3.0, 4.0, 6.0]


def test_a_slice_of_the_hour_has_the_hours_rate() -> None:
    *_, part = scenarios(10_000, slice_of=1 / 120, full=False)
    *_, whole = scenarios(10_000, slice_of=1 / 120, full=True)
    assert nfts(whole.load) == 10_000
    assert whole.load[-1].at < HOUR
    assert nfts(part.load) / (HOUR / 120) == pytest.approx(10_000 / HOUR, rel=0.01)
    assert "30 s" in part.name


def test_of_many_looks_few_are_told_and_the_deepest_is_not_lost() -> None:
    looks = [Sample(float(at), at, ipfs=at == 7, minter=3, indexer=2 * at) for at in range(20)]
    told = spread(looks, 6)
    assert len(told) == 6
    assert (told[0], told[-1]) == (looks[0], looks[-1])
    assert spread(looks[:3], 6) == looks[:3]
    assert deepest(looks) == {"ipfs": 1, "minter": 3, "indexer": 38}
    assert deepest([])["ipfs"] == 0


def test_the_dearest_process_is_the_next_ceiling() -> None:
    rows = ceilings({"minter": 2.0, "ipfs": 0.5, "indexer": 1.0, "pinning": 9.0, "gateway": 0.0})
    assert [row[0] for row in rows] == ["minter", "indexer", "ipfs"]
    assert [row[2] for row in rows] == ["500", "1,000", "2,000"]
    assert "one leads" in rows[1][3]


def test_deliveries_and_fences_are_read_as_services_tell_them() -> None:
    program = """
from chassis import exposition, metrics, telemetry
telemetry.configure("minter", "1", environ={})
metrics.CONSUMED.add(3, consumer="minter-first", verdict="ack")
metrics.CONSUMED.add(consumer="minter-first", verdict="again")
metrics.CONSUMED.add(9, consumer="minter-finality", verdict="ack")
metrics.FENCED.add(2, stream="MINT")
print(exposition.scrape("text/plain").body.decode())
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert counted(told) == {"deliveries": 4, "fenced": 2}
    assert counted("") == {}
