"""DAS providers: which assets they show of a collection, and their proofs.

Implements `parts.Providers` on the Digital Asset Standard API (`getAssetsByGroup`, `getAssetProof`). Pages go by
cursor, so that assets which come or go meanwhile move no page. Each provider is asked at most so often a second. The
first that answers is believed as far as a page goes; a proof is believed by nobody here, but checked by the caller.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from bubblegum import base58
from bubblegum.errors import DecodeError
from chassis.clock import Clock
from chassis.json_rpc import JsonRpc, RpcRefused
from services.indexer.chain.proofs import AssetProof
from services.indexer.ports import ChainUnavailable

PAGE: Final = 1000
"""Most assets of one page (DAS reference implementation)."""
MAX_PAGES: Final = 20_000
"""Pages of one collection, of which a provider may fill any number with what is burnt or in other trees."""

T = TypeVar("T")


class _Compression(msgspec.Struct, frozen=True):
    compressed: bool = False
    tree: str = ""


class _Asset(msgspec.Struct, frozen=True):
    id: str
    compression: _Compression = _Compression()
    burnt: bool = False


class _Page(msgspec.Struct, frozen=True):
    items: list[_Asset]
    last_indexed_slot: int | None = None


class _Proof(msgspec.Struct, frozen=True):
    root: str
    proof: list[str]
    node_index: int
    leaf: str
    tree_id: str


class ShownAssets(msgspec.Struct, frozen=True):
    """What a provider shows: ids of living assets in the given trees; `slot` is how far it says it has read."""

    ids: frozenset[str]
    slot: int | None


class DasProviders:
    """Providers in the operator's order of preference. `rate` is requests a second to each."""

    def __init__(self, providers: Sequence[JsonRpc], clock: Clock, *, rate: float) -> None:
        self._providers = [_Paced(provider, clock, 1 / rate) for provider in providers]

    async def shown(self, collection_address: str, trees: frozenset[str], most: int) -> list[ShownAssets]:
        """See `Providers.shown`."""
        answers = await asyncio.gather(
            *(self._shown(provider, collection_address, trees, most) for provider in self._providers),
            return_exceptions=True,
        )
        told = [answer for answer in answers if isinstance(answer, ShownAssets)]
        for answer in answers:
            if isinstance(answer, BaseException) and not (isinstance(answer, ChainUnavailable) and told):
                raise answer
        return told

    async def _shown(
        self, provider: "_Paced", collection_address: str, trees: frozenset[str], most: int
    ) -> ShownAssets:
        ids: set[str] = set()
        slot: int | None = None
        after: str | None = None
        cursors: set[str] = set()
        while True:
            query: dict[str, object] = {
                "groupKey": "collection",
                "groupValue": collection_address,
                "limit": PAGE,
                "sortBy": {"sortBy": "id", "sortDirection": "asc"},
            }
            if after is not None:
                query["after"] = after
            page = await provider.call("getAssetsByGroup", query, _Page)
            ids |= {each.id for each in page.items if not each.burnt and each.compression.tree in trees}
            slot = page.last_indexed_slot if slot is None else slot
            if len(page.items) < PAGE:
                return ShownAssets(frozenset(ids), slot)
            after = page.items[-1].id
            if after in cursors or len(cursors) == MAX_PAGES or len(ids) > most:
                raise ChainUnavailable("DAS gives pages without end, or more assets than the trees hold")
            cursors.add(after)

    async def proof(self, asset_id: str) -> AssetProof:
        """See `Providers.proof`."""
        reasons: list[str] = []
        for provider in self._providers:
            try:
                return _proof(await provider.call("getAssetProof", {"id": asset_id}, _Proof))
            except (ChainUnavailable, DecodeError) as error:
                # Ask the next provider: this one has no proof that can be read.
                reasons.append(str(error))
        raise ChainUnavailable("; ".join(reasons))


class _Paced:
    """One provider, asked no more often than every `pause` seconds."""

    def __init__(self, rpc: JsonRpc, clock: Clock, pause: float) -> None:
        self._rpc = rpc
        self._clock = clock
        self._pause = pause
        self._turn = asyncio.Lock()
        self._next = 0.0

    async def call(self, method: str, params: object, result: type[T]) -> T:
        """Return the answer; raises ChainUnavailable, also for an error that the provider answers with."""
        async with self._turn:
            wait = self._next - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            self._next = self._clock.monotonic() + self._pause
        try:
            return await self._rpc.call(method, params, result)
        except (
            RpcRefused
        ) as error:  # retry, by the caller: the request is well-formed, so the provider is unfit just now
            raise ChainUnavailable(str(error)) from error


def _proof(found: _Proof) -> AssetProof:
    nodes = tuple(base58.decode(node) for node in found.proof)
    # DAS counts the nodes of the whole tree, the root being 1.
    index = found.node_index - (1 << len(nodes))
    return AssetProof(found.tree_id, base58.decode(found.root), base58.decode(found.leaf), nodes, index)
