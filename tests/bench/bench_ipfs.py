"""How fast the ipfs service pins, against the ideal, and how much memory it takes. Not a test: prints figures.

    python -m tests.bench.bench_ipfs [--megabytes 1024] [--nfts 1000] [--images 50]

Two jobs, each by the real service as a process between a real nats-server and the embedded pinning endpoint: files of
8 MiB that stream from the object store (MB/s, and the service's resident memory while they do), and one mint of many
NFTs with few images (pins/s). The ideal does the same bytes in this run: SHA-256, and one HTTP POST for each file to a
local sink that throws them away, as many at once as the service has under way.
"""

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from chassis.messaging import Connection, Log
from contracts.fact import Fact, Producer
from contracts.mint import Pinned
from contracts.streams import CONTENT, MINT, UPLOADS, Stream
from contracts.upload import UploadPinned, UploadRequested
from localnet.child import Child, running
from localnet.nats_server import NatsOptions, nats_spec
from services.ipfs.bodies import PIECE_BYTES, InMemory
from tests.support.content import collection_created, mint_request, nft, png, sha256
from tests.support.pinning import ipfs_service_spec, pinning_endpoint
from unixfs import import_bytes

FILE_BYTES = 8 * 1024**2
CONCURRENCY = 8
"""The service's PIN_CONCURRENCY by default."""

SAMPLE_SECONDS = 0.1


@dataclass(slots=True)
class Memory:
    """Resident bytes of a process, sampled while a job runs."""

    pid: int
    samples: list[int] = field(default_factory=list[int])

    async def watch(self) -> None:
        process = psutil.Process(self.pid)
        while True:
            self.samples.append(process.memory_info().rss)
            await asyncio.sleep(SAMPLE_SECONDS)

    def quarters(self) -> tuple[float, float]:
        """Return the highest of the second and of the last quarter in MiB: equal when memory is flat."""
        quarter = max(len(self.samples) // 4, 1)
        return max(self.samples[quarter : 2 * quarter]) / 1024**2, max(self.samples[-quarter:]) / 1024**2


def file_bytes(number: int) -> bytes:
    """Return the bytes of file `number`: other bytes for each, the same in every run."""
    return random.Random(number).randbytes(FILE_BYTES)


class Sink:
    """An HTTP server that reads each request's body, throws it away and answers 200."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                while length > 0:
                    length -= len(await reader.read(min(length, PIECE_BYTES)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):  # stop: the client has closed
            writer.close()


async def ideal(files: Iterator[bytes]) -> float:
    """Return the seconds that hashing and sending the files take; making their bytes is not counted."""
    server = await asyncio.start_server(Sink().handle, "127.0.0.1", 0, limit=2**20)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    seconds = 0.0
    async with httpx.AsyncClient(timeout=600) as client:
        batch: list[bytes] = []

        async def send(data: bytes) -> None:
            hashlib.sha256(data).digest()
            body = InMemory(data)
            await client.post(url, content=body.pieces(), headers={"Content-Length": str(body.size)})

        for data in files:
            batch.append(data)
            if len(batch) == CONCURRENCY:
                seconds += await timed(batch, send)
        seconds += await timed(batch, send)
    await asyncio.sleep(SAMPLE_SECONDS)  # the sink's handlers see that the client has closed
    server.close()
    await server.wait_closed()
    return seconds


async def timed(batch: list[bytes], send: Callable[[bytes], Awaitable[None]]) -> float:
    """Send a batch at once, empty it, and return the seconds."""
    start = time.perf_counter()
    await asyncio.gather(*(send(data) for data in batch))
    batch.clear()
    return time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class Stage:
    """What a job runs on: a log, and how to start the service."""

    log: Log
    directory: Path
    nats_url: str
    kubo_url: str

    @asynccontextmanager
    async def service(self) -> AsyncGenerator[Child]:
        async with running(ipfs_service_spec(self.directory, self.nats_url, self.kubo_url)) as child:
            yield child


async def facts(log: Log, stream: Stream, kind: type[Fact], count: int) -> None:
    """Return once the stream holds that many facts of a kind."""
    wanted, seen = kind.type(), 0
    async for raw in log.read(stream, 0):
        seen += raw.subject.startswith(f"{wanted}.")
        if seen >= count:
            return


async def stream_files(stage: Stage, megabytes: int) -> tuple[int, float, tuple[float, float]]:
    """Pin files until that many MiB are through; return how many, the seconds, and the memory's quarters."""
    count = max(megabytes * 1024**2 // FILE_BYTES, 1)
    uploads = await stage.log.uploads(UPLOADS)
    for number in range(count):
        data = file_bytes(number)
        await uploads.put(sha256(data), data)
        cid = str(import_bytes(data).cid)
        request = UploadRequested(sha256=sha256(data), cid=cid, content_type="application/octet-stream", size=len(data))
        await stage.log.publish(request, cause=None)
    start = time.perf_counter()
    async with stage.service() as child:
        assert child.pid is not None, "it runs as long as the context is open"
        memory = Memory(child.pid)
        watching = asyncio.create_task(memory.watch())
        await facts(stage.log, CONTENT, UploadPinned, count)
        seconds = time.perf_counter() - start
        watching.cancel()
    return count, seconds, memory.quarters()


async def mint_many(stage: Stage, nfts: int, images: int) -> tuple[int, float]:
    """Pin one mint; return how many files that were and the seconds."""
    uploads = await stage.log.uploads(UPLOADS)
    for number in range(images):
        await uploads.put(sha256(png(number)), png(number))
    described = [nft(number, image=png(number % images)) for number in range(nfts)]
    await stage.log.publish(collection_created(), cause=None)
    await stage.log.publish(mint_request(*described), cause=None)
    start = time.perf_counter()
    async with stage.service():
        await facts(stage.log, MINT, Pinned, -(-nfts // 10))
        seconds = time.perf_counter() - start
    return nfts + images, seconds


@asynccontextmanager
async def staged(directory: Path) -> AsyncGenerator[Stage]:
    """Run a nats-server and the pinning endpoint in `directory`."""
    async with (
        running(nats_spec(NatsOptions(data_dir=directory / "nats"))) as nats,
        pinning_endpoint(directory / "ipfs") as endpoint,
        Log.session(Connection(servers=(nats.addresses["nats"],), producer=Producer(name="bench", version="0"))) as log,
    ):
        await log.declare()
        yield Stage(log, directory / "service", nats.addresses["nats"], endpoint.url)


async def run(megabytes: int, nfts: int, images: int) -> None:
    """Run both jobs with their ideals, and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with staged(Path(folder) / "stream") as stage:
            count, seconds, (early, late) = await stream_files(stage, megabytes)
        best = await ideal(file_bytes(number) for number in range(count))
        size = count * FILE_BYTES / 10**6
        print(f"{'streaming ' + format(size, '.0f') + ' MB':28} {size / seconds:8.1f} MB/s")
        print(f"{'  ideal: hash and HTTP write':28} {size / best:8.1f} MB/s  {seconds / best:6.1f} x its time")
        print(f"{'  resident memory':28} {early:8.1f} MiB in the second quarter, {late:.1f} MiB in the last")
        async with staged(Path(folder) / "mint") as stage:
            pins, seconds = await mint_many(stage, nfts, images)
        best = await ideal(f"{number}".encode() * 150 for number in range(pins))
        print(f"{format(nfts, 'd') + ' NFTs, ' + format(images, 'd') + ' images':28} {pins / seconds:8.1f} pins/s")
        print(f"{'  ideal: hash and HTTP write':28} {pins / best:8.1f} pins/s {seconds / best:6.1f} x its time")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="MB/s and pins/s of the ipfs service")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--nfts", type=int, default=1000)
    parser.add_argument("--images", type=int, default=50)
    options = parser.parse_args()
    asyncio.run(run(options.megabytes, options.nfts, options.images))


if __name__ == "__main__":
    main()
