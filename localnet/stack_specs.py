"""What the processes of a stack are: commands, environments, and how each one says that it is ready.

Used by `localnet.stack` alone. This is the one place where the embedded stack's environment variables are written; they
are the same that a deployment sets. Not done here: running anything.
"""

import os
import secrets
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from chassis.log import LogUnavailable
from chassis.messaging import Connection, Log
from chassis.version import VERSION
from contracts.fact import Producer
from contracts.permissions import ROLES, permissions
from localnet.addresses import DATABASE, OWNER
from localnet.child import Addresses, ChildSpec, Ready, Started, minimal_environ, ports_file_ready
from localnet.errors import StackError
from localnet.leftovers import MARK
from localnet.nats_server import NatsOptions, NatsUser, nats_spec
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec
from localnet.secret_files import SecretFiles, read_secret
from localnet.wallet import fund_wallet

OPERATOR: Final = "mintstream"
READER: Final = "mintstream_reader"  # the role to which the indexer's migrations grant

EXPLORER: Final = "https://explorer.solana.com/{kind}/{id}"
"""As the gateway's EXPLORER_URL takes it; the page there asks the node from the browser."""
PAGES_UNDER_DEVELOPMENT: Final = ",".join(
    f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 5173)
)
"""Where Next.js and Vite serve them, the gateway's CORS_ORIGINS unless the environment names others."""
_ROOT: Final = Path(__file__).resolve().parents[1]
_GRACE_SECONDS: Final = 10
_STOP_SECONDS: Final = 20.0
_PROBE_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class StackPlan:
    """Everything that the specs are made from; all ports are known."""

    data_dir: Path
    secrets: SecretFiles
    api_port: int
    rpc_port: int
    external_rpc_url: str | None
    nats_port: int
    nats_monitor_port: int
    postgres_port: int
    ipfs_port: int
    slot_ms: int
    programs: Path | None
    sync_interval: str
    fast_postgres: bool
    log_level: str
    service_environ: Mapping[str, str]

    @property
    def rpc_url(self) -> str:
        """The cluster's JSON-RPC, and DAS when it is ours."""
        return self.external_rpc_url or f"http://127.0.0.1:{self.rpc_port}"

    @property
    def nats_url(self) -> str:
        """The NATS server."""
        return f"nats://127.0.0.1:{self.nats_port}"

    @property
    def ipfs_url(self) -> str:
        """The pinning endpoint."""
        return f"http://127.0.0.1:{self.ipfs_port}"

    @property
    def owner(self) -> PostgresRole:
        """Who owns the projection's tables."""
        return PostgresRole(OWNER, read_secret(self.secrets.owner_password))

    @property
    def reader(self) -> PostgresRole:
        """Who reads them."""
        return PostgresRole(READER, read_secret(self.secrets.reader_password))

    def database_url(self, role: PostgresRole) -> str:
        """The connection URL of `role`."""
        return dsn({"host": "127.0.0.1", "port": str(self.postgres_port)}, DATABASE, role)

    def log_file(self, name: str) -> Path:
        """The log of a process."""
        return self.data_dir / "logs" / f"{name}.log"

    def ports_file(self, name: str) -> Path:
        """Where a process writes its addresses."""
        return self.data_dir / "run" / f"{name}.json"


def stack_stages(plan: StackPlan) -> list[list[ChildSpec]]:
    """The infrastructure, then the services that need it."""
    cluster = [_cluster(plan)] if plan.external_rpc_url is None else []
    return [
        [_nats(plan), _postgres(plan), *cluster, _pinning(plan)],
        [_indexer(plan), _ipfs(plan), _minter(plan), _notifier(plan), _gateway(plan)],
    ]


def _nats(plan: StackPlan) -> ChildSpec:
    return nats_spec(
        NatsOptions(
            data_dir=plan.data_dir / "nats",
            port=plan.nats_port,
            monitor_port=plan.nats_monitor_port,
            sync_interval=plan.sync_interval,
            log_file=plan.log_file("nats"),
            users=_nats_users(plan),
            anonymous=OPERATOR,
            started=_declare,
        )
    )


def _nats_users(plan: StackPlan) -> list[NatsUser]:
    """Each service with what it may do, and the operator: whoever on this machine gives no name."""
    services = [
        NatsUser(role.name, read_secret(plan.secrets.nats_password(role.name)), permissions=permissions(role))
        for role in ROLES
    ]
    return [*services, NatsUser(OPERATOR, secrets.token_urlsafe(24))]


async def _declare(addresses: Addresses) -> None:
    """Make streams, consumers and buckets, which no service may make."""
    connection = Connection(servers=(addresses["nats"],), producer=Producer(name=OPERATOR, version=VERSION))
    try:
        async with Log.session(connection) as log:
            await log.declare()
    except LogUnavailable as error:
        raise StackError(f"nats runs, but its streams cannot be made: {error}") from error


def _postgres(plan: StackPlan) -> ChildSpec:
    return postgres_spec(
        PostgresOptions(
            data_dir=plan.data_dir / "postgres",
            port=plan.postgres_port,
            fast=plan.fast_postgres,
            log_file=plan.log_file("postgres"),
            database=DATABASE,
            owner=plan.owner,
            readers=[plan.reader],
        )
    )


def _cluster(plan: StackPlan) -> ChildSpec:
    arguments = [
        *("--listen", f"127.0.0.1:{plan.rpc_port}"),
        *("--data", str(plan.data_dir / "cluster")),
        *("--slot-ms", str(plan.slot_ms)),
        *("--ports-file", str(plan.ports_file("cluster"))),
        *(("--programs", str(plan.programs)) if plan.programs is not None else ()),
    ]

    async def started(addresses: Addresses) -> None:
        # A stepped cluster confirms nothing until somebody steps it.
        await fund_wallet(addresses["rpc"], read_secret(plan.secrets.wallet_key), wait=plan.slot_ms > 0)

    return _python(plan, "cluster", "localnet.cluster", arguments, {}, started=started)


def _pinning(plan: StackPlan) -> ChildSpec:
    arguments = [
        *("--listen", f"127.0.0.1:{plan.ipfs_port}"),
        *("--data", str(plan.data_dir / "ipfs")),
        *("--ports-file", str(plan.ports_file("pinning"))),
    ]
    return _python(plan, "pinning", "localnet.ipfs", arguments, {})


def _indexer(plan: StackPlan) -> ChildSpec:
    environ = {"DATABASE_URL": plan.database_url(plan.owner), "RPC_URL": plan.rpc_url}
    if plan.external_rpc_url is None:
        environ["WS_URL"] = f"ws://127.0.0.1:{plan.rpc_port + 1}"
    return _service(plan, "indexer", environ | _archive_environ())


def _ipfs(plan: StackPlan) -> ChildSpec:
    return _service(plan, "ipfs", {"PINNING_PROVIDER": "kubo", "KUBO_URL": plan.ipfs_url})


def _minter(plan: StackPlan) -> ChildSpec:
    environ = {
        "RPC_URL": plan.rpc_url,
        "NETWORK": "localnet",
        "PRIVATE_KEY_FILE": str(plan.secrets.wallet_key),
    }
    if plan.external_rpc_url is None:
        environ["WS_URL"] = f"ws://127.0.0.1:{plan.rpc_port + 1}"
    return _service(plan, "minter", environ)


def _notifier(plan: StackPlan) -> ChildSpec:
    environ = {
        "WEBHOOK_SEALING_KEYS_FILE": str(plan.secrets.webhook_sealing_key),
        # Receivers under development are on this machine.
        "WEBHOOK_INSIDE_NETWORKS": "127.0.0.0/8,::1/128",
    }
    return _service(plan, "notifier", environ)


def _gateway(plan: StackPlan) -> ChildSpec:
    origins = os.environ.get("CORS_ORIGINS") or PAGES_UNDER_DEVELOPMENT
    domains = [f"127.0.0.1:{plan.api_port}", f"localhost:{plan.api_port}"]
    domains += [domain for origin in origins.split(",") if (domain := urlsplit(origin.strip()).netloc)]
    environ = {
        "HOST": "127.0.0.1",
        "PORT": str(plan.api_port),
        "API_KEY_FILE": str(plan.secrets.api_key),
        "JWT_SECRET_FILE": str(plan.secrets.jwt_secret),
        "WEBHOOK_SEALING_KEYS_FILE": str(plan.secrets.webhook_sealing_key),
        "CORS_ORIGINS": origins,
        "LOGIN_DOMAINS": ",".join(domains),
        # One person works here, and faster than the limits for strangers allow.
        "RATE_LIMITS": "false",
        "DATABASE_URL": plan.database_url(plan.reader),
        "RPC_URL": plan.rpc_url,
        "PINATA_GATEWAY": plan.ipfs_url,
        "EXPLORER_URL": f"{EXPLORER}?cluster=custom&customUrl={quote(plan.rpc_url, safe='')}",
    }
    return _service(plan, "gateway", environ | _archive_environ(), probe="api")


def _service(plan: StackPlan, name: str, environ: dict[str, str], probe: str = "probe") -> ChildSpec:
    common = {
        "NATS_URL": plan.nats_url,
        "NATS_USER": name,
        "NATS_PASSWORD_FILE": str(plan.secrets.nats_password(name)),
        "NATS_DECLARE": "false",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": plan.log_level,
        "PORTS_FILE": str(plan.ports_file(name)),
        "SHUTDOWN_GRACE_SECONDS": str(_GRACE_SECONDS),
    }
    if probe == "probe":
        common["PROBE_LISTEN"] = "127.0.0.1:0"
    return _python(plan, name, f"services.{name}", [], common | environ | dict(plan.service_environ), probe=probe)


def _python(
    plan: StackPlan,
    name: str,
    module: str,
    arguments: list[str],
    environ: dict[str, str],
    *,
    probe: str | None = None,
    started: Started | None = None,
) -> ChildSpec:
    ports_file = plan.ports_file(name)

    async def prepare() -> None:
        ports_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        ports_file.unlink(missing_ok=True)  # an earlier run's addresses

    ready = ports_file_ready(ports_file)
    return ChildSpec(
        name=name,
        command=(sys.executable, "-m", module, *arguments),
        log_file=plan.log_file(name),
        ready=ready if probe is None else _probed(ready, probe),
        environ=minimal_environ(
            **environ, **_exporter_environ(), PYTHONPATH=_python_path(), **{MARK: str(plan.data_dir)}
        ),
        prepare=prepare,
        started=started,
        stop_seconds=_STOP_SECONDS,
    )


def _python_path() -> str:
    """Ours with the checkout in front, so that the packages need not be installed."""
    return os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))


def _archive_environ() -> dict[str, str]:
    """Ours, when they name an archive, with the credentials of its store."""
    if not os.environ.get("ARCHIVE_URL"):
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith(("ARCHIVE_", "AWS_"))}


def _exporter_environ() -> dict[str, str]:
    """OpenTelemetry's standard variables, which the services' SDKs read themselves."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}


def _probed(ready: Ready, probe: str) -> Ready:
    """Ready when the ports file is there and the probe at its address `probe` says so too."""

    def probed(pid: int) -> Addresses | None:
        addresses = ready(pid)
        if addresses is None or probe not in addresses:
            return None
        try:
            url = f"{addresses[probe]}/health/ready"
            with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as response:  # noqa: S310  (our own http URL)
                return addresses if response.status == 200 else None
        except OSError:  # retry: not ready (HTTPError is one), or not listening yet
            return None

    return probed
