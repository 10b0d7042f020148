"""Health checks of a process: named, timed, cached for a moment.

Used by the probe server and by the gateway's `GET /health`. Not done here: serving them over HTTP
(`chassis.probes`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, cast

import msgspec

from chassis.clock import Clock, SystemClock
from chassis.redaction import scrub

Check = Callable[[], Awaitable[object]]
"""Returns when all is well; raises to say what is not. The text is shown to whoever probes, and so is a mapping that it
returns: what is worth knowing though all is well."""

Kind = Literal["live", "ready"]

_Key = tuple[Kind, str]
_MAX_ERROR: Final = 300


class CheckResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check said."""

    ok: bool
    latency_ms: float
    error: str | None = None
    detail: Mapping[str, object] | None = None


class HealthReport(msgspec.Struct, frozen=True):
    """What all checks of a kind said; `ok` when every one that decides is."""

    ok: bool
    checks: Mapping[str, CheckResult]


class Health:
    """The checks of this process.

    `live`: is it worth keeping (a failing check gets it restarted); `ready`: should work be sent to it now.
    """

    def __init__(self, clock: Clock | None = None, cache_seconds: float = 1.0, timeout_seconds: float = 3.0) -> None:
        self._clock = clock or SystemClock()
        self._cache_seconds = cache_seconds
        self._timeout_seconds = timeout_seconds
        self._checks: dict[Kind, dict[str, Check]] = {"live": {}, "ready": {}}
        self._advisory: dict[Kind, set[str]] = {"live": set(), "ready": set()}
        self._cached: dict[Kind, tuple[float, HealthReport]] = {}
        self._locks: dict[Kind, asyncio.Lock] = {"live": asyncio.Lock(), "ready": asyncio.Lock()}
        self._late: dict[_Key, asyncio.Future[object]] = {}
        """What did not answer in time, and takes its time with being cancelled too."""
        self._held: str | None = None

    def add(self, name: str, check: Check, kind: Kind = "ready", *, advisory: bool = False) -> None:
        """Register a check under a name that is new for its kind; an `advisory` one is told and decides nothing."""
        if name in self._checks[kind]:
            raise ValueError(f"there is a {kind} check named {name!r} already")
        self._checks[kind][name] = check
        if advisory:
            self._advisory[kind].add(name)
        self._cached.pop(kind, None)

    def hold(self, reason: str | None) -> None:
        """Not ready for `reason` from now on, whatever the checks say; None ends it."""
        self._held = reason
        self._cached.clear()

    async def report(self, kind: Kind) -> HealthReport:
        """Run the checks of `kind`, all at once, or give the last result if it is fresh.

        Probes that come together share one run, so probing often costs the dependencies nothing more.
        """
        async with self._locks[kind]:
            cached = self._cached.get(kind)
            if cached is not None and self._clock.monotonic() < cached[0]:
                return cached[1]
            checks = dict(self._checks[kind])
            results = await asyncio.gather(*(self._run((kind, name), check) for name, check in checks.items()))
            by_name = dict(zip(checks, results, strict=True))
            if kind == "ready" and self._held is not None:
                by_name["lifecycle"] = CheckResult(ok=False, latency_ms=0.0, error=self._held)
            decide = (result for name, result in by_name.items() if name not in self._advisory[kind])
            report = HealthReport(ok=all(result.ok for result in decide), checks=by_name)
            self._cached[kind] = (self._clock.monotonic() + self._cache_seconds, report)
            return report

    async def _run(self, key: _Key, check: Check) -> CheckResult:
        start = self._clock.monotonic()
        error: str | None = None
        said: object = None
        try:
            said = await self._answer(key, check)
        except TimeoutError:  # stop: the next probe tries again
            error = f"no answer in {self._timeout_seconds:g} s"
        except Exception as problem:  # stop: any failure of a check is its result
            error = scrub(f"{type(problem).__name__}: {problem}")[:_MAX_ERROR]
        latency = round((self._clock.monotonic() - start) * 1000, 2)
        detail = cast("Mapping[str, object]", said) if isinstance(said, Mapping) else None
        return CheckResult(ok=error is None, latency_ms=latency, error=error, detail=detail)

    async def _answer(self, key: _Key, check: Check) -> object:
        """Return what the check says; raises TimeoutError when its time is over, whether or not the check is.

        A database's client that is cancelled asks the silent server to forget the question, and waits half a minute
        for that. Nobody is asked again before.
        """
        asked_until = asyncio.get_running_loop().time() + self._timeout_seconds
        if (late := self._late.get(key)) is not None:
            await asyncio.wait((late,), timeout=self._timeout_seconds)
            if not late.done():
                raise TimeoutError
        task = asyncio.ensure_future(check())
        try:
            await asyncio.wait((task,), timeout=asked_until - asyncio.get_running_loop().time())
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                self._late[key] = task
                task.add_done_callback(lambda ended: self._forget(key, ended))

    def _forget(self, key: _Key, ended: asyncio.Future[object]) -> None:
        del self._late[key]
        if not ended.cancelled():
            ended.exception()  # nobody waits for it any more
