"""What a node remembers of a tree: `getSignaturesForAddress` and `getTransaction`, at commitment `finalized`.

Implements `listing.History`. Shapes are those of Solana's JSON-RPC; transactions are read by `bubblegum.transaction`.
"""

from typing import Any

import msgspec

from bubblegum.transaction import ExecutedTransaction, from_rpc
from chassis.json_rpc import RpcRefused
from services.indexer.adapters.nodes import Caller
from services.indexer.chain.listing import Landed
from services.indexer.ports import ChainUnavailable

_NULL = msgspec.Raw(b"null")


class _Signature(msgspec.Struct, frozen=True):
    signature: str
    slot: int
    err: msgspec.Raw = _NULL


class RpcHistory:
    """One node."""

    def __init__(self, rpc: Caller) -> None:
        self._rpc = rpc

    async def signatures(
        self, address: str, before: str | None, until: str | None, limit: int, min_slot: int
    ) -> list[Landed]:
        """See `History.signatures`."""
        options: dict[str, object] = {"commitment": "finalized", "limit": limit, "minContextSlot": min_slot}
        options |= {name: each for name, each in (("before", before), ("until", until)) if each is not None}
        found = await self._call("getSignaturesForAddress", [address, options], list[_Signature])
        return [Landed(each.signature, each.slot, failed=each.err != _NULL) for each in found]

    async def transaction(self, signature: str) -> ExecutedTransaction:
        """See `History.transaction`."""
        options = {"commitment": "finalized", "encoding": "base64", "maxSupportedTransactionVersion": 0}
        # A null, from a node that lists what it cannot show yet, is no dict: ChainUnavailable, asked again later.
        return from_rpc(await self._call("getTransaction", [signature, options], dict[str, Any]))

    async def _call(self, method: str, params: object, result: Any) -> Any:
        try:
            return await self._rpc.call(method, params, result)
        except RpcRefused as error:  # retry, by the caller: the request is well-formed, so the node is unfit just now
            raise ChainUnavailable(str(error)) from error
