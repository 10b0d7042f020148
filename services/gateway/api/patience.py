"""How long a body may take: a grace, and after that no slower than MIN_BYTES_PER_SECOND on average.

Used by `api/scope.py`. Only the time in which the caller is waited for counts, and meanwhile its request leaves its
place to others (`admission.py`). Most bodies are there when they are asked for: then nothing is measured and nobody
leaves. Not done here: slow headers and slow readers, which `server.py` sees on the connection itself.
"""

import asyncio
import time
from collections.abc import Generator
from typing import Any, Final

from starlette.types import Message, Receive

from services.gateway.api.admission import Place
from services.gateway.errors import RequestTimeout

GRACE_SECONDS: Final = 15.0
MIN_BYTES_PER_SECOND: Final = 8 * 1024
"""A tenth of a megabit: slower than any connection that somebody would upload images over."""


class BodyPatience:
    """Waits for one request's body."""

    def __init__(
        self,
        receive: Receive,
        place: Place | None = None,
        grace: float = GRACE_SECONDS,
        rate: float = MIN_BYTES_PER_SECOND,
    ) -> None:
        self._receive = receive
        self._place = place
        self._left = grace
        self._rate = rate
        self._begun = False
        """Whether something of the body has come."""
        self._whole = False
        """Whether all of it has."""

    async def receive(self) -> Message:
        """See the ASGI specification.

        Raises RequestTimeout while the body comes too slowly, and Overloaded when others have taken all places before
        anything of it came. Later it goes on all the same: what was uploaded so far would be lost.
        """
        if self._whole:  # what comes after the body is the end of the connection, which may take for ever
            if self._place:
                self._place.leave()
            return await self._receive()
        steps = self._receive().__await__()
        try:
            waits_for = next(steps)
        except StopIteration as at_hand:
            message: Message = at_hand.value
        else:
            message = await self._awaited(_Rest(steps, waits_for))
        self._begun = True
        self._whole = not message.get("more_body", False)
        return message

    async def _awaited(self, rest: "_Rest") -> Message:
        if self._place:
            self._place.leave()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                message = await rest
        except TimeoutError:  # stop: the caller is told, and the connection ends
            raise RequestTimeout from None
        self._left += len(message.get("body", b"")) / self._rate - (time.monotonic() - began)
        if self._place:
            self._place.come_back(anyhow=self._begun)
        return message


class _Rest:
    """Awaits what was begun by hand: its other steps, after the one that waits."""

    def __init__(self, steps: Generator[Any, None, Message], waits_for: object) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, None, Message]:
        try:
            yield self._waits_for
        except BaseException as error:  # the awaited one's to handle, such as its cancellation
            try:
                waits_for = self._steps.throw(error)
            except StopIteration as done:
                return done.value
            self._waits_for = waits_for
            return (yield from self.__await__())
        return (yield from self._steps)
