"""What becomes of a message: a machine that lacks something buries nothing."""

import errno

import pytest

from chassis.delivery import BACKOFF_CAP, Again, Bury, judge
from chassis.log import LogUnavailable

FAILURES = 5


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EMFILE, "Too many open files")],
)
def test_what_the_machine_lacks_says_nothing_about_the_message(error: Exception) -> None:
    verdict = judge(error, deliveries=1000, unknown_failures=1000, max_unknown_failures=FAILURES)
    assert isinstance(verdict, Again)
    assert not verdict.unknown


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(errno.ENOENT, "No such file"), OSError("?")])
def test_what_nobody_knows_is_tried_a_bounded_number_of_times(error: Exception) -> None:
    verdict = judge(error, deliveries=1, unknown_failures=FAILURES - 1, max_unknown_failures=FAILURES)
    assert isinstance(verdict, Again)
    assert verdict.unknown
    verdict = judge(error, deliveries=5, unknown_failures=FAILURES, max_unknown_failures=FAILURES)
    assert isinstance(verdict, Bury)


def test_what_waited_for_a_day_waits_on_when_the_log_is_away() -> None:
    """Every second an announced retry, and then one that is not: the pause is still a number."""
    verdict = judge(LogUnavailable("away"), deliveries=100_000, unknown_failures=0, max_unknown_failures=FAILURES)
    assert verdict == Again(BACKOFF_CAP, "LogUnavailable: away")


def test_a_dead_letters_reason_holds_no_secret() -> None:
    """It stays on the log, and whoever may read dead letters reads it."""
    error = ValueError("no answer from https://node.example/?api-key=hunter2 and nats://me:hunter2@log.example")
    for failures in (1, 8):
        verdict = judge(error, failures, failures, 8)
        assert isinstance(verdict, Again | Bury)
        assert "no answer from https://node.example/" in verdict.reason
        assert "hunter2" not in verdict.reason
