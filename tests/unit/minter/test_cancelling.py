"""A cancelled operation: what nothing was said of ends, what is signed or has ended stays as it is."""

import pytest

from chassis.log import MissingFact
from contracts.fact import Fact
from contracts.mint import Cancelled, Failed, FailureCode, ImageUri, Nft, Pinned, PinnedItem, Requested
from services.minter.cancelling import Cancelling, end_unsigned
from tests.support import samples
from tests.support.memory_log import MemoryLog

OPERATION = samples.OPERATION


def requested(items: int, batch_size: int) -> Requested:
    return Requested(
        operation=OPERATION,
        operation_type="batch_mint",
        collection=samples.COLLECTION,
        recipient=samples.RECIPIENT,
        nfts=(Nft(name="Tent", image=ImageUri(uri="ipfs://bafkreia"), copies=items),),
        batch_size=batch_size,
    )


def pinned(chunk: int, *items: int) -> Pinned:
    return Pinned(
        operation=OPERATION,
        chunk=chunk,
        collection=samples.COLLECTION,
        recipient=samples.RECIPIENT,
        items=tuple(
            PinnedItem(index=item, name="Tent", symbol="T", uri="ipfs://bafkreib", image_uri="ipfs://bafkreia")
            for item in items
        ),
    )


async def say(log: MemoryLog, *facts: Fact) -> None:
    for fact in facts:
        await log.publish(fact, cause=None)


def ended(log: MemoryLog) -> list[tuple[int, tuple[int, ...]]]:
    """Chunk and items of everything that failed as cancelled."""
    return [
        (fact.chunk, fact.failure.items) for fact in log.facts(Failed) if fact.failure.code is FailureCode.CANCELLED
    ]


async def cancel(log: MemoryLog) -> None:
    await log.publish_once(Cancelled(operation=OPERATION), cause=None)
    (message,) = log.messages(Cancelled)
    await Cancelling(log).on_cancelled(message)


async def test_pinned_chunks_end_and_others_are_left_to_whoever_pins() -> None:
    log = MemoryLog()
    await say(log, requested(6, batch_size=2), pinned(0, 0, 1), pinned(2, 4, 5))
    await cancel(log)
    assert sorted(item for _, items in ended(log) for item in items) == [0, 1, 4, 5]
    (cause,) = log.messages(Cancelled)
    assert {message.event.causation_id for message in log.messages(Failed)} == {cause.event.id}


async def test_what_is_signed_may_have_landed_and_is_not_touched() -> None:
    log = MemoryLog()
    await say(log, requested(2, batch_size=2), pinned(0, 0, 1), samples.PLANNED, samples.SIGNED)
    signed = set(samples.SIGNED.items)
    await cancel(log)
    assert {item for _, items in ended(log) for item in items} == {0, 1} - signed


async def test_a_cancellation_that_is_delivered_twice_ends_everything_once() -> None:
    log = MemoryLog()
    await say(log, requested(4, batch_size=2), pinned(0, 0, 1), pinned(1, 2, 3))
    await cancel(log)
    once = log.facts(Failed)
    await cancel(log)
    assert log.facts(Failed) == once


async def test_a_chunk_that_is_pinned_after_the_cancellation_ends_when_it_comes() -> None:
    log = MemoryLog()
    await say(log, requested(2, batch_size=2))
    await cancel(log)
    assert ended(log) == []
    await say(log, pinned(0, 0, 1))
    (cancelled,) = log.messages(Cancelled)
    assert await end_unsigned(log, cancelled.event, pinned(0, 0, 1)) == len(ended(log)) > 0
    assert await end_unsigned(log, cancelled.event, pinned(0, 0, 1)) == 0


async def test_a_cancellation_of_nothing_is_refused() -> None:
    with pytest.raises(MissingFact, match="never requested"):
        await cancel(MemoryLog())
