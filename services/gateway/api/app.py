"""The FastAPI application, put together from its routers. Called by `main.py` and by the tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from chassis.clock import Clock
from chassis.health import Health
from services.gateway.api import documentation, failures, pages
from services.gateway.api.admission import Admission
from services.gateway.api.audit import audit_router
from services.gateway.api.auth import Access
from services.gateway.api.collections import collections_router
from services.gateway.api.console import ConsoleView, console_router
from services.gateway.api.dead_letters import dead_letters_router
from services.gateway.api.direct import Direct
from services.gateway.api.events import events_router
from services.gateway.api.health import health_router
from services.gateway.api.login import login_router
from services.gateway.api.metrics import metrics_router
from services.gateway.api.mint import mint_router
from services.gateway.api.operations import operations_router
from services.gateway.api.origins import Origins
from services.gateway.api.scope import RequestScope
from services.gateway.api.stats import stats_router
from services.gateway.api.system import system_router
from services.gateway.api.upload import upload_router
from services.gateway.api.webhooks import webhooks_router
from services.gateway.auditing import Auditing
from services.gateway.curating import Curating
from services.gateway.dead_letters import DeadLetters
from services.gateway.following import Following
from services.gateway.handlers import Collections, Minting, Statuses
from services.gateway.importing import Importing
from services.gateway.operations import Operations
from services.gateway.results import Results
from services.gateway.settings import DEFAULT_EXPLORER, DEFAULT_GATEWAY
from services.gateway.signing_in import SignIn
from services.gateway.stats import Stats
from services.gateway.system import System
from services.gateway.uploading import Uploading
from services.gateway.wallets import Wallets
from services.gateway.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of."""

    minting: Minting
    statuses: Statuses
    operations: Operations
    results: Results
    following: Following
    collections: Collections
    curating: Curating
    importing: Importing
    stats: Stats
    auditing: Auditing
    dead_letters: DeadLetters
    system: System
    wallets: Wallets
    uploading: Uploading
    access: Access
    sign_in: SignIn | None
    webhooks: Webhooks | None
    """None: without a key that seals their secrets there are no webhooks."""
    probes: Health
    everything: Health
    clock: Clock
    version: str
    cors_origins: Sequence[str] = ()
    trusted_proxies: int = 0
    max_in_flight: int = 128
    gateway_url: str = DEFAULT_GATEWAY
    explorer_url: str = DEFAULT_EXPLORER


class Application(FastAPI):
    """FastAPI, and before it the routes that are answered without it."""

    def __init__(self, direct: Direct, surrounded: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        """`surrounded` puts around an application what every request has; both are given the same."""
        super().__init__(**options)
        self._direct = direct
        self._surrounded_direct = surrounded(direct)
        self.add_middleware(surrounded)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if self._direct.takes(scope):
            await self._surrounded_direct(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(parts: Parts) -> Application:
    """Return the application. It owns nothing: what it is made of is opened and closed by the caller."""
    access, admission = parts.access, Admission(parts.max_in_flight)
    mint, direct = mint_router(parts.minting, parts.statuses, parts.results, parts.wallets, access, parts.clock)

    def surrounded(inner: ASGIApp) -> ASGIApp:
        return Origins(RequestScope(inner, admission, parts.trusted_proxies), parts.cors_origins)

    app = Application(
        Direct(direct),
        surrounded,
        title="Mintstream",
        version=parts.version,
        description="Mint compressed NFTs on Solana: each one once, none lost.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_name_of,
        # `RequestScope` has one span and one measurement a request, scrubbed; these would be others beside them.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    failures.install(app)
    documentation.describe(app)
    app.include_router(mint)
    app.include_router(operations_router(parts.operations, access))
    app.include_router(events_router(parts.following, parts.statuses, access))
    app.include_router(collections_router(parts.collections, parts.curating, parts.importing, access))
    app.include_router(stats_router(parts.stats, access))
    app.include_router(audit_router(parts.auditing, access))
    app.include_router(dead_letters_router(parts.dead_letters, access))
    app.include_router(system_router(parts.system, access))
    app.include_router(upload_router(parts.uploading, parts.gateway_url, access))
    if parts.webhooks is not None:
        app.include_router(webhooks_router(parts.webhooks, access))
    app.include_router(login_router(parts.sign_in, access))
    app.include_router(console_router(_console(parts), access))
    app.include_router(health_router(parts.probes, parts.everything))
    app.include_router(metrics_router(access))
    pages.install(app)
    return app


def _name_of(route: APIRoute) -> str:
    return route.name


def _console(parts: Parts) -> ConsoleView:
    return ConsoleView(
        version=parts.version,
        explorer=parts.explorer_url,
        gateway=parts.gateway_url,
        sign_in=parts.sign_in is not None,
    )
