"""Several pinning services as one: each behind a circuit of its own, content pinned when enough of them have it.

Used by `main`. `Guarded` keeps a service that fails or asks for a pause from being called; `Quorum` asks all at once
and goes on with those that answer. A service that was left out gets the content with the next audit. Not done here:
what a service's answers mean (`adapters`), and when a handler tries again (`handlers`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chassis import telemetry
from chassis.circuit import Circuit, CircuitOpen
from chassis.clock import Clock
from services.ipfs.ports import (
    Content,
    ContentMismatch,
    ContentUnavailable,
    Pinnable,
    PinningService,
    PinRefused,
    PinUnavailable,
)
from unixfs import Cid

REMEMBERED_PINS: Final = 16_384
"""CIDs a service is known to have in this process, so that a retry asks only the services that failed."""

REMEMBERED_SECONDS: Final = 900.0
"""For so long: what a service loses later, another process may have found out, and this one has to pin it again."""

_Pin = Callable[[PinningService], Awaitable[None]]
"""What is asked of each service."""

_log = telemetry.get_logger(__name__)


class Guarded:
    """A pinning service behind a circuit: after `failures` in a row it is left alone for `pause` seconds.

    Implements `PinningService`. A pause that the service itself asks for (Retry-After) is kept for every caller.
    """

    def __init__(self, inner: PinningService, clock: Clock, *, failures: int, pause: float) -> None:
        self._inner = inner
        self._clock = clock
        self._pause = pause
        # These speak of the content, not of the service.
        about_content = (PinRefused, ContentMismatch, ContentUnavailable)
        self._circuit = Circuit(clock, failures=failures, pause=pause, exclude=about_content)
        self._asked_to_wait_until = 0.0
        self._pinned: OrderedDict[Cid, float] = OrderedDict()
        """When each was pinned, by the monotonic clock."""

    @property
    def name(self) -> str:
        """See `PinningService.name`."""
        return self._inner.name

    @property
    def takes_bytes(self) -> bool:
        """See `PinningService.takes_bytes`."""
        return self._inner.takes_bytes

    @property
    def most_files(self) -> int:
        """See `PinningService.most_files`."""
        return self._inner.most_files

    async def pin(self, content: Pinnable) -> None:
        """Pin, unless this process has done it already; see `PinningService.pin`."""
        if not self._remembers(content.cid):
            await self._guarded(lambda: self._inner.pin(content))
            self._remember([content])

    async def pin_all(self, contents: Sequence[Content]) -> None:
        """Pin those that this process has not pinned already; see `PinningService.pin_all`."""
        missing = [content for content in contents if not self._remembers(content.cid)]
        if missing:
            await self._guarded(lambda: self._inner.pin_all(missing))
            self._remember(missing)

    async def _guarded(self, pin: Callable[[], Awaitable[None]]) -> None:
        wait = self._asked_to_wait_until - self._clock.monotonic()
        if wait > 0:
            raise PinUnavailable(f"{self.name} asked for a pause", after=wait)
        try:
            with self._circuit:
                await pin()
        except CircuitOpen as error:  # retry: after the circuit's pause
            raise PinUnavailable(f"the circuit of {self.name} is open", after=self._pause) from error
        except PinUnavailable as error:  # retry: the caller says when
            if error.after is not None and not isinstance(error, ContentUnavailable):
                self._asked_to_wait_until = self._clock.monotonic() + error.after
            raise

    def _remembers(self, cid: Cid) -> bool:
        pinned_at = self._pinned.get(cid)
        return pinned_at is not None and self._clock.monotonic() - pinned_at < REMEMBERED_SECONDS

    def _remember(self, contents: Sequence[Pinnable]) -> None:
        self._pinned |= dict.fromkeys((content.cid for content in contents), self._clock.monotonic())
        while len(self._pinned) > REMEMBERED_PINS:
            self._pinned.popitem(last=False)

    async def pin_by_cid(self, cid: Cid) -> None:
        """Ask the service itself; see `PinningService.pin_by_cid`. Content that it does not find opens no circuit."""
        await self._inner.pin_by_cid(cid)

    async def has(self, cid: Cid) -> bool:
        """Ask the service itself; see `PinningService.has`. What it has lost is forgotten here too."""
        there = await self._inner.has(cid)
        if not there:
            self._pinned.pop(cid, None)
        return there

    async def check(self) -> None:
        """See `PinningService.check`."""
        await self._inner.check()


class Quorum:
    """All services at once; implements `PinningService` and succeeds when `enough` of them have the content."""

    takes_bytes = True

    def __init__(self, services: Sequence[PinningService], enough: int) -> None:
        assert 1 <= enough <= len(services), "the settings have checked it"
        self._services = tuple(services)
        self._enough = enough

    @property
    def name(self) -> str:
        """The services' names."""
        return "+".join(service.name for service in self._services)

    @property
    def most_files(self) -> int:
        """See `PinningService.most_files`: as many as each of the services takes."""
        return min(service.most_files for service in self._services)

    async def pin(self, content: Pinnable) -> None:
        """Pin with every service; see `PinningService.pin`.

        Services that take bytes come first, those that fetch by CID after at least one of them has it. When too few
        succeed, an error that waiting can cure wins over one that it cannot, unless the quorum is out of reach.
        """
        await self._pin(lambda service: service.pin(content), [content])

    async def pin_all(self, contents: Sequence[Content]) -> None:
        """Pin with every service, which has all of them or fails; see `PinningService.pin_all` and `pin`."""
        await self._pin(lambda service: service.pin_all(contents), contents)

    async def _pin(self, pin: _Pin, contents: Sequence[Pinnable]) -> None:
        first = [service for service in self._services if service.takes_bytes]
        errors = await self._pin_with(first, pin, contents)
        if len(errors) < len(first):
            rest = [service for service in self._services if not service.takes_bytes]
            errors |= await self._pin_with(rest, pin, contents)
            if len(self._services) - len(errors) >= self._enough:
                return
        raise self._verdict(errors)

    async def pin_by_cid(self, cid: Cid) -> None:
        """Have every service find it; raises the first error when too few do."""
        results = await asyncio.gather(*(each.pin_by_cid(cid) for each in self._services), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if len(self._services) - len(failed) < self._enough:
            raise failed[0]

    async def has(self, cid: Cid) -> bool:
        """Return whether enough services have it; raises PinUnavailable when those that answer cannot tell."""
        answers = await asyncio.gather(*(service.has(cid) for service in self._services), return_exceptions=True)
        silent: list[PinUnavailable] = []
        for answer in answers:
            if isinstance(answer, PinUnavailable):
                silent.append(answer)
            elif isinstance(answer, PinRefused | ContentMismatch):  # it speaks of something else
                silent.append(PinUnavailable(str(answer)))
            elif isinstance(answer, BaseException):
                raise answer
        having = sum(answer is True for answer in answers)
        if having < self._enough <= having + len(silent):
            raise silent[0]
        return having >= self._enough

    async def check(self) -> None:
        """Return when enough services answer; see `PinningService.check`."""
        answers = await asyncio.gather(*(service.check() for service in self._services), return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(self._services) - len(failed) < self._enough:
            raise failed[0]

    async def _pin_with(
        self, services: Sequence[PinningService], pin: _Pin, contents: Sequence[Pinnable]
    ) -> "dict[str, PinUnavailable | PinRefused | ContentMismatch]":
        """Return the errors by the service's name."""
        results = await asyncio.gather(*(pin(service) for service in services), return_exceptions=True)
        errors: dict[str, PinUnavailable | PinRefused | ContentMismatch] = {}
        for service, result in zip(services, results, strict=True):
            match result:
                case None:
                    continue
                case PinUnavailable() | PinRefused() | ContentMismatch():
                    errors[service.name] = result
                    # A mismatch is the service's own fault as long as others answer with the computed CID.
                    tell = _log.error if isinstance(result, ContentMismatch) else _log.warning
                    tell(
                        "not pinned",
                        provider=service.name,
                        cid=str(contents[0].cid),
                        files=len(contents),
                        reason=str(result),
                    )
                case _:
                    raise result
        return errors

    def _verdict(
        self, errors: "dict[str, PinUnavailable | PinRefused | ContentMismatch]"
    ) -> PinUnavailable | PinRefused | ContentMismatch:
        final = [error for error in errors.values() if not isinstance(error, PinUnavailable)]
        passing = [error for error in errors.values() if isinstance(error, PinUnavailable)]
        if len(self._services) - len(final) < self._enough or not passing:
            return final[0]
        # Another try can help as soon as the first of them is back.
        return min(passing, key=lambda error: (error.operator, error.after or 0.0))
