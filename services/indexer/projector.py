"""Follows one stream into the tables: reads what is ready, works out the changes, has them committed, and again.

One task for each projected stream, in the one process that leads. Killed at any line it goes on from the committed
watermark. Not done here: SQL (`store`), what an event means (`projection`), and being the only one (`leadership`).
"""

import asyncio
from collections.abc import Callable, Sequence

from chassis import metrics
from chassis.clock import Clock
from chassis.log import LogReader, LogUnavailable
from chassis.messaging_spans import processing_together
from chassis.telemetry import get_logger
from contracts.streams import Stream
from services.indexer.committing import commit
from services.indexer.entries import Entry, plan
from services.indexer.intake import Intake, Limits
from services.indexer.measuring import measure
from services.indexer.pauses import pause_after
from services.indexer.ports import Committed, Store, StoreUnavailable

_log = get_logger(__name__)


class LogTruncated(Exception):
    """The log ends before what was already projected from it: it has lost its tail."""

    def __init__(self, stream: str, last: int, watermark: int) -> None:
        super().__init__(
            f"stream {stream} ends at sequence {last}, but messages up to {watermark} were already projected: the log "
            f"has lost its tail. Not projecting. Restore the stream (the messages are in event_log), or, if this "
            f"database belongs to another log, point DATABASE_URL at an empty one."
        )


class Projector:
    """The projection of one stream. `on_commit` is called after every committed batch and must not block."""

    def __init__(
        self,
        stream: Stream,
        *,
        log: LogReader,
        store: Store,
        clock: Clock,
        on_commit: Callable[[Committed], None],
        limits: Limits | None = None,
    ) -> None:
        self._stream = stream
        self._log = log
        self._store = store
        self._clock = clock
        self._on_commit = on_commit
        self._limits = limits or Limits()
        self._intake: Intake | None = None
        self._stopping = False
        self._failures = 0
        self._end_at_start = 0
        self._told_up_to: int | None = None
        self.caught_up = asyncio.Event()
        """Set once everything that was on the log at the start is in the tables."""

    def stop(self) -> None:
        """Let `run` return after the batch in hand."""
        self._stopping = True
        if self._intake is not None:
            self._intake.stop()

    async def run(self) -> None:
        """Project until stopped. Raises LogTruncated, and `ports.Fenced` when another process has taken over."""
        while not self._stopping:
            try:
                await self._follow()
            except (LogUnavailable, StoreUnavailable) as error:
                # Retry: nothing is lost, the watermark tells what was committed.
                self._failures += 1
                pause = pause_after(self._failures)
                _log.warning("projection interrupted", stream=self._stream.name, reason=str(error), again_in=pause)
                await self._clock.sleep(pause)

    async def _follow(self) -> None:
        name = self._stream.name
        last = await self._log.last_sequence(self._stream)
        position = await self._store.watermark(name)
        if last < position:
            raise LogTruncated(name, last, position)
        if self._told_up_to is not None and position > self._told_up_to:
            # A commit's answer was lost: whoever waits for what it did has to look for itself.
            self._on_commit(Committed(unheard=True))
        self._told_up_to = position
        self._end_at_start = last
        _log.info("projecting", stream=name, after=position, behind=last - position)
        self._reached(position)
        async with Intake(self._log.read(self._stream, position), self._limits) as intake:
            self._intake = intake
            if self._stopping:  # stop() came while there was no intake to tell
                return
            while batch := await intake.take():
                position = await self._commit(position, [plan(raw) for raw in batch])

    async def _commit(self, after: int, entries: Sequence[Entry]) -> int:
        with processing_together(self._stream.name, [entry.raw for entry in entries], "project"):
            return await commit(self._store, self._stream.name, after, entries, self._tell)

    def _tell(self, committed: Committed, entries: Sequence[Entry]) -> None:
        stream, position = self._stream.name, entries[-1].raw.sequence
        self._failures = 0
        self._told_up_to = position
        metrics.PROJECTED.add(len(entries), stream=stream)
        metrics.BATCH.record(len(entries), stream=stream)
        metrics.POSITION.set(position, stream=stream)
        parked = {entry.raw.sequence for entry in committed.parked}
        for entry in entries:
            if entry.event is not None and entry.raw.sequence not in parked:
                measure(entry.event, committed.started)
        for entry in committed.parked:
            metrics.PARKED.add(stream=stream)
            _log.error(
                "message parked",
                stream=self._stream.name,
                sequence=entry.raw.sequence,
                subject=entry.raw.subject,
                reason=entry.parked,
            )
        self._on_commit(committed)
        self._reached(position)

    def _reached(self, position: int) -> None:
        if position >= self._end_at_start and not self.caught_up.is_set():
            _log.info("caught up with the log", stream=self._stream.name, sequence=position)
            self.caught_up.set()
