"""One queue for every webhook: starts its consumer when the webhook appears, removes it when the webhook is deleted.

Webhooks share nothing but the process: each has its own durable consumer and its own few requests at a time, so one
that is slow or dead holds up no other.
"""

import asyncio
from typing import Final, Protocol
from uuid import UUID

from chassis.clock import Clock
from chassis.log import Consuming, Handler, LogUnavailable
from chassis.telemetry import get_logger
from contracts.streams import DELIVERY, Consumer
from contracts.webhook import QUEUE_PREFIX, WebhookConfigured, WebhookState, queue_pattern
from services.notifier.directory import Directory

MAX_THREADS: Final = 10_000
"""Operations of one webhook that wait for their next attempt at the same time; beyond them its queue stands still."""
RETRY_SECONDS: Final = 1.0

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
        name=f"{QUEUE_PREFIX}{webhook}",
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
        """Work until `stopping` is set and the log is told to drain. Raises what ends a consumer."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(tasks))
            await stopping.wait()
            following.cancel()
        # The consumers drain with their log, each finishing what it has in hand.

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        position = 0
        while True:
            position, webhooks = await self._directory.changed(position)
            for webhook in webhooks:
                await self._adjust(webhook, tasks)

    async def _adjust(self, webhook: WebhookConfigured, tasks: asyncio.TaskGroup) -> None:
        identity = webhook.webhook
        while True:
            try:
                if webhook.state is WebhookState.DELETED:
                    await self._stop(identity)
                elif identity not in self._running:
                    await self._event_log.keep(queue_of(identity))
                    work = self._event_log.consume(queue_of(identity), self._handler, concurrency=self._concurrency)
                    self._running[identity] = tasks.create_task(work, name=f"webhook {identity}")
                return
            except LogUnavailable as error:  # retry: without the log there is nothing to send either
                _log.warning("cannot adjust a queue", webhook=str(identity), reason=str(error))
                await self._clock.sleep(RETRY_SECONDS)

    async def _stop(self, webhook: UUID) -> None:
        if webhook in self._removed:
            return
        task = self._running.pop(webhook, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._event_log.remove(queue_of(webhook))
        self._removed.add(webhook)
