"""Blocks back to a file, whole or a range of it. Used by `localnet/ipfs` to serve `/ipfs/<cid>`.

Pure: blocks come from a function that the caller passes in and that has verified them. Every length that a node states
is held against what its children turn out to be, so a crafted graph ends in `DagError`, never in wrong bytes.
"""

from collections.abc import Iterator
from typing import Protocol

from unixfs.cid import Cid, Codec
from unixfs.dagpb import DagError, FileNode, decode_file_node

MAX_DEPTH = 16
"""Levels of nodes; 174 links a node make files of exabytes in 8."""


class BlockSource(Protocol):
    """Gives a block by CID, verified against it; raises what it likes when it has none (passed through)."""

    def __call__(self, cid: Cid, /) -> bytes:
        """Return the block."""
        ...


class FileReader:
    """Reads one UnixFS file under a root. Raises DagError when the root is no file."""

    def __init__(self, root: Cid, get_block: BlockSource) -> None:
        self._get_block = get_block
        self._root = self._load(root)
        self.size: int = self._root.size
        """Bytes of the whole file."""

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to but without `end`, a block at a time; only those blocks are read."""
        stop = self.size if end is None else min(end, self.size)
        if start < 0 or start > stop:
            raise ValueError("the range does not lie in the file")
        return self._walk(self._root, start, stop, 1)

    def cids(self, root: Cid) -> Iterator[Cid]:
        """Yield every CID of the graph once, parents before children; leaves are named, not read."""
        yield root
        yield from self._children(self._root, 1, {root})

    def _children(self, node: FileNode, depth: int, seen: set[Cid]) -> Iterator[Cid]:
        """Yield what was not `seen`: a graph of few blocks may lead to each of them on more ways than can be walked."""
        if depth > MAX_DEPTH:
            raise DagError("the file's graph is too deep")
        for link in node.links:
            if link.cid in seen:
                continue
            seen.add(link.cid)
            yield link.cid
            if link.cid.codec == Codec.DAG_PB:
                yield from self._children(self._load(link.cid), depth + 1, seen)

    def _walk(self, node: FileNode, start: int, end: int, depth: int) -> Iterator[bytes]:
        if depth > MAX_DEPTH:
            raise DagError("the file's graph is too deep")
        if start < min(end, len(node.data)):
            yield node.data[start:end]
        offset = len(node.data)
        for link, size in zip(node.links, node.block_sizes, strict=True):
            if offset >= end:
                return
            if size > 0 and offset + size > start:
                child = self._load(link.cid)
                if child.size != size:
                    raise DagError("a child's size is not the one that its parent states")
                yield from self._walk(child, max(start - offset, 0), min(end - offset, size), depth + 1)
            offset += size

    def _load(self, cid: Cid) -> FileNode:
        block = self._get_block(cid)
        if cid.codec == Codec.RAW:
            return FileNode(block, (), (), len(block))
        if cid.codec == Codec.DAG_PB:
            return decode_file_node(block)
        raise DagError(f"codec 0x{cid.codec:x} is not part of a UnixFS file")
