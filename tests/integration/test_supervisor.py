"""localnet.supervisor with small children: order, restarts, crash loops, stops."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from localnet.child import Addresses, ChildSpec, ports_file_ready
from localnet.errors import StackError
from localnet.linux import alive
from localnet.supervisor import RestartPolicy, Supervisor

# argv: name, ports file, journal, mode. Starting and stopping are written to the journal.
CHILD = """
import json, os, signal, sys, time
name, ports_file, journal, mode = sys.argv[1:]

def note(what):
    with open(journal, "a") as file:
        file.write(f"{what} {name}\\n")

def stop(number, frame):
    note("stop")
    if mode != "stubborn":
        sys.exit(0)

signal.signal(signal.SIGTERM, stop)
print("hello from", name, flush=True)
if mode == "crash" or (mode == "once" and not os.path.exists(journal)):
    sys.exit("cannot go on")
if mode == "silent":
    time.sleep(600)
note("start")
with open(ports_file + ".partial", "w") as file:
    json.dump({"pid": str(os.getpid()), "url": f"http://{name}"}, file)
os.replace(ports_file + ".partial", ports_file)
if mode == "later":
    time.sleep(0.05)
    sys.exit("lost my way")
while True:
    time.sleep(600)
"""


class World:
    """A directory of children and what the supervisor reported."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal_file = directory / "journal"
        self.said: list[str] = []
        self.supervisors: list[Supervisor] = []

    def spec(self, name: str, mode: str = "good", ready_seconds: float = 60, stop_seconds: float = 30) -> ChildSpec:
        ports_file = self.directory / f"{name}.json"
        return ChildSpec(
            name=name,
            command=(sys.executable, "-S", "-c", CHILD, name, str(ports_file), str(self.journal_file), mode),
            log_file=self.directory / "logs" / f"{name}.log",
            ready=ports_file_ready(ports_file),
            ready_seconds=ready_seconds,
            stop_seconds=stop_seconds,
        )

    def supervisor(self, *stages: list[ChildSpec], policy: RestartPolicy | None = None) -> Supervisor:
        self.supervisors.append(Supervisor(stages, self.said.append, policy))
        return self.supervisors[-1]

    def journal(self) -> list[str]:
        return self.journal_file.read_text().splitlines()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World, None]:
    world = World(tmp_path)
    yield world
    for supervisor in world.supervisors:
        await supervisor.stop()


async def test_stages_start_in_order_and_stop_in_reverse(world: World) -> None:
    supervisor = world.supervisor([world.spec("log")], [world.spec("a"), world.spec("b")], [world.spec("door")])
    await supervisor.start()
    assert supervisor.names == ("log", "a", "b", "door")
    assert supervisor.addresses("a") == {"url": "http://a"}
    pids = [supervisor.pid(name) for name in supervisor.names]
    await supervisor.stop()
    journal = world.journal()
    assert journal[0] == "start log"
    assert sorted(journal[1:3]) == ["start a", "start b"]
    assert journal[3:5] == ["start door", "stop door"]
    assert sorted(journal[5:7]) == ["stop a", "stop b"]
    assert journal[7:] == ["stop log"]
    assert not any(alive(pid) for pid in pids if pid is not None)
    assert world.said == [], "nothing to tell about a good day"


async def test_a_killed_child_comes_back(world: World) -> None:
    supervisor = world.supervisor([world.spec("a")], [world.spec("b")])
    await supervisor.start()
    before = supervisor.pid("a")
    supervisor.kill("a")
    await supervisor.wait_ready("a")
    assert supervisor.pid("a") not in (None, before)
    assert (supervisor.restarts("a"), supervisor.restarts("b")) == (1, 0)
    assert world.said == ["a ended (killed by SIGKILL); starting it again", "a is back"]
    assert world.journal() == ["start a", "start b", "start a"]


async def test_a_harmless_signal_does_not_make_it_unready(world: World) -> None:
    supervisor = world.supervisor([world.spec("a")])
    await supervisor.start()
    supervisor.kill("a", signal.SIGSTOP)
    await supervisor.wait_ready("a")
    supervisor.kill("a", signal.SIGCONT)
    await supervisor.stop()
    assert world.journal() == ["start a", "stop a"]


async def test_a_child_that_only_a_new_start_cures_gets_one(world: World) -> None:
    told = iter([None, "it is ill"])

    def ailment(addresses: Addresses) -> str | None:
        assert addresses["url"] == "http://a"
        return next(told, None)

    spec = replace(world.spec("a"), ailment=ailment)
    supervisor = world.supervisor([spec])
    await supervisor.start()
    async with asyncio.timeout(60):
        while supervisor.restarts("a") == 0:  # noqa: ASYNC110  (the supervisor has no event for it)
            await asyncio.sleep(0.05)
    assert world.said[0] == "a needs a new start: it is ill"
    assert world.journal() == ["start a", "stop a", "start a"]


async def test_a_crash_loop_is_given_up_with_the_end_of_the_log(world: World) -> None:
    policy = RestartPolicy(deaths=3, first_pause=0.01)
    supervisor = world.supervisor([world.spec("a"), world.spec("b", "later")], policy=policy)
    await supervisor.start()
    error = await supervisor.wait_failure()
    assert "b ended 3 times within 60 s, the last time with status 1" in str(error)
    assert "lost my way" in str(error)
    assert supervisor.restarts("b") == 2
    with pytest.raises(StackError, match="b ended 3 times"):
        await supervisor.wait_ready("b")
    assert supervisor.pid("a") is not None


async def test_a_child_that_fails_at_the_start_stops_the_others(world: World) -> None:
    supervisor = world.supervisor([world.spec("a")], [world.spec("b"), world.spec("c", "crash")])
    with pytest.raises(StackError, match=r"(?s)c ended at once \(status 1\).*hello from c.*cannot go on"):
        await supervisor.start()
    assert supervisor.pid("a") is None
    assert supervisor.pid("b") is None
    assert world.journal()[-1] == "stop a"


async def test_a_child_that_never_becomes_ready_is_told(world: World) -> None:
    supervisor = world.supervisor([world.spec("a", "silent", ready_seconds=0.3)])
    with pytest.raises(StackError, match=r"(?s)a is not ready after 0\.3 s.*hello from a"):
        await supervisor.start()
    assert supervisor.pid("a") is None


async def test_a_child_that_does_not_stop_is_killed_and_named(world: World) -> None:
    supervisor = world.supervisor([world.spec("a")], [world.spec("b", "stubborn", stop_seconds=0.3)])
    await supervisor.start()
    pid = supervisor.pid("b")
    assert pid is not None
    await supervisor.stop()
    assert not alive(pid)
    assert world.journal()[2:] == ["stop b", "stop a"]
    assert world.said == [
        f"b did not stop within 0.3 s and was killed; its log is {world.directory / 'logs' / 'b.log'}"
    ]


async def test_cancelling_the_start_leaves_nothing_running(world: World) -> None:
    supervisor = world.supervisor([world.spec("a")], [world.spec("b", "silent")])
    starting = asyncio.create_task(supervisor.start())
    await _until(lambda: supervisor.pid("b") is not None)
    pids = [supervisor.pid("a"), supervisor.pid("b")]
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not any(alive(pid) for pid in pids if pid is not None)


async def test_stopping_during_a_restart_leaves_nothing_running(world: World) -> None:
    supervisor = world.supervisor([world.spec("a")], policy=RestartPolicy(first_pause=60))
    await supervisor.start()
    supervisor.kill("a")
    await _until(lambda: world.said != [])
    await supervisor.stop()
    assert supervisor.pid("a") is None


async def test_a_ports_file_of_an_earlier_run_does_not_count(world: World) -> None:
    spec = world.spec("a")
    (world.directory / "a.json").write_text('{"pid": "1", "url": "http://old"}')
    assert spec.ready(os.getpid()) is None
    supervisor = world.supervisor([spec])
    await supervisor.start()
    assert supervisor.addresses("a") == {"url": "http://a"}


async def test_secrets_of_ours_do_not_leak_into_children(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_KEY", "hunter2")
    environ = world.spec("a").environ
    assert "PRIVATE_KEY" not in environ
    assert "PATH" in environ


@pytest.mark.parametrize(("deaths", "pause"), [(1, 0.1), (2, 0.2), (3, 0.4), (7, 5.0), (30, 5.0)])
def test_the_pause_doubles_up_to_a_cap(deaths: int, pause: float) -> None:
    assert RestartPolicy().pause(deaths) == pytest.approx(pause)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event; the test's time limit is the bound."""
    step: Callable[[float], Awaitable[None]] = asyncio.sleep
    while not condition():
        await step(0.01)
