"""POST over HTTP for those who do it hundreds of times a second: aiohttp, whose parser is compiled.

Implements `chassis.json_rpc.Http`. With many requests at once aiohttp takes a tenth of the processor time that httpx
takes, which remains the client of everything else. Proxies are those of the usual environment variables. Redirects are
not followed: a JSON-RPC endpoint has none, and what is sent is for one receiver.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from chassis.json_rpc import MAX_ANSWER, Answer, TransportFailed, read_whole


class LightHttp:
    """A pool of connections. `connect` opens it."""

    def __init__(self, session: aiohttp.ClientSession, proxy: str | None = None, most: int = MAX_ANSWER) -> None:
        """`proxy` is the URL of the proxy that every request goes through; `most` bounds an answer, in bytes."""
        self._session = session
        self._proxy = proxy
        self._most = most

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, seconds: float, connections: int) -> AsyncGenerator[Self]:
        """Open a pool of at most `connections` for requests to the host of `url`, closed on leaving.

        Each request has `seconds`, the wait for a connection included. Nothing is asked yet.
        """
        async with aiohttp.ClientSession(
            # An operator's names: looked up as the rest of the machine does, though aiodns is there.
            connector=aiohttp.TCPConnector(limit=connections, resolver=aiohttp.ThreadedResolver()),
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield cls(session, proxy_of(url))

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer, whatever its status.

        Raises TransportFailed, which names the kind of trouble only; AnswerTooLarge among them.
        """
        try:
            async with self._session.post(
                url, data=content, headers=headers, proxy=self._proxy, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await self._read(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Retry, by the caller. The error's own text may hold the URL; a ValueError is an answer that is no HTTP.
            raise TransportFailed(type(error).__name__) from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length <= self._most and "Content-Encoding" not in response.headers:
            return await response.read()  # it cannot be longer than it says
        return await read_whole(response.content.iter_any(), self._most)


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for `url` (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), if any."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
