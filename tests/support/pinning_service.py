"""A service that speaks the IPFS Pinning Service API, strictly, for tests of the adapter.

An ASGI application. What its specification (pinning-services-api-spec 1.0.0) does not allow is an error here.
`tests/contract/test_pinning_service_compliance.py` holds it to the checks of the public compliance suite, so that what
satisfies it can satisfy a real one. It fetches nothing: a new pin goes through `statuses`, one at each look.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unixfs import Cid, CidError

TOKEN = "a-token-of-the-pinning-service"
STATUSES = ("queued", "pinning", "pinned", "failed")
QUERY = frozenset({"cid", "name", "match", "status", "before", "after", "limit", "meta"})


@dataclass
class PinObject:
    """One pin object of the service."""

    requestid: str
    pin: dict[str, Any]
    created: datetime
    statuses: list[str]

    def look(self) -> str:
        """Return the status and move to the next."""
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def shown(self) -> dict[str, Any]:
        return {
            "requestid": self.requestid,
            "status": self.look(),
            "created": self.created.isoformat().replace("+00:00", "Z"),
            "pin": self.pin,
            "delegates": ["/ip4/203.0.113.1/tcp/4001/p2p/QmServicePeerId"],
            "info": {"status_details": "nobody provides it"} if self.statuses[0] == "failed" else {},
        }


@dataclass
class PinningServiceDouble:
    """The double and what it has seen. `failures` answers the next requests with these responses instead."""

    statuses: tuple[str, ...] = ("queued", "pinning", "pinned")
    pins: dict[str, PinObject] = field(default_factory=dict[str, PinObject])
    failures: list[Response] = field(default_factory=list[Response])
    created: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/psa/pins", self._guarded, methods=["GET", "POST"]),
                Route("/psa/pins/{requestid}", self._guarded, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _guarded(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer").strip()
        if not token:
            return failure(401, "UNAUTHORIZED", "the access token is missing")
        if token != TOKEN:
            return failure(403, "FORBIDDEN", "the access token is wrong")
        if self.failures:
            return self.failures.pop(0)
        requestid = request.path_params.get("requestid")
        if requestid is None:
            return self._list(request) if request.method == "GET" else self._add(await self._body(request))
        found = self.pins.get(requestid)
        if found is None:
            return failure(404, "NOT_FOUND", "no pin object with this request id")
        if request.method == "GET":
            return JSONResponse(found.shown())
        del self.pins[requestid]
        return Response(status_code=202) if request.method == "DELETE" else self._add(await self._body(request))

    @staticmethod
    async def _body(request: Request) -> Mapping[str, Any] | None:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return None
        try:
            return json.loads(await request.body())
        except ValueError:
            return None

    def _add(self, pin: Mapping[str, Any] | None) -> Response:
        if pin is None or not {"cid"} <= set(pin) <= {"cid", "name", "origins", "meta"}:
            return failure(400, "BAD_REQUEST", "the body is no Pin")
        if len(pin.get("name", "")) > 255 or len(pin.get("origins", [])) > 20:
            return failure(400, "BAD_REQUEST", "the name or the origins are too long")
        try:
            Cid.parse(pin["cid"])
        except CidError as error:
            return failure(400, "BAD_REQUEST", str(error))
        # Every pin object is a second older than the next: pages are told by the time of creation.
        created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.created)
        self.created += 1
        made = PinObject(str(uuid.uuid4()), dict(pin), created, list(self.statuses))
        self.pins[made.requestid] = made
        return JSONResponse(made.shown(), status_code=202)

    def _list(self, request: Request) -> Response:
        query = request.query_params
        wanted = query.get("status", "pinned").split(",")
        limit = int(query.get("limit", "10"))
        if not set(query) <= QUERY or not set(wanted) <= set(STATUSES) or not 1 <= limit <= 1000:
            return failure(400, "BAD_REQUEST", "the query is not the specification's")
        found = [each for each in self.pins.values() if each.statuses[0] in wanted and _matches(each, query)]
        found.sort(key=lambda each: each.created, reverse=True)
        return JSONResponse({"count": len(found), "results": [each.shown() for each in found[:limit]]})


def _matches(each: PinObject, query: Mapping[str, str]) -> bool:
    if "cid" in query and each.pin["cid"] not in query["cid"].split(","):
        return False
    if "before" in query and each.created >= datetime.fromisoformat(query["before"]):
        return False
    if "after" in query and each.created <= datetime.fromisoformat(query["after"]):
        return False
    if "name" not in query:
        return True
    name, text = str(each.pin.get("name", "")), query["name"]
    match query.get("match", "exact"):
        case "exact":
            return name == text
        case "iexact":
            return name.lower() == text.lower()
        case "partial":
            return text in name
        case _:
            return text.lower() in name.lower()


def failure(status: int, reason: str, details: str) -> Response:
    """Return the specification's Failure."""
    return JSONResponse({"error": {"reason": reason, "details": details}}, status_code=status)
