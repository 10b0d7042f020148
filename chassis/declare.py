"""Makes the streams, consumers and buckets on NATS, then ends: `python -m chassis.declare`, as the operator.

For deployments without NACK, whose services may make nothing themselves (`NATS_DECLARE=false`): a step before they
start, as often as one likes. It reads the variables that every service has.
"""

import asyncio
import sys

from chassis import telemetry
from chassis.log import LogUnavailable
from chassis.messaging import Connection, Log
from chassis.settings import ServiceSettings, load_or_exit
from chassis.version import VERSION
from contracts.fact import Producer

NAME = "mintstream"


async def declare(settings: ServiceSettings) -> None:
    """Make what is missing. Raises LogUnavailable."""
    async with Log.session(Connection.of(settings, Producer(name=NAME, version=VERSION))) as log:
        await log.declare()


def main() -> int:
    """Return the exit status."""
    settings = load_or_exit(ServiceSettings)
    handle = telemetry.configure(NAME, VERSION, settings.log_level, settings.log_format)
    log = telemetry.get_logger(__name__)
    try:
        asyncio.run(declare(settings))
    except LogUnavailable as error:  # stop: the platform runs it again
        log.error("cannot declare", reason=str(error))
        return 1
    finally:
        handle.shutdown()
    log.info("streams, consumers and buckets are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
