"""Uploaded bytes in a JetStream object store. Used by `chassis.messaging`, which opens it; imports nats.

Objects are named by the SHA-256 of their bytes, and every read is held against it. Not done here: how long objects are
kept, which the bucket's time to live says, and who may delete one.
"""

# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

import nats.errors
import nats.js.errors
from nats.js.api import ObjectInfo
from nats.js.object_store import ObjectStore

from chassis.log import LogUnavailable, RawMessage
from chassis.messaging_lookup import StreamLookup
from contracts.streams import Bucket, Stream


class ObjectStoreUploads:
    """Image bytes in a JetStream object store; implements `chassis.log.UploadStore`."""

    def __init__(self, store: ObjectStore, bucket: Bucket, lookup: StreamLookup) -> None:
        self._store = store
        self._bucket = bucket
        self._stream = Stream(name=bucket.stream, subjects=(f"$O.{bucket.name}.>",), description=bucket.description)
        self._lookup = lookup

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

    async def renew(self, sha256: str) -> None:
        """See `chassis.log.UploadStore.renew`: it is put again once it is older than half of the time to live."""
        if not await self._is_fresh(sha256) and (data := await self.get(sha256)) is not None:
            await self.put(sha256, data)

    async def _is_fresh(self, sha256: str) -> bool:
        """Return whether the bytes are there and will be for a while: an old object is about to be removed."""
        info = await self._info(sha256)
        if info is None or info.mtime is None:
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(info.mtime)
        return age < timedelta(seconds=self._bucket.ttl / 2)

    async def get(self, sha256: str) -> bytes | None:
        """Return the bytes after checking their digest; None when absent; raises LogUnavailable."""
        with io.BytesIO() as whole:
            return None if await self.copy(sha256, whole) is None else whole.getvalue()

    async def copy(self, sha256: str, target: BinaryIO) -> int | None:
        """Write the bytes into `target` as they arrive; see `chassis.log.UploadStore.copy`."""
        info = await self._info(sha256)
        if info is None:
            return None
        # Not the client's own `get`: it waits for the next piece for ever, also for those of an object that was deleted
        # since, as happens whenever two mints of one image come together.
        digest, size = hashlib.sha256(), 0
        pieces = cast(
            "AsyncGenerator[RawMessage]", self._lookup.history(self._stream, [f"$O.{self._bucket.name}.C.{info.nuid}"])
        )
        async with aclosing(pieces):
            async for piece in pieces:
                await asyncio.to_thread(target.write, piece.payload)
                digest.update(piece.payload)
                size += len(piece.payload)
        if digest.hexdigest() == sha256:
            return size
        newer = await self._info(sha256)
        if newer is None:
            return None
        if newer.nuid != info.nuid:
            raise LogUnavailable(f"upload {sha256[:12]} was put anew while it was read")
        raise LogUnavailable(f"upload {sha256[:12]} came back with other bytes")

    async def _info(self, sha256: str) -> ObjectInfo | None:
        try:
            return await self._store.get_info(sha256)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read upload {sha256[:12]}: {type(error).__name__}") from error

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; see `chassis.log.UploadStore.delete`. Raises LogUnavailable."""
        try:
            await self._store.delete(sha256)
        except nats.js.errors.NotFoundError:
            return
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot delete upload {sha256[:12]}: {type(error).__name__}") from error
