"""A slice of the soak, another one each time; and that its witnesses see what is wrong."""

import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.soak import soak
from tests.chaos.soak_faults import TOGETHER
from tests.chaos.soak_scene import soak_stack
from tests.chaos.soak_witnesses import judge_deliveries, judge_logs
from tests.support.small_disk import SmallDisk
from tests.support.stack import LiveStack
from tests.support.vitals import ENOUGH, SPARE_MEMORY, Look, trend

SECONDS = 4.0
"""At least; as many as it takes that each fault has come, TOGETHER at a time. The long runs begin with each alone."""
LONGEST = 1.0


@pytest_asyncio.fixture(loop_scope="function")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[LiveStack, dict[str, SmallDisk]]]:
    async with soak_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


async def test_nothing_is_lost_and_nothing_doubled_under_random_faults(
    stack: tuple[LiveStack, dict[str, SmallDisk]],
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    report = await soak(*stack, seconds=SECONDS, seed=seed, longest=LONGEST, first=TOGETHER)
    assert report.clean, report.text()


WANTED = {"one": ["a", "b", "c"], "other": ["x"]}


@pytest.mark.parametrize(
    ("taken", "lost", "strange"),
    [
        ("one.a one.b other.x one.c", 0, 0),
        ("one.a one.b one.a one.b other.x one.c", 0, 0),
        ("one.a one.c other.x", 1, 0),
        ("one.a one.c one.b other.x", 0, 1),
        ("one.a one.b one.c one.d other.x", 0, 1),
        ("one.a one.b one.c other.x third.y", 0, 1),
        ("", 4, 0),
    ],
)
def test_webhooks_come_at_least_once_and_first_in_order(taken: str, lost: int, strange: int) -> None:
    pairs = [(operation, event) for operation, _, event in (each.partition(".") for each in taken.split())]
    verdict = judge_deliveries(WANTED, pairs)
    assert (verdict.lost, len(verdict.strange)) == (lost, strange)


def test_a_secret_in_a_log_is_found_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "gateway.log.1"
    log.write_bytes(b"." * (2**20 - 5) + b"a-secret-of-this-run" + b"." * 100)
    assert judge_logs(tmp_path, {"a key": "a-secret-of-this-run"}).strange == ["a key is in gateway.log.1"]
    assert judge_logs(tmp_path, {"a key": "another-secret-of-it"}).clean


@pytest.mark.parametrize(
    ("a_second", "lives", "steady"),
    [(0, 1, True), (20 * SPARE_MEMORY / ENOUGH, 1, False), (-SPARE_MEMORY / ENOUGH, 1, True), (0, 8, None)],
)
def test_what_grows_is_seen_in_the_longest_life(a_second: float, lives: int, steady: bool | None) -> None:
    seconds = int(ENOUGH * 1.5)
    looks = [Look(float(at), int(40 * SPARE_MEMORY + a_second * at), 20) for at in range(seconds)]
    length = seconds // lives
    found = trend("minter", [looks[start : start + length] for start in range(0, seconds, length)])
    assert found.steady is steady
    assert found.slope == pytest.approx(a_second * 3600, rel=1e-3, abs=3600)


def test_descriptors_that_pile_up_are_seen() -> None:
    looks = [Look(float(at), 10**8, at) for at in range(int(ENOUGH * 1.5))]
    assert trend("gateway", [looks]).steady is False
