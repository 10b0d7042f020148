"""Images at other people's `https://` addresses, fetched under rules that keep requests off our own network.

The address comes from a caller: `chassis.outside` finds where it really leads and refuses what is not public. Each
redirect is checked anew, sizes and times are bounded. Implements `OutsideImages`. Not done here: whether the bytes are
an image (`pictures`).
"""

import asyncio
from typing import BinaryIO, Final
from urllib.parse import urljoin

import httpx

from chassis.clock import Clock
from chassis.outside import AddressRefused, AddressUnknown, Destinations, Resolve
from services.ipfs.adapters.http import is_compressed
from services.ipfs.ports import OutsideRefused

MAX_REDIRECTS: Final = 3
TRIES: Final = 3
"""A server that fails this often in a row is the caller's trouble: the NFT fails, and nothing waits for it."""

FIRST_WAIT_SECONDS: Final = 1.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class OutsideFetcher:
    """Fetches images. `client` keeps to what `chassis.outside` asks of it; `seconds` bounds one whole try."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        clock: Clock,
        *,
        max_bytes: int,
        seconds: float,
        resolve: Resolve,
    ) -> None:
        self._client = client
        self._clock = clock
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._destinations = Destinations(resolve)

    async def fetch(self, url: str, target: BinaryIO) -> int:
        """Write the file at `url` into `target` and return its size; see `OutsideImages.fetch`."""
        wait = FIRST_WAIT_SECONDS
        for remaining in reversed(range(TRIES)):
            target.seek(0)
            target.truncate()
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._follow(url, target)
            except httpx.InvalidURL:  # stop: longer than httpx takes, or with characters that none may have
                raise OutsideRefused("its address is malformed") from None
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
                    url = _redirected(url, response.headers.get("location", ""))
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
            found = await self._destinations.find(url)
        except AddressRefused as error:  # stop: the address is what it is
            raise OutsideRefused(str(error)) from None
        except AddressUnknown as error:
            raise _Passing from error
        return self._client.build_request(
            "GET",
            found.url,
            headers={"Host": found.host, "Accept": "image/*", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": found.name},
        )

    async def _copy(self, response: httpx.Response, target: BinaryIO) -> int:
        if is_compressed(response):
            raise OutsideRefused("its server compresses it although it was asked not to")
        size = 0
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > self._max_bytes:
                raise OutsideRefused(f"it has more than {self._max_bytes} bytes")
            await asyncio.to_thread(target.write, piece)
        return size


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:  # stop: such as an unclosed IPv6 bracket
        raise OutsideRefused("it is redirected to a malformed address") from None


class _Passing(Exception):
    """The server or the name service may do better at the next try."""
