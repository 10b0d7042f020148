"""`/health`: for people, load balancers and supervisors. Without a key, so it tells names and latencies alone."""

from fastapi import APIRouter, Response

from chassis.health import Health, HealthReport
from services.gateway.api.responses import CheckView, HealthView


def health_router(probes: Health, everything: Health) -> APIRouter:
    """Return the routes. `probes` decides on traffic and restarts; `everything` has also what minting can miss."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("", responses={503: {"model": HealthView}})
    async def health(response: Response) -> HealthView:
        """Tell what answers: `unavailable` when nothing can be asked for, `degraded` when something else suffers.

        `log` away: everything is. `database`: lists are. `uploads`: requests with files are refused. `solana`: the
        wallet's balance is not told. `wallet`: it is out of SOL, and what is asked for waits until it is topped up.
        """
        ready, whole = await probes.report("ready"), await everything.report("ready")
        return _view(response, ready, whole)

    @router.get("/live", responses={503: {"model": HealthView}})
    async def live(response: Response) -> HealthView:
        """Tell whether this process is worth keeping."""
        report = await probes.report("live")
        return _view(response, report, report)

    @router.get("/ready", responses={503: {"model": HealthView}})
    async def ready(response: Response) -> HealthView:
        """Tell whether requests should be sent here now."""
        report = await probes.report("ready")
        return _view(response, report, report)

    for path, endpoint in (("", health), ("/live", live), ("/ready", ready)):
        # Some load balancers and monitors ask without wanting the body.
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


def _view(response: Response, needed: HealthReport, whole: HealthReport) -> HealthView:
    response.status_code = 200 if needed.ok else 503
    checks = {
        name: CheckView(ok=check.ok, latency_ms=check.latency_ms)
        for report in (needed, whole)
        for name, check in report.checks.items()
    }
    status = "unavailable" if not needed.ok else "ok" if whole.ok else "degraded"
    return HealthView(success=needed.ok, status=status, checks=checks)
