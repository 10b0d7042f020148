"""The object store of uploads on a real nats-server, where two work on one object."""

import asyncio
import hashlib
import io
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO, cast

import pytest

from chassis import messaging_lookup
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.streams import UPLOADS, Bucket, Stream

DATA = bytes(range(256)) * 2_000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Interrupted(io.RawIOBase):
    """A file during whose first writing something happens."""

    def __init__(self, meanwhile: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._meanwhile = [meanwhile]
        self._loop = asyncio.get_running_loop()

    def write(self, data: object, /) -> int:
        while self._meanwhile:
            asyncio.run_coroutine_threadsafe(self._meanwhile.pop()(), self._loop).result()
        return 0


async def test_an_upload_that_is_deleted_while_it_is_read_is_not_there(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mints of one image: whoever is first deletes what the other one reads."""
    monkeypatch.setattr(messaging_lookup, "READ_BATCH", 1)
    async with Log.session(Connection((nats_url,), Producer(name="test", version="test"))) as log:
        await log.declare(streams=(), consumers=())
        uploads = await log.uploads(UPLOADS)
        await uploads.put(DIGEST, DATA)
        target = cast("BinaryIO", Interrupted(lambda: uploads.delete(DIGEST)))
        assert await uploads.copy(DIGEST, target) is None
        await uploads.put(DIGEST, DATA)
        assert await uploads.get(DIGEST) == DATA


async def test_an_upload_is_renewed_in_the_second_half_of_its_time(nats_url: str) -> None:
    short = Bucket(name="RENEWED", description="Of this test.", ttl=3600.0, max_bytes=10_000_000)
    old = Bucket(name=short.name, description=short.description, ttl=0.0, max_bytes=short.max_bytes)
    async with Log.session(Connection((nats_url,), Producer(name="test", version="test"))) as log:
        await log.declare(streams=(), consumers=(), buckets=(short,))
        young, aged = await log.uploads(short), await log.uploads(old)
        await aged.renew(DIGEST)
        assert await aged.get(DIGEST) is None, "what is not there stays so"
        await young.put(DIGEST, DATA)
        before = await log.last_sequence(Stream(name=short.stream, subjects=(), description=""))
        await young.renew(DIGEST)
        assert await log.last_sequence(Stream(name=short.stream, subjects=(), description="")) == before
        await aged.renew(DIGEST)
        assert await log.last_sequence(Stream(name=short.stream, subjects=(), description="")) > before
        assert await young.get(DIGEST) == DATA
