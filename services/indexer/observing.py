"""Puts together what follows the trees and compares them with the rest; used by the composition root alone."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

import httpx

from chassis.clock import Clock
from chassis.database import Pool
from chassis.json_rpc import JsonRpc
from chassis.log import EventLog
from services.indexer.adapters.das import DasProviders
from services.indexer.adapters.solana_rpc import SolanaRpc
from services.indexer.adapters.tree_feed import TreeFeed
from services.indexer.adapters.tree_history import RpcHistory
from services.indexer.chain.asset_store import PostgresComparisons
from services.indexer.chain.following import TreeFollower
from services.indexer.chain.reconciling import Parts, Reconciler
from services.indexer.ports import CreatedCollections
from services.indexer.settings import IndexerSettings


class Observer:
    """The follower, its ear and the reconciler, as one publisher of a term."""

    def __init__(self, follower: TreeFollower, feed: TreeFeed | None, reconciler: Reconciler) -> None:
        self._follower = follower
        self._feed = feed
        self._reconciler = reconciler

    def wake(self, collections: Iterable[UUID]) -> None:
        """See `term.Publisher.wake`."""
        moved = frozenset(collections)
        self._follower.wake(tree for tree, collection in self._follower.trees.items() if collection in moved)
        self._reconciler.wake(moved)

    async def run(self) -> None:
        """See `term.Publisher.run`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run())
            tasks.create_task(self._reconciler.run())
            if self._feed is not None:
                tasks.create_task(self._feed.run())


def of(
    settings: IndexerSettings,
    pool: Pool,
    log: EventLog,
    collections: CreatedCollections,
    chain: SolanaRpc,
    http: httpx.AsyncClient,
    clock: Clock,
) -> Observer:
    """Return the observer that the settings ask for."""
    history = RpcHistory(JsonRpc(http, settings.rpc_url.reveal(), "rpc"))
    follower = TreeFollower(log, history, collections, clock, interval=settings.follow_interval_seconds)
    feed = None
    if settings.ws_url is not None:
        feed = TreeFeed(settings.ws_url, clock, lambda: follower.trees, follower.wake)
    urls = [settings.das_url or settings.rpc_url, settings.second_das_url]
    das = [JsonRpc(http, url.reveal(), "das") for url in urls if url is not None]
    providers = DasProviders(das, clock, rate=settings.das_requests_per_second)
    parts = Parts(chain, follower, providers, PostgresComparisons(pool), collections)
    return Observer(follower, feed, Reconciler(log, parts, clock, interval=settings.reconcile_interval_seconds))
