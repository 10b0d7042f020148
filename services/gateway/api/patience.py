"""How long a body may take: a grace, and after that no slower than MIN_BYTES_PER_SECOND on average.

Used by `api/scope.py`. Only the time in which the caller is waited for counts. Not done here: slow headers and slow
readers, which `server.py` sees on the connection itself.
"""

import asyncio
import time
from typing import Final

from starlette.types import Message, Receive

from services.gateway.errors import RequestTimeout

GRACE_SECONDS: Final = 15.0
MIN_BYTES_PER_SECOND: Final = 8 * 1024
"""A tenth of a megabit: slower than any connection that somebody would upload images over."""


class BodyPatience:
    """Waits for one request's body: `receive` raises RequestTimeout while it comes too slowly."""

    def __init__(self, receive: Receive, grace: float = GRACE_SECONDS, rate: float = MIN_BYTES_PER_SECOND) -> None:
        self._receive = receive
        self._left = grace
        self._rate = rate
        self._whole = False

    async def receive(self) -> Message:
        """See the ASGI specification."""
        if self._whole:  # what comes after the body is the end of the connection, which may take for ever
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:  # stop: the caller is told, and the connection ends
            raise RequestTimeout from None
        body: bytes = message.get("body", b"")
        self._left += len(body) / self._rate - (time.monotonic() - began)
        self._whole = not message.get("more_body", False)
        return message
