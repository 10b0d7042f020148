"""A file to blocks and a root CID, streaming: balanced layout, fixed-size chunks, sha2-256.

Used by `services/ipfs` to know a CID before anything is sent, and by `localnet/ipfs` to store the blocks. Bytes
are pushed (`update`, then `finish`), so that a synchronous core serves asynchronous readers. Memory stays below one
chunk plus `width` nodes for each level of the tree, whatever the file's size.

The same input gives the same root as Kubo, Helia and Pinata with the same profile; the contract tests hold it to
vectors of the JavaScript importer. Not done here: directories, other chunkers, inlined identity hashes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from unixfs.cid import Cid, Codec
from unixfs.dagpb import Link, encode_leaf, encode_parent


@dataclass(frozen=True, slots=True)
class ImportProfile:
    """The parameters that decide a file's CID. `chunk_size` is in bytes, `width` in links a node.

    `raw_leaves` stores the file's bytes in raw blocks, always named by version 1 CIDs, as Kubo does.
    """

    cid_version: int
    raw_leaves: bool
    chunk_size: int = 262_144
    width: int = 174

    def __post_init__(self) -> None:
        if self.cid_version not in (0, 1):
            raise ValueError("cid_version is 0 or 1")
        if self.chunk_size < 1 or self.width < 2:
            raise ValueError("chunk_size is at least 1 byte and width at least 2 links")


V1 = ImportProfile(cid_version=1, raw_leaves=True)
"""What Kubo calls `--cid-version=1` and Pinata `v1`: the project's default."""

UNIXFS_V1_2025 = ImportProfile(cid_version=1, raw_leaves=True, chunk_size=1_048_576, width=1_024)
"""The profile of this name in IPIP-499: larger blocks, wider nodes."""

V0 = ImportProfile(cid_version=0, raw_leaves=False)
"""What Kubo makes without options and Pinata calls `v0`: `Qm…`."""


class BlockSink(Protocol):
    """Takes every block once it is complete: children before their parents, the root last."""

    def __call__(self, cid: Cid, block: bytes, /) -> None:
        """Take one block; whatever it raises ends the import."""
        ...


@dataclass(frozen=True, slots=True)
class RootFile:
    """An imported file: its root, the file's bytes, and the bytes of all its blocks together (Kubo's `Size`)."""

    cid: Cid
    size: int
    dag_size: int


class Importer:
    """Imports one file. Not reusable: after `finish` it takes no more bytes (RuntimeError)."""

    def __init__(self, profile: ImportProfile = V1, sink: BlockSink | None = None) -> None:
        self._profile = profile
        self._sink = sink
        self._pending = bytearray()
        self._levels: list[list[RootFile]] = [[]]
        self._leaves = 0
        self._finished = False

    def update(self, data: bytes) -> None:
        """Take the file's next bytes, any number of them."""
        if self._finished:
            raise RuntimeError("this importer has finished its file")
        self._pending += data
        chunk_size = self._profile.chunk_size
        full = len(self._pending) - len(self._pending) % chunk_size
        for start in range(0, full, chunk_size):
            self._add_leaf(bytes(self._pending[start : start + chunk_size]))
        del self._pending[:full]

    def finish(self) -> RootFile:
        """Close the file and return its root. An empty file is one empty leaf."""
        if self._finished:
            raise RuntimeError("this importer has finished its file")
        self._finished = True
        if self._pending or self._leaves == 0:
            self._add_leaf(bytes(self._pending))
            self._pending.clear()
        level = 0
        while True:
            nodes = self._levels[level]
            if level == len(self._levels) - 1 and len(nodes) == 1:
                return nodes[0]
            if nodes:
                self._join(level)
            level += 1

    def _add_leaf(self, chunk: bytes) -> None:
        self._leaves += 1
        if self._profile.raw_leaves:
            # Raw blocks have no version 0 form, so these are version 1 under every root.
            cid = self._emit(chunk, Codec.RAW, 1)
            leaf = RootFile(cid, len(chunk), len(chunk))
        else:
            block = encode_leaf(chunk)
            cid = self._emit(block, Codec.DAG_PB, self._profile.cid_version)
            leaf = RootFile(cid, len(chunk), len(block))
        self._push(0, leaf)

    def _push(self, level: int, node: RootFile) -> None:
        self._levels[level].append(node)
        if len(self._levels[level]) == self._profile.width:
            self._join(level)

    def _join(self, level: int) -> None:
        """Put the level's waiting nodes under one parent, a level higher."""
        nodes = self._levels[level]
        self._levels[level] = []
        if level + 1 == len(self._levels):
            self._levels.append([])
        block = encode_parent([Link(node.cid, node.dag_size) for node in nodes], [node.size for node in nodes])
        cid = self._emit(block, Codec.DAG_PB, self._profile.cid_version)
        parent = RootFile(cid, sum(node.size for node in nodes), len(block) + sum(n.dag_size for n in nodes))
        self._push(level + 1, parent)

    def _emit(self, block: bytes, codec: Codec, version: int) -> Cid:
        cid = Cid.of_block(block, codec, version)
        if self._sink is not None:
            self._sink(cid, block)
        return cid


def import_stream(chunks: Iterable[bytes], profile: ImportProfile = V1, sink: BlockSink | None = None) -> RootFile:
    """Import a file from an iterable of its bytes, in pieces of any length."""
    importer = Importer(profile, sink)
    for chunk in chunks:
        importer.update(chunk)
    return importer.finish()


def import_bytes(data: bytes, profile: ImportProfile = V1, sink: BlockSink | None = None) -> RootFile:
    """Import a file that is in memory already."""
    return import_stream((data,), profile, sink)
