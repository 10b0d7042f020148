"""Content identifiers and UnixFS files: what a file is called on IPFS, computed here and nowhere else.

Used by `services/ipfs` (to know a file's CID before anybody pins it, and to check what a pinning service answers) and
by `localnet/ipfs` (to store and serve the same blocks). Pure: the standard library only, no I/O, no asyncio.

The rooms: `cid` (the identifier and its texts), `dagpb` (the bytes of one node), `importer` (a file to blocks and a
root), `exporter` (blocks back to a file, with ranges), `directory` (names to files, and paths through them). Not done
here: HAMT shards, trickle layout, symlinks, mode and mtime.

Sources: the CID specification and the multicodec table of multiformats; the DAG-PB specification of IPLD; the UnixFS
specification of ipfs/specs; IPIP-499 for the import profiles.
"""

from unixfs.cid import Cid, CidError, Codec
from unixfs.directory import (
    DirectoryTooLarge,
    Entry,
    NotFoundInDirectory,
    PathRefused,
    RootDirectory,
    graph_cids,
    import_directory,
    resolve,
)
from unixfs.exporter import FileReader
from unixfs.importer import UNIXFS_V1_2025, V0, V1, Importer, ImportProfile, RootFile, import_bytes, import_stream

__all__ = [
    "UNIXFS_V1_2025",
    "V0",
    "V1",
    "Cid",
    "CidError",
    "Codec",
    "DirectoryTooLarge",
    "Entry",
    "FileReader",
    "ImportProfile",
    "Importer",
    "NotFoundInDirectory",
    "PathRefused",
    "RootDirectory",
    "RootFile",
    "graph_cids",
    "import_bytes",
    "import_directory",
    "import_stream",
    "resolve",
]
