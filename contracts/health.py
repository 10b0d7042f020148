"""The fact of a running service: how it is, said every few seconds by every process, and forgotten minutes later.

For people who look at the system (`GET /api/system`). Nothing is decided by it: whether a process gets work is decided
by its own probes, and whether a node is asked by the minter.
"""

from typing import Annotated, ClassVar, Final
from uuid import UUID

import msgspec

from contracts.fact import Fact, Slot

REPORT_SECONDS: Final = 10.0
"""Seconds between two reports of a process that is ready."""
UNREADY_SECONDS: Final = 2.0
"""Seconds between two reports of one that is not."""
SILENT_SECONDS: Final = 3.5 * REPORT_SECONDS
"""Seconds after which a process that says nothing is taken for gone."""


class CheckReported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one thing that a process needs answers."""

    name: str
    ok: bool
    latency_ms: float
    error: str | None = None
    """For people; secrets are taken out of it."""


class NodeReported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a Solana node looks to the process that asks it."""

    name: str
    """Its place in the order of preference and its host: a URL may hold a key."""
    slot: Slot | None
    """The newest that it told; None when it never did."""
    lag_slots: int | None
    """Behind the newest slot that any node told."""
    circuit: str
    """`closed`: it is asked; `opened`: it failed several times in a row and rests; `half-opened`: it is tried."""
    rests_for_seconds: float = 0.0
    """Until its request budget allows another request."""
    excluded: str | None = None
    """Why it is never asked, such as being of another cluster."""


class ServiceReported(Fact, frozen=True, kw_only=True):
    """A process of a service is there, and this is how it is."""

    SUBJECT: ClassVar[str] = "health.reported.v1.{service}.{instance}"

    service: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,32}$")]
    instance: UUID
    """New for every process."""
    host: str
    """The machine's name, which in Kubernetes is the pod's."""
    ready: bool
    checks: tuple[CheckReported, ...] = ()
    nodes: tuple[NodeReported, ...] = ()
    """In the order of preference; only of a process that has several to choose from."""
