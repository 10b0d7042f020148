"""The rows of `collection_trees` in memory, and what becomes of them: pure.

Used by `rows`. A tree is there for good once it was told of, under the first address that its number was told with;
only the chain's counts change it. Not done here: the collection's own numbers, which are sums.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from contracts.collection import CountedTree, TreeShape
from services.indexer.tables import Tree


@dataclass(slots=True)
class TreeRows:
    """The loaded trees of collections, by number, and which of them have changed since."""

    rows: dict[UUID, dict[int, Tree]] = field(default_factory=dict[UUID, dict[int, Tree]])
    _changed: set[tuple[UUID, int]] = field(default_factory=set[tuple[UUID, int]])

    def load(self, tree: Tree) -> None:
        """Take in a stored tree."""
        self.rows.setdefault(tree.collection_id, {})[tree.number] = tree

    def add(self, collection: UUID, number: int, address: str, shape: TreeShape, at: datetime) -> None:
        """Take in a tree that the log tells of; one that is known stays as it is."""
        known = self.rows.setdefault(collection, {})
        if number not in known:
            known[number] = Tree(
                collection_id=collection,
                number=number,
                tree_address=address,
                max_depth=shape.max_depth,
                max_buffer_size=shape.max_buffer_size,
                canopy_depth=shape.canopy_depth,
                capacity=shape.capacity,
                added_at=at,
            )
            self._changed.add((collection, number))

    def count(self, collection: UUID, counted: Iterable[CountedTree]) -> None:
        """Keep what the chain says of each tree; what it does not tell stays as it was."""
        told = {one.tree_address: one for one in counted}
        for tree in self.rows.get(collection, {}).values():
            if (one := told.get(tree.tree_address)) is not None:
                tree.minted = tree.minted if one.minted is None else one.minted
                tree.valid = one.valid
                self._changed.add((collection, tree.number))

    def changed(self) -> Sequence[Tree]:
        """Return the rows to write."""
        return [self.rows[collection][number] for collection, number in self._changed]
