"""Leaves and the log events that tell of them, decoded from the data of noop instructions.

Used by `bubblegum.decode`. Bubblegum says what a leaf now is in an application-data event; account compression says
what happened to the tree in a changelog event. Both go through the noop program because instruction data, unlike log
lines, is never cut. Finding those instructions in a transaction is `decode`'s work, not this module's.
"""

import struct
from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

from bubblegum import hashing
from bubblegum.borsh import Reader, Writer
from bubblegum.errors import DecodeError

_CHANGE_LOG: Final = 0
_APPLICATION_DATA: Final = 1
_EVENT_V1: Final = 0
_LEAF_SCHEMA_EVENT: Final = 1
_PATH_NODE: Final = struct.Struct("<32sI")
"""A node and its index, as Borsh."""


@dataclass(frozen=True, slots=True)
class LeafSchemaV1:
    """What a V1 leaf commits to. `nonce` is the asset's number in its tree, the hashes are 32 bytes each."""

    id: Pubkey
    owner: Pubkey
    delegate: Pubkey
    nonce: int
    data_hash: bytes
    creator_hash: bytes

    def hash(self) -> bytes:
        """The 32 bytes that stand in the tree."""
        return hashing.leaf_hash_v1(self.id, self.owner, self.delegate, self.nonce, self.data_hash, self.creator_hash)

    def write(self, out: Writer) -> None:
        """Append the schema's number (0) and its fields."""
        out.u8(0).pubkey(self.id).pubkey(self.owner).pubkey(self.delegate).u64(self.nonce)
        out.raw(self.data_hash).raw(self.creator_hash)


@dataclass(frozen=True, slots=True)
class LeafSchemaV2:
    """What a V2 leaf commits to; `flags`: 1 frozen by the owner, 2 frozen by the permanent delegate, 4 soulbound."""

    id: Pubkey
    owner: Pubkey
    delegate: Pubkey
    nonce: int
    data_hash: bytes
    creator_hash: bytes
    collection_hash: bytes
    asset_data_hash: bytes
    flags: int

    def hash(self) -> bytes:
        """The 32 bytes that stand in the tree."""
        return hashing.leaf_hash_v2(
            self.id,
            self.owner,
            self.delegate,
            self.nonce,
            self.data_hash,
            self.creator_hash,
            self.collection_hash,
            self.asset_data_hash,
            self.flags,
        )

    def write(self, out: Writer) -> None:
        """Append the schema's number (1) and its fields."""
        out.u8(1).pubkey(self.id).pubkey(self.owner).pubkey(self.delegate).u64(self.nonce)
        out.raw(self.data_hash).raw(self.creator_hash)
        out.raw(self.collection_hash).raw(self.asset_data_hash).u8(self.flags)


LeafSchema = LeafSchemaV1 | LeafSchemaV2


def _read_schema(source: Reader) -> LeafSchema:
    kind = source.u8()
    if kind > 1:
        raise DecodeError(f"leaf schema {kind} is neither V1 nor V2")
    common = (
        source.pubkey(),
        source.pubkey(),
        source.pubkey(),
        source.u64(),
        source.raw(hashing.HASH_BYTES),
        source.raw(hashing.HASH_BYTES),
    )
    if kind == 0:
        return LeafSchemaV1(*common)
    return LeafSchemaV2(*common, source.raw(hashing.HASH_BYTES), source.raw(hashing.HASH_BYTES), source.u8())


@dataclass(frozen=True, slots=True)
class LeafSchemaEvent:
    """Bubblegum's word on one leaf after an instruction. `decode` has checked that `leaf_hash` is the schema's hash."""

    schema: LeafSchema
    leaf_hash: bytes

    def to_bytes(self) -> bytes:
        """The application data as Bubblegum emits it, without the noop wrapping."""
        out = Writer().u8(_LEAF_SCHEMA_EVENT).u8(self.version - 1)
        self.schema.write(out)
        return out.raw(self.leaf_hash).done()

    @property
    def version(self) -> int:
        """1 or 2."""
        return 1 if isinstance(self.schema, LeafSchemaV1) else 2


@dataclass(frozen=True, slots=True)
class PathNode:
    """One node of a changelog; `index` numbers the tree's nodes in breadth-first order, the root being 1."""

    node: bytes
    index: int


@dataclass(frozen=True, slots=True)
class ChangeLogEvent:
    """Account compression's word on one change: the path from the leaf up to the new root, and the tree's sequence.

    `path` has max depth + 1 nodes, leaf first, root last. `seq` counts the tree's changes and starts at 1.
    """

    tree: Pubkey
    path: tuple[PathNode, ...]
    seq: int
    index: int

    @property
    def leaf(self) -> bytes:
        """The new leaf, 32 bytes."""
        return self.path[0].node

    @property
    def root(self) -> bytes:
        """The root after the change, 32 bytes."""
        return self.path[-1].node

    @property
    def max_depth(self) -> int:
        """Depth of the tree."""
        return len(self.path) - 1

    def to_noop_data(self) -> bytes:
        """The noop instruction data as account compression writes it."""
        out = Writer().u8(_CHANGE_LOG).u8(_EVENT_V1).pubkey(self.tree)
        out.vector(self.path, lambda node: out.raw(node.node).u32(node.index))
        return out.u64(self.seq).u32(self.index).done()


def application_data(payload: bytes) -> bytes:
    """Wrap application data into the noop instruction data that account compression's helper writes."""
    return Writer().u8(_APPLICATION_DATA).u8(_EVENT_V1).sized(payload).done()


def decode_noop(data: bytes) -> LeafSchemaEvent | ChangeLogEvent | None:
    """The event in a noop instruction's data; None when it is some other application's.

    Raises DecodeError when the data says that it is one of the two events and then is not, or when a leaf's hash is
    not the hash of its fields.
    """
    source = Reader(data)
    if source.remaining < 2:
        return None
    kind, version = source.u8(), source.u8()
    if version != _EVENT_V1:
        return None
    if kind == _CHANGE_LOG:
        return _read_change_log(source)
    if kind == _APPLICATION_DATA:
        payload = source.sized()
        source.finish()
        return _read_leaf_event(payload) if payload[:1] == bytes([_LEAF_SCHEMA_EVENT]) else None
    return None


def _read_change_log(source: Reader) -> ChangeLogEvent:
    tree = source.pubkey()
    # Twenty nodes or so in every change of every tree: read in one go.
    path = tuple(
        PathNode(node, index) for node, index in _PATH_NODE.iter_unpack(source.raw(source.u32() * _PATH_NODE.size))
    )
    event = ChangeLogEvent(tree, path, source.u64(), source.u32())
    source.finish()
    if len(path) < 2:
        raise DecodeError("a changelog without a path")
    return event


def _read_leaf_event(payload: bytes) -> LeafSchemaEvent:
    source = Reader(payload)
    source.u8()
    version = source.u8()
    event = LeafSchemaEvent(_read_schema(source), source.raw(hashing.HASH_BYTES))
    source.finish()
    if version != event.version - 1:
        raise DecodeError(f"a leaf event of version {version} carries a V{event.version} leaf")
    if event.schema.hash() != event.leaf_hash:
        raise DecodeError("the leaf hash in the event is not the hash of its fields")
    return event
