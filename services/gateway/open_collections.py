"""Which collections take mints, by the log: looked up for each request, in looks that requests of one moment share.

Used by whoever asks for mints. A request is answered by a look that began after it came, so a collection that was
closed before is closed for it. Only that a collection was created is remembered, which is said once and for ever.
Under load there is one look at a time for each collection, and a pause between two of them, however many requests wait.
"""

import asyncio
from time import monotonic
from typing import Final
from uuid import UUID

from chassis.log import EventLog, LogUnavailable
from contracts.collection import CollectionCreated, CollectionUpdated
from services.gateway.errors import NOTHING_STORED, CollectionNotFound, LogSilent

MAX_PAUSE: Final = 0.005
"""Most seconds after a look that several requests have shared, in which more gather for the next one. It is as long as
that look took, if that was less: a fast log is waited for less, and none is asked more than half of the time."""
MAX_REMEMBERED: Final = 10_000


class OpenCollections:
    """Looks collections up."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._created: dict[UUID, CollectionCreated] = {}
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
                began = monotonic()
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
                if len(waiting) > 1:
                    await asyncio.sleep(min(monotonic() - began, MAX_PAUSE))
        finally:
            del self._looking[collection]
            for each in [*waiting, *self._waiting.pop(collection, [])]:  # cancelled: nobody may wait for ever
                each.cancel()

    async def _look(self, collection: UUID) -> bool:
        created = self._created.get(collection)
        if created is not None:
            updated = await self._log.last(CollectionUpdated, collection=collection)
        else:
            found, updated = await asyncio.gather(
                self._log.last(CollectionCreated, collection=collection),
                self._log.last(CollectionUpdated, collection=collection),
            )
            if found is None:
                return False
            created = self._remember(found.data)
        return (updated.data if updated else created).allow_minting

    def _remember(self, created: CollectionCreated) -> CollectionCreated:
        if len(self._created) >= MAX_REMEMBERED:
            del self._created[next(iter(self._created))]
        self._created[created.collection] = created
        return created
