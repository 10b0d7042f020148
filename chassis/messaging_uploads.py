"""Uploaded bytes in a JetStream object store. Used by `chassis.messaging`, which opens it; imports nats.

Objects are named by the SHA-256 of their bytes, and every read is held against it. Not done here: how long objects are
kept, which the bucket's time to live says, and who may delete one.
"""

# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false

import asyncio
import contextlib
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import nats.errors
import nats.js.errors

from chassis.log import LogUnavailable


class ObjectStoreUploads:
    """Image bytes in a JetStream object store; implements `chassis.log.UploadStore`."""

    def __init__(self, store: Any, ttl: float, patience: float) -> None:
        self._store = store
        self._ttl = ttl
        self._patience = patience

    async def check(self) -> None:
        """Return when the object store answers; raises LogUnavailable."""
        try:
            await self._store.status()
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"object store: {type(error).__name__}") from error

    async def put(self, sha256: str, data: bytes) -> None:
        """Keep `data` for at least half of the bucket's time to live.

        Raises LogUnavailable, and ValueError for a wrong digest.
        """
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("the digest is not the data's")
        try:
            if not await self._is_fresh(sha256):
                await self._store.put(sha256, data)
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot store upload {sha256[:12]}: {type(error).__name__}") from error

    async def _is_fresh(self, sha256: str) -> bool:
        """Return whether the bytes are there and will be for a while: an old object is about to be removed."""
        try:
            info = await self._store.get_info(sha256)
        except nats.js.errors.NotFoundError:
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(info.mtime)
        return age < timedelta(seconds=self._ttl / 2)

    async def get(self, sha256: str) -> bytes | None:
        """Return the bytes after checking their digest; None when absent; raises LogUnavailable."""
        try:
            found = await self._store.get(sha256)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read upload {sha256[:12]}: {type(error).__name__}") from error
        data = bytes(found.data)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LogUnavailable(f"upload {sha256[:12]} came back with other bytes")
        return data

    async def copy(self, sha256: str, target: BinaryIO) -> int | None:
        """Write the bytes into `target` as they arrive; see `chassis.log.UploadStore.copy`."""
        try:
            # The client waits for the next piece for ever: a copy that stands still is given up here.
            async with asyncio.timeout(self._patience) as deadline:
                sink = _Sink(target, asyncio.get_running_loop(), deadline, self._patience)
                await self._store.get(sha256, writeinto=sink)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read upload {sha256[:12]}: {type(error).__name__}") from error
        if sink.hash.hexdigest() != sha256:
            raise LogUnavailable(f"upload {sha256[:12]} came back with other bytes")
        return sink.size

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; see `chassis.log.UploadStore.delete`. Raises LogUnavailable."""
        try:
            await self._store.delete(sha256)
        except nats.js.errors.NotFoundError:
            return
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot delete upload {sha256[:12]}: {type(error).__name__}") from error


class _Sink:
    """What the client writes an object into, piece by piece in worker threads: hashes, counts, moves the deadline."""

    def __init__(
        self, target: BinaryIO, loop: asyncio.AbstractEventLoop, deadline: asyncio.Timeout, patience: float
    ) -> None:
        self.hash = hashlib.sha256()
        self.size = 0
        self._target = target
        self._loop = loop
        self._deadline = deadline
        self._patience = patience

    def write(self, data: bytes) -> int:
        """Take the next piece."""
        self._target.write(data)
        self.hash.update(data)
        self.size += len(data)
        self._loop.call_soon_threadsafe(self._moved)
        return len(data)

    def _moved(self) -> None:
        if not self._deadline.expired() and self._deadline.when() is not None:
            with contextlib.suppress(RuntimeError):  # stop: the copy has ended meanwhile
                self._deadline.reschedule(self._loop.time() + self._patience)
