"""The benches' tree that is only appended to, beside the model that can do everything."""

from tests.bench.null_trees import NullTree
from tests.support.leaves import ModelTree, key, metadata_v2

TREE, OWNER, COLLECTION = key(2), key(3), key(4)


def test_it_tells_of_every_leaf_what_the_programs_would() -> None:
    model, tree = ModelTree(TREE, version=2, depth=4), NullTree(TREE, depth=4)
    for number in range(16):
        metadata = metadata_v2(f"Item {number}", COLLECTION if number % 3 else None)
        assert tree.mint(OWNER, metadata) == model.mint(OWNER, metadata, metadata.collection).inner
    assert tree.minted == 16
