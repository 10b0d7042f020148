"""What one node says counts only where the node can know it, and where it is about what was asked."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from audit import chain
from audit.chain import ChainVerifier, Landing, VerificationFailed
from bubblegum import base58, pda
from bubblegum.merkle import ConcurrentMerkleTree
from chassis.chain import BLOCKHASH_BLOCKS
from tests.support.leaves import ModelTree, key, metadata_v1

WALLET = Keypair()
TREE = key(2)
Methods = Mapping[str, Callable[[list[Any]], Any]]


def node(methods: Methods) -> ChainVerifier:
    """A node that has these methods and no others."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        result = methods[body["method"]](body["params"])
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": body["id"], "result": result})

    return ChainVerifier("http://node", httpx.MockTransport(answer))


def landed() -> tuple[str, dict[str, Any]]:
    """A transaction's signature, and what a node tells of it."""
    message = MessageV0.try_compile(WALLET.pubkey(), [], [], Hash.new_unique())
    transaction = VersionedTransaction(message, [WALLET])
    wire = base64.b64encode(bytes(transaction)).decode()
    meta: dict[str, Any] = {"err": None, "innerInstructions": [], "loadedAddresses": None}
    return str(transaction.signatures[0]), {"slot": 7, "transaction": [wire, "base64"], "meta": meta}


def ledger(first: int, head: int) -> Methods:
    """A node that knows no transaction; its blocks are those of slots `first` to `head`, whose heights are the same."""
    return {
        "getTransaction": lambda _: None,
        "getSlot": lambda _: head,
        "getFirstAvailableBlock": lambda _: first,
        "getBlock": lambda params: {"blockHeight": params[0]},
    }


@pytest.mark.parametrize(
    ("first", "head", "landing", "can_know"),
    [
        (0, 700, Landing(slot=700), True),
        (0, 699, Landing(slot=700), False),
        (700, 999, Landing(slot=700), True),
        (701, 999, Landing(slot=700), False),
        (0, 999, Landing(height=700), True),
        (700 - BLOCKHASH_BLOCKS, 999, Landing(height=700), True),
        (701 - BLOCKHASH_BLOCKS, 999, Landing(height=700), False),
    ],
)
async def test_a_node_that_lags_or_has_forgotten_proves_nothing(
    first: int, head: int, landing: Landing, can_know: bool
) -> None:
    async with node(ledger(first, head)) as asked:
        if can_know:
            assert await asked.transaction("sig", landing) is None
            return
        with pytest.raises(VerificationFailed):
            await asked.transaction("sig", landing)


async def test_what_a_node_learns_while_it_is_asked_counts() -> None:
    signature, told = landed()
    answers = [None, told]
    async with node({**ledger(0, 7), "getTransaction": lambda _: answers.pop(0)}) as asked:
        assert (await asked.transaction(signature, Landing(slot=7))) is not None


async def test_another_transaction_than_the_one_that_was_asked_for_is_no_answer() -> None:
    (signature, told), (other, _) = landed(), landed()
    async with node({"getTransaction": lambda _: told}) as asked:
        found = await asked.transaction(signature)
        assert found is not None
        assert (found.signature, found.slot) == (signature, 7)
        with pytest.raises(VerificationFailed, match=f"for {other}"):
            await asked.transaction(other)


async def test_the_proof_of_something_else_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelTree(TREE)
    for _ in range(3):
        model.mint(key(3), metadata_v1())
    account = model.account()

    async def tree(*_: object) -> ConcurrentMerkleTree:
        return account

    monkeypatch.setattr(chain.ChainVerifier, "tree", tree)

    def proof(index: int, height: int = 0) -> dict[str, Any]:
        """The proof of a leaf, or of the node so many levels above it."""
        siblings = model.tree.proof(index)
        above = [model.tree.leaf(index), model.tree.root][bool(height)]
        return {
            "root": base58.encode(model.tree.root),
            "leaf": base58.encode(above),
            "node_index": (index >> height) + (1 << (model.depth - height)),
            "tree_id": str(TREE),
            "proof": [base58.encode(each) for each in siblings[height:]],
        }

    async def leads(told: dict[str, Any], index: int = 1) -> bool:
        async with node({"getAssetProof": lambda _: told}) as asked:
            return await asked.leads_to_root(str(pda.asset_id(TREE, index)))

    assert await leads(proof(1))
    assert not await leads(proof(1) | {"leaf": str(key(9))})
    for told, index in (
        (proof(0), 1),
        (proof(1) | {"tree_id": str(key(8))}, 1),
        (proof(0, model.depth), 0),  # of the root itself, which is where it leads
        (proof(1) | {"node_index": 1 << 70}, 1),
    ):
        with pytest.raises(VerificationFailed, match="proof"):
            await leads(told, index)
