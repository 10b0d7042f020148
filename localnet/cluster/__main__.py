"""`python -m localnet.cluster`: runs a local cluster until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

from chassis.logs import configure_logs
from chassis.version import VERSION
from localnet.cluster.programs import ProgramsError
from localnet.cluster.server import Addresses, PortTaken, encode_addresses, running_cluster
from localnet.cluster.settings import ClusterSettings, parse_settings
from localnet.cluster.store import StoreError

_log = structlog.get_logger(__name__)


async def run(settings: ClusterSettings) -> None:
    """Run until a signal; raises what broke the cluster."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_cluster(settings) as cluster:
        _log.info(
            "local cluster ready",
            rpc=cluster.addresses.rpc,
            websocket=cluster.addresses.websocket,
            slot=cluster.node.ledger.chain.head.slot,
            slot_ms=settings.slot_ms,
            programs=cluster.node.programs.banner(),
            faucet=str(cluster.node.faucet.pubkey()),
        )
        if settings.ports_file is not None:
            write_ports_file(settings.ports_file, cluster.addresses)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, cluster.failed}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if cluster.failed.done():
            cluster.failed.result()
    _log.info("local cluster stopped")


def write_ports_file(path: Path, addresses: Addresses) -> None:
    """Write the addresses so that a reader sees all of them or no file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(encode_addresses(addresses))
    partial.replace(path)


def main() -> int:
    """Run the command; the exit status is 1 with a sentence on stderr for what a user can mend."""
    configure_logs("cluster", VERSION, "info", "auto")
    try:
        asyncio.run(run(parse_settings()))
    except (PortTaken, ProgramsError, StoreError) as error:
        sys.stderr.write(f"localnet.cluster: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
