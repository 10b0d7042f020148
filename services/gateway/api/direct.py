"""The routes that are asked most, answered without the framework's routing, dependencies and models.

Put by `api/app.py` beside the framework, with the same surroundings (`scope.py`, `origins.py`). FastAPI has the same
endpoints as routes: it describes them in the OpenAPI document and answers 405 for their other methods. What it would
find out about a request before it calls one, at several times the cost of the mint itself, is found out here.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.api.failures import answer
from services.gateway.api.scope import name_route
from services.gateway.callers import Caller
from services.gateway.errors import ApiError

PREFER_HEADER: Final = "Prefer"

Admit = Callable[[Request], Awaitable[Caller]]
"""Tells who calls, before the body is read; raises ApiError."""
Endpoint = Callable[[Request, Caller, str], Awaitable[Response]]
"""Answers a request of a caller; raises ApiError. The text is the path's last step, where the route leaves it open."""


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """One such route. `path` is its template: without a parameter, or with one that is the last step."""

    method: str
    path: str
    admit: Admit
    endpoint: Endpoint


class Direct:
    """An ASGI application that answers what it `takes`."""

    def __init__(self, routes: Iterable[DirectRoute]) -> None:
        self._fixed: dict[tuple[str, str], DirectRoute] = {}
        self._open: dict[tuple[str, str], DirectRoute] = {}
        """By what stands before the open step."""
        for route in routes:
            before, _, last = route.path.rpartition("/")
            if last.startswith("{"):
                self._open[route.method, before] = route
            else:
                self._fixed[route.method, route.path] = route

    def takes(self, scope: Scope) -> bool:
        """Whether a request is answered here."""
        return scope["type"] == "http" and self._found(scope) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        found = self._found(scope)
        assert found is not None, "it is asked only for what it takes"
        route, last = found
        name_route(scope, route.path)
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request, await route.admit(request), last)
        except ApiError as error:  # stop: the caller has to change something, or to come again later
            response = answer(request, error)
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[DirectRoute, str] | None:
        method, path = scope["method"], scope["path"]
        if route := self._fixed.get((method, path)):
            return route, ""
        before, _, last = path.rpartition("/")
        route = self._open.get((method, before)) if last else None
        return (route, last) if route else None
