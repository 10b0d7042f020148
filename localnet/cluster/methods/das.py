"""The methods of the Digital Asset Standard, handed to the index that is mounted on this endpoint."""

from __future__ import annotations

from localnet.cluster.context import Context, Method, Methods
from localnet.cluster.model import Json
from localnet.cluster.params import METHOD_NOT_FOUND, Params, RpcError

NAMES = ("getAsset", "getAssetProof", "getAssetsByGroup", "getAssetsByOwner", "searchAssets")


def _method(name: str) -> Method:
    async def call(context: Context, params: Params) -> Json:
        if context.das is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found: no asset index is mounted here")
        return await context.das.handle(name, params.raw(0))

    return call


METHODS: Methods = {name: _method(name) for name in NAMES}
