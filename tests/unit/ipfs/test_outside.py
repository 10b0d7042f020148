"""Images at callers' addresses: nothing of our own network is ever asked, and nothing is without an end."""

import asyncio
import io
from collections.abc import Callable

import httpx
import pytest

from chassis.clock import ManualClock
from services.ipfs.adapters.outside import MAX_REDIRECTS, TRIES, OutsideFetcher
from services.ipfs.ports import OutsideRefused

PUBLIC = "93.184.215.14"
NAMES = {
    "images.test": [PUBLIC],
    "v6.test": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "inside.test": ["10.0.0.7"],
    "both.test": [PUBLIC, "127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    PUBLIC: [PUBLIC],
    "127.0.0.1": ["127.0.0.1"],
    "::1": ["::1"],
}


class Web:
    """Answers by URL path and remembers what was asked of whom."""

    def __init__(self, respond: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self.clock = ManualClock()
        self._respond = respond

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._respond(request)

    async def fetch(self, url: str) -> bytes:
        async def resolve(host: str) -> list[str]:
            return NAMES.get(host, [])

        target = io.BytesIO()
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.handle), trust_env=False) as client:
            fetcher = OutsideFetcher(client, self.clock, max_bytes=1000, seconds=30.0, resolve=resolve)
            job = asyncio.create_task(fetcher.fetch(url, target))
            while not job.done():
                await self.clock.advance(1.0)
            assert await job == len(target.getvalue())
        return target.getvalue()


async def test_the_checked_address_is_asked_under_the_name() -> None:
    web = Web(lambda _: httpx.Response(200, content=b"image"))
    assert await web.fetch("https://images.test/a/b.png?size=1#top") == b"image"
    assert await web.fetch("https://v6.test") == b"image"
    first, second = web.requests
    assert str(first.url) == f"https://{PUBLIC}/a/b.png?size=1"
    assert (first.headers["host"], first.extensions["sni_hostname"]) == ("images.test", "images.test")
    assert second.url.host == NAMES["v6.test"][0]


@pytest.mark.parametrize(
    "url",
    [
        "http://images.test/a.png",
        "https://images.test:8443/a.png",
        "https://user:password@images.test/a.png",
        "https://inside.test/a.png",
        "https://both.test/a.png",
        "https://metadata.test/latest/meta-data",
        "https://127.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://[::1/a.png",
        "https:///a.png",
        "https://unknown.test/a.png",
        "file:///etc/passwd",
    ],
)
async def test_what_must_not_be_asked_is_not_asked(url: str) -> None:
    web = Web(lambda _: httpx.Response(200, content=b"secret"))
    with pytest.raises(OutsideRefused):
        await web.fetch(url)
    assert web.requests == []


@pytest.mark.parametrize(
    "location", ["https://inside.test/", "http://images.test/", "//127.0.0.1/", "file:///etc/passwd"]
)
async def test_a_redirect_is_checked_anew(location: str) -> None:
    web = Web(lambda _: httpx.Response(302, headers={"Location": location}))
    with pytest.raises(OutsideRefused):
        await web.fetch("https://images.test/a.png")
    assert [request.url.host for request in web.requests] == [PUBLIC]


@pytest.mark.parametrize(
    "location",
    [
        b"https://[::1",
        b"https://images.test:port/",
        "https://ex\xe4mple.test/".encode("latin-1"),
        "https://ex\xe4mple.test/".encode(),
        "https://\xe4..test/".encode(),
        b"https://images.test/" + b"a" * 70_000,
        b"https://images.test/\x01",
        b"",
    ],
)
async def test_a_redirect_that_leads_nowhere_is_a_refusal(location: bytes) -> None:
    web = Web(lambda _: httpx.Response(302, headers=[(b"Location", location)]))
    with pytest.raises(OutsideRefused):
        await web.fetch("https://images.test/a.png")


async def test_redirects_are_followed_a_few_times() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path[1:])
        moved = httpx.Response(301, headers={"Location": f"/{number - 1}"})
        return moved if number else httpx.Response(200, content=b"image")

    assert await Web(respond).fetch(f"https://images.test/{MAX_REDIRECTS}") == b"image"
    with pytest.raises(OutsideRefused, match="redirected"):
        await Web(respond).fetch(f"https://images.test/{MAX_REDIRECTS + 1}")


async def test_what_is_compressed_is_refused() -> None:
    answer = httpx.Response(200, headers={"Content-Encoding": "x-unknown"}, content=b"?")
    with pytest.raises(OutsideRefused, match="compresses"):
        await Web(lambda _: answer).fetch("https://images.test/")


async def test_too_much_is_refused() -> None:
    with pytest.raises(OutsideRefused, match="more than 1000"):
        await Web(lambda _: httpx.Response(200, content=bytes(1001))).fetch("https://images.test/")


@pytest.mark.parametrize("status", [403, 404, 206, 204])
async def test_an_answer_that_is_no_file_is_final(status: int) -> None:
    web = Web(lambda _: httpx.Response(status))
    with pytest.raises(OutsideRefused, match=str(status)):
        await web.fetch("https://images.test/")
    assert len(web.requests) == 1


async def test_a_server_in_trouble_is_asked_a_few_times() -> None:
    answers = [httpx.Response(503), httpx.Response(429), httpx.Response(200, content=b"image")]
    assert await Web(lambda _: answers.pop(0)).fetch("https://images.test/") == b"image"
    web = Web(lambda _: httpx.Response(500))
    with pytest.raises(OutsideRefused, match="does not give it"):
        await web.fetch("https://images.test/")
    assert len(web.requests) == TRIES
