"""The index over a whole history: in step with every tree, undone by forks, honest when it has lost step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import ChangeLogEvent
from bubblegum.programs import BUBBLEGUM, SPL_NOOP
from bubblegum.transaction import ExecutedInstruction
from localnet.das import DasIndex
from localnet.das.index import UNDO_SLOTS
from tests.support.das import DasChain, refusal
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2, transaction

OWNERS = [key(20), key(21), key(22)]
COLLECTION = key(4)
V1_TREE, V2_TREE = key(2), key(3)


def everything(index: DasIndex) -> Any:
    """All that the index can be asked about: every asset and every proof."""
    found: Any = index.handle("searchAssets", {"sortBy": {"sortBy": "created"}})
    ids = [item["id"] for item in found["items"]]
    return found, index.handle("getAssetProofs", {"ids": ids})


Step = tuple[int, str, int, int]
steps = st.lists(
    st.tuples(
        st.integers(1, 2), st.sampled_from(["mint", "mint", "transfer", "burn"]), st.integers(0, 40), st.integers(0, 2)
    ),
    max_size=40,
)


def _perform(model: ModelTree, kind: str, pick: int, owner: Pubkey) -> ExecutedInstruction | None:
    if kind == "mint":
        if len(model.tree) == model.tree.capacity:
            return None
        collection = COLLECTION if pick % 2 else None
        metadata = metadata_v1("x", collection) if model.version == 1 else metadata_v2("x", collection)
        return model.mint(owner, metadata, collection)
    if not model.leaves:
        return None
    index = sorted(model.leaves)[pick % len(model.leaves)]
    return model.transfer(index, owner) if kind == "transfer" else model.burn(index)


def _run(history: list[Step]) -> tuple[DasChain, list[ModelTree]]:
    chain = DasChain()
    models = [chain.tree(V1_TREE), chain.tree(V2_TREE, version=2)]
    for version, kind, pick, owner in history:
        done = _perform(models[version - 1], kind, pick, OWNERS[owner])
        if done is not None:
            chain.run(done)
    return chain, models


@settings(max_examples=40)
@given(steps)
def test_the_index_knows_what_the_chain_knows(history: list[Step]) -> None:
    chain, models = _run(history)
    for model in models:
        assert chain.index.out_of_step(model.address) is None
        for index in model.leaves:
            chain.check_proof(model, index)
    for owner in OWNERS:
        owned = {str(leaf.id) for model in models for leaf in model.leaves.values() if leaf.owner == owner}
        assert set(chain.ids("getAssetsByOwner", ownerAddress=owner)) == owned


@settings(max_examples=40)
@given(steps, st.data())
def test_a_rewound_index_is_as_if_the_dropped_slots_never_were(history: list[Step], data: st.DataObject) -> None:
    chain, _ = _run(history)
    whole = everything(chain.index)
    keep = data.draw(st.integers(0, chain.slot))
    chain.index.rewind(keep)
    fresh = DasIndex()
    for tx in chain.history[:keep]:
        fresh.apply(tx)
    assert _without_numbers(everything(chain.index)) == _without_numbers(everything(fresh))
    for tx in chain.history[keep:]:
        chain.index.apply(tx)
    assert _without_numbers(everything(chain.index)) == _without_numbers(whole)


def _without_numbers(known: Any) -> Any:
    found, proofs = known
    return sorted(found["items"], key=lambda item: item["id"]), proofs


@settings(max_examples=20)
@given(steps)
def test_the_same_transactions_again_change_nothing(history: list[Step]) -> None:
    chain, _ = _run(history)
    before = everything(chain.index)
    for tx in chain.history:
        chain.index.apply(tx)
    assert everything(chain.index) == before


def test_the_order_of_creation_survives_a_rebuild() -> None:
    chain, _ = _run([(1, "mint", 0, 0), (2, "mint", 1, 1), (1, "mint", 0, 2), (1, "transfer", 0, 1)])
    rebuilt = DasIndex()
    for tx in chain.history:
        rebuilt.apply(tx)
    assert everything(rebuilt) == everything(chain.index)


def test_a_failed_transaction_changes_nothing() -> None:
    chain = DasChain()
    model = chain.tree(V1_TREE)
    chain.index.apply(transaction(model.mint(OWNERS[0], metadata_v1()), slot=2, err={"InstructionError": [0, "x"]}))
    assert everything(chain.index)[0]["items"] == []


def test_undo_is_kept_for_a_bounded_number_of_slots() -> None:
    chain = DasChain()
    model = chain.tree(V1_TREE)
    chain.run(model.mint(OWNERS[0], metadata_v1()))
    chain.slot = UNDO_SLOTS + 10
    chain.run(model.mint(OWNERS[0], metadata_v1()))
    chain.index.rewind(0)
    assert chain.ids("searchAssets") == [str(model.leaves[0].id)]


def _retold(
    told: ExecutedInstruction, change: Callable[[ChangeLogEvent], ChangeLogEvent], model: ModelTree, leaf: bytes
) -> ExecutedInstruction:
    """A mint whose changelog event says something else."""
    event, compressed = told.inner
    model.seq -= 1
    original = model.change_log(len(model.tree) - 1, leaf)
    lie = ExecutedInstruction(SPL_NOOP, (), change(original).to_noop_data())
    return replace(told, inner=(event, replace(compressed, inner=(lie,))))


def _lost(change: Callable[[ChangeLogEvent], ChangeLogEvent], words: str) -> None:
    chain = DasChain()
    model = chain.tree(V1_TREE)
    chain.run(model.mint(OWNERS[0], metadata_v1()))
    minted = model.mint(OWNERS[0], metadata_v1())
    chain.run(_retold(minted, change, model, model.leaves[1].hash()))
    reason = chain.index.out_of_step(V1_TREE)
    assert reason is not None
    assert words in reason
    error = refusal(chain.index, "getAssetProof", {"id": str(model.leaves[0].id)})
    assert error.code == -32000
    assert words in error.message
    assert chain.asset(model.leaves[0].id)["burnt"] is False
    chain.index.rewind(chain.slot - 1)
    assert chain.index.out_of_step(V1_TREE) is None


def test_a_missed_change_is_noticed() -> None:
    _lost(lambda change: replace(change, seq=9), "change 9 came after 1")


def test_another_root_is_noticed() -> None:
    def other_root(change: ChangeLogEvent) -> ChangeLogEvent:
        return replace(change, path=(*change.path[:-1], replace(change.path[-1], node=b"\x05" * 32)))

    _lost(other_root, "is not the chain's")


def test_a_skipped_leaf_is_noticed() -> None:
    _lost(lambda change: replace(change, index=5), "leaf 5 was written where the next is 1")


def test_a_change_that_cannot_be_told_still_moves_the_tree() -> None:
    chain = DasChain()
    model = chain.tree(V1_TREE)
    chain.run(model.mint(OWNERS[0], metadata_v1()), model.mint(OWNERS[0], metadata_v1()))
    redeemed = model.burn(0)
    redeem = ExecutedInstruction(BUBBLEGUM, (), BubblegumInstruction.REDEEM.discriminator, redeemed.inner)
    chain.run(redeem)
    assert chain.index.out_of_step(V1_TREE) is None
    chain.check_proof(model, 1)


def test_a_tree_whose_making_was_not_seen() -> None:
    chain = DasChain()
    model = ModelTree(V1_TREE)
    chain.run(model.mint(OWNERS[0], metadata_v1()))
    assert refusal(chain.index, "getAsset", [str(model.leaves[0].id)]).code == -32000
    assert chain.index.out_of_step(V1_TREE) is None
