"""A V2 tree that is only ever appended to, with what its programs tell of each leaf, for one path of hashes a mint.

Used by `null_cluster`, whose own work is taken from the cores that are measured. `tests.support.leaves.ModelTree` does
whatever can be done to a tree, keeps all of its nodes, and takes several times as long; a test holds this one to it.
"""

from functools import lru_cache

from solders.pubkey import Pubkey

from bubblegum import hashing, pda
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, LeafSchemaV2, PathNode, application_data
from bubblegum.merkle import empty_node
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, MPL_CORE, MPL_NOOP
from bubblegum.transaction import ExecutedInstruction
from bubblegum.types import MetadataArgsV2

_NO_ASSET_DATA = hashing.asset_data_hash(None)
_collection_hash = lru_cache(maxsize=64)(hashing.collection_hash)
_creator_hash = lru_cache(maxsize=64)(hashing.creator_hash)


class NullTree:
    """The tree at `address`; `minted` leaves stand in it."""

    def __init__(self, address: Pubkey, depth: int) -> None:
        self.depth = depth
        self.minted = 0
        self._address = address
        self._left = [empty_node(level) for level in range(depth)]
        """By level, the newest node that is a left child: the sibling of the right one that comes next."""

    def mint(self, owner: Pubkey, metadata: MetadataArgsV2) -> tuple[ExecutedInstruction, ...]:
        """Append a leaf and return what the mint instruction calls."""
        index = self.minted
        self.minted += 1
        schema = LeafSchemaV2(
            pda.asset_id(self._address, index),
            owner,
            owner,
            index,
            hashing.data_hash(metadata),
            _creator_hash(tuple(metadata.creators)),
            _collection_hash(metadata.collection),
            _NO_ASSET_DATA,
            0,
        )
        leaf = schema.hash()
        told = application_data(LeafSchemaEvent(schema, leaf).to_bytes())
        changed = ChangeLogEvent(self._address, self._path(leaf, index), index + 1, index).to_noop_data()
        change = ExecutedInstruction(MPL_NOOP, (), changed)
        calls = (
            ExecutedInstruction(MPL_NOOP, (), told),
            ExecutedInstruction(MPL_ACCOUNT_COMPRESSION, (self._address,), b"", (change,)),
        )
        if metadata.collection is None:
            return calls
        return (ExecutedInstruction(MPL_CORE, (metadata.collection,), b"\x20"), *calls)

    def _path(self, leaf: bytes, index: int) -> tuple[PathNode, ...]:
        """Return the nodes from the leaf to the new root."""
        nodes, node = [PathNode(leaf, (1 << self.depth) + index)], leaf
        for level in range(self.depth):
            if index >> level & 1:
                node = hashing.keccak(self._left[level], node)
            else:
                self._left[level] = node
                node = hashing.keccak(node, empty_node(level))
            nodes.append(PathNode(node, (1 << (self.depth - level - 1)) + (index >> (level + 1))))
        return tuple(nodes)
