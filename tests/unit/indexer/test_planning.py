"""Planning in a process of its own: the same entries, whatever the messages say and whatever becomes of the process."""

import io
import struct
from collections.abc import Sequence

import pytest

from chassis.log import RawMessage
from services.indexer.entries import Entry
from services.indexer.planning import (
    Apart,
    answers,
    end,
    entries_of,
    plan_here,
    planning_apart,
    questions,
    serve,
    start,
)
from tests.support.indexing import History, collection_history, mint_history, requested, uid

BEYOND = 1 << 70
"""An integer that no frame can tell."""


def used(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    """What a rebuild uses of entries."""
    return [(entry.raw, list(entry.changes), entry.parked) for entry in entries]


@pytest.fixture
def batch() -> list[RawMessage]:
    """Messages of every kind that is projected, and some that cannot be."""
    return [*mint_history(3).messages, *collection_history(3).messages]


@pytest.mark.parametrize("seed", range(20))
async def test_a_frame_tells_what_would_be_planned_here(seed: int) -> None:
    for history in (mint_history(seed), collection_history(seed)):
        messages = history.messages
        assert used(entries_of(messages, answers(questions(messages)))) == used(await plan_here(messages))


async def test_what_no_frame_can_tell_is_planned_where_it_is_asked(batch: list[RawMessage]) -> None:
    history = History()
    history.say(requested(uid("beyond"), 1, batch_size=BEYOND))
    messages = [*batch, *history.messages]
    found = entries_of(messages, answers(questions(messages)))
    assert used(found) == used(await plan_here(messages))
    assert found[-1].event is not None, "it was planned here"
    assert found[0].event is None, "it was told"


async def test_the_process_plans_batch_after_batch(batch: list[RawMessage]) -> None:
    expected = used(await plan_here(batch))
    async with planning_apart() as planning:
        first, second = await planning(batch), await planning(batch[:1])
    assert used(first) == expected
    assert used(second) == expected[:1]
    assert first[0].event is None, "the process planned it"


@pytest.mark.parametrize(
    "program",
    [
        "pass",
        "import sys; sys.stdin.buffer.read(100)",
        "import sys; sys.stdout.buffer.write(bytes([4, 0, 0, 0]) + b'junk'); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stdout.buffer.write(bytes([1, 0, 0, 0, 0x90])); sys.stdout.flush(); sys.stdin.read()",
    ],
    ids=["ends at once", "ends in the middle", "answers junk", "answers nothing"],
)
async def test_a_process_that_is_of_no_use_is_done_without(program: str, batch: list[RawMessage]) -> None:
    process = start("-c", program)
    planning = Apart(process)
    try:
        for _ in range(2):
            assert used(await planning.plan(batch)) == used(await plan_here(batch))
    finally:
        end(process)


@pytest.mark.parametrize("missing", [1, 3, 10])
def test_the_process_ends_with_whoever_asks(missing: int, batch: list[RawMessage]) -> None:
    frame = questions(batch)
    whole = struct.pack("<I", len(frame)) + frame
    told = io.BytesIO()
    serve(io.BytesIO((whole + whole)[:-missing]), told)
    answer = answers(frame)
    assert told.getvalue() == struct.pack("<I", len(answer)) + answer, "the half question has no answer"
