"""`/metrics`: this process's metrics for Prometheus, to callers with a key. What there is: docs/metrics.md."""

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from chassis.exposition import PATH, scrape
from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors


def metrics_router(access: Access) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["health"], dependencies=[Depends(access.permit(Scope.READ))])

    @router.get(
        PATH,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(401, 404)},
    )
    async def metrics(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Tell the metrics of this process in Prometheus' text format; 404 when ENABLE_METRICS is false."""
        found = scrape(request.headers.get("accept", ""))
        if found is None:
            raise HTTPException(404)
        return Response(found.body, headers={"Content-Type": found.content_type})

    return router
