"""One owner for a directory: a lock file that the kernel releases when the owner dies.

Used by the stack and by the embedded servers. Not done here: locks between machines.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from localnet.errors import StackError

LOCK: Final = "lock"
"""The file's name in its directory."""


class DirectoryLock:
    """Holds DIR/lock for `what` (`mintstream stack`); raises StackError naming the present holder."""

    def __init__(self, directory: Path, what: str) -> None:
        self._directory = directory
        self._what = what
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        # Others may pass through, for a server that runs as `nobody`; what is secret has a closed folder of its own.
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        path = self._directory / LOCK
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # stop: only a person can choose another directory or stop the other
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StackError(
                f"another {self._what} (pid {holder}) uses {self._directory}: stop it, or choose another directory"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # the file stays: removing it would let two owners hold two files of one name
            self._descriptor = None
