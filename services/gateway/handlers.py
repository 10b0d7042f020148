"""From a caller's request to a message on the log, and from log and projection to an answer.

Called by the routers in `api/`; all rules are in `domain.py`, `requests.py` and `status.py`. The order of a mint is:
validate all of it, answer a repeated key, read the collection, keep the images, and only then say `requested`, once.
So a refused request leaves nothing on the log, and what is on the log can be carried out.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from chassis.log import EventLog, LogUnavailable, Message
from chassis.telemetry import get_logger
from contracts.collection import (
    CollectionCounted,
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
    CollectionRequested,
    CollectionUpdated,
)
from contracts.mint import Completed, Requested, UploadedImage
from services.gateway import domain, status
from services.gateway.callers import Caller
from services.gateway.errors import (
    NOTHING_STORED,
    CollectionNotFound,
    IdempotencyKeyReused,
    LogSilent,
    OperationNotFound,
    ProjectionDown,
)
from services.gateway.identity import identify
from services.gateway.images import Images
from services.gateway.meaning import differences, meaning_of
from services.gateway.open_collections import OpenCollections
from services.gateway.ports import (
    Collection,
    CollectionPage,
    CollectionQuery,
    Drift,
    File,
    Operation,
    Projection,
    ProjectionUnavailable,
)
from services.gateway.requests import MAX_PROBLEMS, CollectionBody, MintBatchBody, MintSingleBody, read_body

R = TypeVar("R", Requested, CollectionRequested)
Unsaid = frozenset[str]
NOTHING_UNSAID: Unsaid = frozenset()

_log = get_logger(__name__)


class Asking:
    """Says a request on the log once: the part that mints and collections have in common."""

    def __init__(self, log: EventLog, images: Images) -> None:
        self.log = log
        self.images = images
        self.open_collections = OpenCollections(log)

    async def earlier(self, request: R, key: str | None, unsaid: Unsaid = NOTHING_UNSAID) -> R | None:
        """Return what is on the log under the request's id, when it has a key and means the same.

        In the fields `unsaid` it may differ: see `domain.unsaid`. Raises IdempotencyKeyReused when it means something
        else, and LogSilent.
        """
        return None if key is None else await self._stored(request, unsaid)

    async def say(self, request: R, unsaid: Unsaid = NOTHING_UNSAID) -> R:
        """Store the request unless its subject was used before; return what is on the log then.

        Raises IdempotencyKeyReused and LogSilent; after the latter the request may be stored or not.
        """
        try:
            if await self.log.publish_once(request, cause=None):
                return request
        except LogUnavailable as error:  # stop: the log has retried with its own patience; the caller decides
            _log.warning("request not acknowledged", subject=request.subject(), reason=str(error))
            name, where = ("transactionId", "mint/status") if isinstance(request, Requested) else ("id", "collections")
            raise LogSilent(
                "The event log did not acknowledge the request, which may still be carried out: look at "
                f"GET /api/{where}/{_id_of(request)} before sending it again, or send it again with the same "
                "Idempotency-Key",
                data={name: str(_id_of(request))},
            ) from error
        stored = await self._stored(request, unsaid)
        if stored is None:  # refused, and yet nothing is there: the log does not hold what it promises
            raise LogSilent(NOTHING_STORED)
        return stored

    async def _stored(self, request: R, unsaid: Unsaid) -> R | None:
        kind = type(request)
        identity = {"operation" if isinstance(request, Requested) else "collection": _id_of(request)}
        try:
            found = await self.log.last(kind, **identity)
        except LogUnavailable as error:  # stop: without the log nothing can be said or known
            raise LogSilent(NOTHING_STORED) from error
        if found is None:
            return None
        found_differing = differences(meaning_of(found.data), meaning_of(request))
        if differing := [field for field in found_differing if field not in unsaid]:
            raise IdempotencyKeyReused(differing[:MAX_PROBLEMS])
        return found.data

    async def keep(self, files: Sequence[File], images: Sequence[UploadedImage]) -> None:
        """Put the images where the message will point. Raises LogSilent."""
        try:
            await self.images.keep(files, images)
        except LogUnavailable as error:  # stop: nothing points at what was stored; it expires by itself
            raise LogSilent(NOTHING_STORED) from error


def _id_of(request: Requested | CollectionRequested) -> UUID:
    return request.operation if isinstance(request, Requested) else request.collection


class Minting:
    """Takes mint requests. `batch_size` is the size of a chunk when the caller names none."""

    def __init__(self, asking: Asking, batch_size: int) -> None:
        self._asking = asking
        self._batch_size = batch_size

    async def single(
        self, fields: Mapping[str, object], files: Sequence[File], caller: str, key: str | None
    ) -> Requested:
        """Ask for one NFT in some copies; return the message that is on the log. Raises ApiError."""
        body = read_body(MintSingleBody, fields)
        pairing = domain.pair_single(body.metadata, len(files))
        operation = identify("mint", caller, key)
        images = await self._asking.images.check(files, "image")
        request = domain.single_requested(body, pairing, images, operation, self._batch_size, caller)
        return await self._ask(request, files, images, key, domain.unsaid(body))

    async def batch(
        self, fields: Mapping[str, object], files: Sequence[File], caller: str, key: str | None
    ) -> Requested:
        """Ask for many NFTs; return the message that is on the log. Raises ApiError."""
        body = read_body(MintBatchBody, fields)
        domain.check_total(body)
        pairing = domain.pair_batch(body.nfts, len(files))
        operation = identify("mint", caller, key)
        images = await self._asking.images.check(files, "images")
        request = domain.batch_requested(body, pairing, images, operation, self._batch_size, caller)
        return await self._ask(request, files, images, key, domain.unsaid(body))

    async def _ask(
        self,
        request: Requested,
        files: Sequence[File],
        images: Sequence[UploadedImage],
        key: str | None,
        unsaid: Unsaid,
    ) -> Requested:
        if earlier := await self._asking.earlier(request, key, unsaid):
            return earlier
        await self._asking.open_collections.require(request.collection)
        await self._asking.keep(files, images)
        return await self._asking.say(request, unsaid)


class Statuses:
    """Tells how an operation stands: from the projection, or from the log when that is late or away."""

    def __init__(self, log: EventLog, projection: Projection) -> None:
        self._log = log
        self._projection = projection

    async def operation(self, operation: UUID, viewer: Caller) -> Operation:
        """Return the operation, if it is the viewer's. Raises OperationNotFound and LogSilent."""
        found = await self._known(operation)
        viewer.require_sight(found.caller)
        return found

    async def _known(self, operation: UUID) -> Operation:
        try:
            found = await self._projection.operation(operation)
        except ProjectionUnavailable:  # go on: the log knows less, but enough to answer
            found = None
        if found is not None:
            return found
        try:
            requested = await self._log.last(Requested, operation=operation)
            completed = await self._log.last(Completed, operation=operation) if requested else None
        except LogUnavailable as error:  # stop: neither of the two answers
            raise LogSilent("Neither the database nor the event log answers") from error
        if requested is None:
            raise OperationNotFound
        return status.operation_from_log(requested, completed)


class Collections:
    """Takes requests for collections, and lists them."""

    def __init__(self, asking: Asking, projection: Projection) -> None:
        self._asking = asking
        self._projection = projection

    async def request(
        self, fields: Mapping[str, object], files: Sequence[File], caller: str, key: str | None
    ) -> CollectionRequested:
        """Ask for a collection and its tree; return the message that is on the log. Raises ApiError."""
        body = read_body(CollectionBody, fields)
        tree = domain.check_tree(body)
        file = domain.pair_collection(body, len(files))
        collection = identify("collection", caller, key)
        images = await self._asking.images.check(files, "image")
        request = domain.collection_requested(body, tree, file, images, collection)
        unsaid = domain.unsaid(body)
        if earlier := await self._asking.earlier(request, key, unsaid):
            return earlier
        await self._asking.keep(files, images)
        stored = await self._asking.say(request, unsaid)
        _log.info("collection requested", collection=str(stored.collection), standard=stored.standard.value)
        return stored

    async def page(self, query: CollectionQuery) -> CollectionPage:
        """Return one page of created collections. Raises ProjectionDown."""
        try:
            return await self._projection.collections(query)
        except ProjectionUnavailable as error:  # stop: a list cannot be had from the log by single reads
            raise ProjectionDown("The list is not available now; minting is not affected") from error

    async def one(self, collection: UUID) -> Collection:
        """Return the collection at whatever stage. Raises CollectionNotFound and LogSilent."""
        try:
            found = await self._projection.collection(collection)
        except ProjectionUnavailable:  # go on: the log knows
            found = None
        return found or await self.on_log(collection)

    async def drifts(self, collection: UUID, limit: int) -> Sequence[Drift]:
        """Return what its last comparisons came to, the newest first. Raises CollectionNotFound and Unavailable."""
        await self.one(collection)
        try:
            return await self._projection.drifts(collection, limit)
        except ProjectionUnavailable as error:  # stop: the log tells the last one alone
            raise ProjectionDown("Comparisons are not available now; minting is not affected") from error

    async def on_log(self, collection: UUID) -> Collection:
        """Return what the log alone tells of the collection, at once. Raises CollectionNotFound and LogSilent."""
        found = await self._from_log(collection)
        if found is None:
            raise CollectionNotFound("Collection not found", "no collection has this id")
        return found

    async def _from_log(self, collection: UUID) -> Collection | None:
        log = self._asking.log
        try:
            requested = await log.last(CollectionRequested, collection=collection)
            ended: Message[CollectionCreated] | Message[CollectionFailed] | None
            ended = await log.last(CollectionCreated, collection=collection)
            ended = ended or await log.last(CollectionFailed, collection=collection)
            counted = await log.last(CollectionCounted, collection=collection)
            updated = await log.last(CollectionUpdated, collection=collection)
            imported = None if requested else await log.last(CollectionImportRequested, collection=collection)
        except LogUnavailable as error:  # stop: neither of the two answers
            raise LogSilent("Neither the database nor the event log answers") from error
        return status.collection_from_log(requested or imported, ended, counted, updated)
