"""A Solana node over JSON-RPC: the accounts of trees, and whether it answers DAS queries.

Implements the port `Chain`. Methods and shapes are those of Solana's JSON-RPC (`getMultipleAccounts`) and of the
Digital Asset Standard API (`getAssetsByGroup`). Not done here: retries, which are the caller's, several nodes
(`nodes`), and the calls themselves (`json_rpc`).
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

import msgspec

from chassis.json_rpc import METHOD_NOT_FOUND, RpcRefused
from services.indexer.adapters.nodes import Caller
from services.indexer.ports import Account, Accounts, ChainUnavailable

MAX_ACCOUNTS: Final = 100
"""Most addresses that `getMultipleAccounts` takes."""


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


class SolanaRpc:
    """What is asked for accounts, and what for DAS."""

    def __init__(self, rpc: Caller, das: Caller) -> None:
        self._rpc = rpc
        self._das = das

    async def accounts(self, addresses: Sequence[str], commitment: str = "confirmed", *, min_slot: int = 0) -> Accounts:
        """See `ports.Chain.accounts`. Raises ValueError for more than MAX_ACCOUNTS addresses."""
        if len(addresses) > MAX_ACCOUNTS:
            raise ValueError(f"{len(addresses)} accounts asked for at once, the most is {MAX_ACCOUNTS}")
        options: dict[str, object] = {"encoding": "base64", "commitment": commitment}
        if min_slot:
            options["minContextSlot"] = min_slot
        try:
            answer = await self._rpc.call("getMultipleAccounts", [list(addresses), options], _MultipleAccounts)
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
            await self._das.call("getAssetsByGroup", query, _AssetList)
        except RpcRefused as error:
            if error.code == METHOD_NOT_FOUND:
                return False
            raise ChainUnavailable(str(error)) from error  # retry, by the caller: it says nothing about DAS
        return True


def _data(info: _AccountInfo) -> bytes:
    content, encoding = info.data
    if encoding != "base64":
        raise ChainUnavailable(f"asked for base64, was given {encoding!r}")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ChainUnavailable(f"an account's data is not base64: {error}") from error
