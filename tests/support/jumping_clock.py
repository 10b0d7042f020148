"""Processes whose wall clock jumps while they run: by a small library that is loaded into them before the C library.

Used by the soak. A clock is moved by writing a file, which the process has mapped; its monotonic clock goes on. The
library is compiled from `clock_shim.c` with the C compiler of the `ziglang` wheel. libfaketime does the same and more,
but leaves semaphores behind when its process is killed, which the soak does all the time. Programs that do not ask the
C library for the time, as those in Go, keep the machine's clock.
"""

import ctypes
import functools
import mmap
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("clock_shim.c")
NANOSECONDS: Final = 10**9


@functools.cache
def _directory() -> "tempfile.TemporaryDirectory[str]":
    """Removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="mintstream-clock-")


@functools.cache
def clock_library() -> Path:
    """The library, compiled once for each process of tests."""
    library = Path(_directory().name) / "clock.so"
    flags = ("-target", "x86_64-linux-gnu", "-shared", "-fPIC", "-O2", "-fno-builtin", "-nostdlib")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, "-o", library, SOURCE], check=True)
    return library


class JumpingClock:
    """The wall clock of whatever runs with `environ`."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._offset = ctypes.c_int64.from_buffer(mmap.mmap(opened.fileno(), 8))
        self.environ: Final = {"LD_PRELOAD": str(clock_library()), "CLOCK_OFFSET_FILE": str(file)}

    def jump(self, seconds: float) -> None:
        """From now on the clock is so far ahead of the machine's, or behind."""
        self._offset.value = int(seconds * NANOSECONDS)

    @property
    def now(self) -> float:
        """Seconds since 1970, as the process sees them."""
        return time.time() + self._offset.value / NANOSECONDS
