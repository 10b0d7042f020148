"""A slice of the random schedules, always the same ones and each time others; and the bugs that they have to notice."""

import random
from collections.abc import Generator
from datetime import datetime

import pytest
import structlog

from chassis.log import Message
from contracts.fact import Fact
from tests.chaos.mutants import MUTANTS, Mutant, noticed
from tests.chaos.schedules import quiet, schedule
from tests.support.scheduled_run import run
from tests.support.scheduled_world import World
from tests.support.virtual_time import run_in_virtual_time

SLICE = 40
"""Schedules of each kind; a thousand and more are run by hand (docs/reliability.md)."""


@pytest.fixture(autouse=True)
def silence() -> Generator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("first", [1, random.SystemRandom().randrange(10**6, 10**9)], ids=["fixed", "fresh"])
def test_no_schedule_breaks_an_invariant(first: int) -> None:
    broken = {seed: found for seed in range(first, first + SLICE) if (found := schedule(seed))}
    assert not broken, f"python -m tests.chaos.schedules --count 1 --seed {next(iter(broken))}: {broken}"


def test_a_seed_gives_the_same_schedule_again() -> None:
    def story(seed: int) -> list[tuple[str, int, datetime]]:
        async def lived() -> World:
            return await run(seed)

        messages: list[Message[Fact]] = run_in_virtual_time(lived()).log.messages()
        # Challenges and losses have ids that nobody draws.
        return [(message.event.type, message.sequence, message.stored_at) for message in messages]

    assert story(4) == story(4) != story(5)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=[name.replace(" ", "-") for name in MUTANTS])
def test_every_planted_bug_is_noticed(mutant: Mutant) -> None:
    assert noticed(mutant) is not None
