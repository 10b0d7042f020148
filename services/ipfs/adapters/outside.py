"""Images at other people's `https://` addresses, fetched under rules that keep requests off our own network.

The address comes from a caller, so it is hostile: https on port 443 only, no credentials in it, every address that the
name resolves to public, the connection made to the very address that was checked (a second look-up could give another),
each redirect checked anew, sizes and times bounded, no proxy from the environment. Implements `OutsideImages`.
Not done here: whether the bytes are an image (`pictures`).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import BinaryIO, Final
from urllib.parse import urljoin, urlsplit

import httpx

from chassis.clock import Clock
from services.ipfs.ports import OutsideRefused

MAX_REDIRECTS: Final = 3
TRIES: Final = 3
"""A server that fails this often in a row is the caller's trouble: the NFT fails, and nothing waits for it."""

FIRST_WAIT_SECONDS: Final = 1.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

Resolve = Callable[[str], Awaitable[list[str]]]


class OutsideFetcher:
    """Fetches images. `client` must follow no redirects and trust no environment; `seconds` bounds one whole try."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        clock: Clock,
        *,
        max_bytes: int,
        seconds: float,
        resolve: Resolve | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._resolve = resolve or look_up

    async def fetch(self, url: str, target: BinaryIO) -> int:
        """Write the file at `url` into `target` and return its size; see `OutsideImages.fetch`."""
        wait = FIRST_WAIT_SECONDS
        for remaining in reversed(range(TRIES)):
            target.seek(0)
            target.truncate()
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._follow(url, target)
            except (TimeoutError, httpx.HTTPError, _Passing) as error:  # retry a few times: it may be busy
                if remaining == 0:
                    raise OutsideRefused("its server does not give it") from error
                await self._clock.sleep(wait)
                wait *= 2
        raise AssertionError("the last try returns or raises")

    async def _follow(self, url: str, target: BinaryIO) -> int:
        for _ in range(MAX_REDIRECTS + 1):
            request = await self._request(url)
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code in _REDIRECTS:
                    url = urljoin(url, response.headers.get("location", ""))
                    continue
                if response.status_code == 429 or response.status_code >= 500:
                    raise _Passing
                if response.status_code != 200:
                    raise OutsideRefused(f"its server answers {response.status_code}")
                return await self._copy(response, target)
            finally:
                await response.aclose()
        raise OutsideRefused(f"it is redirected more than {MAX_REDIRECTS} times")

    async def _request(self, url: str) -> httpx.Request:
        """Return the request to the one address that was checked. Raises OutsideRefused."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # stop: not a URL
            raise OutsideRefused("its address is malformed") from None
        if parts.scheme != "https" or not host or port not in (None, 443) or "@" in parts.netloc:
            raise OutsideRefused("its address is not https on the standard port without credentials")
        addresses = await self._resolve(host)
        if not addresses:
            raise _Passing
        if not all(is_public(address) for address in addresses):
            raise OutsideRefused("its address is not a public one")
        checked = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        path = parts.path or "/"
        return self._client.build_request(
            "GET",
            f"https://{checked}{path}" + (f"?{parts.query}" if parts.query else ""),
            headers={"Host": host, "Accept": "image/*", "Accept-Encoding": "identity"},
            # The certificate is held against the name, not against the address.
            extensions={"sni_hostname": host},
        )

    async def _copy(self, response: httpx.Response, target: BinaryIO) -> int:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise OutsideRefused("its server compresses it although it was asked not to")
        size = 0
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > self._max_bytes:
                raise OutsideRefused(f"it has more than {self._max_bytes} bytes")
            await asyncio.to_thread(target.write, piece)
        return size


class _Passing(Exception):
    """The server or the name service may do better at the next try."""


def is_public(address: str) -> bool:
    """Return whether an IP address is reachable for everybody: no private, loopback, link-local or mapped one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # stop: what is no address is not public
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
    return found.is_global and not found.is_multicast


async def look_up(host: str) -> list[str]:
    """Return the addresses of a name; none when it does not resolve."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):  # go on: told as no address
        return []
    return [str(entry[4][0]) for entry in found]
