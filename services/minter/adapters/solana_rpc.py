"""One Solana node over JSON-RPC. Used by `node`, which guards it, and through it by the pool.

solana-py's client asks all but the three calls that every transaction needs (`sendTransaction`,
`getSignatureStatuses`, `getTransaction`): building and reading those takes it ten times as long as they need, so
`chassis.json_rpc` asks them over a light HTTP client, and with two calls a transaction that is most of a busy minter.
Whatever goes wrong becomes ChainUnavailable or one of its kinds here, with the method's name and never the endpoint,
whose path may hold an API key. Not done here: trying again, other nodes, remembering answers.
"""

import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast

import httpx2
import msgspec
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solders.errors import SerdeJSONError
from solders.pubkey import Pubkey
from solders.rpc import errors as rpc_errors
from solders.rpc.responses import GetLatestBlockhashResp, GetMultipleAccountsResp
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionDetails

from bubblegum.errors import DecodeError
from bubblegum.transaction import from_rpc
from chassis.json_rpc import METHOD_NOT_FOUND, TOO_MANY_REQUESTS, HttpRefused, JsonRpc, RpcRefused
from chassis.light_http import LightHttp
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
_CODES_ABOUT_THE_REQUEST: Final = frozenset({-32600, METHOD_NOT_FOUND, -32602, -32002, -32006})
"""The same by number: invalid request and params (JSON-RPC 2.0), failed preflight and precompile (Agave's RPC)."""

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


class _Context(msgspec.Struct, frozen=True):
    slot: int


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    """What getSignatureStatuses tells of a signature that it finds."""

    slot: int
    confirmations: int | None = None
    err: str | dict[str, Any] | None = None
    confirmation_status: str | None = None

    def state(self) -> SignatureState:
        level = _COMMITMENTS.get(self.confirmation_status or "")
        if level is None:
            # Old nodes leave it out; `confirmations` null means rooted there.
            level = Commitment.FINALIZED if self.confirmations is None else Commitment.PROCESSED
        return SignatureState(self.slot, level, self.err)


class _Statuses(msgspec.Struct, frozen=True):
    context: _Context
    value: list[_Status | None]


R = TypeVar("R", bound=_Response)


class SolanaRpc:
    """One JSON-RPC node. Every method raises ChainUnavailable, RateLimited or NodeRefused."""

    def __init__(self, client: AsyncClient, light: JsonRpc) -> None:
        """Take two ways to the same node; `light` is for the calls of every transaction."""
        self._client = client
        self._light = light

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, seconds: float) -> AsyncGenerator[Self]:
        """Open clients for the node at `url`, closed on leaving; each call has `seconds`. Nothing is asked yet."""
        client = AsyncClient(url, timeout=seconds, max_connections=MAX_CONNECTIONS, http2=False)
        try:
            async with LightHttp.connect(url, seconds, MAX_CONNECTIONS) as http:
                yield cls(client, JsonRpc(http, url, None))
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
        options = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        if await self._ask("sendTransaction", [base64.b64encode(wire).decode(), options], str) is None:
            raise ChainUnavailable("sendTransaction: no result")

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
        options = {"searchTransactionHistory": search_history}
        told = await self._ask("getSignatureStatuses", [list(signatures), options], _Statuses)
        if told is None or len(told.value) != len(signatures):
            count = 0 if told is None else len(told.value)
            raise ChainUnavailable(f"getSignatureStatuses told of {count} signatures, not {len(signatures)}")
        pairs = zip(signatures, told.value, strict=True)
        return Answer(told.context.slot, {signature: status.state() for signature, status in pairs if status})

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        """See `Chain.transaction`."""
        options = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        told = await self._ask("getTransaction", [signature, options], dict[str, Any])
        if told is None:
            return None
        try:
            return ConfirmedTransaction(from_rpc(told), int(told["meta"]["fee"]))
        except (DecodeError, KeyError, TypeError, ValueError) as error:
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

    async def _ask(self, method: str, params: Sequence[object], result: type[T]) -> T | None:
        """Ask the light way; None is the answer null."""
        try:
            return await self._light.find(method, params, result)
        except RpcRefused as error:
            # The node's own refusal: its number says whether the node or the request is at fault. The caller decides.
            kind = NodeRefused if error.code in _CODES_ABOUT_THE_REQUEST else ChainUnavailable
            raise kind(str(error)) from None
        except HttpRefused as error:
            raise _http_refusal(method, error.status, error.retry_after) from None


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
        raise _http_refusal(method, response.status_code, response.headers.get("retry-after")) from None
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


def _http_refusal(method: str, status: int, after: str | None) -> ChainUnavailable:
    """Return what an HTTP status that says no means; `after` is its header Retry-After."""
    text = f"{method}: HTTP status {status}"
    if status == TOO_MANY_REQUESTS:
        return RateLimited(text, retry_after(after, datetime.now(UTC), MAX_RETRY_AFTER))
    return ChainUnavailable(text)


def _result(response: _Response) -> Any:
    """Return the answer as the JSON-RPC specification words it; solders' own classes rename much of it."""
    return json.loads(response.to_json())["result"]
