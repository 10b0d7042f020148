"""Watching signatures: shared looks, proofs of expiry, nodes that fail or lag."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from solders.transaction import VersionedTransaction

from chassis.clock import ManualClock
from contracts.mint import Attempt
from services.minter.landing import ChainView, Commitment, SignatureState
from services.minter.ports import (
    ChainUnavailable,
    ConfirmedTransaction,
    FinalizedHead,
    Look,
    RecentBlockhash,
    Simulation,
)
from services.minter.watcher import GATHER, MAX_SIGNATURES, SignatureWatcher

INTERVAL = 0.2


@dataclass
class Node:
    """A chain that answers for signatures only, and counts what it is asked."""

    head: FinalizedHead = field(default_factory=lambda: FinalizedHead(slot=1000, block_height=900))
    proves: bool = True
    found: Mapping[str, SignatureState] = field(default_factory=dict[str, SignatureState])
    head_fails: bool = False
    look_fails: bool = False
    asked: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])

    async def finalized_head(self) -> FinalizedHead:
        if self.head_fails:
            raise ChainUnavailable("no head")
        return self.head

    async def look(self, signatures: Sequence[str], *, search_history: bool) -> Look:
        self.asked.append((len(signatures), search_history))
        if self.look_fails or len(signatures) > MAX_SIGNATURES:
            raise ChainUnavailable("no statuses")
        head = None if self.head_fails or not self.proves else self.head
        return Look(head, {key: self.found[key] for key in signatures if key in self.found})

    async def recent_blockhash(self) -> RecentBlockhash:
        raise NotImplementedError

    async def simulate(self, transaction: VersionedTransaction) -> Simulation:
        raise NotImplementedError

    async def send(self, wire: bytes) -> None:
        raise NotImplementedError

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        raise NotImplementedError

    async def minimum_rent(self, size: int) -> int:
        raise NotImplementedError

    async def accounts(self, addresses: Sequence[str]) -> Sequence[bytes | None]:
        raise NotImplementedError


def attempt(number: int, last_valid: int = 950) -> Attempt:
    return Attempt(
        number=1, signature=f"{number:088}".replace("0", "z"), blockhash="1" * 32, last_valid_block_height=last_valid
    )


@asynccontextmanager
async def watching(node: Node) -> AsyncGenerator[tuple[SignatureWatcher, ManualClock]]:
    clock = ManualClock()
    watcher = SignatureWatcher(node, clock, INTERVAL)
    task = asyncio.create_task(watcher.run())
    try:
        yield watcher, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def look(node: Node, *requests: Sequence[Attempt]) -> list[ChainView | None]:
    """Ask for every request at once, and let one interval pass."""
    async with watching(node) as (watcher, clock):
        views = [asyncio.ensure_future(watcher.view(each)) for each in requests]
        while not all(view.done() for view in views):
            await asyncio.sleep(0)
            await clock.advance(INTERVAL)
        return [view.result() for view in views]


async def test_many_askers_share_one_call_and_get_their_own_answers() -> None:
    state = SignatureState(7, Commitment.CONFIRMED)
    node = Node(found={attempt(3).signature: state})
    views = await look(node, *([attempt(number)] for number in range(1, 101)))
    assert node.asked == [(100, False)]
    assert [number for number, view in enumerate(views, 1) if view and view.states] == [3]


async def test_a_call_holds_no_more_signatures_than_a_node_takes() -> None:
    node = Node()
    await look(node, *([attempt(number), attempt(number + 1000)] for number in range(1, 201)))
    assert sorted(node.asked) == [(400 - MAX_SIGNATURES, False), (MAX_SIGNATURES, False)]


async def test_a_transaction_that_was_signed_more_often_than_a_node_takes_is_still_judged() -> None:
    attempts = [attempt(number, last_valid=899) for number in range(1, MAX_SIGNATURES + 2)]
    state = SignatureState(7, Commitment.FINALIZED)
    node = Node(found={attempts[0].signature: state, attempts[-1].signature: state})
    view, other = await look(node, attempts, [attempt(1000, last_valid=899)])
    assert sorted(node.asked) == [(1, True), (1, True), (MAX_SIGNATURES, True)]
    assert view is not None
    assert set(view.states) == set(node.found)
    assert (view.searched, view.finalized_height) == (True, 900)
    assert other is not None


async def test_the_history_is_searched_only_for_what_seems_expired() -> None:
    node = Node()
    alive, expired = await look(node, [attempt(1, last_valid=950)], [attempt(2, last_valid=899)])
    assert sorted(node.asked) == [(1, False), (1, True)]
    assert alive is not None
    assert not alive.searched
    assert expired is not None
    assert (expired.searched, expired.finalized_height) == (True, 900)


async def test_a_look_without_a_head_of_its_own_proves_no_expiry_whatever_head_is_known() -> None:
    (view,) = await look(Node(proves=False), [attempt(1, last_valid=899)])
    assert view is not None
    assert view.finalized_height is None


async def test_without_a_head_a_landing_is_still_seen() -> None:
    state = SignatureState(7, Commitment.CONFIRMED)
    (view,) = await look(Node(head_fails=True, found={attempt(1).signature: state}), [attempt(1)])
    assert view == ChainView({attempt(1).signature: state}, None, searched=False)


async def test_a_node_that_fails_is_no_answer() -> None:
    assert await look(Node(look_fails=True), [attempt(1)]) == [None]


async def test_nobody_is_left_waiting_when_the_watcher_stops() -> None:
    async with watching(Node()) as (watcher, _):
        asking = asyncio.ensure_future(watcher.view([attempt(1)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert await asyncio.wait_for(asking, 5) is None


class Listening:
    def __init__(self) -> None:
        self.signatures: list[str] = []

    def listen(self, signature: str) -> None:
        self.signatures.append(signature)


async def test_news_brings_the_next_look_forward() -> None:
    async with watching(Node()) as (watcher, clock):
        feed = Listening()
        watcher.listen_to(feed)
        asking = asyncio.ensure_future(watcher.view([attempt(1), attempt(2)]))
        await clock.advance(GATHER)
        assert not asking.done()
        watcher.news()
        await clock.advance(GATHER)
        await clock.advance(GATHER)
        assert asking.done()
        assert feed.signatures == [attempt(2).signature], "an earlier attempt is found by looking"


async def test_without_news_the_interval_is_kept() -> None:
    async with watching(Node()) as (watcher, clock):
        watcher.listen_to(Listening())
        asking = asyncio.ensure_future(watcher.view([attempt(1)]))
        await clock.advance(INTERVAL - 0.01)
        assert not asking.done()
        await clock.advance(0.01)
        assert await asyncio.wait_for(asking, 5) is not None


async def test_what_is_only_confirmed_is_waited_for_when_finality_is_wanted() -> None:
    confirmed, final = SignatureState(7, Commitment.CONFIRMED), SignatureState(8, Commitment.FINALIZED)
    node = Node(found={attempt(1).signature: confirmed, attempt(2).signature: final})
    clock = ManualClock()
    watcher = SignatureWatcher(node, clock, INTERVAL, Commitment.FINALIZED)
    task = asyncio.create_task(watcher.run())
    asking = asyncio.ensure_future(watcher.view([attempt(1), attempt(2)]))
    await clock.advance(INTERVAL)
    view = await asyncio.wait_for(asking, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert view is not None
    assert [state.commitment for state in view.states.values()] == [Commitment.PROCESSED, Commitment.FINALIZED]
