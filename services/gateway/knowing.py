"""Keeping the book of API keys current, so that a request asks nobody whether its key is good.

A key that is made or revoked is known here as soon as the log has delivered it: within milliseconds, on every replica.
While the log is away nothing new is heard, and what was known goes on to count; expiry needs no log.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, cast

from chassis.clock import Clock
from chassis.key_book import KeyBook
from chassis.log import LogReader, LogUnavailable, RawMessage
from chassis.telemetry import get_logger
from contracts.streams import ACCESS

RETRY_SECONDS: Final = 1.0

_log = get_logger(__name__)


class KeyReader:
    """Reads ACCESS into a book, for ever."""

    def __init__(self, log: LogReader, book: KeyBook, clock: Clock) -> None:
        self._event_log = log
        self._book = book
        self._clock = clock

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                messages = cast("AsyncGenerator[RawMessage]", self._event_log.read(ACCESS, self._book.position))
                async with aclosing(messages):
                    async for raw in messages:
                        self._book.see(raw)
            except LogUnavailable as error:  # retry: what is known stays known meanwhile
                _log.warning("cannot read API keys", reason=str(error))
            await self._clock.sleep(RETRY_SECONDS)
