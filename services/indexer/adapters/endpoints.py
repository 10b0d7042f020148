"""The connections to the nodes and DAS providers that the settings name; opened by the composition root.

With many calls at once aiohttp takes a tenth of what httpx does, and following a tree is a call a transaction.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from chassis.chain import node_urls
from chassis.json_rpc import JsonRpc
from chassis.light_http import LightHttp
from services.indexer.adapters.nodes import Caller, of_one_cluster
from services.indexer.settings import IndexerSettings

MAX_CONNECTIONS: Final = 64
"""To one endpoint: more than what follows trees asks at once, with room for the rest."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """In the operator's order."""

    nodes: Sequence[Caller]
    das: Sequence[JsonRpc]


@asynccontextmanager
async def connect(settings: IndexerSettings) -> AsyncGenerator[Endpoints]:
    """Open a pool of connections to each, closed on leaving. Nothing is asked yet."""
    seconds = settings.rpc_timeout_seconds
    async with AsyncExitStack() as stack:

        async def opened(url: str, name: str) -> JsonRpc:
            http = await stack.enter_async_context(LightHttp.connect(url, seconds, MAX_CONNECTIONS))
            return JsonRpc(http, url, name)

        nodes = [await opened(url, "rpc") for url in node_urls(settings.rpc_url, settings.backup_rpc_urls)]
        das = [settings.das_url or settings.rpc_url, settings.second_das_url]
        yield Endpoints(of_one_cluster(nodes), [await opened(url.reveal(), "das") for url in das if url is not None])
