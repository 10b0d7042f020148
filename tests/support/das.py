"""A chain of model trees with a DAS index behind it, for tests of what the index answers."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from solders.pubkey import Pubkey

from bubblegum.merkle import verify_proof
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from localnet.das import DasError, DasIndex
from tests.support.das_schema import ASSET, ASSET_LIST, PROOF, checked
from tests.support.leaves import ModelTree, transaction


@dataclass
class DasChain:
    """Trees whose every instruction goes into one transaction of its own, and into the index at once."""

    index: DasIndex = field(default_factory=DasIndex)
    slot: int = 0
    history: list[ExecutedTransaction] = field(init=False)

    def __post_init__(self) -> None:
        self.history = []

    def run(self, *ran: ExecutedInstruction) -> ExecutedTransaction:
        """One transaction in the next slot."""
        self.slot += 1
        tx = transaction(*ran, slot=self.slot)
        self.history.append(tx)
        self.index.apply(tx)
        return tx

    def tree(self, address: Pubkey, version: int = 1) -> ModelTree:
        """A new tree on the chain."""
        model = ModelTree(address, version)
        self.run(model.create())
        return model

    def asset(self, asset_id: Pubkey, **options: bool) -> Any:
        return checked(self.index.handle("getAsset", {"id": str(asset_id), "options": options}), ASSET)

    def listing(self, method: str, **params: object) -> Any:
        given = {name: str(value) if isinstance(value, Pubkey) else value for name, value in params.items()}
        return checked(self.index.handle(method, given), ASSET_LIST)

    def ids(self, method: str, **params: object) -> list[str]:
        return [item["id"] for item in self.listing(method, **params)["items"]]

    def proof(self, asset_id: Pubkey) -> Any:
        return checked(self.index.handle("getAssetProof", {"id": str(asset_id)}), PROOF)

    def check_proof(self, model: ModelTree, index: int) -> None:
        """The proof that is answered leads from the leaf to the root that is on chain."""
        leaf = model.leaves[index]
        answer = self.proof(leaf.id)
        nodes = [bytes(Pubkey.from_string(node)) for node in answer["proof"]]
        assert answer["tree_id"] == str(model.address)
        assert answer["node_index"] == 2**model.depth + index
        assert bytes(Pubkey.from_string(answer["leaf"])) == leaf.hash()
        assert bytes(Pubkey.from_string(answer["root"])) == model.tree.root
        assert verify_proof(model.tree.root, leaf.hash(), nodes, index)


def refusal(index: DasIndex, method: str, params: Any) -> DasError:
    """The error that the request ends with."""
    with pytest.raises(DasError) as caught:
        index.handle(method, params)
    return caught.value
