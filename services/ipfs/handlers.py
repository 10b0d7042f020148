"""What the ipfs service does with a request on the log: pin its content, tell the log, chunk by chunk.

Redelivered at any line, the work starts at reading the chunk's newest fact and ends in the same facts: content is named
by its bytes, pinning is idempotent, and every fact is published with the sequence that was read (see `domain`).
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final

from chassis import telemetry
from chassis.delivery import backoff
from chassis.log import EventLog, Message, RetryLater, SequenceConflict
from contracts.collection import CollectionCreated, CollectionRequested
from contracts.fact import Event
from contracts.mint import Cancelled, Image, Item, Requested, UploadedImage, chunk_fence
from contracts.streams import COLLECTION, CONTENT, MINT
from contracts.upload import UploadPinned, UploadRequested, upload_fence
from services.ipfs.chunk_turns import ChunkTurns
from services.ipfs.content import ContentPinner
from services.ipfs.domain import (
    CANCELLED,
    ChunkState,
    Outcome,
    collection_fence,
    conclude,
    conclude_collection,
    conclude_upload,
)
from services.ipfs.ports import PinUnavailable
from services.ipfs.sessions import Session, Sessions
from services.ipfs.uploads import PinnedUploads, WaitingUploads

MAX_CONFLICTS: Final = 4
"""Refused publishes of one chunk before it is left for a later delivery; two workers need one each."""

CONFLICT_RETRY_SECONDS: Final = 1.0

COLLECTION_RETRY_SECONDS: Final = 3.0
"""Seconds between two looks for a collection. Nobody asks for a mint without one: if it is not on the log, the log has
lost it and is given it back. Whoever failed the mint instead would contradict what else it is given back."""

JITTER: Final = 0.25
"""A delay is longer by up to this part of it, never shorter than what a pinning service asked for."""

_log = telemetry.get_logger(__name__)


class MintContent:
    """Handles `mint.requested`."""

    def __init__(
        self,
        log: EventLog,
        pinner: ContentPinner,
        sessions: Sessions,
        waiting: WaitingUploads,
        turns: ChunkTurns,
    ) -> None:
        self._log = log
        self._pinner = pinner
        self._sessions = sessions
        self._waiting = waiting
        self._turns = turns

    async def on_requested(self, message: Message[Requested]) -> None:
        """Pin every chunk of the operation that is not settled yet, in order, each in its turn.

        Raises RetryLater while the pinning service is unavailable and when no more turns are given; chunks told before
        that stay told.
        """
        request = message.data
        session = self._sessions.of(request.operation)
        collection = await self._collection(message)
        try:
            for chunk, items in enumerate(request.chunks()):
                async with self._turns.turn(message.sequence, chunk):
                    await self._settle_chunk(message.event, chunk, items, collection, session)
        except PinUnavailable as error:  # retry: the content is good and waits in the object store
            await self._waiting.renew(message.stored_at, _uploads(nft.image for nft in request.nfts), session)
            raise retry_later(error, message.deliveries, operation=str(request.operation)) from error

    async def _collection(self, message: Message[Requested]) -> CollectionCreated | None:
        """Return the collection; None when the operation is cancelled. Raises RetryLater until it is on the log."""
        request = message.data
        created = await self._log.last(CollectionCreated, collection=request.collection)
        if created is not None:
            return created.data
        if await self._log.last(Cancelled, operation=request.operation):
            return None
        _log.error("collection not on the log", collection=str(request.collection), operation=str(request.operation))
        raise RetryLater(f"collection {request.collection} is not on the log", COLLECTION_RETRY_SECONDS)

    async def _settle_chunk(
        self,
        cause: Event[Requested],
        chunk: int,
        items: Sequence[Item],
        collection: CollectionCreated | None,
        session: Session,
    ) -> None:
        request = cause.data
        for _ in range(MAX_CONFLICTS):
            state = await self._read(request, chunk)
            todo = state.open_items(items)
            if not todo:
                return
            outcomes = await self._outcomes(request, todo, collection, session)
            if await self._tell(cause, chunk, todo, outcomes, state):
                return
        raise RetryLater(f"chunk {chunk} of {request.operation} is contended", CONFLICT_RETRY_SECONDS)

    async def _read(self, request: Requested, chunk: int) -> ChunkState:
        newest = await self._log.last_matching(MINT, chunk_fence(request.operation, chunk))
        return ChunkState() if newest is None else ChunkState.of(newest.data, newest.sequence)

    async def _outcomes(
        self, request: Requested, items: Sequence[Item], collection: CollectionCreated | None, session: Session
    ) -> dict[int, Outcome]:
        positions = {item.nft for item in items}
        if collection is None or await self._log.last(Cancelled, operation=request.operation):
            return dict.fromkeys(positions, CANCELLED)
        return await self._pinner.place_nfts(request, sorted(positions), collection, session)

    async def _tell(
        self,
        cause: Event[Requested],
        chunk: int,
        items: Sequence[Item],
        outcomes: dict[int, Outcome],
        state: ChunkState,
    ) -> bool:
        """Publish the chunk's facts; return False when another worker has spoken meanwhile."""
        operation, sequence = cause.data.operation, state.sequence
        for fact in conclude(cause, chunk, items, outcomes, state, self._pinner.retrieved_from):
            try:
                sequence = await self._log.publish(
                    fact,
                    cause=cause,
                    expected_sequence=sequence,
                    fence=chunk_fence(operation, chunk),
                )
            except SequenceConflict:  # go on: read what the other said and follow it
                return False
            _log.info(fact.type(), operation=str(operation), chunk=chunk, items=len(items))
        return True


class CollectionContent:
    """Handles `collection.requested`."""

    def __init__(self, log: EventLog, pinner: ContentPinner, sessions: Sessions, waiting: WaitingUploads) -> None:
        self._log = log
        self._pinner = pinner
        self._sessions = sessions
        self._waiting = waiting

    async def on_requested(self, message: Message[CollectionRequested]) -> None:
        """Pin the collection's image and metadata, unless anything was said of it since it was requested."""
        request = message.data
        fence = collection_fence(request.collection)
        newest = await self._log.last_matching(COLLECTION, fence)
        if newest is None or newest.sequence != message.sequence:
            return
        session = self._sessions.of(request.collection)
        try:
            outcome, image = await self._pinner.place_collection(request, session)
        except PinUnavailable as error:  # retry: the content is good and waits in the object store
            await self._waiting.renew(message.stored_at, _uploads([request.image]), session)
            raise retry_later(error, message.deliveries, collection=str(request.collection)) from error
        fact = conclude_collection(request, outcome, image.uri if image else None, self._pinner.retrieved_from)
        try:
            await self._log.publish(fact, cause=message.event, expected_sequence=message.sequence, fence=fence)
        except SequenceConflict:  # stop: another worker has told it; what it said stands
            return
        _log.info(fact.type(), collection=str(request.collection))


class UploadContent:
    """Handles `upload.requested`."""

    def __init__(
        self,
        log: EventLog,
        pinner: ContentPinner,
        sessions: Sessions,
        waiting: WaitingUploads,
        pinned: PinnedUploads,
    ) -> None:
        self._log = log
        self._pinner = pinner
        self._sessions = sessions
        self._waiting = waiting
        self._pinned = pinned

    async def on_requested(self, message: Message[UploadRequested]) -> None:
        """Pin the file, unless anything was said of it since it was requested."""
        request = message.data
        fence = upload_fence(request.sha256)
        newest = await self._log.last_matching(CONTENT, fence)
        if newest is None or newest.sequence != message.sequence:
            return
        known, session = await self._pinned.find(request.sha256), self._sessions.of(request.sha256)
        try:
            lost = None if known is None else await self._pinner.lost(known, session)
            if known is not None and known.cid == request.cid and lost is None:
                # Asked for although it is pinned: its bytes may be gone, and nobody needs them.
                await self._pinned.tell(known, message.event, keep=self._pinner.keeps_uploads)
                return
            refusal = await self._pinner.place_upload(request, session)
        except PinUnavailable as error:  # retry: the content is good and waits in the object store
            await self._waiting.renew(message.stored_at, [request.sha256], session)
            raise retry_later(error, message.deliveries, sha256=request.sha256) from error
        fact = conclude_upload(request, refusal, self._pinner.retrieved_from)
        if isinstance(fact, UploadPinned):
            if lost is not None and lost.cid == fact.cid:
                await self._pinned.restored(lost)
            await self._pinned.tell(fact, message.event, keep=self._pinner.keeps_uploads)
        else:
            try:
                await self._log.publish(fact, cause=message.event, expected_sequence=message.sequence, fence=fence)
            except SequenceConflict:  # stop: another worker has told it; what it said stands
                return
        _log.info(fact.type(), sha256=request.sha256)


def _uploads(images: Iterable[Image | None]) -> list[str]:
    return [image.sha256 for image in images if isinstance(image, UploadedImage)]


def retry_later(error: PinUnavailable, deliveries: int, **about: str) -> RetryLater:
    """Return the request to deliver again: when the service asks for it, or else after a growing delay."""
    # Spread out, so that many messages that failed together do not come back together.
    after = error.after if error.after is not None else backoff(deliveries)
    after *= 1 + JITTER * random.random()  # noqa: S311  (not a secret)
    tell = _log.error if error.operator else _log.warning
    tell("pinning unavailable", reason=error.reason, retry_seconds=after, **about)
    return RetryLater(error.reason, after)
