"""JSON-RPC 2.0 over HTTP, as nodes and DAS providers speak it: one call, its answer checked, its errors told apart.

Used by the adapters of the indexer and the minter. URLs may hold an API key, so they are in no error and no log line.
Not done here: retries and the choice of a node, which are the callers'.
"""

import itertools
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Final, Protocol, TypeVar

import httpx
import msgspec

from chassis import metrics
from chassis.chain import ChainUnavailable
from chassis.redaction import REDACTED, keys_in

METHOD_NOT_FOUND: Final = -32601
"""JSON-RPC 2.0: the method does not exist."""
TOO_MANY_REQUESTS: Final = 429
"""HTTP status; its body may or may not be JSON-RPC, and says no more than the status."""
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of an answer, unpacked, beyond which it is not read on: the largest that are asked for, a page of a thousand
assets or the account of a tree with its canopy, are some 15 MB."""
_MAX_ERROR: Final = 200
_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
_ACCEPTED: Final[Mapping[str, str]] = {"Accept-Encoding": "gzip"}
_ENCODINGS: Final = ("identity", "gzip")
"""Of which a piece unpacks to something bounded: one of zstd, or of gzip within gzip, is gigabytes before it counts."""
_NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")
Hide = Callable[[str], str]


class RpcError(msgspec.Struct, frozen=True):
    """The error member of an answer."""

    code: int
    message: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: RpcError | None = None


class HttpResponse(Protocol):
    """An answer, read whole."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""
        ...

    @property
    def content(self) -> bytes:
        """The body."""
        ...


class Http(Protocol):
    """What carries the calls, brings the timeouts and bounds the answers: `chassis.light_http` for many calls.

    Raises httpx.HTTPError or TransportFailed when there is no answer.
    """

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Return the answer to a POST of `content`, whatever its status."""
        ...


class TransportFailed(Exception):
    """No answer came. The text is a word for the kind of trouble, without the URL."""


class AnswerTooLarge(TransportFailed):
    """An answer of more than `most` bytes was begun, and not read to its end."""

    def __init__(self, most: int) -> None:
        super().__init__(f"an answer of more than {most} bytes")


class HttpRefused(ChainUnavailable):
    """The endpoint answered with an HTTP status that says no, before any JSON-RPC."""

    def __init__(self, method: str, status: int, retry_after: str | None) -> None:
        super().__init__(f"{method}: HTTP status {status}")
        self.status = status
        self.retry_after = retry_after
        """The header Retry-After as it was sent."""


class RpcRefused(Exception):
    """The node understood the request and answered with an error."""

    def __init__(self, method: str, error: RpcError, hide: Hide = str) -> None:
        """`hide` takes out of the endpoint's words what must not be told on."""
        super().__init__(f"{method}: {hide(error.message)[:_MAX_ERROR]} ({error.code})")
        self.code = error.code


class Answer(msgspec.Struct, frozen=True):
    """What an HTTP client gives: see `HttpResponse`."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


async def read_whole(pieces: AsyncIterable[bytes], most: int) -> bytes:
    """Return the pieces of an answer as one; raises AnswerTooLarge beyond `most` bytes."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            raise AnswerTooLarge(most)
    return bytes(body)


class _BoundedHttp:
    """An httpx client whose answers are read up to `most` bytes; implements `Http`."""

    def __init__(self, client: httpx.AsyncClient, most: int) -> None:
        self._client = client
        self._most = most

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> Answer:
        """See `Http.post`; raises AnswerTooLarge as well."""
        async with self._client.stream("POST", url, content=content, headers={**headers, **_ACCEPTED}) as response:
            if response.headers.get("content-encoding", "identity").lower() not in _ENCODINGS:
                raise TransportFailed("an answer in an encoding that was not asked for")
            body = await read_whole(response.aiter_bytes(), self._most)
            return Answer(response.status_code, response.headers, body)


class JsonRpc:
    """One endpoint over an HTTP client, which reads no more than MAX_ANSWER of an answer.

    `node` ("rpc", "das") is its name in the metrics; without one nothing is counted.
    """

    def __init__(self, http: Http | httpx.AsyncClient, url: str, node: str | None) -> None:
        self._http: Http = _BoundedHttp(http, MAX_ANSWER) if isinstance(http, httpx.AsyncClient) else http
        self._url = url
        self._node = node
        self._ids = itertools.count(1)

    def _hide(self, text: str) -> str:
        # Providers quote the key that they refuse.
        for key in keys_in(self._url):
            text = text.replace(key, REDACTED)
        return text

    async def call(self, method: str, params: object, result: type[T]) -> T:
        """Return the call's result as `result`; raises RpcRefused and ChainUnavailable, HttpRefused among them."""
        found = await self.find(method, params, result)
        if found is None:
            self._count("unavailable")
            raise ChainUnavailable(f"{method}: no result")
        return found

    async def find(self, method: str, params: object, result: type[T]) -> T | None:
        """Like `call` for a method that answers null where there is nothing, which is None here."""
        try:
            return await self._asked(method, params, result)
        except RpcRefused:  # stop: counted on its way to the caller
            self._count("refused")
            raise
        except ChainUnavailable:  # stop: counted on its way to the caller
            self._count("unavailable")
            raise

    def _count(self, kind: str) -> None:
        if self._node is not None:
            metrics.RPC_ERRORS.add(node=self._node, kind=kind)

    async def _asked(self, method: str, params: object, result: type[T]) -> T | None:
        number = next(self._ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            response = await self._http.post(self._url, content=msgspec.json.encode(request), headers=_HEADERS)
        except (httpx.HTTPError, TransportFailed) as error:
            # Retry, by the caller. The text of httpx's errors may hold the URL.
            told = str(error) if isinstance(error, TransportFailed) else type(error).__name__
            raise ChainUnavailable(f"{method}: {told}") from None
        answered = 200 <= response.status_code < 300
        envelope = _envelope(method, response, answered=answered)
        if envelope.id not in (None, number, str(number)):
            # Retry, by the caller. Something on the way mixes answers up: "not found" would be said of something else.
            raise ChainUnavailable(f"{method}: the answer to another request")
        if envelope.error is not None:
            raise RpcRefused(method, envelope.error, self._hide)
        if not answered:
            raise _refused(method, response)
        if isinstance(envelope.result, msgspec.UnsetType):
            raise ChainUnavailable(f"{method}: no result")
        return None if envelope.result == _NULL else _decoded(method, envelope.result, result)


def _envelope(method: str, response: HttpResponse, *, answered: bool) -> _Envelope:
    """Return the JSON-RPC answer, which some nodes send with another HTTP status than 200 too."""
    if response.status_code == TOO_MANY_REQUESTS:
        raise _refused(method, response)
    try:
        return _decoded(method, response.content, _Envelope)
    except ChainUnavailable:  # stop: of a proxy's error page only the status tells anything
        if answered:
            raise
        raise _refused(method, response) from None


def _refused(method: str, response: HttpResponse) -> HttpRefused:
    return HttpRefused(method, response.status_code, response.headers.get("retry-after"))


def _decoded(method: str, content: bytes | msgspec.Raw, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Retry, by the caller: a proxy's page, for instance. Its text stays out of our logs.
        raise ChainUnavailable(f"{method}: not the expected answer: {error}") from None
