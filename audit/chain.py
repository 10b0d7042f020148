"""Checking assets from outside: what a stranger with an RPC endpoint would do to believe a mint.

Used by `gathering`, the demo and the tests.

For each asset: DAS knows it with the expected owner, its proof leads from its leaf to a root, and that root is the
root that the tree's account holds on chain. Nothing here trusts Mintstream's own words.
"""

import asyncio
import base64
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import httpx
from solders.pubkey import Pubkey

from bubblegum.merkle import ConcurrentMerkleTree, TreeConfig, verify_proof
from bubblegum.pda import tree_config
from bubblegum.transaction import ExecutedTransaction, from_rpc

PARALLEL = 16
ROOT_TRIES = 5


class VerificationFailed(Exception):
    """The chain does not bear out what was claimed of an asset."""


@dataclass(frozen=True, slots=True)
class VerifiedAsset:
    """An asset that the chain vouches for."""

    asset_id: str
    owner: str
    uri: str
    leaf_index: int


class ChainVerifier:
    """Asks one RPC endpoint that serves DAS too; an async context manager."""

    def __init__(self, rpc_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=rpc_url, timeout=30.0, transport=transport)
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
                asset: dict[str, Any] = await self._call("getAsset", {"id": asset_id})
                if asset["ownership"]["owner"] != owner:
                    raise VerificationFailed(f"{asset_id} belongs to {asset['ownership']['owner']}, not to {owner}")
                index = await self._proven_index(asset_id)
                if index is not None:
                    return VerifiedAsset(asset_id, owner, asset["content"]["json_uri"], index)
        raise VerificationFailed(f"the proof of {asset_id} leads to a root that its tree does not have")

    async def leads_to_root(self, asset_id: str) -> bool:
        """Whether the asset's proof leads to a root of its tree on chain; raises VerificationFailed without a proof."""
        async with self._slots:
            for _ in range(ROOT_TRIES):
                if await self._proven_index(asset_id) is not None:
                    return True
        return False

    async def _proven_index(self, asset_id: str) -> int | None:
        """Return the leaf's index if its proof leads to a root of the tree; None: the tree went on, ask again."""
        proof: dict[str, Any] = await self._call("getAssetProof", {"id": asset_id})
        index = proof["node_index"] - 2 ** len(proof["proof"])
        root, leaf = _key(proof["root"]), _key(proof["leaf"])
        if not verify_proof(root, leaf, [_key(node) for node in proof["proof"]], index):
            raise VerificationFailed(f"the proof of {asset_id} does not lead to the root that came with it")
        return index if root in (await self.tree(proof["tree_id"])).recent_roots() else None

    async def transaction(self, signature: str) -> ExecutedTransaction | None:
        """Return a confirmed transaction with what it called; None when the node knows none of this signature."""
        options = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        found = await self._call("getTransaction", [signature, options])
        return None if found is None else from_rpc(found)

    async def tree(self, address: str) -> ConcurrentMerkleTree:
        """Return the tree's account as it is on chain."""
        return ConcurrentMerkleTree.parse(await self._account(address))

    async def minted(self, tree_address: str) -> int:
        """Return how many leaves were ever minted into the tree, by its TreeConfig account."""
        config = TreeConfig.parse(await self._account(str(tree_config(Pubkey.from_string(tree_address)))))
        return config.num_minted

    async def assets_of(self, owner: str) -> list[str]:
        """Return the ids of every asset that DAS knows of `owner`."""
        found: list[str] = []
        for page in range(1, 10_000):
            answer = await self._call("getAssetsByOwner", {"ownerAddress": owner, "page": page, "limit": 1000})
            items = cast("list[dict[str, Any]]", answer["items"])
            found += [str(item["id"]) for item in items]
            if len(items) < 1000:
                break
        return found

    async def _account(self, address: str) -> bytes:
        options = {"encoding": "base64", "commitment": "confirmed"}
        value = (await self._call("getAccountInfo", [address, options]))["value"]
        if value is None:
            raise VerificationFailed(f"account {address} is not on chain")
        return base64.b64decode(value["data"][0])

    async def _call(self, method: str, params: object) -> Any:
        response = await self._client.post("", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        response.raise_for_status()
        body = response.json()
        if "error" in body:
            raise VerificationFailed(f"{method}: {body['error'].get('message', body['error'])}")
        return body["result"]


def _key(text: str) -> bytes:
    return bytes(Pubkey.from_string(text))
