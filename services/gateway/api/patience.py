"""How long a body may take: a grace, and after that no slower than MIN_BYTES_PER_SECOND on average.

A plain ASGI middleware, installed by `api/app.py` inside `RequestScope`. Only the time in which the caller is waited
for counts. Not done here: slow headers and slow readers, which `server.py` sees on the connection itself.
"""

import asyncio
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.errors import RequestTimeout

GRACE_SECONDS: Final = 15.0
MIN_BYTES_PER_SECOND: Final = 8 * 1024
"""A tenth of a megabit: slower than any connection that somebody would upload images over."""


class BodyPatience:
    """Wraps the application: its `receive` raises RequestTimeout while a body comes too slowly."""

    def __init__(self, app: ASGIApp, grace: float = GRACE_SECONDS, rate: float = MIN_BYTES_PER_SECOND) -> None:
        self._app = app
        self._grace = grace
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "http":
            receive = _Body(receive, self._grace, self._rate).receive
        await self._app(scope, receive, send)


class _Body:
    def __init__(self, receive: Receive, grace: float, rate: float) -> None:
        self._receive = receive
        self._left = grace
        self._rate = rate
        self._whole = False

    async def receive(self) -> Message:
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
