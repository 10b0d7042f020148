"""The scenarios of the recorded transactions, done again on the model: the same changes, and one state in every order.

`tests/contract/test_recorded_transactions.py` holds the decoder to what the deployed programs did, where the recordings
are at hand; here the same stories are told by transactions of our own, everywhere.
"""

from dataclasses import replace
from itertools import islice, permutations

import pytest

from bubblegum import hashing
from bubblegum.changes import Administered, Change, LeafUpdated
from bubblegum.decode import decode
from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import LeafSchemaV1, LeafSchemaV2
from bubblegum.state import LeafState, Place, fold, leaf_states
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2, transaction
from tests.support.recordings import names

SCENARIOS = names().scenarios
MOST_ORDERS = 120
"""All orders of five transactions."""
TREE, OWNER, BUYER = key(2), key(3), key(6)
WITH_A_TYPE_OF_ITS_OWN = {
    BubblegumInstruction.CREATE_TREE,
    BubblegumInstruction.CREATE_TREE_V2,
    BubblegumInstruction.MINT_V1,
    BubblegumInstruction.MINT_TO_COLLECTION_V1,
    BubblegumInstruction.MINT_V2,
    BubblegumInstruction.TRANSFER,
    BubblegumInstruction.TRANSFER_V2,
    BubblegumInstruction.BURN,
    BubblegumInstruction.BURN_V2,
    BubblegumInstruction.REDEEM,
    BubblegumInstruction.DECOMPRESS_V1,
    BubblegumInstruction.SET_TREE_DELEGATE,
    BubblegumInstruction.SET_DECOMPRESSIBLE_STATE,
    BubblegumInstruction.CLOSE_TREE_V2,
    BubblegumInstruction.COLLECT_V2,
}
"""What these come to is tested in test_decode."""


class Story:
    """A tree with one asset, to which things happen by the names that recorded changes have."""

    def __init__(self, version: int) -> None:
        self.model = ModelTree(TREE, version)
        self._last: LeafSchemaV1 | LeafSchemaV2 | None = None

    def happens(self, change: str) -> ExecutedInstruction:
        """The instruction that makes this change of the newest asset; there is one from before, if there has to be."""
        kind, _, name = change.partition(":")
        model = self.model
        if kind == "TreeCreated":
            return ModelTree(TREE, model.version).create()
        if kind == "Minted" or not len(model.tree):
            minted = model.mint(OWNER, metadata_v1() if model.version == 1 else metadata_v2())
            self._last = model.leaves[len(model.tree) - 1]
            if kind == "Minted":
                return minted
        index = len(model.tree) - 1
        if kind == "Transferred":
            return model.transfer(index, BUYER if model.leaves[index].owner == OWNER else OWNER)
        if kind in ("Burned", "Redeemed"):
            return model.burn(index) if kind == "Burned" else model.redeem(index)
        if kind == "Decompressed":
            return replace(model.other(BubblegumInstruction.DECOMPRESS_V1), accounts=(key(1), OWNER, key(2), key(3)))
        if kind == "Administered":
            return model.other(BubblegumInstruction(name))
        if kind == "Unknown":
            return replace(model.other(BubblegumInstruction.UPDATE_METADATA), data=bytes(8))
        return self._updated(index, BubblegumInstruction(name))

    def _updated(self, index: int, kind: BubblegumInstruction) -> ExecutedInstruction:
        assert self._last is not None
        schema = self.model.leaves.get(index, self._last)
        changed = replace(schema, data_hash=hashing.keccak(schema.data_hash, kind.discriminator))
        if isinstance(changed, LeafSchemaV2):
            changed = replace(changed, flags=changed.flags ^ 1)
        ran = self.model.other(kind, *self.model.rewrite(index, changed))
        return replace(ran, accounts=(*[key(9)] * 8, key(4)))  # the ninth is the collection, where there is one


def name(change: Change) -> str:
    """A change as the recordings name it."""
    kind = type(change).__name__
    return f"{kind}:{change.instruction.value}" if isinstance(change, LeafUpdated | Administered) else kind


def states(tx: ExecutedTransaction) -> list[LeafState]:
    return [state for change in decode(tx) for state in leaf_states(change, Place(tx.slot, tx.signature))]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_recorded_scenario_on_the_model(scenario: str) -> None:
    told = [each.changes for each in SCENARIOS[scenario]]
    story = Story(2 if any(change.endswith("_v2") for each in told for change in each) or "v2" in scenario else 1)
    ran = [transaction(*map(story.happens, each), slot=slot) for slot, each in enumerate(told, 10)]
    assert [tuple(map(name, decode(tx))) for tx in ran] == told
    said = [states(tx) for tx in ran]
    expected = fold(state for each in said for state in each)
    for order in islice(permutations(said), MOST_ORDERS):
        assert fold(state for each in order for state in each) == expected
    for (_, index), leaf in expected.items():
        assert leaf.leaf.value == story.model.tree.leaf(index)


@pytest.mark.parametrize("kind", [kind for kind in BubblegumInstruction if kind not in WITH_A_TYPE_OF_ITS_OWN])
def test_whatever_else_the_interface_has_changes_a_leaf(kind: BubblegumInstruction) -> None:
    change = f"LeafUpdated:{kind.value}"
    (decoded,) = decode(transaction(Story(2 if kind.value.endswith("_v2") else 1).happens(change)))
    assert name(decoded) == change
