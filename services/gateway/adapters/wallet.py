"""The wallet's balance, asked of a Solana node over JSON-RPC. Implements `ports.Wallet`."""

from typing import Any, Final

import httpx

from chassis import metrics
from chassis.log import EventLog, LogUnavailable
from contracts.collection import CollectionCreated
from contracts.streams import COLLECTION
from services.gateway.ports import WalletUnavailable

TIMEOUT_SECONDS: Final = 3.0


class RpcWallet:
    """The wallet at `address`, or else the one that made the newest collection. The client belongs to the caller."""

    def __init__(self, client: httpx.AsyncClient, url: str, log: EventLog, address: str | None) -> None:
        self._client = client
        self._url = url
        self._log = log
        self._address = address

    async def balance(self) -> int:
        """See `ports.Wallet.balance`."""
        result = await self._call("getBalance", [await self._payer(), {"commitment": "confirmed"}])
        try:
            return int(result["value"])
        except (ValueError, KeyError, TypeError):  # stop: not what JSON-RPC answers with
            raise self._refused("the node's answer is not a balance") from None

    async def check(self) -> None:
        """See `ports.Wallet.check`."""
        await self._call("getHealth", [])

    async def _call(self, method: str, params: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = await self._client.post(self._url, json=body, timeout=TIMEOUT_SECONDS)
            found: Any = answer.raise_for_status().json()
            return found["result"]
        except httpx.HTTPError as error:  # stop: the caller has an older balance; never the text, which holds the URL
            metrics.RPC_ERRORS.add(node="rpc", kind="unavailable")
            raise WalletUnavailable(type(error).__name__) from None
        except (ValueError, KeyError, TypeError):  # stop: an error, or not what JSON-RPC answers with
            raise self._refused(f"the node has no answer to {method}") from None

    def _refused(self, text: str) -> WalletUnavailable:
        metrics.RPC_ERRORS.add(node="rpc", kind="refused")
        return WalletUnavailable(text)

    async def _payer(self) -> str:
        if self._address is not None:
            return self._address
        try:
            created = await self._log.last_matching(COLLECTION, CollectionCreated.pattern())
        except LogUnavailable as error:  # stop: the caller has an older balance
            raise WalletUnavailable("the event log does not answer") from error
        if created is None:
            raise WalletUnavailable("no wallet is known before the first collection is made")
        return str(created.data.creator_address)
