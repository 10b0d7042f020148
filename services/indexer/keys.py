"""Which stored rows a batch of changes needs: what the store has to load before `rows` can apply it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from services.indexer.changes import (
    AddTree,
    CountCollection,
    CreateCollection,
    FinalizeItems,
    ObserveLeaves,
    OfCollection,
    OfItem,
    OfOperation,
    RowChange,
)


@dataclass(slots=True)
class ItemKeys:
    """Items of one operation, by index, and by the signature of the transaction that minted them."""

    indexes: set[int] = field(default_factory=set[int])
    signatures: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Keys:
    """Which stored rows a batch of changes must be given before it can be applied."""

    operations: dict[UUID, ItemKeys] = field(default_factory=dict[UUID, ItemKeys])
    collections: set[UUID] = field(default_factory=set[UUID])
    trees_of: set[UUID] = field(default_factory=set[UUID])
    """Collections whose trees are read or written."""
    observed_trees: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, changes: Iterable[RowChange]) -> "Keys":
        """Return the keys of all rows that `changes` read or write."""
        keys = cls()
        last, items = None, ItemKeys()
        for change in changes:
            if isinstance(change, OfOperation):
                # All changes of a message name its operation by one and the same object.
                if change.operation is not last:
                    last = change.operation
                    items = keys.operations.setdefault(last, ItemKeys())
                if isinstance(change, OfItem):
                    items.indexes.add(change.index)
                elif isinstance(change, FinalizeItems):
                    items.signatures.add(change.signature)
            elif isinstance(change, ObserveLeaves):
                keys.observed_trees.add(change.tree)
            elif isinstance(change, OfCollection):
                keys.collections.add(change.collection)
                if isinstance(change, CreateCollection | AddTree | CountCollection):
                    keys.trees_of.add(change.collection)
        return keys

    def items(self, known: Iterable[UUID]) -> Iterator[tuple[UUID, int]]:
        """Yield operation and index of the items that are asked for by index, of those operations alone."""
        return ((operation, index) for operation in known for index in self.operations[operation].indexes)

    def signatures(self, known: Iterable[UUID]) -> Iterator[tuple[UUID, str]]:
        """Yield operation and signature of the items that are asked for by signature, of those operations alone."""
        return ((operation, each) for operation in known for each in self.operations[operation].signatures)
