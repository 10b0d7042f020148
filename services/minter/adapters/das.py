"""What a node of the Digital Asset Standard API knows of a collection. Implements `importing.Assets`.

Methods and shapes: `getAsset` and `getAssetsByGroup` of the DAS API. What it says is hints for people and places to
look at; nothing is concluded from it. The URL may hold an API key, so it is in no error and no log line.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import httpx
import msgspec

from chassis.json_rpc import JsonRpc, RpcRefused
from services.minter.ports import Described

PAGE: Final = 1000
"""Most assets that DAS tells at once."""
MAX_PAGES: Final = 20
MAX_TEXT: Final = 2000
"""Characters of a text that are kept: it is somebody's JSON from anywhere."""

T = TypeVar("T")


class _Compression(msgspec.Struct, frozen=True):
    tree: str = ""


class _Item(msgspec.Struct, frozen=True):
    compression: _Compression | None = None


class _Page(msgspec.Struct, frozen=True):
    items: list[_Item]


class _Metadata(msgspec.Struct, frozen=True):
    symbol: str | None = None
    description: str | None = None


class _Links(msgspec.Struct, frozen=True):
    image: str | None = None
    external_url: str | None = None


class _Content(msgspec.Struct, frozen=True):
    metadata: _Metadata | None = None
    links: _Links | None = None


class _Asset(msgspec.Struct, frozen=True):
    content: _Content | None = None


class Das:
    """One endpoint; `http` brings the timeouts and belongs to the caller."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._rpc = JsonRpc(http, url, "das")

    async def described(self, collection: str) -> Described:
        """See `importing.Assets.described`."""
        asset = await self._call("getAsset", {"id": collection}, _Asset)
        content = (asset.content if asset else None) or _Content()
        metadata, links = content.metadata or _Metadata(), content.links or _Links()
        return Described(
            symbol=(metadata.symbol or "")[:MAX_TEXT],
            description=(metadata.description or "")[:MAX_TEXT],
            image_uri=(links.image or "")[:MAX_TEXT] or None,
            external_url=(links.external_url or "")[:MAX_TEXT] or None,
        )

    async def trees_of(self, collection: str, most: int) -> Sequence[str]:
        """See `importing.Assets.trees_of`; among the first MAX_PAGES * PAGE assets of the collection.

        By id, which is a hash: these are drawn evenly from all trees, whenever they were filled.
        """
        trees: dict[str, None] = {}
        for page in range(1, MAX_PAGES + 1):
            query: dict[str, object] = {"groupKey": "collection", "groupValue": collection, "page": page, "limit": PAGE}
            query["sortBy"] = {"sortBy": "id", "sortDirection": "asc"}
            found = await self._call("getAssetsByGroup", query, _Page)
            items = found.items if found else []
            trees |= dict.fromkeys(
                item.compression.tree for item in items if item.compression and item.compression.tree
            )
            if len(items) < PAGE or len(trees) >= most:
                break
        return list(trees)[:most]

    async def _call(self, method: str, params: dict[str, Any], result: type[T]) -> T | None:
        """Return the call's result; None when the node answers with an error: it does not know, or not the method."""
        try:
            return await self._rpc.call(method, params, result)
        except RpcRefused:  # stop: what it says are hints, and it has none
            return None
