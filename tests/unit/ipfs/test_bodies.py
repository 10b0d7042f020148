"""Uploads on disk: read any number of times, at the same time, and never left behind."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest

from services.ipfs.bodies import PIECE_BYTES, OnDisk, copied
from tests.support.content import sha256
from tests.support.memory_log import MemoryUploads

DATA = bytes(range(256)) * (PIECE_BYTES // 100)


async def read(body: OnDisk) -> bytes:
    return b"".join([piece async for piece in body.pieces()])


async def test_an_upload_is_read_many_times_and_has_no_name_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uploads = MemoryUploads()
    uploads.objects[sha256(DATA)] = DATA
    async with copied(uploads, sha256(DATA)) as body:
        assert body is not None
        assert body.size == len(DATA)
        assert await asyncio.gather(read(body), read(body)) == [DATA, DATA]
        assert body.path.read_bytes() == DATA
        assert os.listdir(tmp_path) == [], "whoever is killed now leaves nothing behind"
    async with copied(uploads, sha256(b"other")) as missing:
        assert missing is None
