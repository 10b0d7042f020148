"""Gives the local wallet something to pay with.

Used by `localnet.stack` when the cluster is ready. Not done here: anything on a cluster that is not local.
"""

import asyncio
from typing import Any, Final, cast

import httpx
from solders.keypair import Keypair

from chassis.clock import Clock, SystemClock
from localnet.errors import StackError

LAMPORTS_PER_SOL: Final = 1_000_000_000
_ENOUGH_LAMPORTS: Final = 100 * LAMPORTS_PER_SOL
_AIRDROP_LAMPORTS: Final = 1_000 * LAMPORTS_PER_SOL
_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1


async def fund_wallet(rpc_url: str, wallet_key: str, *, wait: bool = True, clock: Clock | None = None) -> int:
    """Airdrop to the wallet if it has less than 100 SOL; returns its balance in lamports as it was asked last.

    With `wait`, the airdrop is confirmed when this returns. Raises StackError when the cluster refuses or is silent.
    """
    clock = clock or SystemClock()
    address = str(Keypair.from_base58_string(wallet_key).pubkey())
    async with httpx.AsyncClient(base_url=rpc_url, timeout=10) as client:
        balance = await _balance(client, address)
        if balance >= _ENOUGH_LAMPORTS:
            return balance
        await _call(client, "requestAirdrop", [address, _AIRDROP_LAMPORTS])
        deadline = clock.monotonic() + _PATIENCE_SECONDS
        while wait and balance < _ENOUGH_LAMPORTS:
            if clock.monotonic() > deadline:
                raise StackError(f"the airdrop to {address} was not confirmed within {_PATIENCE_SECONDS:g} s")
            await clock.sleep(_POLL_SECONDS)
            balance = await _balance(client, address)
        return balance


async def _balance(client: httpx.AsyncClient, address: str) -> int:
    result = cast("dict[str, int]", await _call(client, "getBalance", [address, {"commitment": "confirmed"}]))
    return result["value"]


async def _call(client: httpx.AsyncClient, method: str, parameters: list[Any]) -> object:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    try:
        async with asyncio.timeout(15):
            response = await client.post("", json=request)
            answer = cast("dict[str, Any]", response.json())
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        raise StackError(f"the local cluster does not answer {method}: {error}") from error
    if "result" not in answer:
        raise StackError(f"the local cluster refuses {method}: {answer.get('error')}")
    return answer["result"]
