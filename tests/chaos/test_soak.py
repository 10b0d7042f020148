"""A slice of the soak, another one each time."""

import random
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.bench.fault_run import PATIENT
from tests.chaos.soak import soak
from tests.support.stack import LiveStack, live_stack, stack_settings

SECONDS = 12.0


@pytest_asyncio.fixture(loop_scope="function")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LiveStack]:
    """A stack whose supervisor does not give up on what is killed on purpose."""
    settings = replace(stack_settings(tmp_path_factory.mktemp("stack"), slot_ms=100), restarts=PATIENT)
    async with live_stack(settings) as running:
        yield running


async def test_nothing_is_lost_and_nothing_doubled_under_random_faults(live: LiveStack) -> None:
    report = await soak(live, seconds=SECONDS, seed=random.SystemRandom().randrange(10**6))
    assert report.clean, report.text()
