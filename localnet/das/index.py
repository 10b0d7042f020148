"""The index: transactions in, assets and trees up to date, questions answered.

Used by the local cluster, from one thread: `apply` every transaction in the order of the ledger, `rewind` when a fork
drops blocks, `handle` for each request. Everything is in memory and rebuilt from the ledger after a restart. Memory is
about two and a half kilobytes an asset, the trees included; undo is kept for the newest slots only.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from solders.pubkey import Pubkey

from bubblegum.changes import Change, LeafEmptied, LeafWritten, Minted, TreeCreated, Unknown
from bubblegum.decode import decode
from bubblegum.leaf import ChangeLogEvent
from bubblegum.transaction import ExecutedTransaction
from localnet.das.assets import Asset, AssetTable, CollectionAsset, CompressedAsset
from localnet.das.errors import METHOD_NOT_FOUND, DasError
from localnet.das.founding import CollectionFounded, collections_founded
from localnet.das.methods import METHODS, Knowledge
from localnet.das.offchain import Fetch, Offchain
from localnet.das.trees import Forest, Undo

UNDO_SLOTS: Final = 512
"""How many slots back `rewind` can go: far beyond finality, which no fork passes."""


class DasIndex:
    """All compressed assets and collections of a chain."""

    def __init__(self, fetch: Fetch | None = None) -> None:
        """`fetch` returns the JSON at a URI or None, at once; without it, content is what the chain says."""
        self._assets = AssetTable()
        self._forest = Forest()
        self._offchain = Offchain(fetch)
        self._changes = 0
        self._undo: deque[tuple[int, Undo]] = deque()

    @property
    def methods(self) -> frozenset[str]:
        """The RPC methods that `handle` answers."""
        return frozenset(METHODS)

    def apply(self, tx: ExecutedTransaction) -> None:
        """Take in a transaction. The same one again changes nothing; a failed one never does."""
        for change in decode(tx):
            self._take(tx.slot, change)
        for founded in collections_founded(tx):
            self._found(tx.slot, founded)
        while self._undo and self._undo[0][0] < tx.slot - UNDO_SLOTS:
            self._undo.popleft()

    def rewind(self, slot: int) -> None:
        """Undo everything of slots after `slot`, because a fork dropped them."""
        while self._undo and self._undo[-1][0] > slot:
            self._undo.pop()[1]()

    def out_of_step(self, tree: Pubkey) -> str | None:
        """Why the copy of a tree cannot be trusted; None when it can, or when there is none."""
        copy = self._forest.get(tree)
        return None if copy is None else copy.out_of_step

    def handle(self, method: str, params: Mapping[str, object] | Sequence[object] | None) -> object:
        """Answer one DAS request with a JSON value. Raises DasError."""
        answer = METHODS.get(method)
        if answer is None:
            raise DasError(METHOD_NOT_FOUND, f"Method not found: {method}")
        return answer(Knowledge(self._assets, self._forest, self._offchain), params)

    # Writing

    def _record(self, slot: int, undo: Undo) -> None:
        self._undo.append((slot, undo))

    def _take(self, slot: int, change: Change) -> None:
        if isinstance(change, TreeCreated):
            planted = self._forest.plant(change.tree, change.max_depth)
            if planted is not None:
                self._record(slot, planted)
        elif isinstance(change, LeafWritten | LeafEmptied):
            if self._take_change_log(slot, change.change_log):
                self._take_leaf(slot, change)
        elif isinstance(change, Unknown):
            for change_log in change.change_logs:
                self._take_change_log(slot, change_log)

    def _take_change_log(self, slot: int, change_log: ChangeLogEvent) -> bool:
        """Whether the change was new."""
        undo = self._forest.take(change_log)
        if undo is None:
            return False
        self._record(slot, undo)
        return True

    def _take_leaf(self, slot: int, change: LeafWritten | LeafEmptied) -> None:
        number, seq = self._changes + 1, change.change_log.seq
        if isinstance(change, Minted):
            self._put(
                slot,
                CompressedAsset(
                    leaf=change.leaf.schema,
                    leaf_index=change.leaf_index,
                    tree=change.tree,
                    seq=seq,
                    metadata=change.metadata,
                    collection=change.collection,
                    burnt=False,
                    created=number,
                    updated=number,
                ),
            )
            return
        asset = self._assets.get(change.asset_id)
        if not isinstance(asset, CompressedAsset):
            return  # its mint could not be read; the tree is in step all the same
        if isinstance(change, LeafEmptied):
            # A redeemed asset is no compressed one any more, and what it becomes is not indexed here.
            self._put(slot, replace(asset, burnt=True, seq=seq, updated=number))
        else:
            self._put(slot, replace(asset, leaf=change.leaf.schema, seq=seq, updated=number))

    def _found(self, slot: int, founded: CollectionFounded) -> None:
        if self._assets.get(founded.address) is not None:
            return
        number = self._changes + 1
        collection = CollectionAsset(
            id=founded.address,
            owner=founded.authority,
            name=founded.name,
            symbol=founded.symbol,
            uri=founded.uri,
            seller_fee_basis_points=founded.seller_fee_basis_points,
            creators=founded.creators,
            core=founded.core,
            created=number,
            updated=number,
        )
        self._put(slot, collection)

    def _put(self, slot: int, asset: Asset) -> None:
        before = self._assets.put(asset)
        self._changes += 1
        self._record(slot, self._undo_put(asset.id, before))

    def _undo_put(self, asset_id: Pubkey, before: Asset | None) -> Callable[[], object]:
        if before is None:
            return lambda: self._assets.remove(asset_id)
        return lambda: self._assets.put(before)
