"""One bounded HTTP exchange with a pinning service, and what its failures mean. Used by the adapters alone.

The rule for statuses: only those that speak of the content (413, 415, 422, 451) are final. All others, refused
credentials and malformed requests included, are somebody's mistake that can be corrected while the content waits, so
they are retried: slowly where an operator has to act. Bodies of errors go to the log, never into events. The client's
timeouts bound each step; an exchange as a whole is bounded here, or a byte now and then would keep one open for ever.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import msgspec

from chassis.clock import Clock
from chassis.redaction import scrub
from chassis.retry_after import retry_after
from services.ipfs.adapters.multipart import Multipart
from services.ipfs.ports import ContentUnavailable, PinRefused, PinUnavailable

MAX_ANSWER_BYTES: Final = 262_144
"""Answers are a few hundred bytes, and for a directory of a thousand files that much for each; more is not read."""

MAX_RETRY_AFTER_SECONDS: Final = 900.0
OPERATOR_RETRY_SECONDS: Final = 60.0
"""Between tries while an operator has to correct credentials, address or plan."""

CONTENT_STATUSES: Final = {
    413: "it is too large for the pinning service",
    415: "the pinning service does not host its type",
    422: "the pinning service cannot process it",
    451: "the pinning service may not host it",
}
"""Statuses that speak of the content, with the end of a sentence that begins with the content."""

STEPS: Final = 5
"""The client's timeouts for one step that a whole exchange is given."""

SLOWEST_BYTES_PER_SECOND: Final = 65_536
"""For content, on top of that: less is no connection to pin over."""

_PASSING_STATUSES: Final = frozenset({408, 425, 429})
_SHOWN_BODY: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and the whole body of one answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """Requests to one pinning service. `name` is how errors call it; the client is the caller's to close."""

    def __init__(self, client: httpx.AsyncClient, name: str, clock: Clock) -> None:
        self._client = client
        self._name = name
        self._clock = clock

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        form: Multipart | None = None,
        json: bytes | None = None,
    ) -> bytes:
        """Return the body of a successful answer to a request with a form, a JSON document, or neither.

        Raises PinUnavailable and PinRefused.
        """
        return self.held(await self.ask(method, url, headers=headers, params=params, form=form, json=json))

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        form: Multipart | None = None,
        json: bytes | None = None,
    ) -> "Answer":
        """Return the answer whatever its status. Raises PinUnavailable."""
        sent = {"Accept-Encoding": "identity", **headers}
        if form is not None:
            sent |= form.headers
        elif json is not None:
            sent["Content-Type"] = "application/json"
        content = json if form is None else form.pieces()
        request = self._client.build_request(method, url, headers=sent, params=params, content=content)
        async with self._answer(request, 0 if form is None else form.length) as response:
            return Answer(response.status_code, response.headers, await self._bounded(response))

    def held(self, answer: "Answer") -> bytes:
        """Return the body of a successful answer; raises PinUnavailable and PinRefused for another one."""
        if not 200 <= answer.status < 300:
            raise self.verdict(answer.status, answer.headers, answer.body)
        return answer.body

    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> PinUnavailable | PinRefused:
        """Return what an unsuccessful answer means."""
        if status in CONTENT_STATUSES:
            return PinRefused(CONTENT_STATUSES[status])
        detail = scrub(body[:_SHOWN_BODY].decode("utf-8", "replace")).strip()
        reason = f"{self._name} answered {status}" + (f": {detail}" if detail else "")
        after = retry_after(headers.get("retry-after"), self._clock.now(), MAX_RETRY_AFTER_SECONDS)
        if status in _PASSING_STATUSES or status >= 500:
            return PinUnavailable(reason, after=after)
        # What is wrong with a request may be wrong with this one alone: others to the same service go on.
        kind = ContentUnavailable if status == HTTPStatus.BAD_REQUEST else PinUnavailable
        return kind(reason, after=after or OPERATOR_RETRY_SECONDS, operator=True)

    def decoded(self, body: bytes, shape: type[T]) -> T:
        """Return a successful answer's JSON as `shape`; raises PinUnavailable when it is something else."""
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # Retry: a proxy's page, or cut short by a service that is going down.
            raise self.misunderstood(str(error)) from error

    def misunderstood(self, what: str) -> PinUnavailable:
        """Return the error for a successful answer that does not say what it should."""
        return PinUnavailable(f"{self._name}'s answer is not understood: {what}")

    @asynccontextmanager
    async def _answer(self, request: httpx.Request, sent_bytes: int) -> AsyncGenerator[httpx.Response]:
        try:
            async with whole_exchange(self._client, request, sent_bytes) as response:
                yield response
        except (httpx.TimeoutException, TimeoutError) as error:  # retry: it may be busy
            raise PinUnavailable(f"{self._name} did not answer in time ({type(error).__name__})") from error
        except httpx.TransportError as error:  # retry: it may be restarting
            raise PinUnavailable(f"{self._name} cannot be reached ({type(error).__name__})") from error

    async def _bounded(self, response: httpx.Response) -> bytes:
        if is_compressed(response):  # retry: nobody asked for it, a proxy's perhaps; what it holds has no bound
            raise self.misunderstood("it is compressed")
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise self.misunderstood(f"more than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)


@asynccontextmanager
async def whole_exchange(
    client: httpx.AsyncClient, request: httpx.Request, content_bytes: int
) -> AsyncGenerator[httpx.Response]:
    """Send a request and yield its answer, which is read within; `content_bytes` are sent or read.

    Raises TimeoutError when that takes too long as a whole, if the client bounds its steps, and what httpx raises.
    """
    step = client.timeout.read
    seconds = None if step is None else STEPS * step + content_bytes / SLOWEST_BYTES_PER_SECOND
    async with asyncio.timeout(seconds):
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()


def is_compressed(response: httpx.Response) -> bool:
    """Return whether a server compresses although it was asked for `identity`."""
    return response.headers.get("content-encoding", "identity") != "identity"
