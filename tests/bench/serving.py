"""Serves the benches' own ASGI applications, each as a process of its own. Used by `null_cluster` and `bare_app`."""

import asyncio
import json
import os
import socket
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Send


async def serve(app: ASGIApp, ports_file: Path, name: str) -> None:
    """Serve on a free port until SIGTERM; the ports file tells the address under `name`."""
    # asyncio turns Nagle's delay off only for sockets that name their protocol; with it on, answers take 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    addresses = {"pid": os.getpid(), name: f"http://127.0.0.1:{listener.getsockname()[1]}"}
    await asyncio.to_thread(ports_file.write_text, json.dumps(addresses))
    await serving


async def whole_body(receive: Receive) -> bytes:
    """Return a request's body."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def answer(send: Send, body: bytes) -> None:
    """Answer with a JSON text."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
