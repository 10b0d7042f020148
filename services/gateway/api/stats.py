"""`/api/stats`: totals for dashboards (source document, section 2)."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors
from services.gateway.api.listings import OverviewView
from services.gateway.api.responses import Answer, Success
from services.gateway.ports import Interval
from services.gateway.stats import STEPS, Span, Stats, quantile


class IntervalView(Answer):
    """What happened in one stretch of time, in NFTs."""

    at: datetime
    """Where it begins; the last one is going on."""
    accepted: int
    confirmed: int
    failed: int
    """Without what was cancelled."""
    p50_seconds: float | None = None
    """Half of the confirmed ones were that within so many seconds of being accepted, rounded up by at most a fifth."""
    p95_seconds: float | None = None

    @classmethod
    def of(cls, interval: Interval) -> "IntervalView":
        """Return the view of `interval`."""
        return cls(
            at=interval.at,
            accepted=interval.accepted,
            confirmed=interval.confirmed,
            failed=interval.failed,
            p50_seconds=quantile(interval.latencies, 0.5),
            p95_seconds=quantile(interval.latencies, 0.95),
        )


class SeriesView(Answer):
    """The last hour or day, stretch by stretch."""

    span: Span
    step_seconds: int
    points: list[IntervalView]


def stats_router(stats: Stats, access: Access) -> APIRouter:
    """Return the routes of the noun."""
    router = APIRouter(prefix="/api/stats", tags=["stats"], dependencies=[Depends(access.permit(Scope.READ))])

    @router.get("/overview", responses=errors(401, 503), response_model_exclude_none=True)
    async def overview() -> Success[OverviewView]:  # pyright: ignore[reportUnusedFunction]
        """See the totals, those of the last 24 hours, and the wallet's balance."""
        return Success(data=OverviewView.of(await stats.overview()))

    @router.get("/series", responses=errors(400, 401, 503), response_model_exclude_none=True)
    async def series(  # pyright: ignore[reportUnusedFunction]
        span: Annotated[Span, Query(description="The last hour by minutes, or the last day by hours.")] = "hour",
    ) -> Success[SeriesView]:
        """See how many NFTs were accepted, confirmed and failed, and how long confirming took."""
        points = [IntervalView.of(each) for each in await stats.series(span)]
        return Success(data=SeriesView(span=span, step_seconds=int(STEPS[span][0].total_seconds()), points=points))

    return router
