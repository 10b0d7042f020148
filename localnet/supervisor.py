"""Keeps a set of child processes running: starts them in stages, restarts what dies, stops them in reverse.

Used by `localnet.stack`, and by tests with small children. A child that keeps dying is given up after a few tries,
which fails the whole: a stack without one of its parts is not what was asked for. Not done here: what the children are.
"""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chassis.clock import Clock, SystemClock
from localnet.child import Addresses, Child, ChildSpec, describe_status
from localnet.errors import StackError

Report = Callable[[str], None]
"""Takes a sentence for the person who watches."""

_LOOK_SECONDS: Final = 2.0
"""Between two looks at whether something ails a child."""
# A process goes on living after these.
_HARMLESS: Final = frozenset({signal.SIGSTOP, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD})


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How patient the supervisor is with a child that dies; times in seconds."""

    deaths: int = 5
    """Give up when it has died this often within `window`."""
    window: float = 60.0
    first_pause: float = 0.1
    longest_pause: float = 5.0

    def pause(self, deaths: int) -> float:
        """Pause before the restart after the given number of deaths in the window: doubles each time."""
        return min(self.longest_pause, self.first_pause * 2 ** (deaths - 1))


class Supervisor:
    """Runs children in stages: those of a stage start together, when those of the one before are ready."""

    def __init__(
        self,
        stages: Sequence[Sequence[ChildSpec]],
        report: Report,
        policy: RestartPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._stages = [[Child(spec) for spec in stage] for stage in stages]
        self._children = {child.spec.name: child for stage in self._stages for child in stage}
        self._ready = {name: asyncio.Event() for name in self._children}
        self._restarts = dict.fromkeys(self._children, 0)
        self._watchers: list[asyncio.Task[None]] = []
        self._failure: asyncio.Future[StackError] = asyncio.get_running_loop().create_future()
        self._report = report
        self._policy = policy or RestartPolicy()
        self._clock = clock or SystemClock()

    @property
    def names(self) -> tuple[str, ...]:
        """The children's names, in the order of their start."""
        return tuple(self._children)

    def addresses(self, name: str) -> Addresses:
        """Where `name` is served since its last start."""
        return self._children[name].addresses

    def pid(self, name: str) -> int | None:
        """Process id of `name`, or None while it is down."""
        return self._children[name].pid

    def restarts(self, name: str) -> int:
        """How often `name` was started again after it died."""
        return self._restarts[name]

    async def start(self) -> None:
        """Start all stages. Raises the StackError of the first child that fails, with all others stopped again."""
        try:
            for stage in self._stages:
                await self._start_stage(stage)
        except BaseException:  # stop: failed or cancelled; nothing is left running
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all stages, the last one first; never raises for a child that has to be killed."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers.clear()
        for stage in reversed(self._stages):
            stopped = await asyncio.gather(*(child.stop() for child in stage))
            for child, politely in zip(stage, stopped, strict=True):
                self._ready[child.spec.name].clear()
                if not politely:
                    self._report(
                        f"{child.spec.name} did not stop within {child.spec.stop_seconds:g} s and was killed; "
                        f"its log is {child.spec.log_file}"
                    )

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to `name`; one that ends it makes `wait_ready` wait for its restart."""
        if number not in _HARMLESS:
            self._ready[name].clear()
        self._children[name].kill(number)

    def reconfigure(self, name: str, variables: Mapping[str, str]) -> None:
        """Give `name` further environment variables from its next start on."""
        child = self._children[name]
        child.spec = replace(child.spec, environ={**child.spec.environ, **variables})

    async def wait_ready(self, name: str) -> Addresses:
        """Wait until `name` is ready (again). Raises StackError when the stack fails meanwhile."""
        ready = asyncio.ensure_future(self._ready[name].wait())
        try:
            await asyncio.wait({ready, self._failure}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._failure.done() and not self._ready[name].is_set():
            raise self._failure.result()
        return self.addresses(name)

    async def wait_failure(self) -> StackError:
        """Wait until a child is given up; returns what to tell."""
        return await asyncio.shield(self._failure)

    async def _start_stage(self, stage: Sequence[Child]) -> None:
        failed: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as group:
                for child in stage:
                    group.create_task(self._first_start(child))
        except* StackError as errors:  # stop: raised below, outside of a group
            failed.extend(errors.exceptions)
        if failed:
            raise failed[0]  # one sentence for the person: the first child's
        for child in stage:
            watcher = asyncio.create_task(self._watch(child), name=child.spec.name)
            watcher.add_done_callback(self._watcher_ended)
            self._watchers.append(watcher)

    async def _first_start(self, child: Child) -> None:
        await child.start()
        self._ready[child.spec.name].set()

    async def _watch(self, child: Child) -> None:
        """Start `child` again whenever it ends, until it has died too often."""
        name = child.spec.name
        deaths: deque[float] = deque()
        while True:
            status = await self._ended(child)
            self._ready[name].clear()
            now = self._clock.monotonic()
            deaths.append(now)
            while deaths[0] < now - self._policy.window:
                deaths.popleft()
            if len(deaths) >= self._policy.deaths:
                self._give_up(child, len(deaths), status)
                return
            self._report(f"{name} ended ({describe_status(status)}); starting it again")
            await self._clock.sleep(self._policy.pause(len(deaths)))
            await self._restart(child)

    async def _ended(self, child: Child) -> int:
        """Return the child's exit status once it has ended: by itself, or because only a new start helps it."""
        ended = asyncio.ensure_future(child.wait())
        try:
            while child.spec.ailment is not None:
                await asyncio.wait({ended}, timeout=_LOOK_SECONDS)
                if ended.done():
                    break
                if (ailment := await asyncio.to_thread(child.spec.ailment, child.addresses)) is not None:
                    self._report(f"{child.spec.name} needs a new start: {ailment}")
                    self._ready[child.spec.name].clear()
                    await child.stop()
            return await ended
        finally:
            ended.cancel()

    async def _restart(self, child: Child) -> None:
        name = child.spec.name
        try:
            await child.start()
        except Exception as error:  # retry: whatever it is, the watcher counts it as a death
            self._report(f"{name} could not be started: {error}")
            return
        self._restarts[name] += 1
        self._ready[name].set()
        self._report(f"{name} is back")

    def _watcher_ended(self, watcher: asyncio.Task[None]) -> None:
        """A watcher ends by giving up or by being cancelled; anything else would leave its child unwatched."""
        error = None if watcher.cancelled() else watcher.exception()
        if error is not None and not self._failure.done():
            self._failure.set_result(StackError(f"{watcher.get_name()} is not watched any more: {error!r}"))

    def _give_up(self, child: Child, deaths: int, status: int) -> None:
        name = child.spec.name
        error = StackError(
            f"{name} ended {deaths} times within {self._policy.window:g} s, the last time with "
            f"{describe_status(status)}; the end of {child.spec.log_file}:\n{child.log_tail()}"
        )
        if not self._failure.done():
            self._failure.set_result(error)
