"""A pinning service that fails for a while: stands before the embedded one, and passes on what comes.

Used by the soak. It refuses with 503, hangs (until whoever stands before it gives up, with 504), or says less than a
whole answer. It never answers with another CID: that ends the items, which the soak would have to expect.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Literal

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.webhooks import serving

Mood = Literal["good", "refuses", "hangs", "breaks off"]
MOODS: Final[tuple[Mood, ...]] = ("refuses", "hangs", "breaks off")
PATIENCE: Final = 60.0


class BadPinning:
    """A running service in front of another one."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.url = ""
        self._client = client
        self._mood: Mood = "good"
        self._changed = asyncio.Event()

    def answer(self, mood: Mood) -> None:
        """Answer in this mood from now on."""
        self._mood = mood
        self._changed.set()
        self._changed = asyncio.Event()

    async def on_request(self, request: Request) -> Response:
        """Answer one request."""
        body = await request.body()
        mood = self._mood
        if mood == "refuses":
            return Response(status_code=503)
        if mood == "hangs":
            await self._changed.wait()
            return Response(status_code=504)
        kept = {name: value for name, value in request.headers.items() if name in ("content-type", "authorization")}
        path = f"{request.url.path}?{request.url.query}"
        try:
            answer = await self._client.request(request.method, path, content=body, headers=kept)
        except httpx.HTTPError:  # stop: the embedded one is away, and so is this one
            return Response(status_code=502)
        content = answer.content[: len(answer.content) // 2] if mood == "breaks off" else answer.content
        return Response(content, answer.status_code, media_type=answer.headers.get("content-type"))


@asynccontextmanager
async def bad_pinning(target: str) -> AsyncGenerator[BadPinning]:
    """A service on a free port of 127.0.0.1, before the one at URL `target`; good until it is told otherwise."""
    async with httpx.AsyncClient(base_url=target, timeout=PATIENCE) as client:
        running = BadPinning(client)
        routes = [Route("/{path:path}", running.on_request, methods=["GET", "POST"])]
        async with serving(Starlette(routes=routes)) as running.url:
            yield running
