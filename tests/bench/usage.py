"""What processes take: seconds of processor, peak memory, fsyncs, and where their time goes.

Used by the benches. On a shared machine the seconds of processor hardly move with the load of others, wall-clock time
does. fsyncs are counted with strace, profiles are taken with py-spy: both attach to a running process, and both are
left out with a word when they are not installed.
"""

import asyncio
import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.bench.report import Table

SAMPLES_A_SECOND = 100
OURS = re.compile(r"\((?:services|chassis|contracts|bubblegum|unixfs|localnet)/")
WRAPPING = re.compile(r"main\.py\)|__main__\.py\)|\(chassis/lifecycle\.py\)")
"""Frames that everything runs in."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor of a process and its children so far, and its own peak resident memory in bytes."""

    cpu: float
    peak: int


def usage(pid: int) -> Usage:
    """Return what the process has taken until now."""
    process = psutil.Process(pid)
    cpu = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:  # go on: it ended meanwhile, and its parent counts it from now on
            continue
        cpu += times.user + times.system
    times = process.cpu_times()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return Usage(cpu + times.children_user + times.children_system, int(peak[1]) * 1024 if peak else 0)


def usages(pids: Mapping[str, int]) -> dict[str, Usage]:
    """Return what each process has taken until now."""
    return {name: usage(pid) for name, pid in pids.items()}


def spent(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Return the seconds of processor that each took in between."""
    return {name: used.cpu - before[name].cpu for name, used in after.items()}


BUSY: Final = 0.85
"""Part of a core, or of all cores, from which on it is called the ceiling; the rest is waiting for one another."""


def ceiling(taken: Mapping[str, float], seconds: float, cores: int) -> str:
    """Say which resource bounded a run that took `seconds`, by the seconds of processor that each process took."""
    used = sum(taken.values()) / seconds
    busiest = max(taken, key=lambda name: taken[name])
    share = taken[busiest] / seconds
    told = f"{used:.2f} of {cores} cores were at work, of which {busiest} had the most, {share:.2f}"
    if share >= BUSY:
        return f"{told}: that one process, which has one thread for its work, is the ceiling."
    if used >= BUSY * cores:
        return f"{told}: the processor is the ceiling."
    return f"{told}: neither a process nor the processor is the ceiling, the run waits for what takes its time."


def processor_table(what: str, names: Sequence[str]) -> Table:
    """Return a table of the milliseconds of processor an NFT, by process; its rows come from `show_processor`."""
    return Table((what, *(f"{name}, ms" for name in names), "all"))


def show_processor(table: Table, what: str, taken: Mapping[str, float], mints: int) -> None:
    """Add a row to a `processor_table`; the last column is of all processes, those without a column too."""
    names = [cell.removesuffix(", ms") for cell in table.header[1:-1]]
    cells = [f"{taken.get(name, 0.0) / mints * 1000:.2f}" for name in names]
    table.add(what, *cells, f"{sum(taken.values()) / mints * 1000:.2f}")


class FsyncCount:
    """Counts fsync and fdatasync of a process while `watching`; `total` is None without strace."""

    def __init__(self) -> None:
        self.total: int | None = None

    @asynccontextmanager
    async def watching(self, pid: int, directory: Path) -> AsyncGenerator[None]:
        """Count until the context ends."""
        if shutil.which("strace") is None:
            yield
            return
        listed = directory / f"fsyncs-{pid}"
        arguments = ("-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", str(listed), "-p", str(pid))
        process = await asyncio.create_subprocess_exec("strace", *arguments, stderr=asyncio.subprocess.DEVNULL)
        try:
            while not listed.exists():  # noqa: ASYNC110  (a file has no event: until strace has attached)
                await asyncio.sleep(0.05)
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            await process.wait()
        self.total = sum("resumed" not in line and "sync(" in line for line in listed.read_text().splitlines())


@dataclass(frozen=True, slots=True)
class Profile:
    """Where a process spent its time, by samples: the functions that were running most, innermost first."""

    samples: int
    inner: Counter[str]
    """By function, how often it was the one that ran."""
    outer: Counter[str]
    """By function of this project, how often it or what it called ran."""

    def text(self, most: int = 6) -> str:
        """Return the shares of the most frequent ones."""
        return ", ".join(f"`{name}` {count / self.samples:.0%}" for name, count in self.outer.most_common(most))


@asynccontextmanager
async def profiled(pids: Mapping[str, int], directory: Path) -> AsyncGenerator[dict[str, Profile]]:
    """Sample the processes while the context lasts; what is yielded is filled when it ends. Empty without py-spy."""
    found: dict[str, Profile] = {}
    if shutil.which("py-spy") is None:
        yield found
        return
    running = {name: await _sampler(pid, directory / f"{name}.folded") for name, pid in pids.items()}
    try:
        yield found
    finally:
        for process in running.values():
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
        await asyncio.gather(*(process.wait() for process in running.values()))
        for name in running:
            folded = directory / f"{name}.folded"
            if folded.exists():
                found[name] = read_profile(folded.read_text())


async def _sampler(pid: int, folded: Path) -> asyncio.subprocess.Process:
    options = ("--rate", str(SAMPLES_A_SECOND), "--format", "raw", "--nonblocking", "--output", str(folded))
    quiet = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        "py-spy", "record", *options, "--duration", "3600", "--pid", str(pid), stdout=quiet, stderr=quiet
    )


def read_profile(folded: str) -> Profile:
    """Read folded stacks: `outer;...;inner count` a line, each frame as `function (file:line)`."""
    inner: Counter[str] = Counter()
    outer: Counter[str] = Counter()
    samples = 0
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [re.sub(r":\d+\)", ")", frame) for frame in stack.split(";")]
        samples += int(count)
        inner[frames[-1]] += int(count)
        for frame in set(frames):
            if OURS.search(frame) and not WRAPPING.search(frame):
                outer[frame] += int(count)
    return Profile(max(samples, 1), inner, outer)
