"""One child process: start it, wait until it is ready, notice its death, stop it.

Used by the supervisor and by the tests' fixtures. A child is described by a `ChildSpec`; how it becomes ready is the
spec's business (mostly: a ports file with its process id appears). Not done here: restarting (`localnet.supervisor`).
"""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from localnet.errors import StackError
from localnet.linux import PreExec, die_with_parent, until_exit

Addresses = Mapping[str, str]
Ready = Callable[[int], Addresses | None]
"""Given the process id: the addresses it serves, or None as long as it is not ready. Called often, in a thread."""
Started = Callable[[Addresses], Awaitable[None]]
Ailment = Callable[[Addresses], str | None]
"""Given its addresses: what ails a running child that only a new start can cure, or None. Called in a thread."""

_POLL_SECONDS: Final = 0.02
_MAX_LOG_BYTES: Final = 32 * 1024 * 1024
_TAIL_BYTES: Final = 4096
_TAIL_LINES: Final = 12


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """How to run one child."""

    name: str
    command: tuple[str, ...]
    log_file: Path
    ready: Ready
    environ: Mapping[str, str] = field(default_factory=lambda: minimal_environ())
    """The child's whole environment; secrets go here and never on the command line."""
    prepare: Callable[[], Awaitable[None]] | None = None
    """Run before every start; raises StackError when starting makes no sense."""
    started: Started | None = None
    """Run after every start, when the child is ready."""
    ailment: Ailment | None = None
    """Asked now and then while it runs; None: nothing but its own end makes it start again."""
    pre_exec: PreExec | None = None
    """Run between fork and exec; must tie the child to its parent. Default: `die_with_parent(stop_signal)`."""
    stop_signal: signal.Signals = signal.SIGTERM
    ready_seconds: float = 60.0
    stop_seconds: float = 30.0
    """How long the child has to end after `stop_signal` before it is killed."""


class Child:
    """A process run from a spec; may be started again after it has ended."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.addresses: Addresses = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Status of its last run, negative for a signal; None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    async def start(self) -> Addresses:
        """Start it and wait until it is ready; returns its addresses.

        Raises StackError when it ends first or is not ready in time (it is killed then).
        """
        if self.pid is not None:
            raise RuntimeError(f"{self.spec.name} runs already")
        if self.spec.prepare is not None:
            await self.spec.prepare()
        process = self._process = self._spawn()
        try:
            self.addresses = await self._until_ready(process)
            if self.spec.started is not None:
                await self.spec.started(self.addresses)
        except BaseException:  # stop: cancelled or failed; never leave half a child behind
            process.kill()
            process.wait()
            raise
        return self.addresses

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit status."""
        if self._process is None:
            raise RuntimeError(f"{self.spec.name} was not started")
        return await until_exit(self._process)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it; nothing when it has ended."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)

    async def stop(self) -> bool:
        """Stop it; returns whether it ended by itself, without being killed after the deadline."""
        process = self._process
        if process is None or process.poll() is not None:
            return True
        process.send_signal(self.spec.stop_signal)
        try:
            async with asyncio.timeout(self.spec.stop_seconds):
                await until_exit(process)
        except BaseException as error:  # go on after a timeout: it had its chance; else it is our cancellation
            process.kill()
            process.wait()
            if not isinstance(error, TimeoutError):
                raise
            return False
        return True

    def log_tail(self) -> str:
        """The last lines of its log."""
        return log_tail(self.spec.log_file)

    def _spawn(self) -> subprocess.Popen[bytes]:
        log_file = self.spec.log_file
        log_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if log_file.exists() and log_file.stat().st_size > _MAX_LOG_BYTES:
            log_file.replace(log_file.with_name(log_file.name + ".1"))
        with log_file.open("ab") as log:
            try:
                # The fork's child runs nothing but system calls before exec, and this process has one thread that
                # starts children, so preexec_fn is safe here; nothing else can ask for a death signal.
                return subprocess.Popen(  # noqa: S603  (commands come from our own specs)
                    self.spec.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(self.spec.environ),
                    preexec_fn=self.spec.pre_exec or die_with_parent(self.spec.stop_signal),  # noqa: PLW1509,RUF100
                    start_new_session=True,  # Ctrl-C goes to the supervisor, which stops children in order
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise StackError(
                    f"{self.spec.name} cannot be started ({self.spec.command[0]}): {error}\n{self.log_tail()}"
                ) from error

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> Addresses:
        deadline = time.monotonic() + self.spec.ready_seconds
        while True:
            if (addresses := await asyncio.to_thread(self.spec.ready, process.pid)) is not None:
                return addresses
            if (status := process.poll()) is not None:
                raise StackError(f"{self.spec.name} ended at once ({describe_status(status)}):\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.spec.name} is not ready after {self.spec.ready_seconds:g} s:\n{self.log_tail()}"
                )
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def running(spec: ChildSpec) -> AsyncGenerator[Child, None]:
    """A started child, stopped at the end of the body."""
    child = Child(spec)
    await child.start()
    try:
        yield child
    finally:
        await child.stop()


def minimal_environ(**more: str) -> dict[str, str]:
    """What any child needs from our environment, and `more`; nothing else of ours leaks into it."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    return environ | {"PYTHONUNBUFFERED": "1"} | more


def ports_file_ready(path: Path) -> Ready:
    """Ready when `path` holds a JSON object of names and URLs.

    If it has a `"pid"`, that must be the child's: a file of an earlier run does not count. Remove the file before
    starting a child that writes none.
    """

    def ready(pid: int) -> Addresses | None:
        try:
            content: object = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):  # retry: not written yet, or half
            return None
        if not isinstance(content, dict):
            return None
        addresses = {str(name): str(value) for name, value in cast("dict[object, object]", content).items()}
        return addresses if addresses.pop("pid", str(pid)) == str(pid) else None

    return ready


def describe_status(status: int) -> str:
    """An exit status in words: `status 1`, `killed by SIGKILL`."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # stop: a real-time signal has no name
        return f"killed by signal {-status}"


def log_tail(path: Path) -> str:
    """The last lines of a log file, or a word that there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (its log is empty)"
