"""What the chain remembers of an address: `getSignaturesForAddress` and the transactions' bytes.

Implements `services.minter.gate.Trail` on Solana's JSON-RPC. Asked only after the log has lost something. Absence
counts only from a bank at the wanted slot or later, which `minContextSlot` makes the node itself promise. URLs may hold
a key, so they are in no error.
"""

import base64
import binascii
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self, TypeVar

import httpx
import msgspec
from solders.pubkey import Pubkey

from chassis.json_rpc import JsonRpc, RpcRefused
from services.minter.gate import LostIntent
from services.minter.ports import ChainUnavailable

PAGE: Final = 1000
"""Most signatures that getSignaturesForAddress returns at once; a mark has as many as its transaction had attempts."""
_NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")


class _Signature(msgspec.Struct, frozen=True):
    signature: str
    err: msgspec.Raw = _NULL


class _Transaction(msgspec.Struct, frozen=True):
    transaction: tuple[str, str]


class RpcTrail:
    """Nodes in the operator's order of preference; the first that can answer does."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str]) -> None:
        self._nodes = [JsonRpc(http, url, None) for url in urls]

    @classmethod
    @asynccontextmanager
    async def connect(cls, urls: Sequence[str], seconds: float = 10.0) -> AsyncGenerator[Self]:
        """Open a client, closed on leaving; each call has `seconds`. Nothing is asked yet."""
        async with httpx.AsyncClient(timeout=seconds) as http:
            yield cls(http, urls)

    async def landed(self, mark: Pubkey, at_least: int) -> Sequence[LostIntent]:
        """See `Trail.landed`."""
        reasons: list[str] = []
        for position, node in enumerate(self._nodes, start=1):
            try:
                return await self._landed(node, mark, at_least)
            except ChainUnavailable as error:
                # Ask the next node: this one proves nothing.
                reasons.append(f"node {position}: {error}")
        raise ChainUnavailable("; ".join(reasons))

    async def _landed(self, node: JsonRpc, mark: Pubkey, at_least: int) -> list[LostIntent]:
        options = {"commitment": "confirmed", "minContextSlot": at_least, "limit": PAGE}
        found = await self._call(node, "getSignaturesForAddress", [str(mark), options], list[_Signature])
        if len(found) >= PAGE:
            # An unfinished list proves nothing. No transaction has so many attempts; somebody else uses its mark.
            raise ChainUnavailable(f"getSignaturesForAddress: {PAGE} signatures or more name {mark}")
        succeeded = [each.signature for each in reversed(found) if each.err == _NULL]
        return [LostIntent(signature, await self._wire(node, signature)) for signature in succeeded]

    async def _wire(self, node: JsonRpc, signature: str) -> bytes:
        options = {"commitment": "confirmed", "encoding": "base64", "maxSupportedTransactionVersion": 0}
        # A null, which the node answers for what it lists and cannot show yet, is no _Transaction: asked again later.
        found = await self._call(node, "getTransaction", [signature, options], _Transaction)
        try:
            return base64.b64decode(found.transaction[0], validate=True)
        except binascii.Error as error:
            raise ChainUnavailable(f"getTransaction: {signature} is not base64: {error}") from error

    async def _call(self, node: JsonRpc, method: str, params: object, result: type[T]) -> T:
        try:
            return await node.call(method, params, result)
        except RpcRefused as error:  # retry, by the caller: the request is well-formed, so the node is unfit just now
            raise ChainUnavailable(str(error)) from error
