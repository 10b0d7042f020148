"""Nothing but the documented errors comes out of a parser of outside bytes, in bounded memory.

The slice that runs with every test; `make fuzz MINUTES=n` runs longer. The kept cases were findings once.
"""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutated
from tests.fuzz.target import CASES, Target, Trial
from tests.fuzz.targets import TARGETS

BY_NAME = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


@BY_NAME
def test_every_sample_is_taken_and_every_case_is_answered(target: Target) -> None:
    with Trial(measured=True) as trial:
        taken = [sample for sample in target.samples if trial.of(target, sample)]
        for case in target.cases():
            trial.of(target, case)
    # Nodes' answers are samples for whoever asked; but a target that takes few of its own mutates nothing.
    assert len(taken) * 4 >= len(target.samples)


@BY_NAME
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_hostile_variants(target: Target, data: st.DataObject) -> None:
    random: Random = data.draw(st.randoms(use_true_random=False))
    with Trial(measured=True) as trial:
        trial.of(target, mutated(target.samples, random))


def test_every_case_belongs_to_a_target() -> None:
    assert {folder.name for folder in CASES.iterdir() if folder.is_dir()} <= set(TARGETS)
