"""Every webhook as it is now: the stream WEBHOOK in memory.

Read by what queues events and by what starts deliveries. Small: the gateway bounds how many webhooks there are, and of
those that were deleted only the ids are kept. Should WEBHOOK lose its tail, it is read anew.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast
from uuid import UUID

from chassis.clock import Clock
from chassis.log import EventLog, LogReader, LogUnavailable, RawMessage, RetryLater
from chassis.racing import work_until
from chassis.telemetry import get_logger
from contracts import registry
from contracts.streams import WEBHOOK
from contracts.webhook import WebhookConfigured, WebhookState

RETRY_SECONDS: Final = 1.0
KEPT_CHANGES: Final = 32
PATIENCE_SECONDS: Final = 5.0
"""How long a handler waits for what is on the log to be read; then it tries again later."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook that is not deleted, with what it was to be told, and since when: by the log's clock, as events are."""

    changes: tuple[tuple[datetime, WebhookConfigured], ...]
    """The oldest first; the newest KEPT_CHANGES by which it was to be told of other events."""

    def between(self, first: datetime, last: datetime) -> Sequence[WebhookConfigured]:
        """Return how it was configured from `first` to `last`, the newest first; nothing from before it was made."""
        found: list[WebhookConfigured] = []
        for since, webhook in reversed(self.changes):
            if since <= last:
                found.append(webhook)
            if since <= first:
                break
        return found

    def changed(self, webhook: WebhookConfigured, stored_at: datetime) -> "Subscription":
        """Return it with its newest configuration."""
        *before, (since, last) = self.changes
        if _told(last) == _told(webhook):
            return Subscription((*before, (since, webhook)))
        return Subscription((*self.changes, (stored_at, webhook))[-KEPT_CHANGES:])


def _told(webhook: WebhookConfigured) -> tuple[object, ...]:
    return webhook.state, webhook.events, webhook.all_callers


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Which webhooks there are at a sequence of WEBHOOK, and which there were."""

    position: int
    present: Sequence[UUID]
    deleted: Sequence[UUID]


class DirectoryLog(EventLog, LogReader, Protocol):
    """The log as the directory uses it."""


class Directory:
    """The webhooks."""

    def __init__(self, log: DirectoryLog, clock: Clock) -> None:
        self._event_log = log
        self._clock = clock
        self._present: dict[UUID, Subscription] = {}
        self._deleted: set[UUID] = set()
        self._position = 0
        self._newest = (0, UUID(int=0))
        """Sequence and event id of the newest configuration that was read."""
        self._cut = asyncio.Event()
        """Set when the stream ends before what was read of it."""
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Read WEBHOOK until cancelled."""
        while True:
            try:
                await work_until(self._read(), self._until_cut())
            except LogUnavailable as error:  # retry: the position is kept, and what is known stays known
                _log.warning("cannot read the webhooks", reason=str(error))
                await self._clock.sleep(RETRY_SECONDS)
            if self._cut.is_set():
                await self._forget()

    async def _read(self) -> None:
        messages = cast("AsyncGenerator[RawMessage]", self._event_log.read(WEBHOOK, self._position))
        async with aclosing(messages):
            async for raw in messages:
                await self._see(raw)

    async def _until_cut(self) -> None:
        await self._cut.wait()

    async def _forget(self) -> None:
        _log.error("WEBHOOK has lost its tail and is read anew", position=self._position)
        self._present.clear()
        self._deleted.clear()
        self._newest = (0, UUID(int=0))
        self._cut.clear()
        async with self._moved:
            self._position = 0
            self._moved.notify_all()

    async def _see(self, raw: RawMessage) -> None:
        try:
            event = registry.decode(raw.subject, raw.payload)
        except registry.UndecodableMessage as error:  # go on: a newer program's message, or somebody's noise
            _log.error("message of WEBHOOK not understood", subject=raw.subject, reason=str(error))
            event = None
        fact: object = None if event is None else event.data
        if event is not None and isinstance(fact, WebhookConfigured):
            self._configured(fact, raw.stored_at)
            self._newest = (raw.sequence, event.id)
        async with self._moved:
            self._position = raw.sequence
            self._moved.notify_all()

    def _configured(self, webhook: WebhookConfigured, stored_at: datetime) -> None:
        if webhook.state is WebhookState.DELETED:
            self._present.pop(webhook.webhook, None)
            self._deleted.add(webhook.webhook)
            return
        self._deleted.discard(webhook.webhook)
        known = self._present.get(webhook.webhook)
        first = Subscription(((stored_at, webhook),))
        self._present[webhook.webhook] = first if known is None else known.changed(webhook, stored_at)

    async def current(self) -> Sequence[Subscription]:
        """Return every webhook as the log has it at this moment or later. Raises LogUnavailable and RetryLater."""
        sequence, identity = self._newest
        last = await self._event_log.last_matching(WEBHOOK, WebhookConfigured.pattern())
        ends = 0 if last is None else last.sequence
        if ends < sequence or (last is not None and ends == sequence and last.event.id != identity):
            self._cut.set()
            raise RetryLater("WEBHOOK has lost its tail", after=RETRY_SECONDS)
        if self._position < ends:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._reached(ends)
            except TimeoutError as error:
                raise RetryLater("the webhooks are not read yet", after=RETRY_SECONDS) from error
        return list(self._present.values())

    async def _reached(self, sequence: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= sequence)

    async def changed(self, since: int) -> Webhooks:
        """Wait until WEBHOOK is read up to another sequence than `since`; return which webhooks there are."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._position != since)
        return Webhooks(self._position, list(self._present), list(self._deleted))
