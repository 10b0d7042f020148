"""Trees of files to directories of blocks, in memory."""

import hashlib
from collections.abc import Mapping

from unixfs import Cid, Entry, ImportProfile, RootDirectory, import_bytes, import_directory
from unixfs.importer import BlockSink


def shake(path: str, size: int) -> bytes:
    """Return the bytes that the JavaScript scripts give the file at `path`."""
    return hashlib.shake_256(path.encode()).digest(size)


def import_tree(files: Mapping[str, bytes], profile: ImportProfile, sink: BlockSink | None = None) -> RootDirectory:
    """Import files by their paths, with the directories that the paths imply."""
    entries: list[Entry] = []
    folders: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(head, {})[rest] = data
        else:
            root = import_bytes(data, profile, sink)
            entries.append(Entry(head, root.cid, root.dag_size))
    for name, inside in folders.items():
        folder = import_tree(inside, profile, sink)
        entries.append(Entry(name, folder.cid, folder.dag_size))
    return import_directory(entries, profile, sink)


class Blocks(dict[Cid, bytes]):
    """Blocks by CID; a sink and a source."""

    def keep(self, cid: Cid, block: bytes) -> None:
        self[cid] = block
