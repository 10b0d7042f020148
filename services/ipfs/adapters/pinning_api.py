"""Pinning through any service that speaks the IPFS Pinning Service API (pinning-services-api-spec, version 1).

The service is told a CID and fetches the content itself, so it needs a provider that has it: it is a further copy,
never the first. `GET /pins` with the CID finds a pin object that an earlier try made; else `POST /pins` makes one; its
status is then polled until it is `pinned` or `failed`. Not done here: connecting to the service's `delegates`, and
removing or replacing pin objects.
"""

import re
from typing import Final, Literal

import httpx
import msgspec

from chassis.clock import Clock
from chassis.redaction import Secret, scrub
from services.ipfs.adapters.http import Exchange
from services.ipfs.ports import ContentMismatch, ContentUnavailable, OneByOne, Pinnable
from unixfs import Cid, CidError

FIRST_POLL_SECONDS: Final = 0.5
LONGEST_POLL_SECONDS: Final = 10.0
FAILED_RETRY_SECONDS: Final = 60.0
"""After a pin object that failed: the service could not find the content."""

MAX_ORIGINS: Final = 20
"""The specification's limit."""


_REQUEST_ID: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._~:=@-]{1,255}")


class _Pin(msgspec.Struct, frozen=True):
    cid: str


class _PinStatus(msgspec.Struct, frozen=True):
    """The specification's PinStatus, as far as it is used."""

    requestid: str
    status: Literal["queued", "pinning", "pinned", "failed"]
    pin: _Pin
    info: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class _PinResults(msgspec.Struct, frozen=True):
    count: int
    results: list[_PinStatus]


class PinningApi(OneByOne):
    """Implements `PinningService`. `patience` is how many seconds one pin is waited for before it is left for later."""

    name = "pinning-api"
    takes_bytes = False

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        token: Secret,
        clock: Clock,
        *,
        origins: tuple[str, ...] = (),
        patience: float = 60.0,
    ) -> None:
        self._exchange = Exchange(client, "the pinning service", clock)
        self._pins = f"{url.rstrip('/')}/pins"
        self._token = token
        self._clock = clock
        self._origins = origins[:MAX_ORIGINS]
        self._patience = patience

    async def pin(self, content: Pinnable) -> None:
        """Have the service pin the CID and wait until it has; see `PinningService.pin`."""
        await self._pin(content.cid, content.name)

    async def pin_by_cid(self, cid: Cid) -> None:
        """See `PinningService.pin_by_cid`."""
        await self._pin(cid, str(cid))

    async def _pin(self, cid: Cid, name: str) -> None:
        deadline = self._clock.monotonic() + self._patience
        state = await self._find(cid, "queued,pinning,pinned")
        if state is None:
            state = await self._create(cid, name)
        pause = FIRST_POLL_SECONDS
        while state.status != "pinned":
            if state.status == "failed":
                details = scrub(str(state.info.get("status_details", "")))[:200]
                reason = f"the pinning service could not pin {cid}: {details}"
                raise ContentUnavailable(reason, after=FAILED_RETRY_SECONDS)
            if self._clock.monotonic() + pause > deadline:
                raise ContentUnavailable(f"the pinning service is still {state.status} with {cid}")
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_POLL_SECONDS)
            state = self._decoded(await self._send("GET", f"{self._pins}/{state.requestid}"))
        self._compare(cid, state)

    async def has(self, cid: Cid) -> bool:
        """Look for a pin object that is pinned; see `PinningService.has`."""
        found = await self._find(cid, "pinned")
        return found is not None and found.status == "pinned"

    async def check(self) -> None:
        """List one pin, which needs the token; see `PinningService.check`."""
        await self._send("GET", self._pins, params={"limit": "1"})

    async def _find(self, cid: Cid, status: str) -> _PinStatus | None:
        body = await self._send("GET", self._pins, params={"cid": str(cid), "status": status, "limit": "1"})
        results = self._exchange.decoded(body, _PinResults).results
        if not results:
            return None
        self._compare(cid, results[0])
        return self._checked(results[0])

    async def _create(self, cid: Cid, name: str) -> _PinStatus:
        wanted: dict[str, object] = {"cid": str(cid), "name": name[:255]}
        if self._origins:
            wanted["origins"] = self._origins
        return self._decoded(await self._send("POST", self._pins, json=msgspec.json.encode(wanted)))

    def _decoded(self, body: bytes) -> _PinStatus:
        return self._checked(self._exchange.decoded(body, _PinStatus))

    def _checked(self, state: _PinStatus) -> _PinStatus:
        if not _REQUEST_ID.fullmatch(state.requestid):
            raise self._exchange.misunderstood("a request id that cannot be in a path")
        return state

    @staticmethod
    def _compare(expected: Cid, state: _PinStatus) -> None:
        try:
            # A service may word the CID in version 1: it names the same node.
            matches = Cid.parse(state.pin.cid).as_v1() == expected.as_v1()
        except CidError:  # stop: whatever it is, it is not the CID that was asked for
            matches = False
        if not matches:
            raise ContentMismatch(expected, state.pin.cid)

    async def _send(
        self, method: str, url: str, *, params: dict[str, str] | None = None, json: bytes | None = None
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._token.reveal()}", "Accept": "application/json"}
        return await self._exchange.send(method, url, headers=headers, params=params, json=json)
