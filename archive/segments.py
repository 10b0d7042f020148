"""The archive's format: segments of messages as newline-delimited JSON, and the manifests that chain them. Pure.

A segment holds consecutive messages of one stream, one JSON object a line, compressed with zstd. Its manifest says
which messages, with the SHA-256 of the uncompressed lines and that of the manifest before it. So whoever knows the hash
of one manifest knows every byte before it, with `zstd -dc` and `sha256sum` alone. Beside a segment lie its *ids*, what
its subjects name (operations, collections), sorted, one a line: whoever looks for one of them reads only the segments
that have it. Not done here: compression, and where the objects are.
"""

import base64
import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from chassis.log import RawMessage
from contracts.fact import Hash32

MAX_MESSAGES: Final = 10_000
"""Most messages of a segment."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""A segment ends with the message that reaches so many bytes of lines."""
MAX_CONTENT: Final = MAX_BYTES + 16 * 1024 * 1024
"""Most bytes of lines that a manifest may claim: the last message, escaped and with its headers, comes on top."""

MAX_IDS: Final = MAX_CONTENT
"""Most bytes of a segment's ids, each of which is in a line."""

_ID: Final = 3
"""Which token of a subject names its thing: `mint.confirmed.v1.<operation>.0.1`."""

_OTHERS: Final = "its messages are not those that were archived"

_Number = Annotated[int, msgspec.Meta(ge=1)]


class ArchiveBroken(Exception):
    """The archive is not what was archived; the text names stream, segment and what is wrong."""

    def __init__(self, stream: str, number: int, reason: str) -> None:
        super().__init__(f"archive of {stream}, segment {number}: {reason}")
        self.stream = stream
        self.number = number
        self.reason = reason


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """One line. The payload is `payload` when it is UTF-8, else `payload_base64`."""

    sequence: _Number
    subject: str
    stored_at: Annotated[datetime, msgspec.Meta(tz=True)]
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    payload: str | None = None
    payload_base64: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What segment `number` of a stream holds: sequences `first` to `last`, in `size` bytes of lines."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    stream: str
    number: _Number
    first: _Number
    last: _Number
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_CONTENT)]
    sha256: Hash32
    """Of the uncompressed lines."""
    previous: Hash32 | None
    """Of the bytes of the manifest before this one; None for the first."""
    ids: Hash32
    """Of the segment's ids."""


_encode: Final = msgspec.json.Encoder().encode
_decode_manifest: Final = msgspec.json.Decoder(Manifest).decode
_decode_lines: Final = msgspec.json.Decoder(Record).decode_lines


def line_of(raw: RawMessage) -> bytes:
    """Return the message as a line, with its end."""
    text, encoded = _text(raw.payload)
    record = Record(
        sequence=raw.sequence,
        subject=raw.subject,
        stored_at=raw.stored_at,
        headers=dict(raw.headers),
        payload=text,
        payload_base64=encoded,
    )
    return _encode(record) + b"\n"


def segment_lines(messages: Iterable[RawMessage]) -> tuple[bytes, int, int]:
    """Return the lines of consecutive messages with the first and the last sequence; there must be one at least."""
    sequences: list[int] = []
    lines: list[bytes] = []
    for raw in messages:
        assert not sequences or raw.sequence == sequences[-1] + 1, "a stream has no holes"
        sequences.append(raw.sequence)
        lines.append(line_of(raw))
    return b"".join(lines), sequences[0], sequences[-1]


def id_lines(messages: Iterable[RawMessage]) -> bytes:
    """Return the ids that the messages' subjects name, sorted; an empty line for subjects that name none."""
    ids = {_id_of(raw.subject) for raw in messages}
    return "".join(f"{each}\n" for each in sorted(ids)).encode()


def ids_of(patterns: Sequence[str]) -> frozenset[str]:
    """Return the ids of which alone the subject patterns speak; raises ValueError when they leave that open."""
    tokens = [pattern.split(".") for pattern in patterns]
    if any(len(each) <= _ID or "*" in each[_ID] or ">" in each[: _ID + 1] for each in tokens):
        raise ValueError(f"{', '.join(patterns)}: the archive is searched for what is named only")
    return frozenset(each[_ID] for each in tokens)


def read_ids(manifest: Manifest, lines: bytes) -> frozenset[str]:
    """Return a segment's ids; raises ArchiveBroken when they are not what the manifest says."""
    if digest(lines) != manifest.ids:
        raise ArchiveBroken(manifest.stream, manifest.number, "its ids are not those that were archived")
    return frozenset(lines.decode().split("\n")[:-1])


def describe(stream: str, lines: bytes, first: int, last: int, before: Manifest | None, ids: bytes) -> Manifest:
    """Return the manifest of the segment that follows on `before`."""
    return Manifest(
        stream=stream,
        number=before.number + 1 if before else 1,
        first=first,
        last=last,
        size=len(lines),
        sha256=hashlib.sha256(lines).hexdigest(),
        previous=digest(manifest_bytes(before)) if before else None,
        ids=digest(ids),
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the manifest as it is stored; the same bytes each time."""
    return msgspec.json.format(_encode(manifest), indent=2) + b"\n"


def digest(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_manifest(stream: str, number: int, data: bytes, before: Manifest | None) -> Manifest:
    """Return manifest `number`, which must follow on `before`; raises ArchiveBroken."""
    try:
        manifest = _decode_manifest(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArchiveBroken(stream, number, f"the manifest cannot be read: {error}") from error
    if (manifest.stream, manifest.number) != (stream, number):
        raise ArchiveBroken(stream, number, f"the manifest is that of {manifest.stream}, segment {manifest.number}")
    if manifest.previous != (digest(manifest_bytes(before)) if before else None):
        raise ArchiveBroken(stream, number, "it does not follow on the manifest before it: one of the two was changed")
    expected = before.last + 1 if before else 1
    if manifest.first != expected or manifest.last < manifest.first:
        raise ArchiveBroken(stream, number, f"it holds {manifest.first} to {manifest.last}, expected from {expected}")
    if data != manifest_bytes(manifest):
        raise ArchiveBroken(stream, number, "the manifest is written otherwise than it was")
    return manifest


def read_lines(manifest: Manifest, lines: bytes) -> list[RawMessage]:
    """Return the messages of a segment; raises ArchiveBroken when they are not what the manifest says."""
    if len(lines) != manifest.size or digest(lines) != manifest.sha256:
        raise ArchiveBroken(manifest.stream, manifest.number, _OTHERS)
    messages = _decoded(manifest, lines)
    if [raw.sequence for raw in messages] != list(range(manifest.first, manifest.last + 1)):
        raise ArchiveBroken(manifest.stream, manifest.number, "its sequences are not those of the manifest")
    if digest(id_lines(messages)) != manifest.ids:
        raise ArchiveBroken(manifest.stream, manifest.number, "its ids are not those of its messages")
    return messages


def read_about(manifest: Manifest, pieces: Iterable[bytes], ids: Collection[str]) -> list[RawMessage]:
    """Return those messages of a segment whose subjects name one of the ids. `pieces` are its lines, cut anywhere.

    Holds no more than a piece, a line and what it returns. Raises ArchiveBroken when the lines are not what the
    manifest says, before any message is returned.
    """
    needles = [_encode(each)[1:-1] for each in ids]
    sha256, size, rest = hashlib.sha256(), 0, b""
    found: list[bytes] = []
    for piece in pieces:
        size += len(piece)
        if size > manifest.size:
            break  # a bomb
        sha256.update(piece)
        ended, newline, rest = (rest + piece).rpartition(b"\n")
        if newline and any(needle in ended for needle in needles):
            found += (line for line in ended.split(b"\n") if any(needle in line for needle in needles))
    if size != manifest.size or sha256.hexdigest() != manifest.sha256 or rest:
        raise ArchiveBroken(manifest.stream, manifest.number, _OTHERS)
    messages = _decoded(manifest, b"\n".join(found))
    return [raw for raw in messages if _id_of(raw.subject) in ids]


def _decoded(manifest: Manifest, lines: bytes) -> list[RawMessage]:
    try:
        return [_message(record) for record in _decode_lines(lines)]
    except (msgspec.DecodeError, ValueError) as error:
        raise ArchiveBroken(manifest.stream, manifest.number, f"a message cannot be read: {error}") from error


def _id_of(subject: str) -> str:
    tokens = subject.split(".", _ID + 1)
    return tokens[_ID] if len(tokens) > _ID else ""


def _text(payload: bytes) -> tuple[str | None, str | None]:
    try:
        return payload.decode(), None
    except UnicodeDecodeError:  # stop: no text, so it goes as base64
        return None, base64.b64encode(payload).decode()


def _message(record: Record) -> RawMessage:
    if (record.payload is None) == (record.payload_base64 is None):
        raise ValueError(f"message {record.sequence} has no payload, or two")
    payload = (
        record.payload.encode()
        if record.payload is not None
        else base64.b64decode(record.payload_base64 or "", validate=True)
    )
    return RawMessage(record.subject, record.sequence, record.stored_at, payload, record.headers)
