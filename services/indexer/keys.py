"""Which stored rows a batch of changes needs: what the store has to load before `rows` can apply it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from services.indexer.changes import (
    AddTree,
    CollectionChange,
    CountCollection,
    CreateCollection,
    FinalizeItems,
    ItemChange,
    ObserveLeaves,
    RecordDrift,
    RowChange,
)


@dataclass(slots=True)
class Keys:
    """Which stored rows a batch of changes must be given before it can be applied."""

    operations: set[UUID] = field(default_factory=set[UUID])
    items: set[tuple[UUID, int]] = field(default_factory=set[tuple[UUID, int]])
    signatures: set[tuple[UUID, str]] = field(default_factory=set[tuple[UUID, str]])
    collections: set[UUID] = field(default_factory=set[UUID])
    trees_of: set[UUID] = field(default_factory=set[UUID])
    """Collections whose trees are read or written."""
    observed_trees: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, changes: Iterable[RowChange]) -> "Keys":
        """Return the keys of all rows that `changes` read or write."""
        keys = cls()
        for change in changes:
            if isinstance(change, ObserveLeaves):
                keys.observed_trees.add(change.tree)
                continue
            if isinstance(change, CollectionChange):
                keys.collections.add(change.collection)
                if isinstance(change, CreateCollection | AddTree | CountCollection):
                    keys.trees_of.add(change.collection)
                continue
            if isinstance(change, RecordDrift):
                continue  # a row of its own, which nothing changes
            keys.operations.add(change.operation)
            if isinstance(change, ItemChange):
                keys.items.add((change.operation, change.index))
            elif isinstance(change, FinalizeItems):
                keys.signatures.add((change.operation, change.signature))
        return keys
