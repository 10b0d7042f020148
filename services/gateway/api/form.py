"""A multipart form, read as it streams in: texts in memory, files in spooled temporary files, everything bounded.

Used by `api/body.py`. A file over its limit ends the request at the byte that is too many, not after the last one; so
does a form for which there is no room beside all others, because a full disk would end everybody's. Not done here: what
the fields mean, and whether a file is an image.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from chassis.images import MAX_IMAGE_BYTES
from chassis.telemetry import get_logger
from services.gateway.domain import MAX_FILES
from services.gateway.errors import BodyTooLarge, MalformedBody, Overloaded, Problem, ValidationFailed

_log = get_logger(__name__)

MAX_TEXT_FIELDS = 32
MAX_TEXT_BYTES = 2 * 1024 * 1024
"""Most bytes of all text fields of one form together."""
MAX_PARTS = 4 * (MAX_TEXT_FIELDS + MAX_FILES)
"""Texts and files, and the nameless ones that browsers send for inputs that were left empty."""
SPOOL_BYTES = 256 * 1024
"""The files of one form are kept in memory up to this size together, and on disk beyond it."""
MAX_HELD_BYTES = 1024 * 1024 * 1024
"""Most bytes of files of all forms together. A pod has twice as much room for temporary files (deploy/k8s/base)."""
MAX_HELD_BYTES_OF_ONE = MAX_FILES * MAX_IMAGE_BYTES
"""Most of them that come from one address: its largest form."""
MAX_FILENAME_CHARACTERS = 255


class Holdings:
    """How many bytes the files hold that forms of this process have brought and that are not dropped yet."""

    def __init__(self, most: int = MAX_HELD_BYTES, most_of_one: int = MAX_HELD_BYTES_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._held = 0
        self._held_of = Counter[str]()

    def take(self, sender: str, size: int) -> None:
        """Hold more for an address. Raises Overloaded when there is no room for it."""
        if self._held + size > self._most or self._held_of[sender] + size > self._most_of_one:
            raise Overloaded
        self._held += size
        self._held_of[sender] += size

    def give_back(self, sender: str, size: int) -> None:
        """Hold so much less."""
        self._held -= size
        self._held_of[sender] -= size
        if not self._held_of[sender]:
            del self._held_of[sender]


HOLDINGS = Holdings()
"""Of this process: its temporary files are on one disk."""


class ReceivedFile:
    """One file of a form, on its temporary file. Closed by the form that owns it."""

    def __init__(self, field: str, filename: str, room: int) -> None:
        """`room` is how many bytes are kept in memory."""
        self.field = field
        self.filename = filename
        self.size = 0
        self._room = max(1, room)  # none at all would mean no limit
        self._spool = SpooledTemporaryFile[bytes](max_size=self._room)

    @property
    def on_disk(self) -> bool:
        """Whether it is too large for the memory that it was given."""
        return self.size > self._room

    async def write(self, data: bytes) -> None:
        """Append; a write that reaches the disk is done in a thread."""
        self.size += len(data)
        if self.on_disk:
            await asyncio.to_thread(self._spool.write, data)
        else:
            self._spool.write(data)

    async def read(self) -> bytes:
        """Return the whole file: at most MAX_IMAGE_BYTES."""

        def rewind_and_read() -> bytes:
            self._spool.seek(0)
            return self._spool.read()

        return await asyncio.to_thread(rewind_and_read)

    def close(self) -> None:
        """Give the memory or the disk space back."""
        self._spool.close()


class ReceivedForm:
    """The texts by field name and the files in the order in which they came."""

    def __init__(self, sender: str, holdings: Holdings) -> None:
        self.texts: dict[str, str] = {}
        self.files: list[ReceivedFile] = []
        self.held = 0
        """Bytes of its files."""
        self._sender = sender
        self._holdings = holdings

    def hold(self, size: int) -> None:
        """Note that a file grows. Raises Overloaded when there is no room for it."""
        self._holdings.take(self._sender, size)
        self.held += size

    def close(self) -> None:
        """Drop the files."""
        for file in self.files:
            file.close()
        self._holdings.give_back(self._sender, self.held)
        self.held = 0


class _Part:
    """A part that is being read: its headers, then its text or its file."""

    def __init__(self) -> None:
        self.header_name = bytearray()
        self.header_value = bytearray()
        self.disposition = b""
        self.name = ""
        self.text = bytearray()
        self.file: ReceivedFile | None = None
        self.file_bytes = 0
        """Bytes of the file that have come, those that still wait to be written included."""


class FormReader:
    """Turns the chunks of one multipart body into a form. For one body only; `sender` is the address it comes from."""

    def __init__(self, boundary: bytes, sender: str = "", holdings: Holdings = HOLDINGS) -> None:
        self.form = ReceivedForm(sender, holdings)
        self._part = _Part()
        self._parts = 0
        self._text_bytes = 0
        self._writes: list[tuple[ReceivedFile, bytes]] = []
        self._ended = False
        self._begin = b"--" + boundary
        self._unparsed: bytes | None = b""
        """What came before there was enough to tell how the body begins; None when that is told."""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Read the body to its end. Raises MalformedBody, BodyTooLarge, Overloaded and ValidationFailed."""
        try:
            async for chunk in chunks:
                self._parser.write(self._beginning(chunk))
                await self._write()
            self._parser.finalize()
        except FormParserError:  # stop: outside input; its own words speak of offsets, not of the caller's form
            raise MalformedBody("The body is not a multipart form") from None
        if not self._ended:
            raise MalformedBody("The multipart form breaks off before its end")

    async def _write(self) -> None:
        try:
            for file, data in self._writes:
                await file.write(data)
        except OSError as error:  # stop: the disk is full or broken, which is no mistake of the caller's
            _log.error("no room for the files of a form", reason=str(error))
            raise Overloaded from error
        self._writes.clear()

    def _beginning(self, chunk: bytes) -> bytes:
        """Return what is to be parsed of a chunk. Raises MalformedBody when something stands before the first part.

        The parser passes over it when the first part begins in the same chunk, and refuses it otherwise.
        """
        if self._unparsed is None:
            return chunk
        self._unparsed = (self._unparsed + chunk).lstrip(b"\r\n")
        if len(self._unparsed) < len(self._begin):
            return b""
        if not self._unparsed.startswith(self._begin):
            raise MalformedBody("The body is not a multipart form")
        begun, self._unparsed = self._unparsed, None
        return begun

    # The parser calls these synchronously from `write`; file data waits in `_writes` for the next await.

    def _begin_part(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedBody(f"The form has more than {MAX_PARTS} parts")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._part.header_name).lower() == b"content-disposition":
            self._part.disposition = bytes(self._part.header_value)
        self._part.header_name.clear()
        self._part.header_value.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._part.disposition)
        if kind != b"form-data" or b"name" not in options:
            raise MalformedBody("A part of the multipart form has no name")
        self._part.name = _utf8(options[b"name"], "a field's name")
        if b"filename" not in options:
            if len(self.form.texts) >= MAX_TEXT_FIELDS:
                raise MalformedBody(f"The form has more than {MAX_TEXT_FIELDS} fields")
            return
        if len(self.form.files) >= MAX_FILES:
            sentence = f"has more than {MAX_FILES} files"
            raise ValidationFailed([Problem(self._part.name, sentence)], f"Too many files (max {MAX_FILES})")
        filename = _clean_filename(_utf8(options[b"filename"], "a file's name"))
        self._part.file = ReceivedFile(self._part.name, filename, SPOOL_BYTES - self.form.held)
        self.form.files.append(self._part.file)

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.file is None:
            self._text_bytes += end - start
            if self._text_bytes > MAX_TEXT_BYTES:
                sentence = f"the form's texts are over {MAX_TEXT_BYTES} bytes"
                raise BodyTooLarge("Request body too large", [Problem(part.name, sentence)])
            part.text += data[start:end]
            return
        part.file_bytes += end - start
        if part.file_bytes > MAX_IMAGE_BYTES:
            place = _place(self.form.files, part.file)
            raise BodyTooLarge("File too large", [Problem(place, f"is over {MAX_IMAGE_BYTES} bytes")])
        self.form.hold(end - start)
        self._writes.append((part.file, data[start:end]))

    def _end_part(self) -> None:
        part = self._part
        if part.file is not None:
            if not part.file.filename and part.file_bytes == 0:
                # A browser sends an empty, nameless file for a file input that was left empty.
                self.form.files.remove(part.file)
                part.file.close()
            return
        if part.name in self.form.texts:
            raise ValidationFailed([Problem(part.name, "is given twice")])
        self.form.texts[part.name] = _utf8(bytes(part.text), part.name)

    def _end(self) -> None:
        self._ended = True


def _place(files: list[ReceivedFile], file: ReceivedFile) -> str:
    """Return where a file stands as callers count: `images[2]`; a lone `image` has no number."""
    if file.field == "image":
        return "image"
    return f"{file.field}[{[other for other in files if other.field == file.field].index(file)}]"


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:  # stop: outside input
        raise ValidationFailed([Problem(what, "is not UTF-8")]) from None


def _clean_filename(name: str) -> str:
    """Return the last step of a path without control characters, of bounded length."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(character for character in last if character.isprintable())[:MAX_FILENAME_CHARACTERS]
