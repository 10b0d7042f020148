"""A bare JSON-RPC client: what is on the wire, without a library's opinion of it."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from solders.transaction import VersionedTransaction

from localnet.cluster.wire import ParsedTransaction


class RpcRefused(Exception):
    """The server answered with a JSON-RPC error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class BareClient:
    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url)

    async def call(self, method: str, *params: Any) -> Any:
        """The `result` of one request; raises RpcRefused."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = (await self.http.post("/", json=body)).json()
        if "error" in answer:
            raise RpcRefused(answer["error"])
        return answer["result"]

    async def value(self, method: str, *params: Any) -> Any:
        """The `value` in the result of one request."""
        return (await self.call(method, *params))["value"]

    async def send(self, transaction: VersionedTransaction | ParsedTransaction, **config: Any) -> str:
        """sendTransaction in base64, by default without preflight."""
        raw = transaction.wire if isinstance(transaction, ParsedTransaction) else bytes(transaction)
        config = {"encoding": "base64", "skipPreflight": True, **config}
        return await self.call("sendTransaction", base64.b64encode(raw).decode("ascii"), config)

    async def __aenter__(self) -> BareClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
