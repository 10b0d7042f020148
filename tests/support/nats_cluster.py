# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""Three real nats-servers on loopback as one cluster, as production has it: three replicas, every write synced."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import nats.errors

from contracts.streams import Stream
from localnet.child import Child
from localnet.linux import free_port
from localnet.nats_server import ClusterMember, NatsOptions, nats_spec
from tests.support.stack import eventually

MEMBERS = 3


@dataclass(frozen=True)
class NatsCluster:
    """The servers by name. A killed one comes back by `start`, on the same ports and files."""

    members: dict[str, Child]

    @property
    def url(self) -> str:
        """Every server, as NATS_URL takes them."""
        return ",".join(child.addresses["nats"] for child in self.members.values())

    async def leader(self, stream: Stream) -> str:
        """Name of the server that leads a stream, once there is one."""
        client = await nats.connect(self.url.split(","), max_reconnect_attempts=-1)
        try:

            async def look() -> str | None:
                try:
                    info = await client.jetstream(timeout=2.0).stream_info(stream.name)
                except (TimeoutError, nats.errors.Error):  # retry: it is being elected
                    return None
                leader = info.cluster.leader if info.cluster else None
                return leader if leader and self.members[leader].pid is not None else None

            return await eventually(look, f"{stream.name} has a leader")
        finally:
            await client.close()

    async def kill(self, name: str) -> None:
        """SIGKILL a server and wait for its end."""
        self.members[name].kill()
        await self.members[name].wait()


@asynccontextmanager
async def nats_cluster(directory: Path) -> AsyncGenerator[NatsCluster]:
    """A running cluster that takes streams; stopped at the end."""
    peers = [free_port() for _ in range(MEMBERS)]
    members = {
        f"nats{number}": Child(
            nats_spec(
                NatsOptions(
                    data_dir=directory / f"nats{number}",
                    port=free_port(),
                    sync_interval="always",
                    cluster=ClusterMember(f"nats{number}", port, peers),
                )
            )
        )
        for number, port in enumerate(peers)
    }
    try:
        await asyncio.gather(*(child.start() for child in members.values()))
        yield NatsCluster(members)
    finally:
        for child in members.values():
            await child.stop()
