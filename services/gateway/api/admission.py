"""How many requests are worked on at once: what comes beyond that is refused at once, with a time to come again.

A plain ASGI middleware, installed by `api/app.py` around `RequestScope`, because a refusal has to cost much less than
an answer: no routing, no key, no body, no span, and no log line of its own. What was admitted is answered as ever, so
whatever the log has acknowledged is told to its caller. With the number of requests, the number of publishes that wait
for their acknowledgement is bounded too. Requests that only wait do not count: for their caller's body, for a
disconnect, for a result that the caller prefers to wait for (`let_go`). Not done here: limits of one caller
(`limiting.py`), slow connections (`patience.py`).
"""

import time
from typing import Final

import uuid_utils.compat as uuid_utils
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import metrics
from chassis.telemetry import get_logger
from services.gateway.api.failures import refusal
from services.gateway.api.scope import REQUEST_ID_HEADER, SECURITY_HEADERS
from services.gateway.errors import Overloaded

API_PREFIX: Final = "/api/"
"""What is bounded; health, metrics and the documentation are answered under any load."""
TELL_SECONDS: Final = 10.0
"""Between two log lines that say that requests are refused."""

_log = get_logger(__name__)


class Admission:
    """Wraps the application; at most `most` requests are worked on at once."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._working = 0
        self._refused = 0
        self._told_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http" or not scope["path"].startswith(API_PREFIX):
            await self._app(scope, receive, send)
        elif self.full:
            await self._refuse(scope, receive, send)
        else:
            place = _Place(self, receive)
            scope.setdefault("state", {})["place"] = place
            place.take()
            try:
                await self._app(scope, place.receive, send)
            finally:
                place.leave()

    @property
    def full(self) -> bool:
        """Whether as many requests are worked on as may be."""
        return self._working >= self._most

    def count(self, change: int) -> None:
        """Note that so many more requests are worked on."""
        self._working += change

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics.SHED.add()
        self._refused += 1
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            _log.warning("overloaded, refusing requests", refused=self._refused, most=self._most)
            self._told_at, self._refused = now, 0
        request_id = str(uuid_utils.uuid7())
        answer = refusal(request_id, Overloaded())
        answer.headers.update({REQUEST_ID_HEADER: request_id, **SECURITY_HEADERS})
        await answer(scope, receive, send)


class _Place:
    """One admitted request's place among those that are worked on."""

    def __init__(self, admission: Admission, receive: Receive) -> None:
        self._admission = admission
        self._receive = receive
        self._taken = False
        self._begun = False
        """Whether something of the body has come."""
        self._whole = False
        """Whether all of it has."""

    def take(self) -> None:
        """Count among those that are worked on."""
        if not self._taken:
            self._taken = True
            self._admission.count(1)

    def leave(self) -> None:
        """Count no longer."""
        if self._taken:
            self._taken = False
            self._admission.count(-1)

    async def receive(self) -> Message:
        """Wait for the caller, without counting meanwhile.

        Raises Overloaded when others have taken all places before anything of the body came. Later it goes on all the
        same: what was uploaded so far would be lost.
        """
        self.leave()
        message = await self._receive()
        if self._whole:  # the caller has gone: nothing is left to work on
            return message
        if not self._begun and self._admission.full:
            raise Overloaded
        self._begun = True
        self._whole = not message.get("more_body", False)
        self.take()
        return message


def let_go(request: Request) -> None:
    """Give the request's place to another one: from here on it only waits."""
    place: _Place = request.state.place
    place.leave()
