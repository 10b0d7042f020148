"""One POST to a receiver. Its URL is a caller's, so it is hostile: see `chassis.outside`.

No redirect is followed, nothing of the answer's body is read, no cookie is kept, a connection is used once (a second
name at the same address must show its own certificate), and the whole exchange is bounded in time. Implements
`ports.Sender`.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import httpx

from chassis.clock import Clock
from chassis.outside import MAX_ADDRESSES, AddressRefused, AddressUnknown, Destination, Destinations
from chassis.retry_after import retry_after
from chassis.version import VERSION
from services.notifier.domain import GONE, Answer

MAX_RETRY_AFTER_SECONDS: Final = 86_400.0
USER_AGENT: Final = f"Mintstream-Webhooks/{VERSION}"


class HttpSender:
    """Sends over `client`; `seconds` bounds one request from the look-up of the name to the answer's headers."""

    def __init__(self, client: httpx.AsyncClient, destinations: Destinations, clock: Clock, *, seconds: float) -> None:
        self._client = client
        self._destinations = destinations
        self._clock = clock
        self._seconds = seconds

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `ports.Sender.send`."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._send(url, headers, body)
        except AddressRefused as error:
            # Retry by the schedule: names are given other addresses, and the owner may correct the URL.
            return Answer(None, f"The endpoint is not called: {error}.")
        except AddressUnknown:
            return Answer(None, "The endpoint's name has no address.")
        except TimeoutError:
            return Answer(None, f"The endpoint did not answer within {self._seconds:g} seconds.")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(None, f"The endpoint cannot be reached ({type(error).__name__}).")

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        found = await self._destinations.find(url)
        response = await self._first_answer(found, headers, body)
        await response.aclose()
        after = retry_after(response.headers.get("retry-after"), self._clock.now(), MAX_RETRY_AFTER_SECONDS)
        return Answer(response.status_code, _reason(response.status_code), after)

    async def _first_answer(self, found: Destination, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Ask at the name's addresses in turn until one takes the connection."""
        *before, last = (found.url, *found.others)
        for url in before:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent there
                return await self._ask(url, found, headers, body)
        return await self._ask(last, found, headers, body)

    async def _ask(self, url: str, found: Destination, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        request = self._client.build_request(
            "POST",
            url,
            headers={
                **headers,
                "Host": found.host,
                "Content-Type": "application/json",
                "User-Agent": USER_AGENT,
            },
            content=body,
            extensions={"sni_hostname": found.name},
            timeout=httpx.Timeout(None, connect=self._seconds / (2 * MAX_ADDRESSES)) if found.others else None,
        )
        return await self._client.send(request, stream=True)


def _reason(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"The endpoint answered {status}: redirects are not followed."
    if status == GONE:
        return "The endpoint answered 410: it wants no more."
    return f"The endpoint answered {status}."
