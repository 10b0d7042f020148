"""A disk of a directory's own that can be filled to the last page and emptied again: a tmpfs of another size.

Used by the soak. Only root may mount, and not in every container: where it may not, `allowed` says so. What is written
is in memory, so a sync costs nothing (`slow_disk` makes it cost something).
"""

import functools
import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOMY: Final = 4 * 1024**3
"""Bytes; only what is written takes memory."""
TRIES: Final = 50


class SmallDisk:
    """A mounted disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fill(self) -> None:
        """Leave no free page on it: whatever makes a file longer fails with ENOSPC."""
        for _ in range(TRIES):
            state = os.statvfs(self._directory)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            if _mount("-o", f"remount,size={used}", str(self._directory)):
                return  # else more was written meanwhile: it cannot be smaller than what is on it
        raise AssertionError(f"{self._directory} grew faster than it could be filled")

    def make_room(self) -> None:
        """Have plenty of room again."""
        assert _mount("-o", f"remount,size={ROOMY}", str(self._directory))


@contextmanager
def small_disk(directory: Path) -> Generator[SmallDisk]:
    """A disk mounted at `directory`, which is made; nothing of it is left at the end."""
    directory.mkdir(parents=True, mode=0o700)
    assert _mount("-t", "tmpfs", "-o", f"size={ROOMY},mode=700", "mintstream-tests", str(directory))
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@functools.cache
def allowed() -> bool:
    """Whether disks can be mounted here."""
    with tempfile.TemporaryDirectory() as directory:
        if not _mount("-t", "tmpfs", "mintstream-tests", directory):
            return False
        subprocess.run(["umount", directory], check=True)
    return True


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:  # stop: there is no such program here
        return False
