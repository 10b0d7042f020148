"""Puts together what follows the trees and compares them with the rest; used by the composition root alone."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

from chassis.clock import Clock
from chassis.database import Pool
from chassis.log import EventLog
from services.indexer.adapters.das import DasProviders
from services.indexer.adapters.endpoints import Endpoints
from services.indexer.adapters.solana_rpc import SolanaRpc
from services.indexer.adapters.tree_feed import TreeFeed
from services.indexer.adapters.tree_history import RpcHistory
from services.indexer.chain.asset_store import PostgresComparisons
from services.indexer.chain.following import TreeFollower
from services.indexer.chain.parts import Parts
from services.indexer.chain.reconciling import Reconciler
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
    endpoints: Endpoints,
    clock: Clock,
) -> Observer:
    """Return the observer that the settings ask for."""
    histories = [RpcHistory(node) for node in endpoints.nodes]
    follower = TreeFollower(log, histories, collections, clock, interval=settings.follow_interval_seconds)
    feed = None
    if settings.ws_url is not None:
        feed = TreeFeed(settings.ws_url, clock, lambda: follower.trees, follower.wake)
    providers = DasProviders(endpoints.das, clock, rate=settings.das_requests_per_second)
    # Which of several nodes `chain` asks is not known here, so that each of them is a witness.
    witnesses = [SolanaRpc(node, endpoints.das[0]) for node in endpoints.nodes] if len(endpoints.nodes) > 1 else []
    parts = Parts(chain, follower, providers, PostgresComparisons(pool), collections, witnesses)
    return Observer(follower, feed, Reconciler(log, parts, clock, interval=settings.reconcile_interval_seconds))
