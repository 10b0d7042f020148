"""Following operations as they happen: one reader of MINT a process, however many callers follow.

The reader reads only while somebody follows. What was said before a caller came is read from the indexer's copy of the
log, or from the log itself while the database is away, so a stream can begin at any sequence and nothing is missed
between the two. Everything is bounded: a caller who does not keep up loses its stream, and resumes it where it ended.
Used by `api/events.py` and `results.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final, Protocol, cast
from uuid import UUID

from chassis.clock import Clock
from chassis.log import LogLookup, LogReader, LogUnavailable, RawMessage
from chassis.telemetry import get_logger
from contracts.leaving import has_left, operation_patterns
from contracts.mint import Completed
from contracts.streams import MINT
from services.gateway.errors import LogSilent, ProjectionDown, TooManyFollowers
from services.gateway.ports import LoggedEvent, Projection, ProjectionUnavailable
from services.gateway.progress import Ending

MAX_FOLLOWERS: Final = 500
MAX_WAITING: Final = 256
"""Events that wait for one caller."""
HISTORY_PAGE: Final = 200
START_SECONDS: Final = 5.0
"""How long a caller waits for the reader to be in place."""
RETRY_SECONDS: Final = 1.0
BEHIND_SECONDS: Final = 0.2
"""Pause before the indexer's copy is looked at again while it is behind the reader."""
QUIET_SECONDS: Final = 15.0
"""A stream says something at least this often, so that proxies keep it open."""

_log = get_logger(__name__)


class Follower:
    """What one caller has still to be given of one operation. `start`: everything beyond it comes here."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._waiting: asyncio.Queue[LoggedEvent] = asyncio.Queue(MAX_WAITING)
        self._over = asyncio.Event()

    def offer(self, event: LoggedEvent) -> None:
        """Queue the event; a caller that has too many of them waiting is given no more."""
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:  # stop: it resumes from the last event that it has seen
            self.end()

    def end(self) -> None:
        """Let `next` raise StreamOver."""
        self._over.set()

    async def next(self, patience: float) -> LoggedEvent | None:
        """Return the next event, or None after `patience` seconds without one. Raises StreamOver."""
        waits = [asyncio.ensure_future(self._waiting.get()), asyncio.ensure_future(self._over.wait())]
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if self._over.is_set():
                raise StreamOver
            return cast("LoggedEvent", waits[0].result()) if waits[0].done() else None
        finally:
            for wait in waits:
                wait.cancel()


class StreamOver(Exception):
    """The stream ends here although the operation may go on: the caller was too slow, or this process stops."""


class FollowedLog(LogReader, Protocol):
    """The log as it is used here."""

    @property
    def lookup(self) -> LogLookup:
        """What it holds of some subjects."""
        ...


class Following:
    """The reader, and who follows what."""

    def __init__(self, log: FollowedLog, projection: Projection, clock: Clock) -> None:
        self._log = log
        self._projection = projection
        self._clock = clock
        self._followers: defaultdict[str, set[Follower]] = defaultdict(set)
        self._wanted = asyncio.Event()
        self._reading = asyncio.Event()
        self._position = 0
        self._stopped = False

    @property
    def followers(self) -> int:
        """How many callers follow now."""
        return sum(map(len, self._followers.values()))

    async def run(self, stopping: asyncio.Event) -> None:
        """Read for whoever follows until `stopping` is set; then end every stream."""
        reader, stop = asyncio.create_task(self._run()), asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((reader, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopped = True
            for task in (reader, stop):
                task.cancel()
            for followers in self._followers.values():
                for follower in followers:
                    follower.end()
        if reader.done() and not reader.cancelled():
            reader.result()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                if not self._reading.is_set():
                    self._position = await self._log.last_sequence(MINT)
                    self._reading.set()
                await self._read()
            except LogUnavailable as error:
                # Retry: the position is kept, so that followers miss nothing.
                _log.warning("cannot follow the log", reason=str(error))
                await self._clock.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        messages = cast("AsyncGenerator[RawMessage]", self._log.read(MINT, self._position))
        async with aclosing(messages):
            async for raw in messages:
                self._position = raw.sequence
                self._dispatch(raw)
                if not self._followers:
                    # Before anything is awaited: whoever comes from here on waits for the next reading.
                    self._wanted.clear()
                    self._reading.clear()
                    return

    def _dispatch(self, raw: RawMessage) -> None:
        tokens = raw.subject.split(".", 4)
        for follower in self._followers.get(tokens[3], ()) if len(tokens) > 3 else ():
            follower.offer(_logged(raw))

    @asynccontextmanager
    async def follow(self, operation: UUID) -> AsyncGenerator[Follower]:
        """Follow an operation from now on. Raises TooManyFollowers and LogSilent."""
        if self._stopped or self.followers >= MAX_FOLLOWERS:
            raise TooManyFollowers("Too many streams are open; try again later")
        follower = Follower(start=0)
        with self._registered(str(operation), follower):
            try:
                async with asyncio.timeout(START_SECONDS):
                    await self._reading.wait()
            except TimeoutError as error:  # stop: the caller tries again
                raise LogSilent("The event log does not answer") from error
            follower.start = self._position
            yield follower

    @contextmanager
    def _registered(self, operation: str, follower: Follower) -> Generator[None]:
        self._followers[operation].add(follower)
        self._wanted.set()
        try:
            yield
        finally:
            self._followers[operation].discard(follower)
            if not self._followers[operation]:
                del self._followers[operation]

    async def events(self, operation: UUID, after: int) -> AsyncIterator[LoggedEvent | None]:
        """Yield the operation's events beyond MINT sequence `after`, those to come too, until nothing more can come.

        None stands for a while without events. Raises Unavailable before the first event, StreamOver at any time.
        """
        async with self.follow(operation) as follower:
            ending, position = Ending(), 0
            async for event in self._history(operation, follower.start):
                if event is not None:
                    position = event.sequence
                    ending.see(event.subject)
                if event is None or event.sequence > after:
                    yield event
            while not ending.reached:
                event = await follower.next(QUIET_SECONDS)
                if event is None:
                    yield None
                elif event.sequence > position:
                    ending.see(event.subject)
                    if event.sequence > after:
                        yield event

    async def _history(self, operation: UUID, up_to: int) -> AsyncIterator[LoggedEvent | None]:
        """Yield what the indexer's copy of the log has, once that reaches `up_to`; None while it does not.

        Without the database, yield the rest from the log itself.
        """
        after = 0
        while True:
            try:
                page = await self._projection.history(operation, after, HISTORY_PAGE)
            except ProjectionUnavailable:  # go on: the log has all but what has left it for the archive
                async for event in self._from_log(operation, after):
                    yield event
                return
            for event in page.events:
                after = event.sequence
                yield event
            if len(page.events) == HISTORY_PAGE:
                continue
            if page.position >= up_to:
                return
            yield None
            await self._clock.sleep(BEHIND_SECONDS)

    async def _from_log(self, operation: UUID, after: int) -> AsyncIterator[LoggedEvent]:
        """Yield the operation's events beyond sequence `after`. Raises ProjectionDown when some have left the log."""
        patterns = operation_patterns(operation)
        try:
            # Read twice, so that no more than subjects is in memory. Of what is not completed nothing leaves.
            held = [raw.subject async for raw in self._log.lookup.history(MINT, patterns)]
            if Completed.subject_of(operation=operation) in held and has_left(held):
                raise ProjectionDown("The events are not available now; minting is not affected")
            async for raw in self._log.lookup.history(MINT, patterns, after=after):
                yield _logged(raw)
        except LogUnavailable as error:  # stop: the caller comes back behind the last event that it has seen
            raise LogSilent("The event log does not answer") from error


def _logged(raw: RawMessage) -> LoggedEvent:
    return LoggedEvent(sequence=raw.sequence, subject=raw.subject, payload=raw.payload)
