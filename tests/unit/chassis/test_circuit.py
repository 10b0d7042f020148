"""chassis.circuit: when it opens, when it lets through again, and that only the monotonic clock decides."""

import asyncio
from datetime import UTC, datetime

import pytest

from chassis.circuit import Circuit, CircuitOpen
from chassis.clock import ManualClock


class Refused(Exception):
    """Speaks of what was asked."""


class JumpingClock(ManualClock):
    """Its wall clock is right for a moment only."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, hour=int(self.monotonic()) % 24, tzinfo=UTC)


def call(circuit: Circuit, error: type[BaseException] | None = None) -> None:
    with circuit:
        if error is not None:
            raise error


def failed(circuit: Circuit, times: int, error: type[BaseException] = OSError) -> None:
    for _ in range(times):
        with pytest.raises(error):
            call(circuit, error)


async def test_it_opens_after_failures_in_a_row_and_lets_through_after_its_pause() -> None:
    clock = JumpingClock()
    circuit = Circuit(clock, failures=3, pause=5.0)
    failed(circuit, 2)
    call(circuit)
    failed(circuit, 3)
    assert circuit.state == "opened"
    await clock.advance(4.9)
    with pytest.raises(CircuitOpen):
        call(circuit)
    await clock.advance(0.1)
    assert circuit.state == "half-opened"
    call(circuit)
    assert circuit.state == "closed"


async def test_a_failure_when_it_is_half_opened_opens_it_for_another_pause() -> None:
    clock = ManualClock()
    circuit = Circuit(clock, failures=1, pause=5.0)
    failed(circuit, 1)
    await clock.advance(5.0)
    failed(circuit, 1)
    assert circuit.state == "opened"
    await clock.advance(4.9)
    assert circuit.state == "opened"


async def test_calls_that_began_before_it_opened_do_not_keep_it_open_and_may_close_it() -> None:
    clock = ManualClock()
    circuit = Circuit(clock, failures=1, pause=5.0)
    circuit.__enter__()  # a call that takes its time
    failed(circuit, 1)
    await clock.advance(3.0)
    circuit.__exit__(OSError, None, None)
    await clock.advance(2.0)
    assert circuit.state == "half-opened"
    with circuit:
        failed(circuit, 1)
        assert circuit.state == "opened"
    assert circuit.state == "closed"


def test_what_speaks_of_the_question_and_what_is_cancelled_does_not_open_it() -> None:
    circuit = Circuit(ManualClock(), failures=2, pause=5.0, exclude=(Refused,))
    failed(circuit, 5, Refused)
    failed(circuit, 5, asyncio.CancelledError)
    failed(circuit, 1)
    failed(circuit, 1, Refused)
    failed(circuit, 1)
    assert circuit.state == "closed"
    failed(circuit, 1, asyncio.CancelledError)
    failed(circuit, 1)
    assert circuit.state == "opened"
