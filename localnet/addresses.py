"""Where the embedded stack is: its ports, the file that tells them, its database.

Used by the stack and by the commands that look for one. Not done here: starting it (`stack`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, get_args

from localnet.errors import StackError
from localnet.linux import free_port, free_port_pair

PortName = Literal["api", "rpc", "nats", "nats-monitor", "postgres", "ipfs"]

ADDRESSES: Final = Path("run") / "stack.json"
"""Below the data directory: where a stack says its addresses as it starts, for the command line."""
DATABASE: Final = "mintstream"
OWNER: Final = "mintstream_owner"


@dataclass(frozen=True, kw_only=True)
class StackPorts:
    """Ports on 127.0.0.1; 0 takes a free one. The cluster's WebSocket has the port after `rpc`."""

    api: int = 8080
    rpc: int = 8899
    nats: int = 4222
    nats_monitor: int = 8222
    postgres: int = 54329
    ipfs: int = 8088

    @classmethod
    def free(cls) -> Self:
        """Free ports for everything: several stacks run side by side."""
        return cls(api=0, rpc=0, nats=0, nats_monitor=0, postgres=0, ipfs=0)

    def chosen(self) -> Self:
        """With free ports in the place of zeros, so that a restarted child is found where it was."""
        while True:
            chosen = type(self)(
                api=self.api or free_port(),
                rpc=self.rpc or free_port_pair(),
                nats=self.nats or free_port(),
                nats_monitor=self.nats_monitor or free_port(),
                postgres=self.postgres or free_port(),
                ipfs=self.ipfs or free_port(),
            )
            ports = list(chosen.by_flag().values())
            if len(set(ports)) == len(ports):
                return chosen
            if 0 not in (self.api, self.rpc, self.nats, self.nats_monitor, self.postgres, self.ipfs):
                raise StackError(f"one port is given twice: {', '.join(map(str, sorted(ports)))}")

    def by_flag(self) -> dict[str, int]:
        """Every port that has to be free, by the command line's flag for it."""
        ports: dict[PortName, int] = {
            "api": self.api,
            "rpc": self.rpc,
            "nats": self.nats,
            "nats-monitor": self.nats_monitor,
            "postgres": self.postgres,
            "ipfs": self.ipfs,
        }
        assert set(ports) == set(get_args(PortName))
        return {f"--{name}-port": port for name, port in ports.items()} | {"--rpc-port (WebSocket)": self.rpc + 1}
