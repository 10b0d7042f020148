"""Keeping the book of API keys current, so that a request asks nobody whether its key is good.

A key that is made or revoked is known here as soon as the log has delivered it: within milliseconds, on every replica.
While the log is away nothing new is heard, and what was known goes on to count; expiry needs no log. ACCESS has no
second copy but these books: after every loss of the connection the stream is read anew and held against what was
known. What a book knows of a key stays, and what the stream has lost is told to a person, who alone may say it again.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol, cast

from chassis import metrics
from chassis.clock import Clock
from chassis.connectivity import Connectivity
from chassis.key_book import KeyBook, read_key_book
from chassis.log import LogReader, LogUnavailable, RawMessage
from chassis.racing import work_until
from chassis.telemetry import get_logger
from contracts.streams import ACCESS

RETRY_SECONDS: Final = 1.0

_log = get_logger(__name__)


class WatchedLog(LogReader, Protocol):
    """The log, and whether the connection to it was cut."""

    @property
    def connectivity(self) -> Connectivity:
        """Counts the cuts."""
        ...


class KeyReader:
    """Reads ACCESS into a book, for ever."""

    def __init__(self, log: WatchedLog, book: KeyBook, clock: Clock) -> None:
        """`book` is true up to its position, and was read over the connection that `log` has now."""
        self._event_log = log
        self._book = book
        self._clock = clock
        self._read_in = log.connectivity.epoch

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                epoch = self._event_log.connectivity.epoch
                await work_until(self._read(epoch), self._event_log.connectivity.left(epoch))
            except LogUnavailable as error:  # retry: what is known stays known meanwhile
                _log.warning("cannot read API keys", reason=str(error))
            await self._clock.sleep(RETRY_SECONDS)

    async def _read(self, epoch: int) -> None:
        if epoch != self._read_in:
            await self._compare()
            self._read_in = epoch
        messages = cast("AsyncGenerator[RawMessage]", self._event_log.read(ACCESS, self._book.position))
        async with aclosing(messages):
            async for raw in messages:
                self._book.see(raw)

    async def _compare(self) -> None:
        """Take in what the stream says now, and tell what it said before and says no more. Raises LogUnavailable."""
        told = await read_key_book(self._event_log)
        made, revoked = self._book.take_in(told)
        if made or revoked:
            metrics.LOG_TRUNCATED.add(stream=ACCESS.name)
            _log.critical(
                "THE LOG HAS LOST API KEYS: gateways that start now know nothing of these",
                made=sorted(made),
                revoked=sorted(revoked),
            )
