"""DAS providers over HTTP: paging, pace, failover, comparison; and proofs, which are believed by nobody."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bubblegum import base58
from bubblegum.merkle import MerkleTree
from chassis.clock import ManualClock, SystemClock
from chassis.json_rpc import JsonRpc
from services.indexer.adapters import das
from services.indexer.adapters.das import DasProviders
from services.indexer.chain.proofs import AssetProof, holds
from services.indexer.ports import ChainUnavailable
from tests.support.leaves import ModelTree, key, metadata_v1

TREES = frozenset({"tree"})

Answer = Callable[[dict[str, Any]], Any]


def asset(asset_id: str, tree: str = "tree", *, burnt: bool = False) -> dict[str, Any]:
    return {"id": asset_id, "compression": {"compressed": True, "tree": tree}, "burnt": burnt}


def paged(*assets: dict[str, Any]) -> Answer:
    """A provider with these assets, sorted by id."""

    def answer(request: dict[str, Any]) -> Any:
        params = request["params"]
        later = [each for each in assets if each["id"] > params.get("after", "")]
        return {"items": later[: params["limit"]], "last_indexed_slot": 90}

    return answer


def failing(_request: dict[str, Any]) -> Any:
    raise httpx.ConnectError("refused")


def providers(*answers: Answer, clock: SystemClock | ManualClock | None = None, rate: float = 1e6) -> DasProviders:
    def client(answer: Answer) -> JsonRpc:
        def handle(request: httpx.Request) -> httpx.Response:
            asked = json.loads(request.content)
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], "result": answer(asked)})

        return JsonRpc(httpx.AsyncClient(transport=httpx.MockTransport(handle)), "http://das.test", "das")

    return DasProviders([client(answer) for answer in answers], clock or SystemClock(), rate=rate)


async def test_all_pages_and_only_what_lives_in_the_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(das, "PAGE", 2)
    some = [asset(name) for name in "abcde"]
    some += [asset("f", "elsewhere"), asset("g", burnt=True)]
    (shown,) = await providers(paged(*some)).shown("collection", TREES, 100)
    assert (shown.ids, shown.slot) == (frozenset("abcde"), 90)


async def test_a_provider_that_turns_in_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(das, "PAGE", 1)
    for circle in ("a", "ab"):
        ids = itertools.cycle(circle)
        with pytest.raises(ChainUnavailable, match="without end"):
            await providers(lambda _, ids=ids: {"items": [asset(next(ids))]}).shown("collection", TREES, 100)


async def test_a_provider_that_shows_more_than_the_trees_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(das, "PAGE", 1)
    asked = itertools.count()
    with pytest.raises(ChainUnavailable, match="more assets than the trees hold"):
        await providers(lambda _: {"items": [asset(f"{next(asked)}")]}).shown("collection", TREES, 5)
    assert next(asked) == 6


async def test_two_providers_and_one_that_fails() -> None:
    both = await providers(paged(asset("a")), paged(asset("a"), asset("b"))).shown("collection", TREES, 100)
    assert [shown.ids for shown in both] == [frozenset("a"), frozenset("ab")]
    (other,) = await providers(failing, paged(asset("b"))).shown("collection", TREES, 100)
    assert other.ids == frozenset("b")
    with pytest.raises(ChainUnavailable):
        await providers(failing, failing).shown("collection", TREES, 100)


async def test_the_pace() -> None:
    clock, asked = ManualClock(), list[float]()

    def answer(request: dict[str, Any]) -> Any:
        asked.append(clock.monotonic())
        return {"items": []}

    slow = providers(answer, clock=clock, rate=2)
    work = asyncio.gather(*(slow.shown("collection", TREES, 100) for _ in range(3)))
    while not work.done():
        await clock.advance(0.25)
    assert [round(each - asked[0], 2) for each in asked] == [0, 0.5, 1.0]


async def test_a_proof_is_asked_of_the_next_provider_and_checked_by_us() -> None:
    tree = MerkleTree(3)
    leaves = [bytes([number]) * 32 for number in range(5)]
    for leaf in leaves:
        tree.append(leaf)
    told = {
        "root": base58.encode(tree.root),
        "proof": [base58.encode(node) for node in tree.proof(2)],
        "node_index": 2 + 8,
        "leaf": base58.encode(leaves[2]),
        "tree_id": "tree",
    }
    found = await providers(failing, lambda _: told).proof("a")
    assert found == AssetProof("tree", tree.root, leaves[2], tuple(tree.proof(2)), 2)
    with pytest.raises(ChainUnavailable):
        await providers(failing).proof("a")


def test_a_proof_holds_only_to_a_root_of_the_account() -> None:
    model = ModelTree(key(2))
    for _ in range(3):
        model.mint(key(3), metadata_v1())
    account = model.account()
    leaf = model.tree.leaf(1)
    proof = AssetProof("tree", model.tree.root, leaf, tuple(model.tree.proof(1)), 1)
    assert holds(proof, account, leaf)
    wrong = bytes(31) + b"\1"
    for forged in (
        replace(proof, root=wrong),
        replace(proof, index=2),
        replace(proof, proof=(wrong, *proof.proof[1:])),
        replace(proof, proof=proof.proof[1:]),
        replace(proof, leaf=wrong),
    ):
        assert not holds(forged, account, leaf)
    assert not holds(replace(proof, leaf=wrong), account, wrong)
    assert not holds(proof, replace(account, buffer_size=0), leaf), "a root that the tree no longer accepts"
    assert not holds(proof, replace(account, max_depth=model.depth + 1), leaf)
