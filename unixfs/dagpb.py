"""The bytes of one dag-pb node: a part of a UnixFS file, or a directory. Used by `importer`, `exporter`, `directory`.

Encoding is canonical (links before data, fields in order), so that a node has one CID. Decoding expects nothing good of
its input: every length is checked and anything unexpected raises `DagError`.

Shapes, from the DAG-PB and UnixFS specifications (protobuf field numbers in brackets):
`PBNode{ repeated PBLink Links[2]; bytes Data[1] }`, `PBLink{ bytes Hash[1]; string Name[2]; uint64 Tsize[3] }`,
`Data{ Type[1]; bytes Data[2]; uint64 filesize[3]; repeated uint64 blocksizes[4] }`.
Not done here: fan-out, mode and mtime (their fields are skipped or refused).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unixfs.cid import Cid, CidError
from unixfs.multibase import decode_varint, encode_varint

_TYPE_RAW = 0
_TYPE_DIRECTORY = 1
_TYPE_FILE = 2
_TYPE_HAMT_SHARD = 5
_VARINT = 0
_FIXED64 = 1
_LENGTH_DELIMITED = 2
_FIXED32 = 5


class DagError(ValueError):
    """The block is not the UnixFS node that was expected. Fatal: the same bytes fail again."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a child: its CID, and the bytes of the whole sub-graph under it (blocks included)."""

    cid: Cid
    tsize: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory's link to a child by name; `tsize` as in `Link`."""

    name: str
    cid: Cid
    tsize: int


@dataclass(frozen=True, slots=True)
class FileNode:
    """A node of a file: bytes of its own, then the children in order with the file bytes under each.

    `size` is the file bytes under this node, its own included.
    """

    data: bytes
    links: tuple[Link, ...]
    block_sizes: tuple[int, ...]
    size: int


def encode_leaf(data: bytes) -> bytes:
    """Encode a dag-pb leaf that carries file bytes (used where raw leaves are off)."""
    return encode_field(1, _unixfs(data, len(data), ()))


def encode_parent(links: Sequence[Link], block_sizes: Sequence[int]) -> bytes:
    """Encode an inner node over `links`; `block_sizes` are the file bytes under each of them."""
    encoded_links = b"".join(
        encode_field(2, encode_field(1, bytes(link.cid)) + encode_field(2, b"") + b"\x18" + encode_varint(link.tsize))
        for link in links
    )
    return encoded_links + encode_field(1, _unixfs(b"", sum(block_sizes), block_sizes))


def decode_file_node(block: bytes) -> FileNode:
    """Decode a node of a UnixFS file. Raises DagError."""
    try:
        payload, links = _split(block)
        return _decode_unixfs(payload, tuple(_decode_link(link) for link in links))
    except DagError:
        raise  # fatal, already named
    except (CidError, ValueError) as error:  # fatal: cut short or malformed
        raise DagError(str(error)) from error


def encode_directory(entries: Sequence[Entry]) -> bytes:
    """Encode a directory node; entries are sorted by the bytes of their names, as the DAG-PB specification asks."""
    ordered = sorted(entries, key=lambda entry: entry.name.encode())
    links = b"".join(
        encode_field(
            2,
            encode_field(1, bytes(entry.cid))
            + encode_field(2, entry.name.encode())
            + b"\x18"
            + encode_varint(entry.tsize),
        )
        for entry in ordered
    )
    return links + encode_field(1, bytes((0x08, _TYPE_DIRECTORY)))


def decode_directory(block: bytes) -> tuple[Entry, ...] | None:
    """Decode a directory node; None when the node is a file's. Raises DagError, for sharded directories too.

    And for one that gives a name twice: readers differ in which of the two they take.
    """
    try:
        payload, links = _split(block)
        kind = next((value for number, value in decode_fields(payload) if number == 1), None)
        if kind in (_TYPE_FILE, _TYPE_RAW):
            return None
        if kind == _TYPE_HAMT_SHARD:
            raise DagError("sharded directories are not read here")
        if kind != _TYPE_DIRECTORY:
            raise DagError(f"UnixFS node of type {kind!r} is neither file nor directory")
        entries = tuple(_decode_entry(link) for link in links)
        if len({entry.name for entry in entries}) < len(entries):
            raise DagError("the directory gives a name twice")
        return entries
    except DagError:
        raise  # fatal, already named
    except (CidError, ValueError) as error:  # fatal: cut short, malformed, or a name that is not UTF-8
        raise DagError(str(error)) from error


def _split(block: bytes) -> tuple[bytes, list[bytes]]:
    """Return a node's data and its encoded links. Raises DagError and ValueError."""
    links: list[bytes] = []
    payload: bytes | None = None
    for number, value in decode_fields(block):
        if number == 2 and isinstance(value, bytes):
            links.append(value)
        elif number == 1 and isinstance(value, bytes) and payload is None:
            payload = value
        else:
            raise DagError(f"dag-pb node has an unexpected field {number}")
    if payload is None:
        raise DagError("dag-pb node has no data, so it is no UnixFS node")
    return payload, links


def _unixfs(data: bytes, size: int, block_sizes: Sequence[int]) -> bytes:
    encoded = bytes((0x08, _TYPE_FILE))
    if data:
        encoded += encode_field(2, data)
    encoded += b"\x18" + encode_varint(size)
    return encoded + b"".join(b"\x20" + encode_varint(block_size) for block_size in block_sizes)


def encode_field(number: int, value: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(value)) + value


def decode_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield protobuf fields: integers for varints, bytes for everything else. Raises ValueError."""
    offset = 0
    while offset < len(data):
        key, offset = decode_varint(data, offset)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, offset = decode_varint(data, offset)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            length, offset = decode_varint(data, offset)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
        else:
            raise DagError(f"protobuf wire type {wire_type} is unknown")
        if length > len(data) - offset:
            raise DagError("protobuf field is cut short")
        yield number, data[offset : offset + length]
        offset += length


def _decode_link(data: bytes) -> Link:
    entry = _decode_entry(data)
    return Link(entry.cid, entry.tsize)


def _decode_entry(data: bytes) -> Entry:
    cid: Cid | None = None
    name = b""
    tsize = 0
    for number, value in decode_fields(data):
        if number == 1 and isinstance(value, bytes):
            cid = Cid.from_bytes(value)
        elif number == 2 and isinstance(value, bytes):
            name = value
        elif number == 3 and isinstance(value, int):
            tsize = value
        else:
            raise DagError(f"dag-pb link has an unexpected field {number}")
    if cid is None:
        raise DagError("dag-pb link has no hash")
    return Entry(name.decode(), cid, tsize)


def _decode_unixfs(payload: bytes, links: tuple[Link, ...]) -> FileNode:
    kind: int | None = None
    data = b""
    size: int | None = None
    block_sizes: list[int] = []
    for number, value in decode_fields(payload):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            data = value
        elif number == 3 and isinstance(value, int):
            size = value
        elif number == 4 and isinstance(value, int):
            block_sizes.append(value)
        elif number == 4:
            raise DagError("packed block sizes are not canonical UnixFS")
        # Other fields (fan-out, mode, mtime) do not change a file's bytes.
    if kind not in (_TYPE_FILE, _TYPE_RAW):
        raise DagError(f"UnixFS node of type {kind} is not a file")
    if len(block_sizes) != len(links):
        raise DagError("UnixFS node states another number of block sizes than it has links")
    total = len(data) + sum(block_sizes)
    if size is not None and size != total:
        raise DagError("UnixFS node's file size is not the sum of its parts")
    return FileNode(data, links, tuple(block_sizes), total)
