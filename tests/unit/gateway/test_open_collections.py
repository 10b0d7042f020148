"""Looks at collections: shared by those who wait, and never older than whoever asks."""

import asyncio
from typing import TypeVar
from uuid import UUID

import pytest

from chassis.log import LogUnavailable, Message
from contracts.collection import CollectionUpdated
from contracts.fact import Fact
from services.gateway import open_collections
from services.gateway.errors import CollectionNotFound, LogSilent
from services.gateway.open_collections import OpenCollections
from tests.support.gateway import COLLECTION, created
from tests.support.memory_log import MemoryLog

F = TypeVar("F", bound=Fact)


class Watched(MemoryLog):
    """A log that tells what was looked at, and is silent on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[str] = []
        self.silent = False

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        self.looks.append(fact.__name__)
        await asyncio.sleep(0)
        if self.silent:
            raise LogUnavailable
        return await super().last(fact, **tokens)


@pytest.fixture
async def log() -> Watched:
    watched = Watched()
    await watched.publish(created(COLLECTION), cause=None)
    return watched


def flags(*, allow_minting: bool) -> CollectionUpdated:
    return CollectionUpdated(collection=COLLECTION, is_public=True, allow_minting=allow_minting)


async def test_those_who_come_during_a_look_share_the_next_one(log: Watched) -> None:
    collections = OpenCollections(log)
    await asyncio.gather(*(collections.require(COLLECTION) for _ in range(50)))
    assert sorted(log.looks) == ["CollectionCreated", "CollectionUpdated"]


async def test_what_was_created_is_remembered_and_its_flags_are_not(log: Watched) -> None:
    collections = OpenCollections(log)
    await collections.require(COLLECTION)
    await log.publish(flags(allow_minting=False), cause=None)
    with pytest.raises(CollectionNotFound):
        await collections.require(COLLECTION)
    await log.publish(flags(allow_minting=True), cause=None)
    await collections.require(COLLECTION)
    assert sorted(log.looks) == ["CollectionCreated", *["CollectionUpdated"] * 3]


async def test_a_collection_is_found_as_soon_as_it_is_created(log: Watched) -> None:
    collections, other = OpenCollections(log), UUID(int=7)
    with pytest.raises(CollectionNotFound):
        await collections.require(other)
    await log.publish(created(other), cause=None)
    await collections.require(other)


async def test_everybody_who_waits_is_told_that_the_log_is_silent(log: Watched) -> None:
    collections = OpenCollections(log)
    log.silent = True
    told = await asyncio.gather(*(collections.require(COLLECTION) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [LogSilent] * 3
    log.silent = False
    await collections.require(COLLECTION)


async def test_no_more_is_remembered_than_there_is_room_for(log: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_collections, "MAX_REMEMBERED", 1)
    collections, other = OpenCollections(log), UUID(int=7)
    await log.publish(created(other), cause=None)
    for each in (COLLECTION, other, COLLECTION):
        await collections.require(each)
    assert log.looks.count("CollectionCreated") == 3, "the first one had been forgotten"
