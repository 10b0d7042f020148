"""How the system is, for the people who run it: every process by its own word, and how far each consumer is.

Called by `api/system.py`. Nothing here is decided by, and nothing is asked of the services themselves: processes report
on the log (`chassis.pulse`), and nats-server knows how far the consumers are.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final, Protocol, cast

import msgspec

from chassis.clock import Clock
from chassis.log import ConsumerStanding, ConsumerWatch, LogLookup, LogUnavailable, RawMessage
from chassis.telemetry import get_logger
from contracts import registry
from contracts.fact import Event
from contracts.health import SILENT_SECONDS, ServiceReported
from contracts.permissions import ROLES
from contracts.streams import COLLECTION, CONSUMERS, DELIVERY, HEALTH, MINT, STREAMS
from services.gateway.errors import LogSilent
from services.gateway.ports import Projection, ProjectionUnavailable

PROJECTED: Final = (MINT, COLLECTION)
CONSUMED: Final = tuple(
    stream for stream in STREAMS if stream is DELIVERY or any(each.stream == stream.name for each in CONSUMERS)
)
SERVICES: Final = tuple(role.name for role in ROLES)

_log = get_logger(__name__)


class SystemLog(ConsumerWatch, Protocol):
    """The log as it is used here."""

    @property
    def lookup(self) -> LogLookup:
        """What it holds of some subjects."""
        ...


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process that reported within the last minutes; a `silent` one has not done so for too long."""

    report: ServiceReported
    version: str
    reported_at: datetime
    silent: bool


class ConsumerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer that should be there, and how far it is; `standing` is None when it is not."""

    name: str
    stream: str
    description: str
    standing: ConsumerStanding | None


class SystemReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the system is."""

    processes: tuple[Process, ...]
    """By service and host."""
    missing: tuple[str, ...]
    """Services of which no process reports."""
    consumers: tuple[ConsumerSeen, ...]
    queues: tuple[ConsumerStanding, ...]
    """Those of webhooks, by the names that the notifier gives them."""
    behind: dict[str, int]
    """By stream: messages that the tables do not show yet; empty when the database does not answer."""


class System:
    """Tells how the system is."""

    def __init__(self, log: SystemLog, projection: Projection, clock: Clock) -> None:
        self._event_log = log
        self._projection = projection
        self._clock = clock

    async def report(self) -> SystemReport:
        """Return how the system is now. Raises LogSilent."""
        try:
            processes, behind, standings = await asyncio.gather(self._processes(), self._behind(), self._standings())
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent("The event log does not answer") from error
        alive = {process.report.service for process in processes if not process.silent}
        return SystemReport(
            processes=processes,
            missing=tuple(service for service in SERVICES if service not in alive),
            consumers=tuple(
                ConsumerSeen(
                    name=each.name,
                    stream=each.stream,
                    description=each.description,
                    standing=standings[each.stream].get(each.name),
                )
                for each in CONSUMERS
            ),
            queues=tuple(standings[DELIVERY.name].values()),
            behind=behind,
        )

    async def _standings(self) -> dict[str, dict[str, ConsumerStanding]]:
        found = await asyncio.gather(*(self._event_log.consumers(stream) for stream in CONSUMED))
        return {
            stream.name: {each.name: each for each in standings}
            for stream, standings in zip(CONSUMED, found, strict=True)
        }

    async def _processes(self) -> tuple[Process, ...]:
        newest: dict[str, Process] = {}
        now = self._clock.now()
        raws = self._event_log.lookup.history(HEALTH, [ServiceReported.pattern()])
        async with aclosing(cast("AsyncGenerator[RawMessage]", raws)) as messages:
            async for raw in messages:
                try:
                    event: Event[ServiceReported] = registry.decode(raw.subject, raw.payload)
                except registry.UndecodableMessage as error:  # go on: what the others say is worth showing
                    _log.warning("report not read", subject=raw.subject, reason=str(error))
                    continue
                # The server's time, so that only its clock and ours have to agree.
                silent = now - raw.stored_at > timedelta(seconds=SILENT_SECONDS)
                newest[raw.subject] = Process(
                    report=event.data, version=event.producer.version, reported_at=raw.stored_at, silent=silent
                )
        return tuple(sorted(newest.values(), key=lambda each: (each.report.service, each.report.host)))

    async def _behind(self) -> dict[str, int]:
        try:
            watermarks = await self._projection.watermarks()
        except ProjectionUnavailable as error:  # go on: `/health` tells that the database is away
            _log.warning("watermarks not read", reason=str(error))
            return {}
        ends: Sequence[int] = await asyncio.gather(*(self._event_log.last_sequence(each) for each in PROJECTED))
        return {
            stream.name: max(0, end - watermarks.get(stream.name, 0))
            for stream, end in zip(PROJECTED, ends, strict=True)
        }
