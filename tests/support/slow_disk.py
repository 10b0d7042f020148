"""Processes whose disk is slow: strace holds up every write to a file and every sync, in all their threads.

Used by the soak, and by the bench of the gateway for syncs alone. Only writes at an offset and syncs are held up
(pwrite64, pwritev2, fsync, fdatasync), which is how nats-server and Postgres write their logs and how neither writes to
a connection. Where strace is not installed, or may not attach, `allowed` says so.
"""

import asyncio
import functools
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import psutil

SYNCS: Final = "fsync,fdatasync"
CALLS: Final = f"{SYNCS},pwrite64,pwritev,pwritev2"


@asynccontextmanager
async def slow_disk(pids: Iterable[int], seconds: float, calls: str = CALLS) -> AsyncGenerator[None]:
    """Hold up each of these calls of these processes, and of what they fork, by `seconds` while the context lasts."""
    attached = [argument for pid in pids for argument in ("-p", str(pid))]
    injected = f"inject={calls}:delay_enter={int(seconds * 1e6)}"
    # Its own signals are not ours: it has to detach, or what it traces stays as it is.
    process = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-e", f"trace={calls}", "-e", "signal=none", "-e", injected, "-o", "/dev/null"),
        *attached,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def family(pid: int) -> list[int]:
    """A process and everything below it, as far as it is there still."""
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:  # go on: it has just ended
        return [pid]


@functools.cache
def allowed() -> bool:
    """Whether strace is here and may attach to what it did not start."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as probe:
        command = ("strace", "-e", "trace=none", "-p", str(probe.pid))
        with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            attached = b"attached" in tracer.stderr.readline()  # else: Operation not permitted
            probe.communicate(b"\n")
    return attached
