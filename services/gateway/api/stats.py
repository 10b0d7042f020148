"""`/api/stats`: totals for dashboards (source document, section 2)."""

from fastapi import APIRouter, Depends

from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors
from services.gateway.api.listings import OverviewView
from services.gateway.api.responses import Success
from services.gateway.stats import Stats


def stats_router(stats: Stats, access: Access) -> APIRouter:
    """Return the routes of the noun."""
    router = APIRouter(prefix="/api/stats", tags=["stats"], dependencies=[Depends(access.permit(Scope.READ))])

    @router.get("/overview", responses=errors(401, 503), response_model_exclude_none=True)
    async def overview() -> Success[OverviewView]:  # pyright: ignore[reportUnusedFunction]
        """See the totals, those of the last 24 hours, and the wallet's balance."""
        return Success(data=OverviewView.of(await stats.overview()))

    return router
