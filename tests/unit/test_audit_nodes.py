"""Several nodes: one that is away is passed over, and two that answer have to say the same."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from audit.chain import ChainVerifier, VerificationFailed
from audit.nodes import FAILURES, Nodes, NodesDiffer
from bubblegum.transaction import ExecutedTransaction
from chassis.chain import ChainUnavailable

KNOWN = ExecutedTransaction("sig", 7, None, (), block_time=100)
AWAY = ChainUnavailable("away")
REFUSED = VerificationFailed("getTransaction: history is not kept (-32011)")


class Node:
    """Says always the same, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked = 0

    async def transaction(self, signature: str) -> object:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    leads_to_root = transaction


def nodes(*answers: object) -> tuple[Nodes, Sequence[Node]]:
    made = [Node(answer) for answer in answers]
    return Nodes(cast("list[ChainVerifier]", made)), made


@pytest.mark.parametrize(
    "answers",
    [
        [KNOWN],
        [KNOWN, KNOWN],
        [KNOWN, replace(KNOWN, block_time=None)],
        [AWAY, KNOWN],
        [REFUSED, KNOWN],
        [AWAY, KNOWN, KNOWN, None],
    ],
)
async def test_what_the_first_two_that_answer_agree_on_counts(answers: list[Any]) -> None:
    asked, _ = nodes(*answers)
    assert await asked.transaction("sig") == replace(KNOWN, block_time=None)


@pytest.mark.parametrize(
    "answers",
    [[KNOWN, None], [None, KNOWN], [KNOWN, replace(KNOWN, slot=8)], [AWAY, None, KNOWN]],
)
async def test_two_that_differ_prove_nothing(answers: list[Any]) -> None:
    with pytest.raises(NodesDiffer):
        await nodes(*answers)[0].transaction("sig")
    with pytest.raises(NodesDiffer):
        await nodes(True, False)[0].leads_to_root("asset")


async def test_what_none_can_say_is_told_with_what_one_said() -> None:
    with pytest.raises(VerificationFailed, match="history is not kept"):
        await nodes(AWAY, REFUSED)[0].transaction("sig")
    with pytest.raises(ChainUnavailable):
        await nodes(AWAY, AWAY)[0].transaction("sig")


async def test_a_node_that_is_away_is_left_alone_and_tried_again_later() -> None:
    asked, (gone, there) = nodes(AWAY, KNOWN)
    for _ in range(FAILURES + 4):
        assert await asked.transaction("sig")
    assert (gone.asked, there.asked) == (FAILURES, FAILURES + 4)
