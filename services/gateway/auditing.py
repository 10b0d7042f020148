"""Auditing one operation for an admin: the same evidence and the same verdict as `mintstream audit operation`.

Called by `api/audit.py`. Bounded: a few audits at once, each for so long. Not done here: fetching (`audit.gathering`),
and judging (`audit.checks`).
"""

import asyncio
from typing import Final, Protocol
from uuid import UUID

from audit.checks import audit, is_known
from audit.evidence import Evidence
from audit.report import Report
from chassis.chain import ChainUnavailable
from chassis.log import LogUnavailable
from chassis.telemetry import get_logger
from services.gateway.errors import ChainSilent, LogSilent, OperationNotFound, Overloaded, ProjectionDown
from services.gateway.ports import ProjectionUnavailable

MOST: Final = 2
"""Audits at once: each asks a node and an IPFS gateway about every item."""
SECONDS: Final = 60.0
"""How long one may take."""
NODE_SECONDS: Final = 10.0
"""How long a node has for one answer, before another is asked."""
CONTENT_SECONDS: Final = 30.0
"""How long one looks at content; what takes longer is told as unknown."""

_log = get_logger(__name__)


class Witness(Protocol):
    """Fetches what an operation is judged by."""

    async def evidence(self, operation: UUID) -> Evidence:
        """Return all that there is of an operation.

        Raises LogUnavailable, ProjectionUnavailable, and ChainUnavailable when no node answers.
        """
        ...


class Auditing:
    """Audits operations. `witness` is None where the gateway knows no node."""

    def __init__(self, witness: Witness | None, *, seconds: float = SECONDS) -> None:
        self._witness = witness
        self._seconds = seconds
        self._slots = asyncio.Semaphore(MOST)

    async def report(self, operation: UUID) -> Report:
        """Return what is found of an operation. Raises OperationNotFound, Overloaded and Unavailable."""
        if self._witness is None:
            raise ChainSilent("This gateway reads no chain: RPC_URL is not set")
        if self._slots.locked():
            raise Overloaded
        async with self._slots:
            evidence = await self._evidence(self._witness, operation)
            if not is_known(evidence):
                raise OperationNotFound
            # Every leaf is hashed again: not in the event loop.
            return await asyncio.to_thread(audit, evidence)

    async def _evidence(self, witness: Witness, operation: UUID) -> Evidence:
        # Each error stops here with 503: an audit changes nothing, so the caller may ask again.
        try:
            async with asyncio.timeout(self._seconds):
                return await witness.evidence(operation)
        except LogUnavailable as error:  # of the archive too, a part of the log
            _log.warning("audit given up", operation=str(operation), reason=str(error))
            raise LogSilent("The event log, or its archive, cannot be read now") from error
        except ProjectionUnavailable as error:
            raise ProjectionDown("The second copy of the log cannot be read now") from error
        except (ChainUnavailable, TimeoutError) as error:
            _log.warning("audit given up", operation=str(operation), reason=type(error).__name__)
            raise ChainSilent("The chain cannot be read now, or not in time") from error
