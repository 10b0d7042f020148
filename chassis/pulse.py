"""A process that says on the log how it is, every few seconds, for the people who look at the system.

Run by every service as background work. Losing a report loses nothing: the next one tells the same, and one that does
not come tells that the process is gone. Not done here: reading the reports (`services.gateway.system`).
"""

import socket
from collections.abc import Callable, Sequence

import uuid_utils.compat as uuid_utils

from chassis.clock import Clock
from chassis.health import Health
from chassis.log import EventLog, LogUnavailable
from chassis.logs import get_logger
from contracts.health import REPORT_SECONDS, UNREADY_SECONDS, CheckReported, NodeReported, ServiceReported

Nodes = Callable[[], Sequence[NodeReported]]
"""Returns what is known of each Solana node, without asking it."""

_logger = get_logger(__name__)


class Pulse:
    """Says how this process of `service` is."""

    def __init__(self, log: EventLog, health: Health, clock: Clock, service: str, nodes: Nodes | None = None) -> None:
        self._log = log
        self._health = health
        self._clock = clock
        self._service = service
        self._nodes = nodes
        self._instance = uuid_utils.uuid7()
        self._host = socket.gethostname()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            report = await self._report()
            try:
                await self._log.publish(report, cause=None)
            except LogUnavailable as error:  # retry at the next turn, with what is true then
                _logger.debug("health not reported", reason=str(error))
            # One that is not ready is looked at by people: they should see at once when it is.
            await self._clock.sleep(REPORT_SECONDS if report.ready else UNREADY_SECONDS)

    async def _report(self) -> ServiceReported:
        report = await self._health.report("ready")
        return ServiceReported(
            service=self._service,
            instance=self._instance,
            host=self._host,
            ready=report.ok,
            checks=tuple(
                CheckReported(name=name, ok=check.ok, latency_ms=check.latency_ms, error=check.error)
                for name, check in report.checks.items()
            ),
            nodes=() if self._nodes is None else tuple(self._nodes()),
        )
