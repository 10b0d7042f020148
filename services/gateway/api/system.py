"""`/api/system`: how every process, every consumer and every Solana node is. For admins."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Depends

from chassis.log import ConsumerStanding
from contracts.access import Scope
from contracts.health import NodeReported
from contracts.webhook import QUEUE_PREFIX
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors
from services.gateway.api.responses import Answer, Success
from services.gateway.system import ConsumerSeen, Process, System, SystemReport


class ReportedCheckView(Answer):
    """How one thing that a process needs answers."""

    name: str
    ok: bool
    latency_ms: float
    error: str | None = None


class NodeView(Answer):
    """How a Solana node looks to the process that asks it."""

    name: str
    """Its place in the order of preference and its host."""
    slot: int | None = None
    """The newest that it told; left out when it never did."""
    lag_slots: int | None = None
    """Behind the newest slot that any node told."""
    circuit: str
    """`closed`: it is asked; `opened`: it failed several times in a row and rests; `half-opened`: it is tried."""
    rests_for_seconds: float
    """Until its request budget allows another request."""
    excluded: str | None = None
    """Why it is never asked."""

    @classmethod
    def of(cls, node: NodeReported) -> "NodeView":
        """Return the view of `node`."""
        return cls.model_validate(node, from_attributes=True)


class ProcessView(Answer):
    """A process of a service, by its own word."""

    service: str
    host: str
    instance: str
    version: str
    state: Literal["ready", "unready", "silent"]
    """`silent`: it has not reported for half a minute, and is likely gone."""
    reported_at: datetime
    checks: list[ReportedCheckView]
    nodes: list[NodeView]
    """The Solana nodes that it chooses among, in the order of preference."""

    @classmethod
    def of(cls, process: Process) -> "ProcessView":
        """Return the view of `process`."""
        report = process.report
        return cls(
            service=report.service,
            host=report.host,
            instance=str(report.instance),
            version=process.version,
            state="silent" if process.silent else "ready" if report.ready else "unready",
            reported_at=process.reported_at,
            checks=[ReportedCheckView.model_validate(each, from_attributes=True) for each in report.checks],
            nodes=[NodeView.of(each) for each in report.nodes],
        )


class ConsumerView(Answer):
    """A durable consumer of the log and how far it is, in messages."""

    name: str
    stream: str
    description: str
    state: Literal["there", "missing"]
    """`missing`: the log does not have it, and nothing is handled."""
    pending: int
    """Were never delivered to it."""
    in_hand: int
    """Were delivered and are not settled."""
    redelivered: int
    """Of those, delivered more than once."""

    @classmethod
    def of(cls, seen: ConsumerSeen) -> "ConsumerView":
        """Return the view of a consumer."""
        standing = seen.standing
        return cls(
            name=seen.name,
            stream=seen.stream,
            description=seen.description,
            state="missing" if standing is None else "there",
            pending=0 if standing is None else standing.pending,
            in_hand=0 if standing is None else standing.in_hand,
            redelivered=0 if standing is None else standing.redelivered,
        )


class QueueView(Answer):
    """What waits for a webhook."""

    webhook_id: str
    pending: int
    """Events that were not taken up yet."""
    in_hand: int
    """Events that are being sent, or that wait for their next attempt or for an earlier one."""

    @classmethod
    def of(cls, standing: ConsumerStanding) -> "QueueView":
        """Return the view of a queue."""
        webhook = standing.name.removeprefix(QUEUE_PREFIX)
        return cls(webhook_id=webhook, pending=standing.pending, in_hand=standing.in_hand)


class BehindView(Answer):
    """How far the tables are behind a stream."""

    stream: str
    messages: int


class SystemView(Answer):
    """How the system is."""

    processes: list[ProcessView]
    missing: list[str]
    """Services of which no process reports."""
    consumers: list[ConsumerView]
    projection: list[BehindView]
    """Empty when the database does not answer."""
    webhooks: list[QueueView]

    @classmethod
    def of(cls, report: SystemReport) -> "SystemView":
        """Return the view of a report."""
        return cls(
            processes=[ProcessView.of(each) for each in report.processes],
            missing=list(report.missing),
            consumers=[ConsumerView.of(each) for each in report.consumers],
            projection=[BehindView(stream=stream, messages=behind) for stream, behind in report.behind.items()],
            webhooks=[QueueView.of(each) for each in report.queues if each.name.startswith(QUEUE_PREFIX)],
        )


def system_router(system: System, access: Access) -> APIRouter:
    """Return the routes of the noun. A page that is open asks again and again: counted like a status."""
    permit = Depends(access.permit(Scope.ADMIN, "status"))
    router = APIRouter(prefix="/api/system", tags=["system"], dependencies=[permit])

    @router.get("", responses=errors(401, 503), response_model_exclude_none=True)
    async def system_report() -> Success[SystemView]:  # pyright: ignore[reportUnusedFunction]
        """See how every process, every consumer, every webhook's queue and every Solana node is."""
        return Success(data=SystemView.of(await system.report()))

    return router
