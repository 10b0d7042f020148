"""`/api/audit`: what log, tables, chain and content say of an operation, held to one another. For admins."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Depends

from audit.report import Report, Verdict
from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors
from services.gateway.api.identifiers import operation_id
from services.gateway.api.responses import Answer, Success
from services.gateway.auditing import Auditing


class StepView(Answer):
    """One event of the operation's story."""

    sequence: int
    """Its place on the stream MINT."""
    subject: str
    type: str
    event: UUID
    time: datetime
    stored_at: datetime
    cause: UUID | None = None
    """The id of the event that it followed from; left out for commands."""
    producer: str


class FindingView(Answer):
    """One question about one thing, and its answer."""

    question: str
    about: str
    verdict: Verdict
    reason: str = ""


class AuditView(Answer):
    """The story and the verdict: `broken` when one finding is, `unknown` when one could not be looked at."""

    transaction_id: UUID
    verdict: Verdict
    steps: list[StepView]
    findings: list[FindingView]

    @classmethod
    def of(cls, report: Report) -> "AuditView":
        """Return the view of a report."""
        return cls(
            transaction_id=report.operation,
            verdict=report.verdict,
            steps=[StepView.model_validate(each, from_attributes=True) for each in report.steps],
            findings=[FindingView.model_validate(each, from_attributes=True) for each in report.findings],
        )


def audit_router(auditing: Auditing, access: Access) -> APIRouter:
    """Return the routes of the noun."""
    router = APIRouter(prefix="/api/audit", tags=["audit"], dependencies=[Depends(access.permit(Scope.ADMIN))])

    @router.get("/operations/{transactionId}", responses=errors(401, 404, 503), response_model_exclude_none=True)
    async def audit_operation(transactionId: str) -> Success[AuditView]:  # noqa: N803  # pyright: ignore[reportUnusedFunction]
        """Audit an operation: its whole story, and whether log, tables, chain and content agree on it."""
        return Success(data=AuditView.of(await auditing.report(operation_id(transactionId))))

    return router
