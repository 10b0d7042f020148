"""`GET` and `HEAD` of `/ipfs/<cid>` and `/ipfs/<cid>/<path>`: files out of the store, for browsers, wallets and tests.

Behaves as the path gateway specification of ipfs/specs asks for what is here: immutable caching, the CID as ETag,
`X-Ipfs-Path`, one byte range. A text that is no CID is 400, an unknown one 404. Content is other people's: types are
told by `sniff`, nothing is guessed by the browser and nothing runs. A directory itself is answered as a list of its
names; a path that could climb out of it is 400. `?format=raw` gives the block of a CID itself, as the trustless gateway
specification says. Not done here: `index.html`, other formats.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from localnet.ipfs.sniff import HEAD_BYTES, JSON_MAX_BYTES, ContentType, sniff
from localnet.ipfs.store import BlockCorrupt, BlockMissing, BlockStore
from unixfs import Cid, CidError, Entry, FileReader, NotFoundInDirectory, PathRefused
from unixfs.dagpb import DagError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

CACHE_CONTROL = "public, max-age=29030400, immutable"
"""What Kubo sends for `/ipfs/`: 48 weeks; the content under a CID never changes."""

RAW_TYPE = "application/vnd.ipld.raw"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to but without `end`."""

    start: int
    end: int


class Unsatisfiable(ValueError):
    """The range starts behind the file's end (416)."""


class Gateway:
    """The handler of `/ipfs/{path}` over one store."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store

    async def get(self, request: Request) -> Response:
        """Serve a file, or the range of it that was asked for."""
        path: str = request.path_params["path"]
        text, _, rest = path.partition("/")
        try:
            cid = Cid.parse(text)
        except CidError as error:  # stop: the client's mistake
            return PlainTextResponse(f"invalid path: {error}\n", 400)
        if request.query_params.get("format") == "raw" and not rest:
            return await self._block(cid)
        try:
            found = await asyncio.to_thread(self._open, cid, rest)
        except PathRefused as error:  # stop: the client's mistake
            return PlainTextResponse(f"invalid path: {error}\n", 400)
        except (BlockMissing, NotFoundInDirectory) as error:  # stop: nothing here will fetch it
            return PlainTextResponse(f"{error}\n", 404)
        except DagError as error:  # stop: a CID of something else than a file
            return PlainTextResponse(f"{cid} is no file: {error}\n", 415)
        except BlockCorrupt as error:  # stop: damaged on disk, never served
            return PlainTextResponse(f"{error}\n", 500)
        return _list(request, cid, found) if isinstance(found, tuple) else _respond(request, path, found)

    async def _block(self, cid: Cid) -> Response:
        try:
            block = await asyncio.to_thread(self._store.get, cid)
        except BlockMissing as error:  # stop: nothing here will fetch it
            return PlainTextResponse(f"{error}\n", 404)
        except BlockCorrupt as error:  # stop: damaged on disk, never served
            return PlainTextResponse(f"{error}\n", 500)
        headers = {"ETag": f'"{cid}.raw"', "Cache-Control": CACHE_CONTROL, "X-Ipfs-Path": f"/ipfs/{cid}"}
        headers["Content-Disposition"] = f'attachment; filename="{cid}.bin"'
        return Response(block, media_type=RAW_TYPE, headers=headers)

    def _open(self, root: Cid, path: str) -> "Opened | tuple[Entry, ...]":
        found = self._store.find(root, path.removesuffix("/"))
        if isinstance(found, tuple):
            return found
        if path.endswith("/"):
            raise NotFoundInDirectory(f"{found} is a file, not a directory")
        reader = self._store.open_file(found)
        whole = reader.size <= JSON_MAX_BYTES
        head = b"".join(reader.read(0, min(reader.size, JSON_MAX_BYTES if whole else HEAD_BYTES)))
        return Opened(found, reader, sniff(head, whole=whole))


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is ready to be served."""

    cid: Cid
    reader: FileReader
    content_type: ContentType


def _list(request: Request, cid: Cid, entries: tuple[Entry, ...]) -> Response:
    """Answer with a directory's names, one a line. Made here, so it is not immutable content."""
    headers = {"X-Ipfs-Path": f"/ipfs/{quote(request.path_params['path'])}", "Cache-Control": "no-cache"}
    body = "".join(f"{entry.name}\n" for entry in entries) or f"{cid} is empty\n"
    return PlainTextResponse(body, headers=headers)


def _respond(request: Request, path: str, found: Opened) -> Response:
    cid, reader, content_type = found.cid, found.reader, found.content_type
    etag = f'"{cid}"'
    headers = {
        "ETag": etag,
        "Cache-Control": CACHE_CONTROL,
        "X-Ipfs-Path": f"/ipfs/{quote(path)}",
        "Accept-Ranges": "bytes",
    }
    if _names(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = content_type.value
    headers["Content-Disposition"] = f'{"attachment" if content_type.attachment else "inline"}; filename="{cid}"'
    wanted = request.headers.get("range") if request.headers.get("if-range", etag) == etag else None
    try:
        part = parse_range(wanted, reader.size)
    except Unsatisfiable:  # stop: the client's mistake
        return Response(status_code=416, headers={"Content-Range": f"bytes */{reader.size}"})
    status = 200
    start, end = 0, reader.size
    if part is not None:
        status, start, end = 206, part.start, part.end
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{reader.size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_body(reader, start, end), status_code=status, headers=headers)


def _body(reader: FileReader, start: int, end: int) -> Iterator[bytes]:
    # A damaged block raises here, after the headers: the connection ends short of Content-Length, which clients see.
    yield from reader.read(start, end)


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Read a Range header for a file of `size` bytes (RFC 9110, section 14); None means the whole file.

    Several ranges and malformed ones are ignored, as the RFC allows. Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.group(1), match.group(2)
    if first == "":
        if int(last) == 0 or size == 0:
            raise Unsatisfiable(header)
        return ByteRange(max(size - int(last), 0), size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable(header)
    return ByteRange(start, min(int(last) + 1, size) if last else size)


def _names(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match header names `etag`, weakly or as `*`."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header.split(","))
