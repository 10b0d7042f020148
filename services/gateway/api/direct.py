"""The routes that are asked most, answered without the framework's routing, dependencies and models.

Put by `api/app.py` beside the framework, with the same surroundings (`scope.py`, `origins.py`). FastAPI has the same
endpoints as routes: it describes them in the OpenAPI document and answers 405 for their other methods. What it would
find out about a request before it calls one, at several times the cost of the mint itself, is found out here.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.api.failures import answer
from services.gateway.api.fields import field
from services.gateway.api.scope import name_route
from services.gateway.callers import Caller
from services.gateway.errors import ApiError
from services.gateway.identity import IDEMPOTENCY_HEADER

PREFER_HEADER = "Prefer"
_RAW_PREFER = PREFER_HEADER.lower().encode()
_RAW_IDEMPOTENCY = IDEMPOTENCY_HEADER.lower().encode()

Endpoint = Callable[[Request, Caller, str | None, str | None], Awaitable[Response]]
"""Answers a request of a caller, with its idempotency key and what it prefers; raises ApiError."""
Admit = Callable[[Request], Awaitable[Caller]]
"""Tells who calls, before the body is read; raises ApiError."""


class Direct:
    """An ASGI application that answers what it `takes`: POST requests to the paths of `endpoints`."""

    def __init__(self, admit: Admit, endpoints: Mapping[str, Endpoint]) -> None:
        self._admit = admit
        self._endpoints = endpoints

    def takes(self, scope: Scope) -> bool:
        """Whether a request is answered here."""
        return scope.get("method") == "POST" and scope["path"] in self._endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        name_route(scope, scope["path"])
        request = Request(scope, receive, send)
        try:
            caller = await self._admit(request)
            key, prefer = field(scope, _RAW_IDEMPOTENCY), field(scope, _RAW_PREFER)
            response = await self._endpoints[scope["path"]](request, caller, key, prefer)
        except ApiError as error:  # stop: the caller has to change something, or to come again later
            response = answer(request, error)
        await response(scope, receive, send)
