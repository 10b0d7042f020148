"""The ipfs service's composition root: builds the parts, wires them, runs them."""

import sys

from chassis import lifecycle
from chassis.lifecycle import Lifecycle
from chassis.messaging import Connection, Log
from chassis.pulse import Pulse
from chassis.settings import load_or_exit
from chassis.version import VERSION
from contracts.fact import Producer
from contracts.streams import IPFS_COLLECTION, IPFS_MINT, IPFS_UPLOAD, UPLOADS
from services.ipfs.adapters.provider import (
    PROFILES,
    guarded_services,
    http_client,
    image_rules,
    ipfs_gateway,
    outside_images,
)
from services.ipfs.audit import Audit
from services.ipfs.chunk_turns import ChunkTurns
from services.ipfs.content import ContentPinner
from services.ipfs.handlers import CollectionContent, MintContent, UploadContent
from services.ipfs.pinning import Pinning
from services.ipfs.quorum import Quorum
from services.ipfs.sessions import Sessions
from services.ipfs.settings import IpfsSettings
from services.ipfs.uploads import PinnedUploads, WaitingUploads

NAME = "ipfs"
COLLECTION_CONCURRENCY = 4
OPERATIONS_IN_HAND = 32
"""Most operations whose chunks take turns, each a message of a megabyte at most; others are for other processes."""


async def serve(life: Lifecycle, settings: IpfsSettings) -> None:
    """Run the ipfs service until it is told to drain."""
    client = await life.enter(http_client(settings))
    providers = guarded_services(settings, client, life.clock)
    pinning = Quorum(providers, settings.quorum)
    gateway = ipfs_gateway(settings, client, life.clock)
    log = await life.enter(Log.session(Connection.of(settings, Producer(name=NAME, version=VERSION)), life.clock))
    await log.declare()
    uploads = await log.uploads(UPLOADS)
    pinned = PinnedUploads(log, uploads)
    how = Pinning(
        pinning,
        PROFILES[settings.cid_profile],
        gateway if settings.retrieval_check else None,
        settings.metadata_layout,
        image_rules(settings),
        await life.enter(outside_images(settings, life.clock)),
    )
    pinner = ContentPinner(uploads, pinned, how, concurrency=settings.pin_concurrency)
    sessions, waiting = Sessions(), WaitingUploads(uploads, life.clock)
    turns = ChunkTurns(settings.ipfs_concurrency)
    mints = MintContent(log, pinner, sessions, waiting, turns)
    collections = CollectionContent(log, pinner, sessions, waiting)
    files = UploadContent(log, pinner, sessions, waiting, pinned)
    life.health.add("nats", log.ping)
    life.health.add("pinning", pinning.check)
    life.spawn("mint", log.consume(IPFS_MINT, mints.on_requested, concurrency=OPERATIONS_IN_HAND))
    life.spawn(
        "collections",
        log.consume(IPFS_COLLECTION, collections.on_requested, concurrency=COLLECTION_CONCURRENCY),
    )
    life.spawn("uploads", log.consume(IPFS_UPLOAD, files.on_requested, concurrency=settings.ipfs_concurrency))
    if settings.audit_hours:
        audit = Audit(log, log, providers, gateway, life.clock, period=settings.audit_hours * 3600)
        life.spawn("audit", audit.run(), background=True)
    life.spawn("pulse", Pulse(log, life.health, life.clock, NAME).run(), background=True)
    await life.draining.wait()
    turns.close()
    log.drain()


def main() -> None:
    """Run the ipfs service as a process."""
    settings = load_or_exit(IpfsSettings)

    async def service(life: Lifecycle) -> None:
        await serve(life, settings)

    sys.exit(lifecycle.run(service, name=NAME, settings=settings))
