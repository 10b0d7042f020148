"""One queue for every webhook: starts its consumer when the webhook appears, removes it when the webhook is deleted.

Webhooks share nothing but the process: each has its own durable consumer and its own few requests at a time, so one
that is slow or dead holds up no other.
"""

import asyncio
from typing import Final, Protocol
from uuid import UUID

from chassis.clock import Clock
from chassis.delivery import ConsumerHalted
from chassis.log import Consuming, Handler, LogUnavailable
from chassis.telemetry import get_logger
from contracts.streams import DELIVERY, Consumer
from contracts.webhook import queue_name, queue_pattern
from services.notifier.directory import Directory

MAX_THREADS: Final = 10_000
"""Operations of one webhook that wait for their next attempt at the same time; beyond them its queue stands still."""
RETRY_SECONDS: Final = 1.0
_BEFORE_ANY: Final = -1

_log = get_logger(__name__)


class QueueLog(Consuming, Protocol):
    """The log as it gives out messages from queues that are made while the service runs."""

    async def keep(self, consumer: Consumer) -> None:
        """Create or update a durable consumer. Raises LogUnavailable."""
        ...

    async def remove(self, consumer: Consumer) -> None:
        """Remove it for good. Raises LogUnavailable."""
        ...


def queue_of(webhook: UUID) -> Consumer:
    """Return the durable consumer of a webhook's deliveries."""
    return Consumer(
        name=queue_name(webhook),
        stream=DELIVERY.name,
        filters=(queue_pattern(webhook),),
        description="notifier sends what is queued for one webhook.",
        max_ack_pending=MAX_THREADS,
    )


class Couriers:
    """Runs `handler` on the queue of every webhook that is not deleted, `concurrency` threads of each at once."""

    def __init__(
        self, log: QueueLog, directory: Directory, handler: Handler, clock: Clock, *, concurrency: int
    ) -> None:
        self._event_log = log
        self._directory = directory
        self._handler = handler
        self._clock = clock
        self._concurrency = concurrency
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._removed: set[UUID] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set and the log is told to drain."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(tasks))
            await stopping.wait()
            following.cancel()
        # The consumers drain with their log, each finishing what it has in hand.

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        position = 0
        while True:
            webhooks = await self._directory.changed(position)
            position = webhooks.position
            done = [await self._start(each, tasks) for each in webhooks.present]
            # After these: there may be many, of whose queues nothing is left since long ago.
            done += [await self._stop(each) for each in webhooks.deleted]
            if not all(done):
                await self._clock.sleep(RETRY_SECONDS)
                position = _BEFORE_ANY

    async def _start(self, webhook: UUID, tasks: asyncio.TaskGroup) -> bool:
        """Return whether the webhook's queue is worked on; else it is to be tried again."""
        if webhook in self._running:
            return True
        try:
            await self._event_log.keep(queue_of(webhook))
        except LogUnavailable as error:  # retry, after the others: it may be this one alone that is refused
            _log.warning("cannot make a queue", webhook=str(webhook), reason=str(error))
            return False
        self._running[webhook] = tasks.create_task(self._work(webhook), name=f"webhook {webhook}")
        self._removed.discard(webhook)
        return True

    async def _work(self, webhook: UUID) -> None:
        try:
            await self._event_log.consume(queue_of(webhook), self._handler, concurrency=self._concurrency)
        except ConsumerHalted as error:
            # Stop this one, until the next start: it is alarmed for by its dead letters, and the others have none.
            _log.critical("THE QUEUE OF A WEBHOOK HAS STOPPED", webhook=str(webhook), reason=str(error))

    async def _stop(self, webhook: UUID) -> bool:
        """Return whether nothing is left of the webhook's queue; else it is to be tried again."""
        if webhook in self._removed:
            return True
        task = self._running.pop(webhook, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        try:
            await self._event_log.remove(queue_of(webhook))
        except LogUnavailable as error:  # retry, after the others
            _log.warning("cannot remove a queue", webhook=str(webhook), reason=str(error))
            return False
        self._removed.add(webhook)
        return True
