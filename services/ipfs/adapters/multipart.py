"""A multipart/form-data body, streamed with its length known before. Used by `http`.

httpx can encode one too, but reads files in the event loop. Names of fields and files are ours; a quote or a line break
in one is percent-encoded, as the HTML standard asks.
"""

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.ipfs.bodies import PIECE_BYTES, Body

_ESCAPES: Final = {'"': "%22", "\r": "%0D", "\n": "%0A"}


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of the form."""

    filename: str
    content_type: str
    body: Body
    field: str = "file"


class Multipart:
    """The fields, then the files, in their order."""

    def __init__(self, fields: Mapping[str, str], files: Sequence[FilePart]) -> None:
        self._boundary = uuid.uuid4().hex
        self._fields = b"".join(
            self._head(f'name="{_escaped(name)}"') + b"\r\n" + value.encode() + b"\r\n"
            for name, value in fields.items()
        )
        self._files = [(self._file_head(file), file.body) for file in files]
        self._tail = f"--{self._boundary}--\r\n".encode()

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self._fields) + sum(len(head) + body.size + 2 for head, body in self._files) + len(self._tail)

    @property
    def headers(self) -> dict[str, str]:
        """Return Content-Type and Content-Length."""
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(self.length),
        }

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the body, small files together: each piece is a write to the socket."""
        waiting = bytearray(self._fields)
        for head, body in self._files:
            waiting += head
            async for piece in body.pieces():
                waiting += piece
                if len(waiting) >= PIECE_BYTES:
                    yield bytes(waiting)
                    waiting.clear()
            waiting += b"\r\n"
        waiting += self._tail
        yield bytes(waiting)

    def _file_head(self, file: FilePart) -> bytes:
        disposition = f'name="{_escaped(file.field)}"; filename="{_escaped(file.filename)}"'
        return self._head(disposition) + f"Content-Type: {file.content_type}\r\n\r\n".encode()

    def _head(self, disposition: str) -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n".encode()


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)
