"""Blocks and pins on disk. The only module of the endpoint that touches files; used by `rpc` and `gateway`.

Layout under the data directory, sharded as Kubo's flat-fs does (next to last two characters of the name):
`blocks/<shard>/<multihash in base32>.data` holds a block's bytes, `pins/<shard>/<cid>` is an empty file a pin,
`tmp/` holds files that are being written and is emptied at the start.

Blocks are written to `tmp/`, flushed to the disk and renamed, so that a file under `blocks/` is whole after a crash;
what is read is verified against its CID all the same. Pins are written last: what is pinned is there. Each of the three
steps is flushed once for all that an `Addition` holds, because the disk takes as long for one file as for a hundred.
Blocking: call it from a worker thread. Safe for several threads; one process a directory (a lock file sees to it).
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from localnet.linux import flush_filesystem
from unixfs import Cid, CidError, Entry, FileReader, graph_cids, resolve
from unixfs.multibase import encode_base32


class BlockMissing(LookupError):
    """No block with this CID is stored here."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"block {cid} is not stored here")
        self.cid = cid


class BlockCorrupt(Exception):
    """The stored bytes are not what the CID names. The next add of the same content heals it."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"the stored bytes of block {cid} are damaged; add the content again")
        self.cid = cid


class StoreLocked(Exception):
    """Another process uses the data directory."""


class BlockStore:
    """A directory of verified blocks and pins. Raises StoreLocked when another process has it."""

    def __init__(self, directory: Path) -> None:
        self._blocks = directory / "blocks"
        self._pins = directory / "pins"
        self._tmp = directory / "tmp"
        for folder in (self._blocks, self._pins, self._tmp):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # stop: the other process owns the directory
            os.close(self._lock)
            raise StoreLocked(f"{directory} is in use by another process") from None
        for leftover in self._tmp.iterdir():
            leftover.unlink()

    def close(self) -> None:
        """Give the directory up; another process may have it."""
        os.close(self._lock)

    def add(self) -> "Addition":
        """Begin to add blocks and pins."""
        return Addition(self._tmp, self._block_path, self._pin_path)

    def put(self, cid: Cid, block: bytes) -> None:
        """Store a block and return once the disk has it. Storing it again is free; a damaged copy is replaced."""
        with self.add() as addition:
            addition.put(cid, block)
            addition.commit()

    def get(self, cid: Cid) -> bytes:
        """Return a block, verified. Raises BlockMissing and BlockCorrupt."""
        try:
            block = self._block_path(cid).read_bytes()
        except FileNotFoundError:
            raise BlockMissing(cid) from None
        if not cid.verifies(block):
            raise BlockCorrupt(cid)
        return block

    def open_file(self, cid: Cid) -> FileReader:
        """Return a reader of the UnixFS file under `cid`. Raises BlockMissing, BlockCorrupt and DagError."""
        return FileReader(cid, self.get)

    def find(self, root: Cid, path: str) -> Cid | tuple[Entry, ...]:
        """Follow a path from `root` to a file's CID or a directory's entries.

        Raises BlockMissing, BlockCorrupt, and what `unixfs.resolve` raises.
        """
        return resolve(root, path, self.get)

    def pin(self, cid: Cid) -> None:
        """Pin a graph whose every block has been put."""
        self.add().commit([cid])

    def pin_present(self, cid: Cid) -> None:
        """Pin a graph that should be here already. Raises BlockMissing, BlockCorrupt and DagError if it is not."""
        for member in graph_cids(cid, self.get):
            self.get(member)
        self.pin(cid)

    def unpin(self, cid: Cid) -> bool:
        """Forget a pin and return whether there was one; the blocks stay, as they do in Kubo until it collects."""
        path = self._pin_path(cid)
        try:
            path.unlink()
        except FileNotFoundError:  # stop: what is not pinned need not be unpinned
            return False
        flush_filesystem(path.parent)
        return True

    def is_pinned(self, cid: Cid) -> bool:
        """Tell whether `cid` itself is pinned."""
        return self._pin_path(cid).exists()

    def pins(self) -> Iterator[Cid]:
        """Yield every pinned CID, in no order."""
        for path in self._pins.glob("*/*"):
            try:
                yield Cid.parse(path.name)
            except CidError:  # skip: a stray file in the directory is not a pin
                continue

    def _block_path(self, cid: Cid) -> Path:
        # The name is base32 of a parsed multihash: no text from outside reaches the path.
        name = encode_base32(cid.multihash)
        return self._blocks / name[-3:-1] / f"{name}.data"

    def _pin_path(self, cid: Cid) -> Path:
        name = str(cid)
        return self._pins / name[-3:-1] / name


class Addition:
    """Blocks that are written and not in the store yet; as a context, what is not committed is thrown away on leaving.

    One thread at a time.
    """

    def __init__(self, tmp: Path, block_path: Callable[[Cid], Path], pin_path: Callable[[Cid], Path]) -> None:
        self._tmp = tmp
        self._block_path = block_path
        self._pin_path = pin_path
        self._written: dict[Path, Path] = {}
        """By the path that it is to have, the file that a block is in."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def put(self, cid: Cid, block: bytes) -> None:
        """Write a block, unless the store has it undamaged."""
        path = self._block_path(cid)
        if path in self._written or _intact(path, block):
            return
        descriptor, name = tempfile.mkstemp(dir=self._tmp)
        self._written[path] = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(block)

    def commit(self, pins: Iterable[Cid] = ()) -> None:
        """Put the blocks into the store, pin `pins`, and return once the disk has all of it. Raises OSError."""
        if self._written:
            flush_filesystem(self._tmp)
            while self._written:
                path, written = next(iter(self._written.items()))
                path.parent.mkdir(exist_ok=True)
                os.replace(written, path)
                del self._written[path]
            flush_filesystem(self._tmp)
        missing = [path for path in map(self._pin_path, pins) if not path.exists()]
        for path in missing:
            path.parent.mkdir(exist_ok=True)
            path.touch(mode=0o644)
        if missing:
            flush_filesystem(self._tmp)

    def abandon(self) -> None:
        """Throw away what is not in the store."""
        for written in self._written.values():
            written.unlink(missing_ok=True)
        self._written.clear()


def _intact(path: Path, block: bytes) -> bool:
    try:
        return path.read_bytes() == block
    except FileNotFoundError:
        return False
