"""Two replicas, one projector."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.clock import SystemClock
from chassis.database import connect
from chassis.redaction import Secret
from services.indexer.leadership import LOCK_KEY, Leadership
from services.indexer.ports import Fenced
from tests.support.ending import end
from tests.support.postgres import Database


class Replica:
    """A process in miniature: leads, and works until it is told to end."""

    def __init__(self, dsn: str) -> None:
        self.leadership = Leadership(Secret(dsn), SystemClock(), poll_interval=0.01, heartbeat_interval=0.01)
        self.working = asyncio.Event()
        self.stopped = asyncio.Event()
        self.end = asyncio.Event()
        self.fail_next: list[Exception] = []
        self.terms = 0
        self.task = asyncio.create_task(self.leadership.run(self._work))

    async def _work(self) -> None:
        self.terms += 1
        self.working.set()
        try:
            if self.fail_next:
                raise self.fail_next.pop()
            await self.end.wait()
        finally:
            self.working.clear()
            self.stopped.set()


@pytest.fixture
async def replicas(database: Database) -> AsyncGenerator[tuple[Replica, Replica], None]:
    """One that leads, and one that has seen that it cannot."""
    first = Replica(database.dsn)
    await first.working.wait()
    second = Replica(database.dsn)
    await asyncio.sleep(0.05)  # some polls; a second leader would show at once
    yield first, second
    await end([first.task, second.task])


async def test_the_second_waits_and_takes_over_when_the_first_ends(replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    assert (first.leadership.leading, second.leadership.leading) == (True, False)
    assert second.terms == 0
    first.end.set()
    await first.task
    await second.working.wait()
    assert second.leadership.leading


async def test_a_killed_first_gives_the_lead_away(replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    first.task.cancel()
    await second.working.wait()
    assert first.stopped.is_set(), "the work had stopped before the lock was free"


async def test_losing_the_connection_stops_the_work(database: Database, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    operator = await connect(database.superuser_dsn)
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND (classid::bigint << 32 | objid::bigint) = $1",
        LOCK_KEY,
    )
    await operator.close()
    await first.stopped.wait()
    first.end.set()  # should it lead again, it ends at once and leaves the lead to the second
    await second.working.wait()


async def test_a_leader_that_hangs_loses_the_lead(database: Database) -> None:
    """Its machine may be gone without a word, or its process stand still."""
    silent = Leadership(Secret(database.dsn), SystemClock(), heartbeat_interval=3600.0, patience=0.2)
    working = asyncio.Event()

    async def work() -> None:
        working.set()
        await asyncio.Event().wait()

    leading = asyncio.create_task(silent.run(work))
    await working.wait()
    successor = Replica(database.dsn)
    await successor.working.wait()
    await end([leading, successor.task])


async def test_a_standby_stops_at_once(replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    second.leadership.stop()
    await second.task
    assert second.terms == 0
    assert first.leadership.leading


async def test_being_fenced_is_a_lost_lead_and_any_other_failure_ends_the_process(database: Database) -> None:
    replica = Replica(database.dsn)
    replica.fail_next = [OSError("a failure of the work"), Fenced("another writes")]
    with pytest.raises(OSError, match="a failure of the work"):
        await replica.task
    assert replica.terms == 2


async def test_without_postgres_it_waits_in_standby(tmp_path: Path) -> None:
    replica = Replica(f"postgresql://nobody@/none?host={tmp_path}")
    await asyncio.sleep(0.05)
    assert not replica.task.done()
    replica.leadership.stop()
    await replica.task
    assert replica.terms == 0
