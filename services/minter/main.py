"""The minter's composition root: builds the parts, wires them, runs them."""

import sys
from collections.abc import Sequence

import httpx

from chassis import lifecycle
from chassis.chain import node_urls
from chassis.lifecycle import Lifecycle
from chassis.messaging import Connection, Log
from chassis.pulse import Pulse
from chassis.settings import load_or_exit
from chassis.version import VERSION
from contracts.fact import Producer
from contracts.streams import (
    MINTER_CANCELLED,
    MINTER_COLLECTION,
    MINTER_FINALITY,
    MINTER_FIRST,
    MINTER_IMPORT,
    MINTER_MINT,
)
from services.minter.adapters.das import Das
from services.minter.adapters.pool import GENESIS, PoolOptions, RpcPool
from services.minter.adapters.subscription import SignatureFeed
from services.minter.adapters.trail import RpcTrail
from services.minter.cancelling import Cancelling
from services.minter.fees import PriorityFees
from services.minter.founding import Founding
from services.minter.funds import Funds
from services.minter.gate import Gate
from services.minter.growing import Growth, TreeMaker
from services.minter.importing import Importing
from services.minter.lander import Lander
from services.minter.landing import Commitment
from services.minter.minting import Minting
from services.minter.relearning import Relearner
from services.minter.settings import MinterSettings
from services.minter.signer import KeyRefused, Signer
from services.minter.signing.configured import configured_key, configured_payers, configured_signer
from services.minter.signing.keys import Key
from services.minter.signing.remote import RemoteKey
from services.minter.trees import CollectionTrees
from services.minter.watcher import SignatureWatcher

NAME = "minter"
COLLECTION_CONCURRENCY = 4
CANCELLED_CONCURRENCY = 4
FINALITY_CONCURRENCY = 512
COMMITMENTS = {"confirmed": Commitment.CONFIRMED, "finalized": Commitment.FINALIZED}


async def serve(life: Lifecycle, settings: MinterSettings, keys: Sequence[Key], signer: Signer) -> None:
    """Run the minter until it is told to drain; `keys` are those that `signer` signs with."""
    for key in keys:
        if isinstance(key, RemoteKey):
            await life.enter(key)
    urls = node_urls(settings.rpc_url, settings.backup_rpc_urls)
    chain = await life.enter(RpcPool.connect(urls, life.clock, pool_options(settings)))
    log = await life.enter(Log.session(Connection.of(settings, Producer(name=NAME, version=VERSION)), life.clock))
    await log.declare()
    watcher = SignatureWatcher(
        chain, life.clock, settings.status_interval_ms / 1000, COMMITMENTS[settings.solana_commitment]
    )
    funds = Funds(signer.pubkey, chain, log, life.clock, reserve=settings.min_balance_lamports, payers=signer.payers)
    gate = Gate(log, chain, await life.enter(RpcTrail.connect(urls)), life.clock)
    lander = Lander(
        chain,
        signer,
        watcher,
        life.clock,
        max_in_flight=settings.minter_max_in_flight,
        fees=PriorityFees(
            chain,
            life.clock,
            percentile=settings.priority_fee_percentile,
            cap=settings.priority_fee_cap_lamports,
        ),
        funds=funds,
        gate=gate,
    )
    trees = CollectionTrees(log, chain, life.clock)
    maker = TreeMaker(log, chain, lander, signer, lookup_tables=settings.lookup_tables)
    growth = Growth(maker, trees, settings.tree_successor_at)
    minting = Minting(
        log,
        chain,
        lander,
        watcher,
        signer.pubkey,
        life.clock,
        trees,
        growth,
        Relearner(log, gate, chain),
        next(iter(signer.payers), None),
    )
    cancelling = Cancelling(log)
    founding = Founding(log, chain, lander, signer, maker)
    http = await life.enter(httpx.AsyncClient(timeout=settings.rpc_timeout_ms / 1000))
    importing = Importing(log, chain, Das(http, (settings.das_url or settings.rpc_url).reveal()), signer.pubkey)
    life.health.add("nats", log.ping)
    life.health.add("solana", chain.check)
    life.health.add("gate", gate.check)
    life.health.add("wallet", lambda: wallet_report(funds), advisory=True)
    life.spawn("nodes", chain.run(), background=True)
    life.spawn("pulse", Pulse(log, life.health, life.clock, NAME, chain.nodes).run(), background=True)
    life.spawn("watcher", watcher.run(), background=True)
    if settings.ws_url is not None:
        feed = SignatureFeed(settings.ws_url, life.clock, watcher.news)
        watcher.listen_to(feed)
        life.spawn("subscription", feed.run(), background=True)
    life.spawn("gate", gate.run(), background=True)
    life.spawn("funds", funds.run(), background=True)
    life.spawn("first chunks", log.consume(MINTER_FIRST, minting.on_pinned, concurrency=settings.minter_concurrency))
    life.spawn("chunks", log.consume(MINTER_MINT, minting.on_later_pinned, concurrency=settings.minter_concurrency))
    life.spawn("cancelled", log.consume(MINTER_CANCELLED, cancelling.on_cancelled, concurrency=CANCELLED_CONCURRENCY))
    life.spawn("finality", log.consume(MINTER_FINALITY, minting.on_confirmed, concurrency=FINALITY_CONCURRENCY))
    life.spawn("collections", log.consume(MINTER_COLLECTION, founding.on_pinned, concurrency=COLLECTION_CONCURRENCY))
    life.spawn("imports", log.consume(MINTER_IMPORT, importing.on_requested, concurrency=COLLECTION_CONCURRENCY))
    await life.draining.wait()
    lander.stop()
    log.drain()


async def wallet_report(funds: Funds) -> dict[str, object]:
    """Return addresses and lamports of the wallet and the fee payers for health reports; raises while work waits."""
    await funds.check()
    (wallet, lamports), *payers = (await funds.holdings()).items()
    report: dict[str, object] = {"address": str(wallet), "lamports": lamports}
    return report | ({"feePayers": {str(payer): held for payer, held in payers}} if payers else {})


def pool_options(settings: MinterSettings) -> PoolOptions:
    """Return how the pool treats its nodes."""
    return PoolOptions(
        timeout=settings.rpc_timeout_ms / 1000,
        hedge_after=settings.rpc_hedge_ms / 1000,
        broadcast=settings.rpc_broadcast,
        max_lag=settings.rpc_max_lag_slots,
        genesis=GENESIS.get(settings.network),
    )


def main() -> None:
    """Run the minter as a process."""
    settings = load_or_exit(MinterSettings)
    try:
        key = configured_key(settings)
        payers = configured_payers(settings)
        signer = configured_signer(settings, key, payers)
    except KeyRefused as error:
        # Stop: the operator has to give another key.
        print(f"minter: {error}", file=sys.stderr)  # noqa: T201  (before logging is set up)
        sys.exit(2)

    async def service(life: Lifecycle) -> None:
        await serve(life, settings, [key, *payers], signer)

    sys.exit(lifecycle.run(service, name=NAME, settings=settings))
