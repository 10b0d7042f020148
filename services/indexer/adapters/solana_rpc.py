"""A Solana node over JSON-RPC: the accounts of trees, and whether it answers DAS queries.

Implements the port `Chain`. Methods and shapes are those of Solana's JSON-RPC (`getMultipleAccounts`) and of the
Digital Asset Standard API (`getAssetsByGroup`). URLs may hold an API key, so they are in no error and no log line.
Not done here: retries, which are the caller's, and several nodes.
"""

import base64
import binascii
import itertools
from collections.abc import Sequence
from typing import Final, TypeVar

import httpx
import msgspec

from chassis import metrics
from services.indexer.ports import Account, Accounts, ChainUnavailable

MAX_ACCOUNTS: Final = 100
"""Most addresses that `getMultipleAccounts` takes."""
METHOD_NOT_FOUND: Final = -32601
"""JSON-RPC 2.0: the method does not exist."""
_MAX_ERROR: Final = 200
_NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")


class _RpcError(msgspec.Struct, frozen=True):
    code: int
    message: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    result: msgspec.Raw = _NULL
    error: _RpcError | None = None


class _Context(msgspec.Struct, frozen=True):
    slot: int


class _AccountInfo(msgspec.Struct, frozen=True):
    owner: str
    data: tuple[str, str]


class _MultipleAccounts(msgspec.Struct, frozen=True):
    context: _Context
    value: list[_AccountInfo | None]


class _AssetList(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


class RpcRefused(Exception):
    """The node understood the request and answered with an error."""

    def __init__(self, method: str, error: _RpcError) -> None:
        super().__init__(f"{method}: {error.message[:_MAX_ERROR]} ({error.code})")
        self.code = error.code


class SolanaRpc:
    """One node for accounts and one for DAS, which may be the same. `http` brings the timeouts."""

    def __init__(self, http: httpx.AsyncClient, rpc_url: str, das_url: str) -> None:
        self._http = http
        self._rpc_url = rpc_url
        self._das_url = das_url
        self._ids = itertools.count(1)

    async def accounts(self, addresses: Sequence[str]) -> Accounts:
        """See `ports.Chain.accounts`. Raises ValueError for more than MAX_ACCOUNTS addresses."""
        if len(addresses) > MAX_ACCOUNTS:
            raise ValueError(f"{len(addresses)} accounts asked for at once, the most is {MAX_ACCOUNTS}")
        options = {"encoding": "base64", "commitment": "confirmed"}
        try:
            answer = await self._call(
                self._rpc_url, "getMultipleAccounts", [list(addresses), options], _MultipleAccounts
            )
        except RpcRefused as error:  # retry, by the caller: the request is well-formed, so the node is unfit just now
            raise ChainUnavailable(str(error)) from error
        if len(answer.value) != len(addresses):
            raise ChainUnavailable(f"asked for {len(addresses)} accounts, was given {len(answer.value)}")
        found = zip(addresses, answer.value, strict=True)
        return Accounts(
            answer.context.slot,
            {address: Account(info.owner, _data(info)) for address, info in found if info is not None},
        )

    async def answers_das(self, collection_address: str) -> bool:
        """See `ports.Chain.answers_das`."""
        query = {"groupKey": "collection", "groupValue": collection_address, "page": 1, "limit": 1}
        try:
            await self._call(self._das_url, "getAssetsByGroup", query, _AssetList)
        except RpcRefused as error:
            if error.code == METHOD_NOT_FOUND:
                return False
            raise ChainUnavailable(str(error)) from error  # retry, by the caller: it says nothing about DAS
        return True

    async def _call(self, url: str, method: str, params: object, result: type[T]) -> T:
        """Return the call's result as `result`; raises RpcRefused and ChainUnavailable."""
        node = "rpc" if url == self._rpc_url else "das"
        try:
            return await self._asked(url, method, params, result)
        except RpcRefused:  # stop: counted on its way to the caller
            metrics.RPC_ERRORS.add(node=node, kind="refused")
            raise
        except ChainUnavailable:  # stop: counted on its way to the caller
            metrics.RPC_ERRORS.add(node=node, kind="unavailable")
            raise

    async def _asked(self, url: str, method: str, params: object, result: type[T]) -> T:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            response = await self._http.post(
                url, content=msgspec.json.encode(request), headers={"Content-Type": "application/json"}
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


def _data(info: _AccountInfo) -> bytes:
    content, encoding = info.data
    if encoding != "base64":
        raise ChainUnavailable(f"asked for base64, was given {encoding!r}")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ChainUnavailable(f"an account's data is not base64: {error}") from error
