"""Load on an HTTP server, and how it answered. Used by `bench_gateway`.

A client of its own, because it shares two cores with what it measures: requests are bytes that were made before,
answers are read for their status, their Retry-After and their body, nothing else. HTTP/1.1 with Content-Length and
kept-alive connections only, which is what all servers of the bench speak.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import msgspec

PATIENCE: Final = 60.0
"""Seconds after which an answer that never came ends the bench."""


@dataclass(slots=True)
class Outcome:
    """What came of a load."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter[int])
    latencies: list[float] = field(default_factory=list[float])
    """Of accepted requests, in seconds; in an open load from when the request was due."""
    shed: list[float] = field(default_factory=list[float])
    """The same of refused ones."""
    without_retry_after: int = 0
    """Refusals that did not say when to come again."""
    accepted: list[bytes] = field(default_factory=list[bytes])
    """Bodies of accepted requests."""

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return len(self.latencies) / self.seconds

    def take(self, answer: "Answer", seconds: float) -> None:
        """Take one answer in."""
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.latencies.append(seconds)
            self.accepted.append(answer.body)
        else:
            self.shed.append(seconds)
            self.without_retry_after += not answer.retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the server."""

    status: int
    retry_after: bool
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._closed = False
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server closed the connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        start = head.index(b"content-length:") + 15
        length = int(head[start : head.find(b"\r\n", start) if b"\r\n" in head[start:] else end])
        if len(self._received) < end + 4 + length:
            return
        body = bytes(self._received[end + 4 : end + 4 + length])
        del self._received[: end + 4 + length]
        if self._answer is not None:
            self._answer.set_result(Answer(int(head[9:12]), b"\r\nretry-after:" in head, body))

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises ConnectionError."""
        assert self._transport is not None, "ask comes after connection_made"
        if self._closed:
            raise ConnectionError("the server has hung up")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._answer, PATIENCE)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def post(url: str, path: str, body: object, **headers: str) -> bytes:
    """Return the bytes of a POST of a JSON body."""
    content = msgspec.json.encode(body)
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {urlsplit(url).netloc}",
        "content-type: application/json",
        f"content-length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def connected(url: str, count: int) -> list[Connection]:
    """Open connections to the server at `url`."""
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    opened = [
        await loop.create_connection(Connection, where.hostname or "127.0.0.1", where.port or 80) for _ in range(count)
    ]
    return [protocol for _, protocol in opened]


async def closed_load(url: str, requests: Iterator[bytes], *, connections: int, seconds: float) -> Outcome:
    """Keep that many requests under way for so long: each connection asks again as soon as it is answered."""
    outcome = Outcome()
    opened = await connected(url, connections)
    began = time.perf_counter()

    async def work(connection: Connection) -> None:
        while (asked := time.perf_counter()) - began < seconds:
            answer = await connection.ask(next(requests))
            outcome.take(answer, time.perf_counter() - asked)

    await asyncio.gather(*(work(each) for each in opened))
    outcome.seconds = time.perf_counter() - began
    for each in opened:
        each.close()
    return outcome


async def open_load(url: str, requests: Iterator[bytes], *, rate: float, connections: int, seconds: float) -> Outcome:
    """Ask `rate` times a second for so long, however slowly the server answers.

    Requests that find no connection free wait for one, and their waiting is part of their latency.
    """
    outcome = Outcome()
    opened = await connected(url, connections)
    due: asyncio.Queue[float] = asyncio.Queue()  # holds rate * seconds numbers at the most

    async def work(connection: Connection) -> None:
        while (at := await due.get()) >= 0:
            request = next(requests)
            try:
                answer = await connection.ask(request)
            except ConnectionError:
                # Once more: a server hangs up on idle connections, also while the next request is on its way.
                (connection,) = await connected(url, 1)
                answer = await connection.ask(request)
            outcome.take(answer, time.perf_counter() - at)

    async with asyncio.TaskGroup() as tasks:
        for each in opened:
            tasks.create_task(work(each))
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            at = began + number / rate
            if (early := at - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            due.put_nowait(at)
        for _ in opened:
            due.put_nowait(-1.0)
    outcome.seconds = time.perf_counter() - began
    for each in opened:
        each.close()
    return outcome


def percentile(values: list[float], percent: float) -> float:
    """Return the value that `percent` of all values do not exceed; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
