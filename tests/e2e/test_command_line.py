"""`python -m mintstream` as a person at a terminal uses it: what it says, how it ends, and what it leaves behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from localnet.addresses import StackPorts
from tests.support.stack import eventually, stack_ports

ROOT = Path(__file__).resolve().parents[2]
UP = "Ctrl-C stops everything"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    text: str
    """What it printed, in one line."""


def environ() -> dict[str, str]:
    return os.environ | {"COLUMNS": "400", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def mintstream(*arguments: str) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "mintstream", *arguments], cwd=ROOT, env=environ(), capture_output=True, text=True
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Ended(done.returncode, " ".join((done.stdout + done.stderr).split()))


def flags(ports: StackPorts) -> list[str]:
    """The ports as the command line takes them."""
    return [
        f"--{name}={number}"
        for name, number in {
            "api-port": ports.api,
            "rpc-port": ports.rpc,
            "nats-port": ports.nats,
            "nats-monitor-port": ports.nats_monitor,
            "postgres-port": ports.postgres,
            "ipfs-port": ports.ipfs,
        }.items()
    ]


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start a command that stays, as a terminal would: a shell's background jobs inherit an ignored Ctrl-C."""
    command = [sys.executable, "-m", "mintstream", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def read_until(process: "subprocess.Popen[str]", sentence: str) -> str:
    """What the process prints up to the line that holds `sentence`."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if sentence in line:
            return told
    raise AssertionError(f"it ended without saying {sentence!r}: {told}")


def below(pid: int) -> list[psutil.Process]:
    """Every process that the process has started, and those that these have started."""
    return psutil.Process(pid).children(recursive=True)


def users_of(data: Path) -> list[psutil.Process]:
    """Processes whose command line or environment names the data directory."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            named = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(str(data) in text for text in named):
            found.append(process)
    return found


async def gone(processes: Sequence[psutil.Process]) -> None:
    async def none_left() -> bool:
        return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)

    await eventually(none_left, "every child ends")


@dataclass(frozen=True)
class Up:
    """`mintstream up`, ready."""

    process: "subprocess.Popen[str]"
    data: Path
    told: str


@pytest.fixture
async def up(tmp_path: Path) -> AsyncGenerator[Up]:
    data = tmp_path / "data"
    process = start("up", "--data", str(data), *flags(stack_ports()))
    try:
        yield Up(process, data, await asyncio.to_thread(read_until, process, UP))
    finally:
        process.kill()
        process.wait()
        await gone(users_of(data))


def test_help_tells_every_command() -> None:
    told = mintstream("--help")
    assert told.status == 0
    for command in ("up", "demo", "clean"):
        assert command in told.text
        assert mintstream(command, "--help").status == 0
    assert mintstream("no-such-command").status == 2


async def test_a_stack_is_up_until_ctrl_c(up: Up) -> None:
    for address in ("API", "API docs", "API key", "Solana RPC and DAS", "IPFS gateway"):
        assert address in up.told
    children = below(up.process.pid)
    assert len(children) >= 8

    second = mintstream("up", "--data", str(up.data), *flags(stack_ports()))
    assert second.status == 3
    assert f"another mintstream stack (pid {up.process.pid}) uses {up.data}" in second.text
    cleaned = mintstream("clean", "--data", str(up.data))
    assert cleaned.status == 3
    assert f"(pid {up.process.pid})" in cleaned.text
    assert (up.data / "secrets").is_dir()
    assert all(child.is_running() for child in children)

    up.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(up.process.wait) == 0
    await gone(children)
    assert users_of(up.data) == []
    cleaned = mintstream("clean", "--data", str(up.data))
    assert cleaned.status == 0
    assert not up.data.exists()


async def test_ctrl_c_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = start("up", "--data", str(data), *flags(stack_ports()))

    async def begun() -> bool:
        return len(below(process.pid)) >= 3

    await eventually(begun, "its first children run")
    children = below(process.pid)
    process.send_signal(signal.SIGINT)
    told, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode != 0
    assert "Traceback" not in told
    await gone(children)
    assert users_of(data) == []


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    ports = stack_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.api))
        taken.listen()
        told = mintstream("up", "--data", str(tmp_path / "data"), *flags(ports))
    assert told.status == 3
    assert f"port {ports.api} is taken by" in told.text
    assert f"(pid {os.getpid()})" in told.text
    assert "choose another one with --api-port" in told.text


def test_clean_removes_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    told = mintstream("clean", "--data", str(tmp_path))
    assert told.status == 2
    assert "is no data directory" in told.text
    assert (tmp_path / "thesis.txt").exists()
    told = mintstream("clean", "--data", str(tmp_path / "nothing"))
    assert told.status == 0
    assert "nothing to remove" in told.text


async def test_the_demo_ends_by_itself_when_told_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    arguments = ("demo", "--once", "--free-ports", "--count=3", "--standard=v1", "--slot-ms=100", "--data", str(data))
    told = mintstream(*arguments)
    assert told.status == 0, told.text
    assert "3 NFTs minted in" in told.text
    assert told.text.count("ipfs://") == 3
    assert users_of(data) == []
    wrong = mintstream("demo", "--standard", "v3", "--data", str(data))
    assert wrong.status == 2
    assert "'v3' is not one of 'v1', 'v2'" in wrong.text
