"""The notifier's composition root: builds the parts, wires them, runs them."""

import sys

from chassis import lifecycle
from chassis.lifecycle import Lifecycle
from chassis.messaging import Connection, Log
from chassis.names import name_service
from chassis.outside import Destinations, outside_client
from chassis.pulse import Pulse
from chassis.settings import load_or_exit
from chassis.version import VERSION
from contracts.fact import Producer
from contracts.streams import NOTIFIER_COLLECTION, NOTIFIER_MINT, NOTIFIER_REPLAY
from services.notifier.adapters.http import HttpSender
from services.notifier.configured import configure
from services.notifier.courier import Courier
from services.notifier.couriers import Couriers
from services.notifier.directory import Directory
from services.notifier.keyring import Keyring
from services.notifier.looking_back import LookingBack
from services.notifier.parking import tell_parked
from services.notifier.queueing import Queueing
from services.notifier.replaying import Replaying
from services.notifier.settings import NotifierSettings

NAME = "notifier"
REPLAYS = 4
"""Replays that are queued at once."""


async def serve(life: Lifecycle, settings: NotifierSettings) -> None:
    """Run the notifier until it is told to drain."""
    client = await life.enter(outside_client(None))  # the sender bounds an exchange as a whole
    log = await life.enter(Log.session(Connection.of(settings, Producer(name=NAME, version=VERSION)), life.clock))
    await log.declare()
    await configure(log, settings.webhook_url, settings.webhook_events, life.clock.now())
    directory = Directory(log, life.clock)
    queueing = Queueing(log, directory)
    looking_back = LookingBack(log, directory, queueing, life.clock)
    replaying = Replaying(log, queueing, life.draining)
    resolve = await life.enter(name_service())
    destinations = Destinations(resolve, inside=settings.inside_networks, any_port=True)
    courier = Courier(
        log,
        HttpSender(client, destinations, life.clock, seconds=settings.webhook_timeout_seconds),
        Keyring(settings.sealer, settings.secrets),
        settings.schedule,
        life.clock,
        life.draining,
    )
    couriers = Couriers(log, directory, courier.on_queued, life.clock, concurrency=settings.webhook_concurrency)
    life.health.add("nats", log.ping)
    life.spawn("directory", directory.run(), background=True)
    life.spawn("looking back", looking_back.run(), background=True)
    life.spawn("mint", log.consume(NOTIFIER_MINT, looking_back.on_fact, concurrency=1))
    life.spawn("collections", log.consume(NOTIFIER_COLLECTION, looking_back.on_fact, concurrency=1))
    life.spawn("replays", log.consume(NOTIFIER_REPLAY, replaying.on_replay, concurrency=REPLAYS))
    life.spawn("parked", tell_parked(log, life.clock), background=True)
    life.spawn("deliveries", couriers.run(life.draining))
    life.spawn("pulse", Pulse(log, life.health, life.clock, NAME).run(), background=True)
    await life.draining.wait()
    log.drain()


def main() -> None:
    """Run the notifier as a process."""
    settings = load_or_exit(NotifierSettings)

    async def service(life: Lifecycle) -> None:
        await serve(life, settings)

    sys.exit(lifecycle.run(service, name=NAME, settings=settings))
