"""What can be done with a collection on chain: set its flags, have it counted anew. Called by `api/collections.py`."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable, Message, SequenceConflict
from chassis.telemetry import get_logger
from contracts.collection import CollectionCounted, CollectionCreated, CollectionSyncRequested, CollectionUpdated
from services.gateway.errors import (
    NOTHING_STORED,
    ChainSilent,
    CollectionNotFound,
    LogSilent,
    Problem,
    ValidationFailed,
)
from services.gateway.requests import CollectionFlagsBody, read_body

SYNC_SECONDS: Final = 15.0
"""How long an answer waits for the chain's count."""
SYNC_PAUSE: Final = 0.1
MAX_CONFLICTS: Final = 5

_log = get_logger(__name__)


class Curating:
    """Carries out what callers want of a created collection."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def update(self, collection: UUID, fields: Mapping[str, object]) -> None:
        """Set the flags that `fields` names; the others stay. Raises ApiError."""
        body = read_body(CollectionFlagsBody, fields)
        if body.is_public is None and body.allow_minting is None:
            raise ValidationFailed([Problem("", "name isPublic, allowMinting, or both")])
        try:
            for _ in range(MAX_CONFLICTS):
                if await self._set(collection, body):
                    return
        except LogUnavailable as error:  # stop: the caller may say it again, which is safe
            raise LogSilent("The event log does not answer; the flags may or may not be set") from error
        raise LogSilent(NOTHING_STORED)

    async def _set(self, collection: UUID, body: CollectionFlagsBody) -> bool:
        """Return False when somebody else has set flags meanwhile."""
        created = await self._created(collection)
        updated = await self._log.last(CollectionUpdated, collection=collection)
        now: CollectionCreated | CollectionUpdated = updated.data if updated else created.data
        wanted = CollectionUpdated(
            collection=collection,
            is_public=now.is_public if body.is_public is None else body.is_public,
            allow_minting=now.allow_minting if body.allow_minting is None else body.allow_minting,
        )
        if (now.is_public, now.allow_minting) == (wanted.is_public, wanted.allow_minting):
            return True
        try:
            await self._log.publish(wanted, cause=None, expected_sequence=updated.sequence if updated else 0)
        except SequenceConflict:  # go on: their flags may be others than these
            return False
        _log.info("collection updated", **{**msgspec.to_builtins(wanted), "collection": str(collection)})
        return True

    async def sync(self, collection: UUID) -> CollectionCounted:
        """Return the chain's own numbers as of now. Raises CollectionNotFound, ChainSilent and LogSilent."""
        try:
            await self._created(collection)
            asked = await self._log.publish(CollectionSyncRequested(collection=collection), cause=None)
            deadline = self._clock.monotonic() + SYNC_SECONDS
            while self._clock.monotonic() < deadline:
                counted = await self._log.last(CollectionCounted, collection=collection)
                if counted is not None and counted.sequence > asked:
                    return counted.data
                await self._clock.sleep(SYNC_PAUSE)
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent("The event log does not answer") from error
        raise ChainSilent("The chain was not counted in time; it will be, look at the collection later")

    async def _created(self, collection: UUID) -> Message[CollectionCreated]:
        created = await self._log.last(CollectionCreated, collection=collection)
        if created is None:
            raise CollectionNotFound("Collection not found, or not on chain yet", "no collection on chain has this id")
        return created
