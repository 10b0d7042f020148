"""What the gateway's own server and the libraries beneath it tell the log of a caller's credentials: nothing."""

import asyncio
import logging
from collections.abc import Generator

import pytest
import structlog
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from chassis.logs import configure_logs
from services.gateway import server
from services.gateway.api import sockets
from tests.support.ending import end


async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts every WebSocket, and closes it."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": sockets.chosen(scope)})
    await send({"type": "websocket.close", "code": 1000})


@pytest.fixture
def at_level_debug() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logs("gateway", "1", "debug", "json")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("at_level_debug")
async def test_no_credential_is_logged_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    listener = server.listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(accepting, listener, asyncio.Event(), 5))
    # The client is what listens to a node, whose key may be in its address.
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/hidden-path?ticket=hidden-query"
    headers = {"X-API-Key": "hidden-header", "Cookie": "mintstream_console=hidden-cookie"}
    try:
        async with connect(
            url,
            subprotocols=[sockets.PROTOCOL, f"{sockets.KEY_PREFIX}hidden-protocol"],  # pyright: ignore[reportArgumentType]  (a NewType of str)
            additional_headers=headers,
        ) as socket:
            await socket.wait_closed()
            assert socket.subprotocol == sockets.PROTOCOL
    finally:
        await end([serving])
    logging.getLogger("of a library").warning("told")
    written = capsys.readouterr().err
    assert "told" in written
    assert "hidden" not in written
