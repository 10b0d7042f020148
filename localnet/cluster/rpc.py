"""JSON-RPC 2.0 over HTTP: one request or a batch in, one answer out, with the faults in force applied.

Used by the server. Knows the protocol and nothing of Solana: the methods are in `methods/`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from localnet.cluster.context import Context, Methods
from localnet.cluster.methods import accounts, admin, chain, history, transactions
from localnet.cluster.model import Json
from localnet.cluster.params import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Params,
    RpcError,
)

MAX_BODY_BYTES = 1024 * 1024
MAX_BATCH = 256

METHODS: Methods = {
    **accounts.METHODS,
    **admin.METHODS,
    **chain.METHODS,
    **history.METHODS,
    **transactions.METHODS,
}

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])


class _RateLimited(Exception):
    """An injected HTTP 429; it is the answer to the whole HTTP request."""


class Dispatcher:
    """Answers HTTP bodies from one context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def answer(self, body: bytes) -> Reply:
        """Answer one HTTP body. Never raises for what a client can send."""
        try:
            request: Json = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Reply(200, _encode(error_answer(None, RpcError(PARSE_ERROR, "Parse error"))))
        try:
            if not isinstance(request, list):
                return Reply(200, _encode(await self._one(request)))
            if not 0 < len(request) <= MAX_BATCH:
                raise RpcError(INVALID_REQUEST, f"Invalid request: a batch has 1 to {MAX_BATCH} requests")
            return Reply(200, _encode([await self._one(item) for item in request]))
        except RpcError as error:
            return Reply(200, _encode(error_answer(None, error)))
        except _RateLimited:
            return self._too_many_requests()

    def _too_many_requests(self) -> Reply:
        seconds = self._context.node.faults.faults.retry_after_seconds
        error = RpcError(429, "Too many requests for a specific RPC call")
        return Reply(429, _encode(error_answer(None, error)), {"retry-after": str(seconds)})

    async def _one(self, request: Json) -> Json:
        if not isinstance(request, dict):
            return error_answer(None, RpcError(INVALID_REQUEST, "Invalid request"))
        request_id = request.get("id")
        try:
            return {"jsonrpc": "2.0", "id": request_id, "result": await self._call(request)}
        except RpcError as error:
            return error_answer(request_id, error)
        except _RateLimited:
            raise
        except Exception:  # stops this request only: a defect of ours must not take the cluster down for others
            _log.exception("rpc method failed", method=request.get("method"))
            return error_answer(request_id, RpcError(INTERNAL_ERROR, "Internal error"))

    async def _call(self, request: dict[str, Json]) -> Json:
        name, params = request.get("method"), request.get("params")
        if not isinstance(name, str) or request.get("jsonrpc") != "2.0":
            raise RpcError(INVALID_REQUEST, "Invalid request")
        method, das = METHODS.get(name), self._context.das
        context = self._context if name in admin.METHODS else await self._suffer(name)
        if method is not None:
            return await method(context, _positional(params))
        if das is not None and name in das.methods:
            return await das.handle(name, params)
        raise RpcError(METHOD_NOT_FOUND, "Method not found")

    async def _suffer(self, method: str) -> Context:
        """Return what the request is answered from. Raises what it is refused with."""
        verdict = self._context.node.faults.judge(method)
        if verdict.delay_seconds:
            await asyncio.sleep(verdict.delay_seconds)
        if verdict.rate_limited:
            raise _RateLimited
        if verdict.error:
            raise RpcError(INTERNAL_ERROR, "Internal error: injected")
        return replace(self._context, lag=verdict.lag_slots) if verdict.lag_slots else self._context


def _positional(params: Json) -> Params:
    if params is None:
        return Params([])
    if isinstance(params, list):
        return Params(params)
    raise RpcError(INVALID_PARAMS, "Invalid params: expected an array")


def error_answer(request_id: Json, error: RpcError) -> Json:
    """A JSON-RPC answer that carries an error."""
    return {"jsonrpc": "2.0", "id": request_id, "error": error.body()}
