"""The routes that are asked most, answered without the framework's routing, dependencies and models.

A plain ASGI middleware, installed by `api/app.py` innermost. FastAPI has the same endpoints as routes: it describes
them in the OpenAPI document and answers 405 for their other methods. What it would find out about a request before it
calls one, at several times the cost of the mint itself, is found out here.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.api.failures import answer
from services.gateway.api.fields import FieldsRequest
from services.gateway.api.scope import name_route
from services.gateway.callers import Caller
from services.gateway.errors import ApiError
from services.gateway.identity import IDEMPOTENCY_HEADER

PREFER_HEADER = "Prefer"

Endpoint = Callable[[Request, Caller, str | None, str | None], Awaitable[Response]]
"""Answers a request of a caller, with its idempotency key and what it prefers; raises ApiError."""
Admit = Callable[[Request], Awaitable[Caller]]
"""Tells who calls, before the body is read; raises ApiError."""


class Direct:
    """Wraps the application; answers POST requests to the paths of `endpoints`, and passes all others on."""

    def __init__(self, app: ASGIApp, admit: Admit, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._admit = admit
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        endpoint = self._endpoints.get(scope["path"]) if scope.get("method") == "POST" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        name_route(scope, scope["path"])
        request = FieldsRequest(scope, receive, send)
        try:
            caller = await self._admit(request)
            key, prefer = request.headers.get(IDEMPOTENCY_HEADER), request.headers.get(PREFER_HEADER)
            response = await endpoint(request, caller, key, prefer)
        except ApiError as error:  # stop: the caller has to change something, or to come again later
            response = answer(request, error)
        await response(scope, receive, send)
