"""Directories: names to files and directories, and paths through them. Used by `services/ipfs` and `localnet/ipfs`.

A directory is one dag-pb block whose links are sorted by the bytes of their names. Implementations shard a directory
(HAMT) once it outgrows 256 KiB; that is not made here: `import_directory` refuses one that any of them might shard, so
that a CID computed here is the one that the others compute. Names come from outside when a graph is read: a path is
looked up by exact names, and a part that could climb out is refused before anything is read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from unixfs.cid import Cid, Codec
from unixfs.dagpb import DagError, Entry, decode_directory, encode_directory
from unixfs.exporter import BlockSource, FileReader
from unixfs.importer import V1, BlockSink, ImportProfile

__all__ = [
    "DirectoryTooLarge",
    "Entry",
    "NotFoundInDirectory",
    "PathRefused",
    "RootDirectory",
    "graph_cids",
    "import_directory",
    "resolve",
]

MAX_DIRECTORY_BYTES: Final = 262_144
"""Bytes of a directory's block. Kubo and the JavaScript importer shard above this, by sums that are never larger."""

MAX_NAME_BYTES: Final = 255
MAX_PATH_PARTS: Final = 32


class DirectoryTooLarge(ValueError):
    """The directory would have to be sharded. Fatal: put fewer or shorter names into one directory."""


class PathRefused(ValueError):
    """A name or a path that no directory may hold or be asked for: empty, `.`, `..`, a slash, NUL, or too long."""


class NotFoundInDirectory(LookupError):
    """The directory has no such name, or the path goes on behind a file."""


@dataclass(frozen=True, slots=True)
class RootDirectory:
    """An imported directory: its root and the bytes of all blocks under it, its own included (Kubo's `Size`)."""

    cid: Cid
    dag_size: int


def import_directory(
    entries: Iterable[Entry], profile: ImportProfile = V1, sink: BlockSink | None = None
) -> RootDirectory:
    """Make a directory of imported files and directories, given in any order.

    Raises PathRefused for a name that cannot be asked for, ValueError for one that is there twice, and
    DirectoryTooLarge.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        check_name(entry.name)
        if found.setdefault(entry.name, entry) is not entry:
            raise ValueError(f"the name {entry.name!r} is there twice")
    block = encode_directory(tuple(found.values()))
    if len(block) > MAX_DIRECTORY_BYTES:
        raise DirectoryTooLarge(
            f"a directory of {len(found)} names takes {len(block)} bytes; at most {MAX_DIRECTORY_BYTES} fit unsharded"
        )
    cid = Cid.of_block(block, Codec.DAG_PB, profile.cid_version)
    if sink is not None:
        sink(cid, block)
    return RootDirectory(cid, len(block) + sum(entry.tsize for entry in found.values()))


def check_name(name: str) -> None:
    """Raise PathRefused for a name that a path cannot hold or that climbs."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise PathRefused(f"{name[:80]!r} is no name in a directory")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:  # stop: half a surrogate pair, which no UTF-8 name holds
        raise PathRefused("the name is not Unicode text") from None
    if length > MAX_NAME_BYTES:
        raise PathRefused(f"a name has at most {MAX_NAME_BYTES} bytes")


def resolve(root: Cid, path: str, get_block: BlockSource) -> Cid | tuple[Entry, ...]:
    """Follow `path` (`a/b.json`, empty for the root itself) and return a file's CID or a directory's entries.

    Raises PathRefused before anything is read, NotFoundInDirectory, DagError, and what `get_block` raises.
    """
    parts = path.split("/") if path else []
    if len(parts) > MAX_PATH_PARTS:
        raise PathRefused(f"a path has at most {MAX_PATH_PARTS} parts")
    for part in parts:
        check_name(part)
    cid = root
    entries = _entries(cid, get_block)
    for part in parts:
        if entries is None:
            raise NotFoundInDirectory(f"no link named {part[:80]!r} under {cid}: it is a file")
        found = next((entry for entry in entries if entry.name == part), None)
        if found is None:
            raise NotFoundInDirectory(f"no link named {part[:80]!r} under {cid}")
        cid = found.cid
        entries = _entries(cid, get_block)
    return cid if entries is None else entries


def graph_cids(root: Cid, get_block: BlockSource) -> Iterator[Cid]:
    """Yield every CID under `root`, parents first, directories once; leaves of files are named, not read.

    Raises DagError.
    """
    waiting, seen = [(root, 0)], {root}
    while waiting:
        cid, depth = waiting.pop()
        entries = _entries(cid, get_block)
        if entries is None:
            yield from FileReader(cid, get_block).cids(cid)
            continue
        if depth == MAX_PATH_PARTS:
            raise DagError("the directories are nested too deep")
        yield cid
        unseen = [entry.cid for entry in entries if entry.cid not in seen]
        seen.update(unseen)
        waiting.extend((each, depth + 1) for each in dict.fromkeys(unseen))


def _entries(cid: Cid, get_block: BlockSource) -> tuple[Entry, ...] | None:
    """Return a directory's entries; None for a file."""
    if cid.codec == Codec.RAW:
        return None
    if cid.codec != Codec.DAG_PB:
        raise DagError(f"codec 0x{cid.codec:x} is not part of UnixFS")
    return decode_directory(get_block(cid))
