"""An IPFS gateway over HTTP: whether what was pinned can be had by everybody. Implements `IpfsGateway`.

What a gateway gives is held against the CID, byte for byte: its word alone proves nothing. Source: the path gateway
specification of ipfs/specs. Not done here: subdomain gateways, CAR and block responses.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import BinaryIO, Final
from urllib.parse import quote

import httpx

from chassis.clock import Clock
from chassis.retry_after import retry_after
from services.ipfs.adapters.http import MAX_RETRY_AFTER_SECONDS, is_compressed, whole_exchange
from services.ipfs.ports import Content, Pinnable, PinUnavailable
from unixfs import Cid, Importer, ImportProfile

TRIES: Final = 5
"""A gateway may need a while until it finds new content."""

FIRST_WAIT_SECONDS: Final = 0.5


class HttpGateway:
    """One gateway; `profile` is the one of the CIDs that it is asked for."""

    def __init__(self, client: httpx.AsyncClient, url: str, profile: ImportProfile, clock: Clock) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._profile = profile
        self._clock = clock

    @property
    def url(self) -> str:
        """See `IpfsGateway.url`."""
        return self._url

    async def confirm(self, content: Pinnable) -> None:
        """Fetch the content and compare; see `IpfsGateway.confirm`."""
        wait = FIRST_WAIT_SECONDS
        for remaining in reversed(range(TRIES)):
            try:
                await self._compare(content)
                return
            except PinUnavailable as error:
                if remaining == 0 or error.after is not None:
                    raise  # retry: later, because a pause that it asks for may be long, and others want to pin
                await self._clock.sleep(wait)  # retry: it may not have found the content yet
                wait *= 2

    async def _compare(self, content: Pinnable) -> None:
        if isinstance(content, Content):
            importer = Importer(self._profile)
            async with self._get(str(content.cid), content.body.size) as pieces:
                async for piece in pieces:
                    importer.update(piece)
            if importer.finish().cid != content.cid:
                raise PinUnavailable(f"{self._url} gives other bytes for {content.cid}")
            return
        for name, data in content.files.items():
            found = bytearray()
            async with self._get(f"{content.cid}/{quote(name)}", len(data)) as pieces:
                async for piece in pieces:
                    found += piece
            if bytes(found) != data:
                raise PinUnavailable(f"{self._url} gives other bytes for {content.cid}/{name}")

    async def fetch(self, cid: Cid, target: BinaryIO, max_bytes: int) -> int | None:
        """Copy a file; see `IpfsGateway.fetch`."""
        size = 0
        try:
            async with self._get(str(cid), max_bytes) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    target.write(piece)
        except _NotThere:  # stop: told to the caller
            return None
        return size

    @asynccontextmanager
    async def _get(self, path: str, max_bytes: int) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """Ask for a file and yield its pieces, up to `max_bytes` of them. Raises PinUnavailable."""
        request = self._client.build_request("GET", f"{self._url}/ipfs/{path}", headers={"Accept-Encoding": "identity"})
        try:
            async with whole_exchange(self._client, request, max_bytes) as response:
                self._check(response, path)
                yield self._pieces(response, max_bytes)
        except (httpx.HTTPError, TimeoutError) as error:  # retry: it may be busy or restarting
            raise PinUnavailable(f"{self._url} cannot be read ({type(error).__name__})") from error

    def _check(self, response: httpx.Response, path: str) -> None:
        if response.status_code in (404, 410, 504):
            raise _NotThere(f"{self._url} has no {path}")
        if response.status_code != 200:
            after = retry_after(response.headers.get("retry-after"), self._clock.now(), MAX_RETRY_AFTER_SECONDS)
            raise PinUnavailable(f"{self._url} answered {response.status_code}", after=after)
        if is_compressed(response):  # what it holds has no bound
            raise PinUnavailable(f"{self._url} compresses although it was asked not to")

    async def _pieces(self, response: httpx.Response, max_bytes: int) -> AsyncGenerator[bytes]:
        size = 0
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > max_bytes:
                raise PinUnavailable(f"{self._url} gives more than {max_bytes} bytes")
            yield piece


class _NotThere(PinUnavailable):
    """The gateway does not find the content."""
