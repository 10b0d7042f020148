"""One Solana node over JSON-RPC, with solana-py's client. Used by `node`, which guards it, and through it by the pool.

Whatever goes wrong becomes ChainUnavailable or one of its kinds here, with the method's name and never the endpoint,
whose path may hold an API key. Not done here: trying again, other nodes, remembering answers.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast

import httpx2
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solders.errors import SerdeJSONError
from solders.pubkey import Pubkey
from solders.rpc import errors as rpc_errors
from solders.rpc.responses import GetLatestBlockhashResp, GetMultipleAccountsResp
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionDetails

from bubblegum.errors import DecodeError
from bubblegum.transaction import from_rpc
from chassis.retry_after import retry_after
from services.minter.landing import Commitment, SignatureState
from services.minter.ports import (
    ChainUnavailable,
    ConfirmedTransaction,
    FinalizedHead,
    OwnedAccount,
    RecentBlockhash,
    Simulation,
)
from services.minter.refusals import TransactionError

MAX_CONNECTIONS: Final = 64
MAX_RETRY_AFTER: Final = 120.0
"""Most seconds for which a node's Retry-After is believed."""
_TOO_MANY_REQUESTS: Final = 429
_COMMITMENTS: Final[Mapping[str, Commitment]] = {
    "processed": Commitment.PROCESSED,
    "confirmed": Commitment.CONFIRMED,
    "finalized": Commitment.FINALIZED,
}
_ABOUT_THE_REQUEST: Final = (
    rpc_errors.InvalidParamsMessage,
    rpc_errors.InvalidRequestMessage,
    rpc_errors.MethodNotFoundMessage,
    rpc_errors.SendTransactionPreflightFailureMessage,
    rpc_errors.TransactionPrecompileVerificationFailureMessage,
)

_PANIC: Final = "PanicException"
"""The class that PyO3 makes of a panic; it can be imported from nowhere."""

T = TypeVar("T")


class RateLimited(ChainUnavailable):
    """HTTP 429: the node works and will hear no more for `retry_after` seconds; None when it did not say."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NodeRefused(ChainUnavailable):
    """The node works, and says that something is wrong with the request itself."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value, and the slot of the bank that it was read from."""

    slot: int
    value: T


class _Response(Protocol):
    def to_json(self) -> str: ...


R = TypeVar("R", bound=_Response)


class SolanaRpc:
    """One JSON-RPC node. Every method raises ChainUnavailable, RateLimited or NodeRefused."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, seconds: float) -> AsyncGenerator[Self]:
        """Open a client for the node at `url`, closed on leaving; each call has `seconds`. Nothing is asked yet."""
        client = AsyncClient(url, timeout=seconds, max_connections=MAX_CONNECTIONS, http2=False)
        try:
            yield cls(client)
        finally:
            await client.close()

    async def genesis_hash(self) -> str:
        """Which cluster this is."""
        return await _answer("getGenesisHash", self._client.get_genesis_hash(), lambda answer: str(answer.value))

    async def slot(self) -> int:
        """The slot that the node processes now."""
        return await _answer("getSlot", self._client.get_slot(Processed), lambda answer: answer.value)

    async def recent_blockhash(self) -> Answer[RecentBlockhash]:
        """The newest confirmed blockhash."""

        def read(answer: GetLatestBlockhashResp) -> Answer[RecentBlockhash]:
            value = answer.value
            return Answer(answer.context.slot, RecentBlockhash(value.blockhash, value.last_valid_block_height))

        return await _answer("getLatestBlockhash", self._client.get_latest_blockhash(Confirmed), read)

    async def simulate(self, transaction: VersionedTransaction) -> Answer[Simulation]:
        """See `Chain.simulate`."""
        call = self._client.simulate_transaction(transaction, sig_verify=False, commitment=Confirmed)
        result = await _answer("simulateTransaction", call, _result)
        value = result["value"]
        simulation = Simulation(cast("TransactionError | None", value["err"]), int(value.get("unitsConsumed") or 0))
        return Answer(int(result["context"]["slot"]), simulation)

    async def send(self, wire: bytes) -> None:
        """See `Chain.send`. The node's own retries are off: the lander sends again by its own rules."""
        options = TxOpts(skip_preflight=True, skip_confirmation=True, max_retries=0)
        await _answer("sendTransaction", self._client.send_raw_transaction(wire, options), lambda _: None)

    async def finalized_head(self) -> FinalizedHead:
        """The newest finalized block: getEpochInfo tells slot and block height in one answer."""
        return await _answer(
            "getEpochInfo",
            self._client.get_epoch_info(Finalized),
            lambda answer: FinalizedHead(answer.value.absolute_slot, answer.value.block_height),
        )

    async def history_from(self) -> int:
        """The height of the oldest block that the node still has; 0 when it has all."""
        first = self._client.get_first_available_block()
        slot = await _answer("getFirstAvailableBlock", first, lambda answer: answer.value)
        if slot == 0:
            return 0
        call = self._client.get_block(
            slot, max_supported_transaction_version=0, transaction_details=TransactionDetails.None_, rewards=False
        )
        result = await _answer("getBlock", call, _result)
        if not result or result.get("blockHeight") is None:
            raise ChainUnavailable(f"getBlock does not tell the height of block {slot}")
        return int(result["blockHeight"])

    async def statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> Answer[Mapping[str, SignatureState]]:
        """The signatures, at most 256, that the node finds among recent ones or in its whole history."""
        wanted = [Signature.from_string(signature) for signature in signatures]
        call = self._client.get_signature_statuses(wanted, search_transaction_history=search_history)
        result = await _answer("getSignatureStatuses", call, _result)
        values = cast("list[Mapping[str, Any] | None]", result["value"])
        if len(values) != len(signatures):
            raise ChainUnavailable(f"getSignatureStatuses told of {len(values)} signatures, not {len(signatures)}")
        pairs = zip(signatures, values, strict=True)
        found = {signature: _state(value) for signature, value in pairs if value is not None}
        return Answer(int(result["context"]["slot"]), found)

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        """See `Chain.transaction`."""
        call = self._client.get_transaction(
            Signature.from_string(signature),
            encoding="base64",
            commitment=Confirmed,
            max_supported_transaction_version=0,
        )
        result = await _answer("getTransaction", call, _result)
        if not result:
            return None
        try:
            return ConfirmedTransaction(from_rpc(result), int(result["meta"]["fee"]))
        except (DecodeError, KeyError, TypeError) as error:
            # Another node, or this one later, may tell it whole: the transaction itself is on chain.
            raise ChainUnavailable(f"getTransaction told of {signature} incompletely: {error}") from error

    async def minimum_rent(self, size: int) -> int:
        """See `Chain.minimum_rent`."""
        call = self._client.get_minimum_balance_for_rent_exemption(size, Confirmed)
        return await _answer("getMinimumBalanceForRentExemption", call, lambda answer: answer.value)

    async def accounts(self, addresses: Sequence[str]) -> Answer[tuple[OwnedAccount | None, ...]]:
        """At most 100 accounts at `confirmed`, in order; None for one that is not there."""
        keys = [Pubkey.from_string(address) for address in addresses]

        def read(answer: GetMultipleAccountsResp) -> Answer[tuple[OwnedAccount | None, ...]]:
            found = (None if each is None else OwnedAccount(each.owner, bytes(each.data)) for each in answer.value)
            return Answer(answer.context.slot, tuple(found))

        found = await _answer("getMultipleAccounts", self._client.get_multiple_accounts(keys, Confirmed), read)
        if len(found.value) != len(addresses):
            raise ChainUnavailable(f"getMultipleAccounts told of {len(found.value)} accounts, not {len(addresses)}")
        return found

    async def recent_fees(self, addresses: Sequence[str]) -> tuple[int, ...]:
        """See `FeeMarket.recent_fees`."""
        keys = [Pubkey.from_string(address) for address in addresses]
        return await _answer(
            "getRecentPrioritizationFees",
            self._client.get_recent_prioritization_fees(keys),
            lambda answer: tuple(each.prioritization_fee for each in answer.value),
        )

    async def balance(self, address: Pubkey) -> Answer[int]:
        """The lamports of an account at `confirmed`."""
        call = self._client.get_balance(address, Confirmed)
        return await _answer("getBalance", call, lambda answer: Answer(answer.context.slot, answer.value))


async def _answer(method: str, call: Awaitable[R], read: Callable[[R], T]) -> T:
    """Return what `read` makes of the answer: it alone touches solders' objects, so that this is where they fail."""
    try:
        return read(await call)
    except RPCException as error:
        # The node's own refusal: which kind says whether the node or the request is at fault. The caller decides.
        kind = NodeRefused if isinstance(error.args[0], _ABOUT_THE_REQUEST) else ChainUnavailable
        raise kind(f"{method}: {str(error)[:300]}") from None
    except SolanaRpcException as error:
        # Transport, or an HTTP status that says no: nothing is known. The caller decides.
        cause = error.__cause__
        if not isinstance(cause, httpx2.HTTPStatusError):
            raise ChainUnavailable(f"{method}: {type(cause or error).__name__}") from None
        response = cause.response
        text = f"{method}: HTTP status {response.status_code}"
        if response.status_code == _TOO_MANY_REQUESTS:
            after = retry_after(response.headers.get("retry-after"), datetime.now(UTC), MAX_RETRY_AFTER)
            raise RateLimited(text, after) from None
        raise ChainUnavailable(text) from None
    except SerdeJSONError:
        # No JSON-RPC at all, a proxy's page for instance: nothing is known.
        raise ChainUnavailable(f"{method}: no JSON-RPC answer") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        # JSON-RPC, but not the answer of this method: nothing is known.
        raise ChainUnavailable(f"{method}: not the expected answer") from None
    except BaseException as error:
        # Some texts that are no hash or no key make solders panic, when it is asked for them. A panic of Rust is no
        # Exception and would end the service; it means that the node's answer is none.
        if type(error).__name__ != _PANIC:
            raise  # stop: not ours
        raise ChainUnavailable(f"{method}: not the expected answer") from None


def _result(response: _Response) -> Any:
    """Return the answer as the JSON-RPC specification words it; solders' own classes rename much of it."""
    return json.loads(response.to_json())["result"]


def _state(value: Mapping[str, Any]) -> SignatureState:
    level = _COMMITMENTS.get(str(value.get("confirmationStatus")))
    if level is None:
        # Old nodes leave it out; `confirmations` null means rooted there.
        level = Commitment.FINALIZED if value.get("confirmations") is None else Commitment.PROCESSED
    return SignatureState(int(value["slot"]), level, cast("TransactionError | None", value["err"]))
