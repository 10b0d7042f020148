"""JSON-RPC 2.0 over HTTP, as nodes and DAS providers speak it: one call, its answer checked, its errors told apart.

Used by the adapters of the indexer and the minter. URLs may hold an API key, so they are in no error and no log line.
Not done here: retries and the choice of a node, which are the callers'.
"""

import itertools
from typing import Final, TypeVar

import httpx
import msgspec

from chassis import metrics
from chassis.chain import ChainUnavailable

METHOD_NOT_FOUND: Final = -32601
"""JSON-RPC 2.0: the method does not exist."""
_MAX_ERROR: Final = 200
_NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")


class RpcError(msgspec.Struct, frozen=True):
    """The error member of an answer."""

    code: int
    message: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    result: msgspec.Raw = _NULL
    error: RpcError | None = None


class RpcRefused(Exception):
    """The node understood the request and answered with an error."""

    def __init__(self, method: str, error: RpcError) -> None:
        super().__init__(f"{method}: {error.message[:_MAX_ERROR]} ({error.code})")
        self.code = error.code


class JsonRpc:
    """One endpoint over an HTTP client, which brings the timeouts.

    `node` ("rpc", "das") is its name in the metrics; without one nothing is counted.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, node: str | None) -> None:
        self._http = http
        self._url = url
        self._node = node
        self._ids = itertools.count(1)

    async def call(self, method: str, params: object, result: type[T]) -> T:
        """Return the call's result as `result`; raises RpcRefused and ChainUnavailable."""
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

    async def _asked(self, method: str, params: object, result: type[T]) -> T:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            response = await self._http.post(
                self._url, content=msgspec.json.encode(request), headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:  # retry, by the caller; the error's own text may hold the URL
            raise ChainUnavailable(f"{method}: {type(error).__name__}") from None
        where = f"{method}: HTTP status {response.status_code}"
        envelope = _decoded(where, response.content, _Envelope)
        if envelope.error is not None:
            raise RpcRefused(method, envelope.error)
        if not response.is_success or envelope.result == _NULL:
            raise ChainUnavailable(f"{where} and no result")
        return _decoded(where, envelope.result, result)


def _decoded(where: str, content: bytes | msgspec.Raw, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Retry, by the caller: a proxy's error page, for instance. Its text stays out of our logs.
        raise ChainUnavailable(f"{where} and not the expected answer: {error}") from None
