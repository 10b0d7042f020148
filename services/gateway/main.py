"""The gateway's composition root: builds the parts, wires them, runs them."""

import sys

import httpx

from archive.object_store import ObjectStore
from archive.reading import Archive
from audit.chain import ChainVerifier
from audit.content import Contents
from audit.gathering import Gatherer
from audit.history import WholeLog
from audit.nodes import Nodes
from chassis import lifecycle, postgres
from chassis.chain import node_urls
from chassis.health import Health
from chassis.images import ImageRefused, inspect_image
from chassis.lifecycle import Lifecycle
from chassis.messaging import Connection, Log
from chassis.pulse import Pulse
from chassis.settings import load_or_exit
from chassis.version import VERSION
from contracts.fact import Producer
from contracts.streams import UPLOADS
from services.gateway import server
from services.gateway.adapters.projection import PLANS, PostgresProjection
from services.gateway.adapters.wallet import RpcWallet
from services.gateway.api.app import Parts, create_app
from services.gateway.auditing import CONTENT_SECONDS, NODE_SECONDS, Auditing
from services.gateway.curating import Curating
from services.gateway.dead_letters import DeadLetters
from services.gateway.entrance import entrance
from services.gateway.following import Following
from services.gateway.handlers import Asking, Collections, Minting, Statuses
from services.gateway.images import Images
from services.gateway.importing import Importing
from services.gateway.operations import Operations
from services.gateway.ports import NotAnImage, Wallet
from services.gateway.results import Results
from services.gateway.settings import GatewaySettings
from services.gateway.stats import Stats
from services.gateway.system import System
from services.gateway.uploading import Uploading
from services.gateway.wallets import Wallets
from services.gateway.webhooks import Webhooks
from unixfs import UNIXFS_V1_2025, V0, V1

NAME = "gateway"
PROFILES = {"v1": V1, "v0": V0, "unixfs-v1-2025": UNIXFS_V1_2025}
"""By the values of CID_PROFILE, which are Pinata's names of them."""


async def serve(life: Lifecycle, settings: GatewaySettings) -> None:
    """Run the gateway until it is told to drain."""
    try:
        listener = server.listen(settings.host, settings.port)
    except OSError as error:
        # Stop: the operator has to free the port or choose another.
        life.fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; set PORT or HOST")
        return
    log = await life.enter(Log.session(Connection.of(settings, Producer(name=NAME, version=VERSION)), life.clock))
    await log.declare()
    # No connection is opened before the first read, so that minting works while the database is away.
    pool = await life.enter(
        postgres.pool(
            settings.database_url,
            application_name=NAME,
            server_settings=PLANS,
            min_size=0,
            max_size=settings.database_pool_size,
            clock=life.clock,
        )
    )
    projection = PostgresProjection(pool)
    everything = Health(life.clock)
    everything.add("log", log.ping)
    everything.add("database", projection.check)
    wallets = Wallets(log, life.clock)
    everything.add("wallet", wallets.check)
    uploads = await log.uploads(UPLOADS)
    everything.add("uploads", uploads.check)
    node = await _wallet(life, settings, log)
    if node is not None:
        everything.add("solana", node.check)
    life.health.add("log", log.ping)
    images = Images(uploads, media_type)
    asking = Asking(log, images)
    following = Following(log, projection, life.clock)
    access, sign_in = await entrance(life, settings, log)
    app = create_app(
        Parts(
            minting=Minting(asking, settings.queue_batch_size),
            statuses=Statuses(log, projection),
            operations=Operations(asking, projection),
            results=Results(log, projection, following),
            following=following,
            collections=Collections(asking, projection),
            curating=Curating(log, life.clock),
            importing=Importing(log, projection),
            wallets=wallets,
            stats=Stats(projection, node, life.clock, ttl=settings.cache_ttl),
            auditing=Auditing(await _witness(life, settings, log, projection)),
            dead_letters=DeadLetters(log, life.clock),
            system=System(log, projection, life.clock),
            uploading=Uploading(
                log,
                images,
                life.clock,
                PROFILES[settings.cid_profile],
                strip_location=settings.image_strip_location,
            ),
            gateway_url=settings.pinata_gateway,
            explorer_url=settings.explorer_url,
            access=access,
            sign_in=sign_in,
            webhooks=None if settings.sealer is None else Webhooks(log, settings.sealer, life.clock),
            probes=life.health,
            everything=everything,
            clock=life.clock,
            version=VERSION,
            cors_origins=settings.cors_origins,
            trusted_proxies=settings.trusted_proxies,
            max_in_flight=settings.max_in_flight,
        )
    )
    life.spawn("pulse", Pulse(log, everything, life.clock, NAME).run(), background=True)
    life.spawn("following", following.run(life.draining))
    life.spawn("http", server.serve(app, listener, life.draining, settings.shutdown_grace_seconds))
    life.announce("api", server.address_of(listener))


async def _wallet(life: Lifecycle, settings: GatewaySettings, log: Log) -> Wallet | None:
    if settings.rpc_url is None:
        return None
    client = await life.enter(httpx.AsyncClient())
    return RpcWallet(client, settings.rpc_url.reveal(), log, settings.wallet_address)


async def _witness(
    life: Lifecycle, settings: GatewaySettings, log: Log, projection: PostgresProjection
) -> Gatherer | None:
    if settings.rpc_url is None:
        return None
    urls = node_urls(settings.rpc_url, settings.backup_rpc_urls)
    gateways = (settings.pinata_gateway, *settings.backup_ipfs_gateways)
    archive = Archive(ObjectStore(settings.archive_url), log) if settings.archive_url else None
    return Gatherer(
        WholeLog(log, archive),
        projection,
        Nodes([await life.enter(ChainVerifier(url, seconds=NODE_SECONDS)) for url in urls], life.clock),
        Contents([await life.enter(httpx.AsyncClient(base_url=url)) for url in gateways]),
        needs_chain=True,
        content_seconds=CONTENT_SECONDS,
    )


def media_type(data: bytes) -> str:
    """Return the media type of an image. Raises NotAnImage."""
    try:
        return inspect_image(data).content_type
    except ImageRefused as error:  # stop: the same bytes are refused again
        raise NotAnImage(str(error)) from None


def main() -> None:
    """Run the gateway as a process."""
    settings = load_or_exit(GatewaySettings)

    async def service(life: Lifecycle) -> None:
        await serve(life, settings)

    sys.exit(lifecycle.run(service, name=NAME, settings=settings, probes=False))
