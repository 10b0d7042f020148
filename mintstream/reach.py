"""Where the API is, and one question asked of it.

MINTSTREAM_URL and MINTSTREAM_API_KEY name the gateway and the key; without them it is the embedded stack of the data
directory. Not done here: HTTP, which `api` speaks, and how a command ends (`ending`).
"""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import typer

from mintstream.api import GatewayClient
from mintstream.embedded import embedded
from mintstream.ending import Exit, end

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway and a key for it."""

    url: str
    key: str

    @classmethod
    def find(cls, data: Path, environ: Mapping[str, str] = os.environ) -> "Target":
        """Return what the environment names, else the embedded stack of `data`; ends the command at a wrong address."""
        url, key = environ.get("MINTSTREAM_URL"), environ.get("MINTSTREAM_API_KEY")
        found = embedded(data)
        if url is not None and not _is_address(url):
            end(Exit.USAGE, f"MINTSTREAM_URL is {url!r}: it has to be an http or https address, as {found.api}")
        # The embedded stack's key is for the embedded stack: it is not sent to a gateway that somebody names.
        own = found.api_key if url is None or url.rstrip("/") == found.api else None
        return cls((url or found.api).rstrip("/"), key or own or "")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # stop: a port beyond 65535, or half a bracket
        return False


def gateway(context: typer.Context, data: Path) -> GatewayClient:
    """Return a client of the gateway. A transport in the context's `obj` takes the network's place (tests)."""
    target = Target.find(data)
    return GatewayClient(target.url, target.key, transport=context.find_object(httpx.AsyncBaseTransport))


def carry_out(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end. What takes longer than it was given goes on, and ends the command so."""
    try:
        return asyncio.run(work)
    except TimeoutError as error:
        end(Exit.UNFINISHED, str(error) or "it has not ended in time")


def asked(context: typer.Context, data: Path, method: str, path: str, **request: Any) -> dict[str, Any]:
    """Return the answer to one request."""

    async def work() -> dict[str, Any]:
        async with gateway(context, data) as api:
            return await api.call(method, path, **request)

    return carry_out(work())
