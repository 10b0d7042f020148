"""Callers as no server wants them: floods of connections, requests that never end, uploads that break off.

Used by the soak against the gateway. Raw bytes on sockets: no HTTP client would do any of it. They check nothing:
whatever the server answers, or that it hangs up on them, is right; what matters is what others meet meanwhile.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

BOUNDARY: Final = "rude"
DRIP_SECONDS: Final = 0.05


async def flood(port: int, connections: int, seconds: float) -> None:
    """Open that many connections and keep them: with nothing on them, half of the headers, or a request again and
    again without reading an answer.
    """
    begun = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
    greetings = (b"", begun, (begun + b"\r\n") * 20)
    async with AsyncExitStack() as resources:
        for number in range(connections):
            with suppress(OSError):  # go on: it takes no more, or is away
                _, writer = await resources.enter_async_context(_connected(port))
                writer.write(greetings[number % len(greetings)])
        await asyncio.sleep(seconds)


async def drip(port: int, api_key: str, callers: int, seconds: float) -> None:
    """Send bodies a byte at a time."""

    async def one() -> None:
        async with _connected(port) as (_, writer):
            writer.write(_head(port, "/api/mint/batch", api_key, "application/json", 100_000))
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(one() for _ in range(callers)), return_exceptions=True)


async def half_uploads(port: int, api_key: str, collection: str, recipient: str, callers: int, seconds: float) -> None:
    """Begin uploads of an image and break off in the middle: some hang up, some reset, some just stop."""
    fields = {"collectionId": collection, "recipient": recipient, "metadata": '{"name": "Never whole"}'}
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    image = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    sent = f"{parts}{image}Content-Type: image/png\r\n\r\n".encode() + b"\x89PNG\r\n\x1a\n" + bytes(200_000)
    head = _head(port, "/api/mint/single", api_key, f"multipart/form-data; boundary={BOUNDARY}", 2 * len(sent))

    async def one(number: int) -> None:
        async with _connected(port) as (_, writer):
            writer.write(head + sent)
            await writer.drain()
            if number % 3 == 0:
                await asyncio.sleep(seconds)
            elif number % 3 == 1:
                endpoint: socket.socket = writer.get_extra_info("socket")
                endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN

    await asyncio.gather(*(one(number) for number in range(callers)), return_exceptions=True)


def _head(port: int, path: str, api_key: str, content_type: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {api_key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def _connected(port: int) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
