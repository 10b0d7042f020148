"""Where the embedded stack of a data directory is: its addresses, and the secrets that its owner may use.

Used by the commands that work on a running stack. Not done here: starting one (`localnet.stack`).
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localnet.addresses import ADDRESSES, StackPorts

OWN_VARIABLES: Final = ("MINTSTREAM_DATA", "MINTSTREAM_URL", "MINTSTREAM_API_KEY")
"""Variables of the command line itself, which no settings of a service know."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Addresses of a stack on this machine."""

    api: str
    nats: str
    rpc: str
    ipfs: str
    postgres_port: int
    api_key: str | None
    """None where no stack was ever started."""
    owner_password: str | None


def embedded(data: Path) -> Embedded:
    """Return the stack of `data` as it said at its last start; the usual ports where it never said anything."""
    ports = StackPorts()
    told: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):  # go on: no stack was started here, or it is being started
        told = json.loads((data / ADDRESSES).read_bytes())
    return Embedded(
        api=told.get("api", f"http://127.0.0.1:{ports.api}"),
        nats=told.get("nats", f"nats://127.0.0.1:{ports.nats}"),
        rpc=told.get("rpc", f"http://127.0.0.1:{ports.rpc}"),
        ipfs=told.get("ipfs", f"http://127.0.0.1:{ports.ipfs}"),
        postgres_port=int(told.get("postgresPort", ports.postgres)),
        api_key=_secret(data / "secrets" / "api_key"),
        owner_password=_secret(data / "secrets" / "postgres_owner_password"),
    )


def _secret(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None  # go on: whoever needs it says so
