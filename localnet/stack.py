"""The whole of Mintstream on one machine: NATS, Postgres, a local Solana cluster, a pinning endpoint, the services.

Used by the command line (`mintstream up`, `demo`) and by the end-to-end and chaos tests:

    async with Stack(StackSettings(data_dir=Path(".data"))) as stack:
        await post(stack.api_url, headers={"X-API-Key": stack.api_key}, ...)

Everything lies below the data directory: logs/, run/ (addresses), secrets/, and a folder for each server. Not done
here: talking to the API, and anything for production.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from chassis.lifecycle import write_ports_file
from localnet.addresses import ADDRESSES, StackPorts
from localnet.child import ChildSpec
from localnet.errors import PortsTaken, StackError
from localnet.leftovers import end_leftovers
from localnet.linux import port_holder, port_is_free
from localnet.lock import DirectoryLock
from localnet.secret_files import SecretFiles, read_secret
from localnet.stack_specs import StackPlan, stack_stages
from localnet.supervisor import Report, RestartPolicy, Supervisor
from localnet.wallet import fund_wallet


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """How to run a stack."""

    data_dir: Path
    ports: StackPorts = field(default_factory=StackPorts)
    slot_ms: int = 400
    """Length of the cluster's slots in milliseconds."""
    external_rpc_url: str | None = None
    """JSON-RPC of a local cluster that somebody else runs: none is started then. It has to answer `requestAirdrop`."""
    programs: Path | None = None
    """Folder of the on-chain programs; the repository's when None."""
    sync_interval: str = "2m"
    """NATS: how long JetStream may acknowledge before the disk has it; `always` is slow and safe."""
    fast_postgres: bool = False
    """Give up Postgres's safety against loss of power (tests)."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    service_environ: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further environment variables of every service, over those that the stack itself sets."""
    quiet: bool = False
    """Print nothing; otherwise restarts and failures are told on stderr."""
    restarts: RestartPolicy = field(default_factory=RestartPolicy)


class Stack:
    """A running stack, from `async with` to its end. Raises StackError with a sentence when it cannot start."""

    def __init__(self, settings: StackSettings, report: Report | None = None) -> None:
        self.settings = settings
        self.data_dir: Final = settings.data_dir.absolute()
        self._report = report or (_say_nothing if settings.quiet else _say)
        self._resources = ExitStack()
        self._supervisor: Supervisor | None = None
        self._plan: StackPlan | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except OSError as error:  # stop: a full disk, or a directory that is not ours
            raise StackError(f"{error.filename or self.data_dir}: {error.strerror or error}") from error
        return self

    async def _start(self) -> None:
        with ExitStack() as resources:
            resources.enter_context(DirectoryLock(self.data_dir, "mintstream stack"))
            if ended := await asyncio.to_thread(end_leftovers, self.data_dir):
                self._report(f"ended what an earlier run had left: {', '.join(ended)}")
            external = self.settings.external_rpc_url
            # Beside an external cluster `rpc` is a port that nobody uses: the external one may well have the default.
            ports = (replace(self.settings.ports, rpc=0) if external else self.settings.ports).chosen()
            _refuse_taken_ports(ports)
            self._plan = StackPlan(
                data_dir=self.data_dir,
                secrets=SecretFiles.ensure(self.data_dir / "secrets"),
                api_port=ports.api,
                rpc_port=ports.rpc,
                external_rpc_url=external,
                nats_port=ports.nats,
                nats_monitor_port=ports.nats_monitor,
                postgres_port=ports.postgres,
                ipfs_port=ports.ipfs,
                slot_ms=self.settings.slot_ms,
                programs=self.settings.programs,
                sync_interval=self.settings.sync_interval,
                fast_postgres=self.settings.fast_postgres,
                log_level=self.settings.log_level,
                service_environ=self.settings.service_environ,
            )
            if external is not None:
                await fund_wallet(external, read_secret(self._plan.secrets.wallet_key))
            stages: list[list[ChildSpec]] = stack_stages(self._plan)
            self._tell_addresses()
            self._supervisor = Supervisor(stages, self._report, self.settings.restarts)
            await self._supervisor.start()
            self._resources = resources.pop_all()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            await self._running.stop()

    def _tell_addresses(self) -> None:
        path = self.data_dir / ADDRESSES
        path.parent.mkdir(exist_ok=True, mode=0o700)
        addresses = {
            "api": self.api_url,
            "rpc": self.rpc_url,
            "nats": self.nats_url,
            "ipfs": self.ipfs_url,
            "postgresPort": str(self.plan.postgres_port),
        }
        write_ports_file(path, addresses)

    @property
    def plan(self) -> StackPlan:
        """Ports, folders and secrets of the running stack."""
        if self._plan is None:
            raise RuntimeError("the stack is not running")
        return self._plan

    @property
    def api_url(self) -> str:
        """Base URL of the gateway."""
        return f"http://127.0.0.1:{self.plan.api_port}"

    @property
    def api_key(self) -> str:
        """The key for the gateway (`X-API-Key`)."""
        return read_secret(self.plan.secrets.api_key)

    @property
    def rpc_url(self) -> str:
        """The cluster's JSON-RPC, and DAS when it is ours."""
        return self.plan.rpc_url

    @property
    def ws_url(self) -> str:
        """Our cluster's WebSocket; where an external one has its own is not known here."""
        if self.plan.external_rpc_url is not None:
            raise RuntimeError("the cluster is an external one")
        return f"ws://127.0.0.1:{self.plan.rpc_port + 1}"

    @property
    def nats_url(self) -> str:
        """The NATS server."""
        return self.plan.nats_url

    @property
    def ipfs_url(self) -> str:
        """The pinning endpoint, which serves /ipfs/<cid> too."""
        return self.plan.ipfs_url

    @property
    def database_url(self) -> str:
        """Postgres as the owner of the tables, with the password."""
        return self.plan.database_url(self.plan.owner)

    @property
    def reader_database_url(self) -> str:
        """Postgres as the read-only role, with the password."""
        return self.plan.database_url(self.plan.reader)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the processes: `nats`, `postgres`, `cluster`, `pinning`, `indexer`, `ipfs`, `minter`,
        `notifier`, `gateway`.

        Without `cluster` when that is an external one.
        """
        return self._running.names

    def pid(self, name: str) -> int | None:
        """Process id of `name`, or None while it is down."""
        return self._running.pid(name)

    def restarts(self, name: str) -> int:
        """How often `name` was started again after it died."""
        return self._running.restarts(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process; the supervisor starts it again when it ends."""
        self._running.kill(name, number)

    def reconfigure(self, name: str, **variables: str) -> None:
        """Give a process further environment variables, or others, from its next start on."""
        self._running.reconfigure(name, variables)

    async def wait(self, name: str) -> None:
        """Wait until `name` is ready (again). Raises StackError when the stack fails meanwhile."""
        await self._running.wait_ready(name)

    def log_file(self, name: str) -> Path:
        """The log of a process."""
        return self.plan.log_file(name)

    async def run_until_signal(self) -> None:
        """Return on SIGINT or SIGTERM. Raises StackError when a process keeps dying.

        Before this is called, Ctrl-C cancels the main task as asyncio always does; that stops the children as well.
        """
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, signalled.set)
        waiting = asyncio.create_task(signalled.wait())
        failing = asyncio.create_task(self._running.wait_failure())
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise failing.result()
        finally:
            waiting.cancel()
            failing.cancel()
            for number in numbers:
                loop.remove_signal_handler(number)

    @property
    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack is not running")
        return self._supervisor


def _refuse_taken_ports(ports: StackPorts) -> None:
    """Raises PortsTaken, which tells every port that another process has."""
    taken: dict[str, str] = {}
    for flag, port in ports.by_flag().items():
        if not port_is_free(port):
            holder = port_holder(port)
            taken[flag] = f"port {port} is taken{f' by {holder}' if holder else ''}"
    if taken:
        raise PortsTaken(taken)


def _say(sentence: str) -> None:
    sys.stderr.write(f"mintstream: {sentence}\n")
    sys.stderr.flush()


def _say_nothing(sentence: str) -> None:
    del sentence
