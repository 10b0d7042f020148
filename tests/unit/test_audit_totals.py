"""An audit knows an operation whose items have not all come to an end, whatever the log says of its own end."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checks import check_totals
from audit.evidence import Evidence
from audit.gathering import logged_event
from audit.report import Verdict
from contracts.fact import Fact
from contracts.mint import Completed, FailureCode
from tests.support.indexing import (
    History,
    completed,
    confirmed,
    failed,
    pin_failed,
    pinned,
    requested,
    signature,
    signed,
    uid,
)
from tests.support.settled import settled_story

OPERATION = uid("operation")
ASKED = requested(OPERATION, 3, batch_size=3)
CANCELLED = pin_failed(OPERATION, 0, [2], FailureCode.CANCELLED)
BEGUN: Sequence[Fact] = (ASKED, pinned(OPERATION, 0, [0, 1]), CANCELLED)
LANDED: Sequence[Fact] = (signed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0]))
REFUSED = failed(OPERATION, 0, 1, [1])
OVER = completed(OPERATION, 3, 1, 1, 1)
DROPPED = failed(OPERATION, 0, 0, [0], dropped=signature(OPERATION, 0, 0, 1))


def verdicts(*story: Fact) -> list[Verdict]:
    events = [logged_event(raw) for raw in map(History().say, story)]
    findings = list(check_totals(Evidence(OPERATION, events)))
    assert {each.question for each in findings} <= {"totals"}
    return [each.verdict for each in findings]


@given(st.integers(0, 10_000))
def test_an_operation_that_is_over_is_proven(seed: int) -> None:
    assert verdicts(*settled_story(Random(seed), OPERATION)) == [Verdict.PROVEN]


@pytest.mark.parametrize(
    "end",
    [
        OVER,
        pytest.param(completed(OPERATION, 3, 2, 0, 1), id="minted that failed"),
        pytest.param(completed(OPERATION, 3, 1, 2), id="failed that was cancelled"),
        pytest.param(completed(OPERATION, 2, 1, 1), id="fewer than were asked for"),
        pytest.param(completed(OPERATION, 4, 1, 2, 1), id="more than were asked for"),
    ],
)
def test_every_number_counts(end: Completed) -> None:
    assert verdicts(*BEGUN, *LANDED, REFUSED, end) == [Verdict.PROVEN if end == OVER else Verdict.BROKEN]


def test_an_item_of_which_nothing_was_said_any_more_is_found() -> None:
    assert verdicts(*BEGUN, *LANDED) == [Verdict.UNKNOWN]
    for told in (OVER, completed(OPERATION, 3, 1, 0, 1)):
        assert verdicts(*BEGUN, *LANDED, told) == [Verdict.BROKEN]


def test_what_a_fork_takes_back_after_the_end_is_no_lie_of_the_end() -> None:
    assert verdicts(*BEGUN, *LANDED, REFUSED, OVER, DROPPED) == [Verdict.PROVEN]
    assert verdicts(*BEGUN, *LANDED, REFUSED, DROPPED, OVER) == [Verdict.BROKEN]
    assert verdicts(*BEGUN, *LANDED, REFUSED, DROPPED, completed(OPERATION, 3, 0, 2, 1)) == [Verdict.PROVEN]
    again = confirmed(OPERATION, 0, 0, [0], attempt=2)
    assert verdicts(*BEGUN, *LANDED, REFUSED, DROPPED, again, OVER) == [Verdict.PROVEN]
