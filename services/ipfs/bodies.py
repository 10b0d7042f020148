"""What is sent to a pinning service: bytes in memory for small documents, a file on disk for everything uploaded.

An upload is copied from the object store into a temporary file once, so that it can be checked, named by its CID and
sent to several services at the same time while the service's memory stays flat. Used by `content` and `adapters`.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from chassis.log import UploadStore

PIECE_BYTES: Final = 262_144
"""Bytes that are read and sent at once."""


class Body(Protocol):
    """The bytes of a file, which can be read any number of times, also at the same time."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the bytes in order, a piece at a time."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """A body that is held whole."""

    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """See `Body.size`."""
        return len(self.data)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """See `Body.pieces`."""
        for start in range(0, len(self.data), PIECE_BYTES):
            yield self.data[start : start + PIECE_BYTES]


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A body that is read from a file, whose owner keeps it for as long as it is used."""

    path: Path
    size: int

    async def pieces(self) -> AsyncGenerator[bytes]:
        """See `Body.pieces`."""
        file = await asyncio.to_thread(_open, self.path)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()


@asynccontextmanager
async def copied(uploads: UploadStore, sha256: str) -> AsyncGenerator[OnDisk | None]:
    """Copy an upload to a temporary file for as long as the context is open; None when it is not there.

    Raises LogUnavailable. TMPDIR says where; the disk it is on needs room for as many files as are pinned at once.
    """
    async with temporary() as (path, file):
        size = await uploads.copy(sha256, file)
        await asyncio.to_thread(file.flush)
        yield None if size is None else OnDisk(path, size)


@asynccontextmanager
async def temporary() -> AsyncGenerator[tuple[Path, BinaryIO]]:
    """Open a temporary file for writing; yield it with the path that this process can read it at.

    It has no name among the files of TMPDIR: a process that is killed leaves nothing behind that would fill the disk.
    """
    file = await asyncio.to_thread(_nameless_file)
    try:
        yield Path(f"/proc/self/fd/{file.fileno()}"), file
    finally:
        await asyncio.to_thread(file.close)


def _nameless_file() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile(prefix="mintstream-ipfs-"))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
