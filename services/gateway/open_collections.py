"""Which collections take mints, by the log: looked up for each request, in looks that requests of one moment share.

Used by whoever asks for mints. Nothing is remembered: a request is answered by a look that began after it came, so a
collection that was closed before is closed for it. Under load that is one look at a time for each collection, however
many requests wait for the next one.
"""

import asyncio
from uuid import UUID

from chassis.log import EventLog, LogUnavailable
from contracts.collection import CollectionCreated, CollectionUpdated
from services.gateway.errors import NOTHING_STORED, CollectionNotFound, LogSilent


class OpenCollections:
    """Looks collections up."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiting: dict[UUID, list[asyncio.Future[bool]]] = {}
        self._looking: dict[UUID, asyncio.Task[None]] = {}

    async def require(self, collection: UUID) -> None:
        """Return when the collection is on chain and its newest flags allow minting.

        Raises CollectionNotFound and LogSilent.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(collection, []).append(answer)
        if collection not in self._looking:
            self._looking[collection] = asyncio.create_task(self._answer(collection), name=f"look at {collection}")
        try:
            if not await answer:
                raise CollectionNotFound
        except LogUnavailable as error:  # stop: without the log nothing can be said or known
            raise LogSilent(NOTHING_STORED) from error

    async def _answer(self, collection: UUID) -> None:
        """Look until nobody waits. Every error is the waiting ones' to handle."""
        waiting: list[asyncio.Future[bool]] = []
        try:
            while waiting := self._waiting.pop(collection, []):
                try:
                    found = await self._look(collection)
                except Exception as error:  # go on: told to all who wait; the next look may succeed
                    for each in waiting:
                        if not each.done():
                            each.set_exception(error)
                    continue
                for each in waiting:
                    if not each.done():
                        each.set_result(found)
        finally:
            del self._looking[collection]
            for each in [*waiting, *self._waiting.pop(collection, [])]:  # cancelled: nobody may wait for ever
                each.cancel()

    async def _look(self, collection: UUID) -> bool:
        created, updated = await asyncio.gather(
            self._log.last(CollectionCreated, collection=collection),
            self._log.last(CollectionUpdated, collection=collection),
        )
        return created is not None and (updated or created).data.allow_minting
