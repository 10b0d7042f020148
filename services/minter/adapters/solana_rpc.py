"""The chain over Solana JSON-RPC, with solana-py's client; implements `services.minter.ports.Chain`.

One node. Whatever goes wrong on the way becomes ChainUnavailable, with the method's name and never the endpoint,
whose path may hold an API key.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, Self, TypeVar, cast

from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solders.errors import SerdeJSONError
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from bubblegum.errors import DecodeError
from bubblegum.transaction import from_rpc
from chassis.clock import Clock
from services.minter.landing import Commitment, SignatureState
from services.minter.ports import (
    ChainUnavailable,
    ConfirmedTransaction,
    FinalizedHead,
    RecentBlockhash,
    Simulation,
    Statuses,
)
from services.minter.refusals import TransactionError

BLOCKHASH_MAX_AGE: Final = 2.0
"""Seconds for which a blockhash is shared; it lives for about a minute."""
TIMEOUT: Final = 10.0
MAX_CONNECTIONS: Final = 64
_COMMITMENTS: Final[Mapping[str, Commitment]] = {
    "processed": Commitment.PROCESSED,
    "confirmed": Commitment.CONFIRMED,
    "finalized": Commitment.FINALIZED,
}


class _Response(Protocol):
    def to_json(self) -> str: ...


R = TypeVar("R", bound=_Response)


class SolanaRpc:
    """One JSON-RPC node."""

    def __init__(self, client: AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._blockhash: RecentBlockhash | None = None
        self._blockhash_read_at = float("-inf")
        self._blockhash_lock = asyncio.Lock()
        self._rent: dict[int, int] = {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, clock: Clock) -> AsyncGenerator[Self]:
        """Open a client for the node at `url`, closed on leaving. Nothing is asked of the node yet."""
        client = AsyncClient(url, timeout=TIMEOUT, max_connections=MAX_CONNECTIONS, http2=False)
        try:
            yield cls(client, clock)
        finally:
            await client.close()

    async def recent_blockhash(self) -> RecentBlockhash:
        """See `Chain.recent_blockhash`; shared for BLOCKHASH_MAX_AGE seconds."""
        async with self._blockhash_lock:
            now = self._clock.monotonic()
            if self._blockhash is None or now - self._blockhash_read_at >= BLOCKHASH_MAX_AGE:
                value = (await _answer("getLatestBlockhash", self._client.get_latest_blockhash(Confirmed))).value
                self._blockhash = RecentBlockhash(value.blockhash, value.last_valid_block_height)
                self._blockhash_read_at = now
            return self._blockhash

    async def simulate(self, transaction: VersionedTransaction) -> Simulation:
        """See `Chain.simulate`."""
        call = self._client.simulate_transaction(transaction, sig_verify=False, commitment=Confirmed)
        value = _result(await _answer("simulateTransaction", call))["value"]
        return Simulation(cast("TransactionError | None", value["err"]), int(value.get("unitsConsumed") or 0))

    async def send(self, wire: bytes) -> None:
        """See `Chain.send`. The node's own retries are off: the lander sends again by its own rules."""
        options = TxOpts(skip_preflight=True, skip_confirmation=True, max_retries=0)
        await _answer("sendTransaction", self._client.send_raw_transaction(wire, options))

    async def finalized_head(self) -> FinalizedHead:
        """See `Chain.finalized_head`: getEpochInfo tells slot and block height in one answer."""
        value = (await _answer("getEpochInfo", self._client.get_epoch_info(Finalized))).value
        return FinalizedHead(value.absolute_slot, value.block_height)

    async def statuses(self, signatures: Sequence[str], *, search_history: bool) -> Statuses:
        """See `Chain.statuses`."""
        wanted = [Signature.from_string(signature) for signature in signatures]
        call = self._client.get_signature_statuses(wanted, search_transaction_history=search_history)
        result = _result(await _answer("getSignatureStatuses", call))
        values = cast("list[Mapping[str, Any] | None]", result["value"])
        if len(values) != len(signatures):
            raise ChainUnavailable(f"getSignatureStatuses told of {len(values)} signatures, not {len(signatures)}")
        found = {
            signature: _state(value) for signature, value in zip(signatures, values, strict=True) if value is not None
        }
        return Statuses(int(result["context"]["slot"]), found)

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        """See `Chain.transaction`."""
        call = self._client.get_transaction(
            Signature.from_string(signature),
            encoding="base64",
            commitment=Confirmed,
            max_supported_transaction_version=0,
        )
        result = _result(await _answer("getTransaction", call))
        if not result:
            return None
        try:
            return ConfirmedTransaction(from_rpc(result), int(result["meta"]["fee"]))
        except (DecodeError, KeyError, TypeError) as error:
            # Another node, or this one later, may tell it whole: the transaction itself is on chain.
            raise ChainUnavailable(f"getTransaction told of {signature} incompletely: {error}") from error

    async def minimum_rent(self, size: int) -> int:
        """See `Chain.minimum_rent`; a constant of the cluster, asked once a size."""
        if size not in self._rent:
            call = self._client.get_minimum_balance_for_rent_exemption(size, Confirmed)
            self._rent[size] = (await _answer("getMinimumBalanceForRentExemption", call)).value
        return self._rent[size]

    async def check(self) -> None:
        """Return when the node answers; for readiness."""
        await self.finalized_head()


async def _answer(method: str, call: Awaitable[R]) -> R:
    try:
        return await call
    except (SolanaRpcException, RPCException, SerdeJSONError) as error:
        # Transport, the node's own refusal, or no JSON-RPC at all: in each case nothing is known. The caller decides.
        cause = error.__cause__ or error
        text = str(error) if isinstance(error, RPCException) else type(cause).__name__
        raise ChainUnavailable(f"{method}: {text}") from None


def _result(response: _Response) -> Any:
    """Return the answer as the JSON-RPC specification words it; solders' own classes rename much of it."""
    return json.loads(response.to_json())["result"]


def _state(value: Mapping[str, Any]) -> SignatureState:
    level = _COMMITMENTS.get(str(value.get("confirmationStatus")))
    if level is None:
        # Old nodes leave it out; `confirmations` null means rooted there.
        level = Commitment.FINALIZED if value.get("confirmations") is None else Commitment.PROCESSED
    return SignatureState(int(value["slot"]), level, cast("TransactionError | None", value["err"]))
