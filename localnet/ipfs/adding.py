"""A multipart upload to blocks, while it arrives. Used by `rpc` for `/api/v0/add`.

`MultipartImport` is pushed the body's bytes and imports each file part into the store as it goes: memory stays at one
network chunk and the importer's own, whatever the file's size. Blocking (the store flushes to disk): feed it from a
worker thread, one call at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from unixfs import Cid, Entry, Importer, ImportProfile, RootFile, import_directory
from unixfs.importer import BlockSink

MAX_PARTS = 4_096
MAX_HEADER_BYTES = 8_192
MAX_PATH_CHARACTERS = 1_024


class BadUpload(Exception):
    """The body is not an upload that this endpoint takes. Fatal: the same request fails again."""


class UploadTooLarge(BadUpload):
    """A file has more bytes than the endpoint takes."""


@dataclass(frozen=True, slots=True)
class Added:
    """One imported file or directory; `name` is the client's path of it, empty if it gave none.

    `dag_size` is the bytes of all its blocks.
    """

    name: str
    cid: Cid
    dag_size: int
    directory: bool = False


class MultipartImport:
    """Imports the file parts of one multipart body; see `update` and `finish`."""

    def __init__(
        self,
        boundary: bytes,
        profile: ImportProfile,
        sink: BlockSink | None,
        *,
        max_file_bytes: int,
        on_file: Callable[[Added], None],
    ) -> None:
        self._profile = profile
        self._sink = sink
        self._max_file_bytes = max_file_bytes
        self._on_file = on_file
        self._parts = 0
        self._closed = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers = Message()
        self._importer: Importer | None = None
        self._size = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_text,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": self._body_ends,
            },
            max_header_count=16,
            max_header_size=MAX_HEADER_BYTES,
        )

    def update(self, data: bytes) -> None:
        """Take the body's next bytes. Raises BadUpload, and what the sink raises."""
        try:
            self._parser.write(data)
        except FormParserError as error:  # fatal: the client sent something else than multipart
            raise BadUpload(f"the multipart body is malformed: {error}") from error

    def finish(self) -> None:
        """Tell that the body has ended. Raises BadUpload when it was cut short or had no file."""
        if not self._closed:
            raise BadUpload("the multipart body is cut short")
        if self._parts == 0:
            raise BadUpload("file argument 'path' is required")

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadUpload(f"more than {MAX_PARTS} parts")
        self._headers = Message()
        self._size = 0

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._header_name.decode("latin-1")] = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _headers_end(self) -> None:
        if self._headers.get_content_type() == "application/symlink":
            raise BadUpload("this endpoint adds files and directories, no symbolic links")
        self._importer = Importer(self._profile, None if self._is_directory() else self._sink)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._importer is not None, "the parser ends the headers before the data"
        self._size += end - start
        if self._size > self._max_file_bytes:
            raise UploadTooLarge(f"a file has at most {self._max_file_bytes} bytes here")
        self._importer.update(data[start:end])

    def _part_ends(self) -> None:
        assert self._importer is not None, "the parser ends the headers before the part"
        root: RootFile = self._importer.finish()
        self._importer = None
        if self._is_directory():
            if self._size or not self._file_name():
                raise BadUpload("a directory part has a name and no content")
            self._on_file(Added(self._file_name(), root.cid, 0, directory=True))
        else:
            self._on_file(Added(self._file_name(), root.cid, root.dag_size))

    def _is_directory(self) -> bool:
        return self._headers.get_content_type() == "application/x-directory"

    def _body_ends(self) -> None:
        self._closed = True

    def _file_name(self) -> str:
        """The client's name for the part: shown to the client again, never used as a path."""
        parameters = self._headers.get_params(header="content-disposition", failobj=[])
        for name, value in parameters or []:
            if name.lower() == "filename":
                return unquote(value)[:MAX_PATH_CHARACTERS]
        return ""


def join_directories(parts: list[Added], profile: ImportProfile, sink: BlockSink | None) -> list[Added]:
    """Return what the parts add, in Kubo's order: files as they came, each directory after what is in it.

    Directories are those that a part names and those that the paths of files imply. Raises BadUpload for paths that
    cannot be, ValueError for what `unixfs.import_directory` refuses.
    """
    folders: dict[str, list[Added]] = {}
    files = [part for part in parts if not part.directory]
    for part in parts:
        folder = part.name if part.directory else part.name.rpartition("/")[0]
        while folder and folder not in folders:
            folders[folder] = []
            folder = folder.rpartition("/")[0]
    names = {part.name for part in files}
    added: list[Added] = []
    for part in files:
        added.append(part)
        if "/" in part.name:
            folders[part.name.rpartition("/")[0]].append(part)
    for path in sorted(folders, key=lambda each: (-each.count("/"), each)):
        if path in names:
            raise BadUpload(f"{path[:80]!r} is a file and a directory")
        entries = [Entry(part.name.rpartition("/")[2], part.cid, part.dag_size) for part in folders[path]]
        root = import_directory(entries, profile, sink)
        folder = Added(path, root.cid, root.dag_size, directory=True)
        added.append(folder)
        parent = path.rpartition("/")[0]
        if parent:
            folders[parent].append(folder)
    return added
