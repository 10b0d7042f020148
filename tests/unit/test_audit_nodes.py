"""Several nodes: one that is away is passed over, and two that answer have to say the same."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import httpx
import msgspec
import pytest

from audit.chain import MOST_NAMED, ChainVerifier, VerificationFailed
from audit.nodes import FAILURES, Nodes, NodesDiffer
from bubblegum.reference import reference
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

    async def transaction(self, signature: str, landing: object = None) -> object:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    leads_to_root = naming = transaction


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
    with pytest.raises(NodesDiffer):
        await nodes(("sig",), ())[0].marked("operation.0.0")


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


async def test_what_landed_with_a_mark_is_listed_or_nobody_knows() -> None:
    outcomes: list[tuple[str, object]] = [("b", None), ("failed", {"InstructionError": [0, "Custom"]}), ("a", None)]
    listed = [{"signature": name, "err": err} for name, err in outcomes]

    def answer(request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        assert (body["method"], body["params"][0]) == ("getSignaturesForAddress", str(reference("operation.0.0")))
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": body["id"], "result": listed})

    async with ChainVerifier("http://node", httpx.MockTransport(answer)) as node:
        assert await Nodes([node]).marked("operation.0.0") == ("a", "b")
        listed *= MOST_NAMED
        with pytest.raises(VerificationFailed, match="or more name"):
            await Nodes([node]).marked("operation.0.0")
