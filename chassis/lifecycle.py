"""The life of a service process: start, supervise, drain on a signal, stop with a telling exit status.

Used by every main.py. A service is a function that wires its parts and spawns its loops:

    async def service(life: Lifecycle) -> None:
        pool = await life.enter(postgres.pool(settings.database_url, application_name="indexer"))
        life.health.add("postgres", lambda: postgres.check(pool))
        life.spawn("projection", projector.run(life.draining))

    sys.exit(lifecycle.run(service, name="indexer", settings=settings))

It runs until the function and everything it spawned have ended. SIGTERM or SIGINT sets `draining`: loops take no new
work and finish what they have; after the grace time they are cancelled. A task that fails stops the whole process,
so that the platform restarts it from the log. Not done here: restarting tasks, and the services' own work.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from chassis import telemetry
from chassis.clock import Clock, SystemClock
from chassis.health import Health
from chassis.logs import flush_logs
from chassis.probes import ProbeServer
from chassis.redaction import scrub
from chassis.settings import ServiceSettings
from chassis.version import VERSION

T = TypeVar("T")
Service = Callable[["Lifecycle"], Awaitable[None]]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
# Seconds that resources get to close after the tasks have ended, and cancelled tasks to end.
_CLOSE_SECONDS: Final = 5.0
_SAME_SIGNAL_SECONDS: Final = 1.0

_log = telemetry.get_logger(__name__)


class Lifecycle:
    """What a service is given to live in. Made by `run` and `supervise`, never by a service."""

    def __init__(self, ports_file: Path | None, clock: Clock) -> None:
        self.clock = clock
        self.health = Health(clock)
        self.health.hold("starting")
        self.draining = asyncio.Event()
        """Set when the service should finish what it has and take nothing new."""
        self._resources = AsyncExitStack()
        self.must_exit = False
        """Set when a task cannot be ended: only the end of the process will end it."""
        self._root: asyncio.Task[None] | None = None
        self._wired = False
        self.cutting_off = False
        """Set when what still runs is being cancelled."""
        self._tasks_ended = asyncio.Event()
        self._tasks: dict[asyncio.Task[object], bool] = {}
        self._changed = asyncio.Event()
        self._failure: str | None = None
        self._ports_file = ports_file
        self._addresses: dict[str, str] = {}

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource that is closed, in reverse order, after all tasks have ended.

        Only for the service function itself: the task that opens a resource is the one that closes it.
        """
        if asyncio.current_task() is not self._root:
            raise RuntimeError("resources are entered by the service function, not by the tasks it spawns")
        return await self._resources.enter_async_context(resource)

    def spawn(self, name: str, work: Coroutine[Any, Any, object], *, background: bool = False) -> None:
        """Run `work` as a supervised task. If it raises, the process drains and exits with status 1.

        It is expected to end by itself after `draining` is set. `background` work (a heartbeat, a refresher) is not
        waited for: it is cancelled when everything else has ended.

        The first spawn makes the process ready, as far as its checks agree: what is spawned is wired.
        """
        self._started()
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = background
        task.add_done_callback(self._ended)

    def _started(self) -> None:
        if not self.draining.is_set():
            self.health.hold(None)

    def stop(self, reason: str) -> None:
        """Start the drain, as a signal would."""
        if not self.draining.is_set():
            _log.info("draining", reason=reason)
            self.health.hold("shutting down")
            self.draining.set()
            self._changed.set()

    def fail(self, reason: str) -> None:
        """Start the drain, and exit with status 1 when it is over. The first reason is the one that is told."""
        if self._failure is None:
            self._failure = scrub(reason)
        self.stop(reason=self._failure)

    def announce(self, name: str, address: str) -> None:
        """Tell, in the log and in the ports file, that `name` is served at `address` (a URL)."""
        self._addresses[name] = address
        _log.info("listening", name=name, address=address)
        if self._ports_file is not None:
            write_ports_file(self._ports_file, self._addresses)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        self._changed.set()
        if task.cancelled():
            if not self.cutting_off:  # not by us: what it waited for was cancelled, and its work is done by nobody
                _log.error("a task was cancelled", task=task.get_name())
                self.fail(f"{task.get_name()}: cancelled by what it waited for")
            return
        error = task.exception()
        if error is not None:
            self._failed(task.get_name(), error)
        elif not self.draining.is_set():
            _log.debug("a task ended", task=task.get_name())

    def _failed(self, name: str, error: BaseException) -> None:
        _log.error("a task failed", task=name, exc_info=error)
        self.fail(f"{name}: {type(error).__name__}: {error}")

    async def _run(self, service: Service, grace_seconds: float) -> int:
        """Run `service` to its end; returns the exit status."""
        self._root = asyncio.get_running_loop().create_task(self._serve(service), name="service")
        self._root.add_done_callback(self._ended)
        try:
            while self._unfinished() and not self.draining.is_set():
                await self._wait_for_change()
            await self._drain(grace_seconds)
        except asyncio.CancelledError:  # stop: the second signal; `supervise` has noted it as the reason
            pass
        await self._cut_off(self._root)
        if self._failure is not None:
            _log.error("stopped", reason=self._failure)
            return EXIT_FAILED
        _log.info("stopped")
        return EXIT_OK

    async def _serve(self, service: Service) -> None:
        """The task of the service function: runs it, then keeps its resources open for the tasks it spawned."""
        async with self._resources:
            try:
                await service(self)
            except asyncio.CancelledError:
                if not self.cutting_off:
                    raise  # stop: a resource's own task group gave up; its error comes out of closing it
            except Exception as error:  # stop: told, and the process drains; the tasks still need the resources
                self._failed("service", error)
            self._wired = True
            self._started()
            self._changed.set()
            await self._tasks_ended.wait()

    def _stuck(self, reason: str) -> None:
        self.must_exit = True
        self.fail(reason)

    def _unfinished(self) -> list[str]:
        """Names of what has to end before the process may."""
        names = [task.get_name() for task, background in self._tasks.items() if not background]
        if not self._wired and self._root is not None and not self._root.done():
            names.append(self._root.get_name())
        return sorted(names)

    async def _drain(self, grace_seconds: float) -> None:
        try:
            async with asyncio.timeout(grace_seconds):
                while self._unfinished():
                    await self._wait_for_change()
        except TimeoutError:  # stop: what is left will be delivered again to the next process
            self.fail(f"not finished after {grace_seconds:g} s: {', '.join(self._unfinished())}")

    async def _wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _cut_off(self, root: asyncio.Task[None]) -> None:
        """Cancel what still runs, then have the resources closed."""
        self.cutting_off = True
        if not self._wired:
            root.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
            for task in stuck:
                self._stuck(f"{task.get_name()} ignored its cancellation")
        self._tasks_ended.set()
        _, stuck = await asyncio.wait([root], timeout=_CLOSE_SECONDS)
        if stuck:
            self._stuck(f"resources did not close in {_CLOSE_SECONDS:g} s")


async def supervise(
    service: Service,
    *,
    grace_seconds: float,
    probe_listen: str | None = None,
    ports_file: Path | None = None,
    clock: Clock | None = None,
) -> int:
    """Run `service` under signals and probes in the running loop; returns the exit status.

    The first SIGTERM or SIGINT drains; another one, a second or more later, cancels at once. (The kernel may tell the
    death of a parent once for each of its threads: signals that come together are one.) Raises OSError when the probe
    port is taken.
    """
    life = Lifecycle(ports_file, clock or SystemClock())
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None

    patience_ends: float | None = None

    def on_signal(received: signal.Signals) -> None:
        nonlocal patience_ends
        if patience_ends is None:
            patience_ends = life.clock.monotonic() + _SAME_SIGNAL_SECONDS
            life.stop(received.name)
        elif life.clock.monotonic() >= patience_ends and not life.cutting_off:  # which ends by itself within seconds
            life.fail(f"second signal ({received.name}), work in flight was cut off")
            running.cancel()

    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, on_signal, each)
    probes = None if probe_listen is None else ProbeServer(life.health, probe_listen)
    try:
        if probes is not None:
            life.announce("probe", await probes.start())
        status = await life._run(service, grace_seconds)  # pyright: ignore[reportPrivateUsage]  (hidden from services)
    finally:
        if probes is not None:
            await probes.close()
        for each in signals:
            loop.remove_signal_handler(each)
    if life.must_exit:
        # The event loop would wait for the stuck task for ever.
        flush_logs()
        os._exit(status)
    return status


def run(service: Service, *, name: str, settings: ServiceSettings, probes: bool = True) -> int:
    """Set up telemetry and run `service` in a new event loop; returns the exit status for `sys.exit`.

    `probes` is False for the gateway, which serves its health on its own port.
    """
    handle = telemetry.configure(
        name, VERSION, settings.log_level, settings.log_format, enable_metrics=settings.enable_metrics
    )
    listen = settings.probe_listen if probes else None
    ports_file = None if settings.ports_file is None else Path(settings.ports_file)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(
                supervise(
                    service,
                    grace_seconds=settings.shutdown_grace_seconds,
                    probe_listen=listen,
                    ports_file=ports_file,
                )
            )
    except OSError as error:  # stop: the probe port is taken, or the ports file cannot be written
        _log.error("cannot start", reason=f"{error} (PROBE_LISTEN={listen}, PORTS_FILE={ports_file})")
        return EXIT_FAILED
    finally:
        handle.shutdown()


def write_ports_file(path: Path, addresses: dict[str, str]) -> None:
    """Write `addresses` and this process's id as JSON, so that a reader never sees half a file.

    `{"pid": "1234", "probe": "http://127.0.0.1:40001"}`; the id tells a file of this run from one of an earlier run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode({"pid": str(os.getpid()), **addresses}))
    temporary.replace(path)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's loop where it is installed, None for the standard one elsewhere."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:  # stop: optional, only faster
        return None
    return uvloop.new_event_loop
