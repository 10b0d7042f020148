"""The FastAPI application, put together from its routers. Called by `main.py` and by the tests."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from chassis.clock import Clock
from chassis.health import Health
from contracts.access import Scope
from services.gateway.api import documentation, failures, pages
from services.gateway.api.admission import Admission
from services.gateway.api.audit import audit_router
from services.gateway.api.auth import API_KEY_HEADER, Access
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
from services.gateway.api.patience import BodyPatience
from services.gateway.api.scope import REQUEST_ID_HEADER, RequestScope
from services.gateway.api.stats import stats_router
from services.gateway.api.system import system_router
from services.gateway.api.upload import upload_router
from services.gateway.api.webhooks import webhooks_router
from services.gateway.auditing import Auditing
from services.gateway.curating import Curating
from services.gateway.dead_letters import DeadLetters
from services.gateway.following import Following
from services.gateway.handlers import Collections, Minting, Statuses
from services.gateway.identity import IDEMPOTENCY_HEADER
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


def create_app(parts: Parts) -> FastAPI:
    """Return the application. It owns nothing: what it is made of is opened and closed by the caller."""
    app = FastAPI(
        title="Mintstream",
        version=parts.version,
        description="Mint compressed NFTs on Solana: each one once, none lost.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # `RequestScope` has one span and one measurement a request, scrubbed; these would be others beside them.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    failures.install(app)
    documentation.describe(app)
    access = parts.access
    mint, direct = mint_router(parts.minting, parts.statuses, parts.results, parts.wallets, access, parts.clock)
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
    app.add_middleware(Direct, admit=lambda request: access.admit(request, Scope.MINT, "mint"), endpoints=direct)
    app.add_middleware(BodyPatience)
    app.add_middleware(RequestScope, trusted_proxies=parts.trusted_proxies)
    app.add_middleware(Admission, most=parts.max_in_flight)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(parts.cors_origins),
        allow_credentials=True,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[
            "Content-Type",
            "Authorization",
            API_KEY_HEADER,
            IDEMPOTENCY_HEADER,
            REQUEST_ID_HEADER,
            "Prefer",
            "Last-Event-ID",
            "traceparent",
        ],
        expose_headers=[REQUEST_ID_HEADER, "Retry-After", "RateLimit", "RateLimit-Policy", "Preference-Applied"],
    )
    return app


def _console(parts: Parts) -> ConsoleView:
    return ConsoleView(
        version=parts.version,
        explorer=parts.explorer_url,
        gateway=parts.gateway_url,
        sign_in=parts.sign_in is not None,
    )
