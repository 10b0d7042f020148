"""How many requests are worked on at once: what comes beyond that is refused at once, with a time to come again.

Used by `api/scope.py` before anything else, because a refusal has to cost much less than an answer: no routing, no key,
no body, no span, and no log line of its own. What was admitted is answered as ever, so whatever the log has
acknowledged is told to its caller. With the number of requests, the number of publishes that wait for their
acknowledgement is bounded too. Requests that only wait do not count: for their caller's body, for a disconnect, for a
result that the caller prefers to wait for (`let_go`). Not done here: limits of one caller (`limiting.py`), slow
connections (`patience.py`).
"""

import time
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from chassis import metrics
from chassis.telemetry import get_logger
from services.gateway.errors import Overloaded

API_PREFIX: Final = "/api/"
"""What is bounded; health, metrics and the documentation are answered under any load."""
TELL_SECONDS: Final = 10.0
"""Between two log lines that say that requests are refused."""

_log = get_logger(__name__)


class Admission:
    """The places: at most `most` requests are worked on at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._working = 0
        self._refused = 0
        self._told_at = float("-inf")

    def refuses(self, scope: Scope) -> bool:
        """Whether a request finds no place. One that is refused is counted, and told of now and then."""
        if not self.full or not bounded(scope):
            return False
        metrics.SHED.add()
        self._refused += 1
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            _log.warning("overloaded, refusing requests", refused=self._refused, most=self._most)
            self._told_at, self._refused = now, 0
        return True

    @property
    def full(self) -> bool:
        """Whether as many requests are worked on as may be."""
        return self._working >= self._most

    def count(self, change: int) -> None:
        """Note that so many more requests are worked on."""
        self._working += change


class Place:
    """One admitted request's place among those that are worked on. It is taken from the beginning."""

    def __init__(self, admission: Admission, scope: Scope) -> None:
        self._admission = admission
        self._state: dict[str, object] = scope["state"]
        self._taken = True
        self._state["place"] = self
        admission.count(1)

    def leave(self) -> None:
        """Count no longer: the request only waits."""
        if self._taken:
            self._taken = False
            self._admission.count(-1)

    def come_back(self, *, anyhow: bool) -> None:
        """Count again among those that are worked on.

        Raises Overloaded when others have taken all places meanwhile, unless the request is to go on `anyhow`.
        """
        if self._taken:
            return
        if self._admission.full and not anyhow:
            raise Overloaded
        self._taken = True
        self._admission.count(1)

    def end(self) -> None:
        """Leave for good. The request forgets its place, which knows the request: so both are gone at once, and do not
        wait for the garbage collector, which stops everybody else for as long as it looks.
        """
        self.leave()
        del self._state["place"]


def bounded(scope: Scope) -> bool:
    """Whether a request takes a place."""
    path: str = scope["path"]
    return path.startswith(API_PREFIX)


def let_go(request: Request) -> None:
    """Give the request's place to another one: from here on it only waits."""
    place: Place = request.state.place
    place.leave()
