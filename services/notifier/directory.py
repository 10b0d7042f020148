"""Every webhook as it is now: the stream WEBHOOK in memory.

Read by what queues events and by what starts deliveries. Small: the gateway bounds how many webhooks there are.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol, cast
from uuid import UUID

from chassis.clock import Clock
from chassis.log import EventLog, LogReader, LogUnavailable, RawMessage, RetryLater
from chassis.telemetry import get_logger
from contracts import registry
from contracts.streams import WEBHOOK
from contracts.webhook import WebhookConfigured

RETRY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 5.0
"""How long a handler waits for what is on the log to be read; then it tries again later."""

_log = get_logger(__name__)


class DirectoryLog(EventLog, LogReader, Protocol):
    """The log as the directory uses it."""


class Directory:
    """The webhooks; deleted ones too, so that what belonged to them can be removed."""

    def __init__(self, log: DirectoryLog, clock: Clock) -> None:
        self._event_log = log
        self._clock = clock
        self._webhooks: dict[UUID, WebhookConfigured] = {}
        self._position = 0
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Read WEBHOOK until cancelled."""
        while True:
            try:
                messages = cast("AsyncGenerator[RawMessage]", self._event_log.read(WEBHOOK, self._position))
                async with aclosing(messages):
                    async for raw in messages:
                        await self._see(raw)
            except LogUnavailable as error:  # retry: the position is kept, and what is known stays known
                _log.warning("cannot read the webhooks", reason=str(error))
            await self._clock.sleep(RETRY_SECONDS)

    async def _see(self, raw: RawMessage) -> None:
        try:
            fact: object = registry.decode(raw.subject, raw.payload).data
        except registry.UndecodableMessage as error:  # go on: a newer program's message, or somebody's noise
            _log.error("message of WEBHOOK not understood", subject=raw.subject, reason=str(error))
            fact = None
        if isinstance(fact, WebhookConfigured):
            self._webhooks[fact.webhook] = fact
        async with self._moved:
            self._position = raw.sequence
            self._moved.notify_all()

    async def current(self) -> Sequence[WebhookConfigured]:
        """Return every webhook as the log has it at this moment or later. Raises LogUnavailable and RetryLater."""
        last = await self._event_log.last_matching(WEBHOOK, WebhookConfigured.pattern())
        if last is not None and self._position < last.sequence:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._reached(last.sequence)
            except TimeoutError as error:
                raise RetryLater("the webhooks are not read yet", after=RETRY_SECONDS) from error
        return list(self._webhooks.values())

    async def _reached(self, sequence: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= sequence)

    async def changed(self, since: int) -> tuple[int, Sequence[WebhookConfigured]]:
        """Wait until more than WEBHOOK sequence `since` is read; return the position and every webhook."""
        await self._reached(since + 1)
        return self._position, list(self._webhooks.values())
