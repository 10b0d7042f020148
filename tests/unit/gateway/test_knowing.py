"""The book of API keys is true to the log, also to one that has lost its tail; and forgets nothing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.api_keys import ApiKey
from chassis.clock import SystemClock
from chassis.connectivity import Connectivity
from chassis.exposition import REGISTRY
from chassis.key_book import KeyBook, read_key_book
from contracts.access import KeyCreated, KeyRevoked, Scope
from contracts.streams import ACCESS
from services.gateway import knowing
from services.gateway.knowing import KeyReader
from tests.support.ending import end
from tests.support.memory_log import MemoryLog

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OLD, STOLEN, FRESH = ApiKey.new(), ApiKey.new(), ApiKey.new()


class LossyLog(MemoryLog):
    """A log whose connection can be lost, and messages with it."""

    def __init__(self) -> None:
        super().__init__()
        self.connectivity = Connectivity()

    def lose(self, messages: int) -> None:
        if messages:
            del self.streams[ACCESS.name][-messages:]
        self.connectivity.lost()


def created(key: ApiKey) -> KeyCreated:
    return KeyCreated(key=key.id, caller="app:shop", scopes=(Scope.READ,), sha256=key.sha256)


def truncations() -> float:
    return REGISTRY.get_sample_value("mintstream_log_truncated_total", {"stream": "ACCESS"}) or 0.0


async def until(book: KeyBook, position: int) -> None:
    async with asyncio.timeout(60):
        while book.position != position:  # noqa: ASYNC110  (the book has no event for it)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def reader(*facts: Any) -> AsyncGenerator[tuple[LossyLog, KeyBook]]:
    log = LossyLog()
    for fact in facts:
        await log.publish(fact, cause=None)
    book = await read_key_book(log)
    reading = asyncio.create_task(KeyReader(log, book, SystemClock()).run())
    await asyncio.sleep(0)
    try:
        yield log, book
    finally:
        await end([reading])


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowing, "RETRY_SECONDS", 0.001)


async def test_a_key_is_known_when_it_is_made_and_refused_when_it_is_revoked() -> None:
    async with reader() as (log, book):
        await until(book, await log.publish(created(OLD), cause=None))
        assert book.find(OLD.text, NOW) is not None
        await until(book, await log.publish(KeyRevoked(key=OLD.id, at=NOW), cause=None))
        assert book.find(OLD.text, NOW) is None


async def test_what_the_log_has_lost_is_told_and_still_counts() -> None:
    before = truncations()
    async with reader(created(OLD), created(STOLEN), KeyRevoked(key=STOLEN.id, at=NOW)) as (log, book):
        log.lose(1)
        await until(book, 2)
        assert truncations() == before + 1
        assert book.find(STOLEN.text, NOW) is None, "it was revoked"
        assert (await read_key_book(log)).find(STOLEN.text, NOW) is not None, "but a gateway that starts does not know"
        # What is said now is heard, although the stream was longer before.
        await until(book, await log.publish(created(FRESH), cause=None))
        assert book.find(FRESH.text, NOW) is not None
        await log.publish(KeyRevoked(key=STOLEN.id, at=NOW), cause=None)
        log.lose(0)
        await until(book, 4)
        assert truncations() == before + 1


async def test_a_key_whose_making_was_lost_is_told_and_still_good() -> None:
    before = truncations()
    async with reader(created(OLD), created(FRESH)) as (log, book):
        log.lose(1)
        await until(book, 1)
        assert truncations() == before + 1
        assert book.find(FRESH.text, NOW) is not None


async def test_a_lost_connection_alone_is_no_loss() -> None:
    before = truncations()
    async with reader(created(OLD), KeyRevoked(key=OLD.id, at=NOW)) as (log, book):
        log.lose(0)
        await until(book, await log.publish(created(FRESH), cause=None))
        assert truncations() == before
        assert book.find(OLD.text, NOW) is None
        assert book.find(FRESH.text, NOW) is not None
