"""Checking assets from outside: what a stranger with an RPC endpoint would do to believe a mint.

Used by `nodes`, the demo and the tests.

For each asset: DAS knows it with the expected owner, its proof leads from its leaf to a root, and that root is the
root that the tree's account holds on chain. Nothing here trusts Mintstream's own words.
"""

import asyncio
import base64
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, Final, Self, TypeVar

import httpx
import msgspec
from solders.pubkey import Pubkey

from bubblegum.merkle import ConcurrentMerkleTree, TreeConfig, verify_proof
from bubblegum.pda import asset_id as derived_id
from bubblegum.pda import tree_config
from bubblegum.transaction import ExecutedTransaction, from_rpc
from chassis.chain import BLOCKHASH_BLOCKS
from chassis.json_rpc import JsonRpc, RpcRefused

PARALLEL: Final = 16
ROOT_TRIES: Final = 5
SECONDS: Final = 30.0
"""That a node has for one answer."""
PAGE: Final = 1000
MOST_NAMED: Final = 100
"""Transactions that may name a mark: it has as many as there were attempts that ran. Anybody can name it in more."""

_CONFIRMED: Final = {"commitment": "confirmed"}
_HEAD_ALONE: Final = {"transactionDetails": "none", "rewards": False, "maxSupportedTransactionVersion": 0}
_NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")


class VerificationFailed(Exception):
    """The chain does not bear out what was claimed of an asset, or the node cannot say."""


@dataclass(frozen=True, slots=True)
class VerifiedAsset:
    """An asset that the chain vouches for."""

    asset_id: str
    owner: str
    uri: str
    leaf_index: int


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a transaction landed by the log, or when it can have landed at the latest."""

    slot: int | None = None
    height: int | None = None
    """The last block height at which its blockhash was valid."""


UNKNOWN: Final = Landing()


class _Block(msgspec.Struct, frozen=True, rename="camel"):
    block_height: int


class _Ownership(msgspec.Struct, frozen=True):
    owner: str


class _Content(msgspec.Struct, frozen=True):
    json_uri: str


class _Asset(msgspec.Struct, frozen=True):
    ownership: _Ownership
    content: _Content


class _Proof(msgspec.Struct, frozen=True):
    root: str
    leaf: str
    node_index: Annotated[int, msgspec.Meta(ge=1)]
    """Counted over the whole tree, the root being 1."""
    tree_id: str
    proof: Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]


class _AssetId(msgspec.Struct, frozen=True):
    id: str


class _AssetPage(msgspec.Struct, frozen=True):
    items: tuple[_AssetId, ...]


class _Named(msgspec.Struct, frozen=True):
    signature: str
    err: msgspec.Raw = _NULL


class _Account(msgspec.Struct, frozen=True):
    data: tuple[str, str]


class _AccountValue(msgspec.Struct, frozen=True):
    value: _Account | None


class ChainVerifier:
    """Asks one RPC endpoint that serves DAS too; an async context manager. Every method raises ChainUnavailable."""

    def __init__(
        self, rpc_url: str, transport: httpx.AsyncBaseTransport | None = None, *, seconds: float = SECONDS
    ) -> None:
        self._client = httpx.AsyncClient(timeout=seconds, transport=transport)
        self._rpc = JsonRpc(self._client, rpc_url, None)
        self._slots = asyncio.Semaphore(PARALLEL)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def verify(self, asset_id: str, owner: str) -> VerifiedAsset:
        """Return the asset once its proof leads to the tree's root on chain; raises VerificationFailed."""
        async with self._slots:
            for _ in range(ROOT_TRIES):
                asset = await self._call("getAsset", {"id": asset_id}, _Asset)
                if asset.ownership.owner != owner:
                    raise VerificationFailed(f"{asset_id} belongs to {asset.ownership.owner}, not to {owner}")
                index = await self._proven_index(asset_id)
                if index is not None:
                    return VerifiedAsset(asset_id, owner, asset.content.json_uri, index)
        raise VerificationFailed(f"the proof of {asset_id} leads to a root that its tree does not have")

    async def leads_to_root(self, asset_id: str) -> bool:
        """Whether the asset's proof leads to a root of its tree on chain; raises VerificationFailed without a proof."""
        async with self._slots:
            for _ in range(ROOT_TRIES):
                if await self._proven_index(asset_id) is not None:
                    return True
        return False

    async def _proven_index(self, asset_id: str) -> int | None:
        """Return the leaf's index if its proof leads to a root of the tree; None: it does not, or the tree went on.

        Raises VerificationFailed for a proof of something else: an asset's id is derived from its tree and its nonce,
        which is its leaf's index, because Bubblegum only ever appends.
        """
        proof = await self._call("getAssetProof", {"id": asset_id}, _Proof)
        index = proof.node_index - 2 ** len(proof.proof)
        if (
            not 0 <= index < 2 ** len(proof.proof)
            or str(derived_id(Pubkey.from_string(proof.tree_id), index)) != asset_id
        ):
            raise VerificationFailed(f"the node gives the proof of another leaf for {asset_id}")
        root = _key(proof.root)
        if not verify_proof(root, _key(proof.leaf), [_key(node) for node in proof.proof], index):
            return None
        tree = await self.tree(proof.tree_id)
        if len(proof.proof) != tree.max_depth:
            raise VerificationFailed(f"the node's proof of {asset_id} does not begin at a leaf")
        return index if root in tree.recent_roots() else None

    async def transaction(self, signature: str, landing: Landing = UNKNOWN) -> ExecutedTransaction | None:
        """Return a confirmed transaction with what it called; None when the node has none of this signature.

        Raises DecodeError; and VerificationFailed when the node may not have one that landed like that: who lags, or
        keeps the history of some hours, proves nothing. The same for a node that gives another transaction.
        """
        found = await self._transaction(signature)
        if found is None and landing != UNKNOWN:
            await self._check_history(landing)
            found = await self._transaction(signature)  # it may have caught up in between
        return found

    async def _check_history(self, landing: Landing) -> None:
        """Raise VerificationFailed if the node may not have what landed like that."""
        if landing.slot is not None and (head := await self._call("getSlot", [_CONFIRMED], int)) < landing.slot:
            raise VerificationFailed(f"the node is at slot {head}, before slot {landing.slot}")
        first = await self._call("getFirstAvailableBlock", [], int)
        if first == 0:
            return
        if landing.slot is not None:
            if first > landing.slot:
                raise VerificationFailed(f"the node has no block before slot {first}, after slot {landing.slot}")
        elif landing.height is not None:
            height = (await self._call("getBlock", [first, _HEAD_ALONE], _Block)).block_height
            if height > landing.height - BLOCKHASH_BLOCKS:
                raise VerificationFailed(f"the node has no block before height {height}, it may have landed before")

    async def _transaction(self, signature: str) -> ExecutedTransaction | None:
        options = {**_CONFIRMED, "encoding": "base64", "maxSupportedTransactionVersion": 0}
        try:
            found = await self._rpc.find("getTransaction", [signature, options], dict[str, Any])
        except RpcRefused as error:  # stop: the node has answered
            raise VerificationFailed(str(error)) from error
        if found is None:
            return None
        transaction = from_rpc(found)
        if transaction.signature != signature:
            raise VerificationFailed(f"the node gives {transaction.signature} for {signature}")
        return transaction

    async def naming(self, address: Pubkey) -> tuple[str, ...]:
        """Return the signatures of the confirmed transactions without an error that name `address`, sorted.

        Raises VerificationFailed when there are so many that not all of them can be looked at.
        """
        options = {"commitment": "confirmed", "limit": MOST_NAMED}
        found = await self._call("getSignaturesForAddress", [str(address), options], list[_Named])
        if len(found) >= MOST_NAMED:
            raise VerificationFailed(f"{MOST_NAMED} transactions or more name {address}")
        return tuple(sorted(each.signature for each in found if each.err == _NULL))

    async def tree(self, address: str) -> ConcurrentMerkleTree:
        """Return the tree's account as it is on chain; raises VerificationFailed."""
        return ConcurrentMerkleTree.parse(await self._account(address))

    async def minted(self, tree_address: str) -> int:
        """Return how many leaves were ever minted into the tree, by its TreeConfig account."""
        config = TreeConfig.parse(await self._account(str(tree_config(Pubkey.from_string(tree_address)))))
        return config.num_minted

    async def assets_of(self, owner: str) -> list[str]:
        """Return the ids of every asset that DAS knows of `owner`."""
        found: list[str] = []
        for page in range(1, 10_000):
            query = {"ownerAddress": owner, "page": page, "limit": PAGE}
            answer = await self._call("getAssetsByOwner", query, _AssetPage)
            found += [item.id for item in answer.items]
            if len(answer.items) < PAGE:
                break
        return found

    async def _account(self, address: str) -> bytes:
        options = {"encoding": "base64", "commitment": "confirmed"}
        found = await self._call("getAccountInfo", [address, options], _AccountValue)
        if found.value is None:
            raise VerificationFailed(f"account {address} is not on chain")
        return base64.b64decode(found.value.data[0])

    async def _call(self, method: str, params: object, result: type[T]) -> T:
        try:
            return await self._rpc.call(method, params, result)
        except RpcRefused as error:  # stop: the node has answered
            raise VerificationFailed(str(error)) from error


def _key(text: str) -> bytes:
    return bytes(Pubkey.from_string(text))
