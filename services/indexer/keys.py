"""Which stored rows a batch of changes needs: what the store has to load before `rows` can apply it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from contracts.mint import MAX_ITEMS
from services.indexer.changes import (
    AddTree,
    CountCollection,
    CreateCollection,
    ObserveLeaves,
    OfCollection,
    OfOperation,
    OperationChange,
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
    def of(cls, messages: Iterable[Sequence[RowChange]]) -> "Keys":
        """Return the keys of all rows that the changes of these messages read or write."""
        keys = cls()
        for changes in messages:
            if changes and isinstance(changes[0], OfOperation):  # then all of them are, and of the same one
                items = keys.operations.setdefault(changes[0].operation, ItemKeys())
                for change in cast("Sequence[OperationChange]", changes):
                    items.indexes.update(change.indexes)
                    items.signatures.update(change.signatures)
                continue
            for change in changes:
                if isinstance(change, ObserveLeaves):
                    keys.observed_trees.add(change.tree)
                elif isinstance(change, OfCollection):
                    keys.collections.add(change.collection)
                    if isinstance(change, CreateCollection | AddTree | CountCollection):
                        keys.trees_of.add(change.collection)
        return keys

    def items(self, known: Iterable[UUID]) -> Iterator[tuple[UUID, int]]:
        """Yield operation and index of the items that are asked for by index, of those operations alone.

        Beyond MAX_ITEMS there are none, and the index may be too large for the column that it is looked for in.
        """
        return (
            (operation, index)
            for operation in known
            for index in self.operations[operation].indexes
            if index < MAX_ITEMS
        )

    def signatures(self, known: Iterable[UUID]) -> Iterator[tuple[UUID, str]]:
        """Yield operation and signature of the items that are asked for by signature, of those operations alone."""
        return ((operation, each) for operation in known for each in self.operations[operation].signatures)
