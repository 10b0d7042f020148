"""Receivers of webhooks for tests: a real HTTP server that answers as told; what it gets is verified by the library."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

Json = dict[str, Any]


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Json:
        return cast("Json", json.loads(self.body))

    def verified(self, secret: str) -> Json:
        """The body, once the specification's own library has verified it; raises its WebhookVerificationError."""
        return cast("Json", Webhook(secret).verify(self.body, self.headers))  # pyright: ignore[reportUnknownMemberType]


Answering = Callable[[Received], Awaitable[Response]]


async def take(_: Received) -> Response:
    return Response(status_code=204)


@dataclass
class Receiver:
    """A running receiver. `answer` decides; by default everything is taken."""

    url: str = ""
    answer: Answering = take
    requests: list[Received] = field(default_factory=list[Received])
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def on_request(self, request: Request) -> Response:
        received = Received({name.lower(): value for name, value in request.headers.items()}, await request.body())
        async with self._came:
            self.requests.append(received)
            self._came.notify_all()
        return await self.answer(received)

    async def until(self, enough: Callable[[list[Received]], bool], within: float = 120.0) -> list[Received]:
        """Wait until the requests so far are enough."""
        async with asyncio.timeout(within), self._came:
            await self._came.wait_for(lambda: enough(self.requests))
        return list(self.requests)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the tests' process has its own."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving(app: Starlette) -> AsyncGenerator[str]:
    """The URL of an application that is served on a free port of 127.0.0.1."""
    server = _Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(60):
            while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def receiver(answer: Answering = take) -> AsyncGenerator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    running = Receiver(answer=answer)
    app = Starlette(routes=[Route("/{path:path}", running.on_request, methods=["POST"])])
    async with serving(app) as url:
        running.url = f"{url}/hook"
        yield running
