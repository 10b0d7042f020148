"""chassis.health and the address parser of chassis.probes."""

import asyncio
from contextlib import suppress

import pytest

from chassis.clock import ManualClock
from chassis.health import Health
from chassis.probes import parse_listen


class Counted:
    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self.error = error

    async def __call__(self) -> None:
        self.runs += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_all_checks_must_be_well() -> None:
    health = Health(ManualClock())
    health.add("nats", Counted())
    assert (await health.report("ready")).ok
    health.add("postgres", Counted(OSError("nobody there")))
    report = await health.report("ready")
    assert not report.ok
    assert report.checks["nats"].ok
    assert report.checks["postgres"].error == "OSError: nobody there"
    assert (await health.report("live")).ok, "other checks"


async def test_results_are_kept_for_a_moment_and_shared() -> None:
    clock = ManualClock()
    check = Counted()
    health = Health(clock, cache_seconds=1)
    health.add("nats", check)
    await asyncio.gather(*(health.report("ready") for _ in range(20)))
    await health.report("ready")
    assert check.runs == 1
    await clock.advance(1)
    check.error = OSError("gone")
    assert not (await health.report("ready")).ok
    assert check.runs == 2


async def test_a_check_that_hangs_is_a_failed_one() -> None:
    health = Health(timeout_seconds=0.01)

    async def hang() -> None:
        await asyncio.Event().wait()

    health.add("chain", hang)
    assert (await health.report("ready")).checks["chain"].error == "no answer in 0.01 s"


async def test_a_check_that_cannot_be_ended_holds_up_nobody_and_is_not_begun_twice() -> None:
    """As asyncpg's, which waits for the silent server to cancel the question."""
    health = Health(cache_seconds=0, timeout_seconds=0.05)
    answers = asyncio.Event()
    begun: list[bool] = []

    async def ask() -> None:
        begun.append(answers.is_set())
        while not answers.is_set():
            with suppress(asyncio.CancelledError):
                await answers.wait()

    health.add("postgres", ask)
    async with asyncio.timeout(30):
        for _ in range(3):
            assert (await health.report("ready")).checks["postgres"].error == "no answer in 0.05 s"
        assert begun == [False]
        answers.set()
        while not (await health.report("ready")).ok:
            pass


async def test_a_prober_that_goes_spoils_no_result_of_the_next() -> None:
    health = Health()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        asked.set()
        await answer.wait()

    health.add("nats", ask)
    gone = asyncio.create_task(health.report("ready"))
    await asked.wait()
    following = asyncio.create_task(health.report("ready"))
    await asyncio.sleep(0)  # it waits for its turn
    gone.cancel()
    answer.set()
    assert (await following).ok


async def test_held_is_not_ready_but_alive() -> None:
    health = Health(ManualClock())
    health.add("nats", Counted())
    assert (await health.report("ready")).ok
    health.hold("starting")
    report = await health.report("ready")
    assert not report.ok, "without waiting for the kept result to age"
    assert report.checks["lifecycle"].error == "starting"
    assert (await health.report("live")).ok
    health.hold(None)
    assert (await health.report("ready")).ok


def test_a_name_is_given_once() -> None:
    health = Health()
    health.add("nats", Counted())
    health.add("nats", Counted(), "live")
    with pytest.raises(ValueError, match="ready check named 'nats'"):
        health.add("nats", Counted())


def test_listen_addresses() -> None:
    assert parse_listen("127.0.0.1:0") == ("127.0.0.1", 0)
    assert parse_listen("[::1]:8081") == ("::1", 8081)
    for wrong in ("8081", ":1", "host:x", "host:65536"):
        with pytest.raises(ValueError, match="is not host:port"):
            parse_listen(wrong)


async def test_an_advisory_check_is_told_and_decides_nothing() -> None:
    health = Health(ManualClock())
    health.add("nats", Counted())
    health.add("wallet", Counted(ValueError("empty")), advisory=True)
    report = await health.report("ready")
    assert report.ok
    assert report.checks["wallet"].error == "ValueError: empty"
