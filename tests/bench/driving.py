"""Load on a whole stack, and what became of it: each NFT from its post to `confirmed`, and the queues meanwhile.

Used by `load` and `scaling`. Load is open: requests are posted when they are due, whether or not earlier ones are
answered, and an NFT's time counts from when its request was due. Not done here: choosing loads, and telling figures.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import psutil

from chassis.database import Connection, connect
from chassis.log import RawMessage
from contracts import registry
from contracts.mint import Completed, Confirmed
from contracts.streams import IPFS_MINT, MINT, MINTER_FIRST, MINTER_MINT
from mintstream.api import GatewayClient
from tests.bench.stage import Stage, Story
from tests.bench.usage import Usage, spent, usages
from tests.support.stack import URI

POSTS_AT_ONCE: Final = 64
"""Most requests of ours that wait for their answers; the rest wait here, and their time counts."""
SAMPLE_SECONDS: Final = 1.0
RECIPIENT: Final = "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8"


class Due(NamedTuple):
    """One request: seconds after the beginning, and the NFTs that it asks for."""

    at: float
    nfts: int


def evenly(nfts: int, *, size: int, seconds: float) -> list[Due]:
    """Return requests of `size` NFTs, as many as it takes for `nfts`, spread over the time."""
    count = math.ceil(nfts / size)
    return [Due(number * seconds / count, min(size, nfts - number * size)) for number in range(count)]


def merged(*loads: Iterable[Due]) -> list[Due]:
    """Return several loads as one, in order of time."""
    return sorted(due for load in loads for due in load)


def later(load: Iterable[Due], seconds: float) -> list[Due]:
    """Return a load that begins so much later."""
    return [Due(due.at + seconds, due.nfts) for due in load]


@dataclass(frozen=True, slots=True)
class Sample:
    """How much waited where, so many seconds after the beginning."""

    at: float
    confirmed: int
    """NFTs."""
    ipfs: int
    """Requests that ipfs was not given yet, or has in hand."""
    minter: int
    """The same of pinned chunks and the minter."""
    indexer: int
    """Messages of MINT that are not in the tables."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a process holds: resident bytes and open files."""

    memory: int
    files: int


def holdings(pids: Mapping[str, int]) -> dict[str, Holdings]:
    """Return what each process holds now."""
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    return {name: Holdings(each.memory_info().rss, each.num_fds()) for name, each in processes.items()}


@dataclass(slots=True)
class Driven:
    """What became of a load. Times are in seconds."""

    nfts: int
    requests: int
    posts: list[float] = field(default_factory=list[float])
    """From when each request was due to its answer."""
    waits: list[float] = field(default_factory=list[float])
    """Of each NFT, from when its request was due to the storing of its `confirmed`."""
    lone: list[float] = field(default_factory=list[float])
    """The same of those alone that were asked for one by one."""
    seconds: float = 0.0
    """From the beginning to the last `confirmed`."""
    posted: float = 0.0
    """From the beginning to the last answer."""
    samples: list[Sample] = field(default_factory=list[Sample])
    before: Mapping[str, Usage] = field(default_factory=dict[str, Usage])
    after: Mapping[str, Usage] = field(default_factory=dict[str, Usage])

    @property
    def rate(self) -> float:
        """NFTs a second."""
        return self.nfts / self.seconds

    @property
    def processor(self) -> dict[str, float]:
        """Milliseconds of processor an NFT, by process."""
        return {name: taken / self.nfts * 1000 for name, taken in spent(self.before, self.after).items()}


async def driven(
    stage: Stage,
    collection: str,
    load: Sequence[Due],
    *,
    apis: Sequence[GatewayClient] = (),
    pids: Mapping[str, int] | None = None,
) -> Driven:
    """Ask for `load` in turn of every gateway, until all is confirmed and each operation has its end on the log.

    `pids` are the processes whose processor is counted; the stack's own when left out.
    """
    pids = pids or stage.pids()
    found = Driven(sum(due.nfts for due in load), len(load), before=usages(pids))
    watch = _Watch(found.nfts, found.requests)
    after = await stage.log.last_sequence(MINT)
    database = await connect(stage.stack.database_url)
    began = time.time()
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.read(stage, after))
            sampling = tasks.create_task(_sample(stage, database, watch, began, found.samples))
            asked = await _post(apis or [stage.api], collection, load, began, found)
            await watching
            sampling.cancel()
    finally:
        await database.close()
    found.after = usages(pids)
    for operation, stored in watch.confirmed:
        due = asked[operation]
        found.waits.append(stored - began - due.at)
        if due.nfts == 1:
            found.lone.append(found.waits[-1])
    found.seconds = watch.story.confirmed_at - began
    return found


async def _post(
    apis: Sequence[GatewayClient], collection: str, load: Sequence[Due], began: float, found: Driven
) -> dict[str, Due]:
    """Post every request when it is due; return what was asked for by each operation."""
    slots = asyncio.Semaphore(POSTS_AT_ONCE)
    asked: dict[str, Due] = {}

    async def ask(number: int, due: Due) -> None:
        nfts = [{"name": f"Load {began:.0f} {number}.{item}", "image": URI} for item in range(due.nfts)]
        async with slots:
            answer = await apis[number % len(apis)].mint_batch(collection, RECIPIENT, nfts, batch_size=None)
        found.posts.append(time.time() - began - due.at)
        asked[str(answer["transactionId"])] = due

    async with asyncio.TaskGroup() as tasks:
        for number, due in enumerate(load):
            await asyncio.sleep(max(0.0, began + due.at - time.time()))
            tasks.create_task(ask(number, due))
    found.posted = time.time() - began
    return asked


class _Watch:
    """Reads the log until everything is confirmed."""

    def __init__(self, nfts: int, operations: int) -> None:
        self._nfts = nfts
        self._operations = operations
        self.story = Story()
        self.confirmed: list[tuple[str, float]] = []
        """Operation and time of storing of each NFT's `confirmed`."""

    async def read(self, stage: Stage, after: int) -> None:
        async with aclosing(cast("AsyncGenerator[RawMessage]", stage.log.read(MINT, after))) as messages:
            async for raw in messages:
                known = self.story.leaves
                self.story.take(raw)
                if self.story.leaves > known:
                    fact = registry.decode(raw.subject, raw.payload).data
                    assert isinstance(fact, Confirmed)
                    self.confirmed += [(str(fact.operation), raw.stored_at.timestamp())] * len(fact.leaves)
                if self.story.leaves >= self._nfts and self.story.messages[Completed.type()] >= self._operations:
                    return


async def _sample(stage: Stage, database: Connection, watch: _Watch, began: float, samples: list[Sample]) -> None:
    """Look at the queues again and again, until cancelled."""
    while True:
        standing = {each.name: each.pending + each.in_hand for each in await stage.log.consumers(MINT)}
        last = await stage.log.last_sequence(MINT)
        applied = await database.fetchval("SELECT sequence FROM watermarks WHERE stream = 'MINT'")
        samples.append(
            Sample(
                time.time() - began,
                watch.story.leaves,
                standing.get(IPFS_MINT.name, 0),
                sum(standing.get(each.name, 0) for each in (MINTER_FIRST, MINTER_MINT)),
                max(0, last - (applied or 0)),
            )
        )
        await asyncio.sleep(SAMPLE_SECONDS)


def deepest(samples: Sequence[Sample]) -> Counter[str]:
    """Return the most that waited at any one look, by service."""
    found: Counter[str] = Counter(ipfs=0, minter=0, indexer=0)
    for each in samples:
        found |= Counter(ipfs=each.ipfs, minter=each.minter, indexer=each.indexer)
    return found
