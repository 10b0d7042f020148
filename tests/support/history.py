"""What any node with history tells of an address: its transactions, from plain JSON-RPC and nothing else."""

from __future__ import annotations

import base64
from typing import Any

from bubblegum.transaction import ExecutedTransaction, from_rpc
from tests.integration.cluster.rpc_client import BareClient

PAGE = 1000
"""Most signatures that `getSignaturesForAddress` gives at once."""


async def history(node: BareClient, address: str, page: int = PAGE) -> list[ExecutedTransaction]:
    """Every confirmed transaction that names `address`, oldest first."""
    signatures: list[str] = []
    while True:
        before = {"before": signatures[-1]} if signatures else {}
        options = {"limit": page, "commitment": "confirmed", **before}
        found: list[dict[str, Any]] = await node.call("getSignaturesForAddress", address, options)
        signatures += [entry["signature"] for entry in found]
        if len(found) < page:
            break
    assert len(set(signatures)) == len(signatures), "the node's pages overlap"
    return [await transaction(node, signature) for signature in reversed(signatures)]


async def transaction(node: BareClient, signature: str) -> ExecutedTransaction:
    """One confirmed transaction."""
    return from_rpc(await raw_transaction(node, signature))


async def raw_transaction(node: BareClient, signature: str) -> dict[str, Any]:
    """The answer of `getTransaction` in base64; the transaction must be there."""
    options = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    answer = await node.call("getTransaction", signature, options)
    assert answer is not None, f"the node does not know {signature}"
    return answer


async def account_data(node: BareClient, address: str) -> bytes:
    """An account's data as of a confirmed slot; the account must be there."""
    value = await node.value("getAccountInfo", address, {"encoding": "base64", "commitment": "confirmed"})
    assert value is not None, f"there is no account {address}"
    return base64.b64decode(value["data"][0], validate=True)
