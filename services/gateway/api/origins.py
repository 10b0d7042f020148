"""Which web pages may call: CORS, by Starlette's middleware, for requests that come from a page.

A plain ASGI middleware, installed by `api/app.py` around all others. A browser names the page's origin; whoever else
calls names none, and is spared the middleware.
"""

from collections.abc import Sequence

from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.api.auth import API_KEY_HEADER
from services.gateway.api.direct import PREFER_HEADER
from services.gateway.api.fields import fields_of
from services.gateway.api.scope import REQUEST_ID_HEADER
from services.gateway.identity import IDEMPOTENCY_HEADER


class Origins:
    """Wraps an application; pages of `allowed` may call it with credentials."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=list(allowed),
            allow_credentials=True,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=[
                "Content-Type",
                "Authorization",
                API_KEY_HEADER,
                IDEMPOTENCY_HEADER,
                REQUEST_ID_HEADER,
                PREFER_HEADER,
                "Last-Event-ID",
                "traceparent",
            ],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After", "RateLimit", "RateLimit-Policy", "Preference-Applied"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        from_page = scope["type"] == "http" and b"origin" in fields_of(scope)
        await (self._cors if from_page else self._app)(scope, receive, send)
