"""The part of Kubo's RPC API that Mintstream speaks: add, pin/add, pin/rm, pin/ls, block/get, block/stat, version.

Shapes, names and the error body `{"Message", "Code", "Type"}` are those of the Kubo RPC reference (`/api/v0`), so that
one adapter serves both. As in Kubo, errors of a command are status 500 and errors in the arguments 400, every
verb is POST, and browsers' cross-origin requests are refused. Unlike Kubo, nothing is fetched from a network, options
that would change a CID in ways not made here are refused, and uploads have a limit (413).
"""

import asyncio
import json
import platform
from collections.abc import Callable
from email.message import Message
from functools import partial

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from localnet.ipfs.adding import Added, BadUpload, MultipartImport, UploadTooLarge, join_directories
from localnet.ipfs.store import Addition, BlockCorrupt, BlockMissing, BlockStore
from unixfs import Cid, CidError, ImportProfile
from unixfs.dagpb import DagError

VERSION = "0.1.0/mintstream-localnet"

_FEED_BYTES = 262_144
"""Body bytes that are gathered before a worker thread imports them."""

_UNSUPPORTED_ADD_OPTIONS = ("wrap-with-directory", "trickle", "inline", "nocopy", "fscache", "preserve-mode")


class BadArgument(ValueError):
    """A query argument is missing or not understood."""


class Rpc:
    """The handlers of `/api/v0/*` over one store."""

    def __init__(self, store: BlockStore, *, max_file_bytes: int) -> None:
        self._store = store
        self._max_file_bytes = max_file_bytes

    async def add(self, request: Request) -> Response:
        """Import the parts; answer a JSON line for each file and directory once the disk has the blocks of all."""
        try:
            profile = import_profile(request.query_params)
            pin = boolean(request.query_params, "pin", default=True)
            only_hash = boolean(request.query_params, "only-hash", default=False)
            boundary = multipart_boundary(request.headers.get("content-type", ""))
        except BadArgument as error:  # stop: the client's mistake
            return failure(400, str(error), code=1)
        with self._store.add() as addition:
            return await self._add(request, addition, boundary, profile, pin=pin, only_hash=only_hash)

    async def _add(
        self,
        request: Request,
        addition: Addition,
        boundary: bytes,
        profile: ImportProfile,
        *,
        pin: bool,
        only_hash: bool,
    ) -> Response:
        parts: list[Added] = []
        sink = None if only_hash else addition.put
        upload = MultipartImport(
            boundary,
            profile,
            sink,
            max_file_bytes=self._max_file_bytes,
            on_file=parts.append,
        )
        try:
            await feed(request, upload.update)
            upload.finish()
            added = await asyncio.to_thread(join_directories, parts, profile, sink)
            # What is in a directory is kept by the directory's pin.
            pins = [each.cid for each in added if pin and not only_hash and "/" not in each.name]
            await asyncio.to_thread(addition.commit, pins)
        except UploadTooLarge as error:  # stop: the client's mistake
            return failure(413, str(error))
        except (
            BadUpload,
            ValueError,
        ) as error:  # stop: the client's mistake; ValueError speaks of names in directories
            return failure(400, str(error), code=1)
        except ClientDisconnect:  # stop: nobody reads the answer
            return Response(status_code=400)
        lines = [json.dumps(self._added_line(each), separators=(",", ":")) for each in added]
        return Response("\n".join(lines) + "\n", media_type="application/json")

    async def pin_add(self, request: Request) -> Response:
        """Pin a graph that is stored here already."""
        return await self._with_cid(request, self._pin_add)

    async def pin_rm(self, request: Request) -> Response:
        """Unpin; the blocks stay."""
        return await self._with_cid(request, self._pin_rm)

    async def pin_ls(self, request: Request) -> Response:
        """Tell whether one CID is pinned (`arg`), or list all pins."""
        if "arg" in request.query_params:
            return await self._with_cid(request, self._pin_ls)
        cids = await asyncio.to_thread(lambda: list(self._store.pins()))
        return JSONResponse({"Keys": {str(cid): {"Type": "recursive"} for cid in cids}})

    async def block_get(self, request: Request) -> Response:
        """Return a block's bytes."""
        return await self._with_cid(
            request, lambda cid: Response(self._store.get(cid), media_type="application/octet-stream")
        )

    async def block_stat(self, request: Request) -> Response:
        """Return a block's CID and size in bytes."""
        return await self._with_cid(
            request, lambda cid: JSONResponse({"Key": str(cid), "Size": len(self._store.get(cid))})
        )

    async def version(self, _request: Request) -> Response:
        """Return this program's version in Kubo's shape."""
        system = f"{platform.machine()}/{platform.system().lower()}"
        return JSONResponse({"Version": VERSION, "Commit": "", "Repo": "", "System": system, "Golang": ""})

    async def unknown(self, _request: Request) -> Response:
        """Answer every other path of the API as Kubo does."""
        return Response("404 page not found\n", status_code=404, media_type="text/plain")

    def _pin_add(self, cid: Cid) -> Response:
        self._store.pin_present(cid)
        return JSONResponse({"Pins": [str(cid)]})

    def _pin_rm(self, cid: Cid) -> Response:
        if not self._store.unpin(cid):
            return failure(500, "not pinned or pinned indirectly")
        return JSONResponse({"Pins": [str(cid)]})

    def _pin_ls(self, cid: Cid) -> Response:
        if not self._store.is_pinned(cid):
            return failure(500, f"path '{cid}' is not pinned")
        return JSONResponse({"Keys": {str(cid): {"Type": "recursive"}}})

    async def _with_cid(self, request: Request, command: Callable[[Cid], Response]) -> Response:
        """Run a blocking command on the CID in `arg`, with its errors in Kubo's shape."""
        try:
            cid = cid_argument(request.query_params)
            return await asyncio.to_thread(command, cid)
        except BadArgument as error:  # stop: the client's mistake
            return failure(400, str(error), code=1)
        except (BlockMissing, BlockCorrupt, DagError) as error:  # stop: told to the client as Kubo tells it
            return failure(500, str(error))

    @staticmethod
    def _added_line(added: Added) -> dict[str, str]:
        cid = str(added.cid)
        return {"Name": added.name or cid, "Hash": cid, "Size": str(added.dag_size)}


def failure(status: int, message: str, *, code: int = 0) -> Response:
    """Return Kubo's error body; code 0 is a failed command, 1 a client's mistake."""
    return JSONResponse({"Message": message, "Code": code, "Type": "error"}, status_code=status)


async def feed(request: Request, update: Callable[[bytes], None]) -> None:
    """Give the body to a blocking `update` in worker threads, in order, a quarter of a MiB at a time."""
    waiting = bytearray()
    async for data in request.stream():
        waiting += data
        if len(waiting) >= _FEED_BYTES:
            await asyncio.to_thread(partial(update, bytes(waiting)))
            waiting.clear()
    if waiting:
        await asyncio.to_thread(partial(update, bytes(waiting)))


def import_profile(query: QueryParams) -> ImportProfile:
    """Read the options of `add` that decide the CID, with Kubo's defaults. Raises BadArgument."""
    for name in _UNSUPPORTED_ADD_OPTIONS:
        if boolean(query, name, default=False):
            raise BadArgument(f"option {name} is not supported here")
    if query.get("hash", "sha2-256") != "sha2-256":
        raise BadArgument("the only hash here is sha2-256")
    version = query.get("cid-version", "0")
    if version not in ("0", "1"):
        raise BadArgument("cid-version is 0 or 1")
    kind, _, size = query.get("chunker", "size-262144").partition("-")
    if kind != "size" or not _is_number(size) or not 1 <= int(size) <= 1_048_576:
        raise BadArgument("chunker is size-N with N from 1 to 1048576")
    width = query.get("max-file-links", "174")
    if not _is_number(width) or not 2 <= int(width) <= 8_192:
        raise BadArgument("max-file-links is a number from 2 to 8192")
    raw_leaves = boolean(query, "raw-leaves", default=version == "1")
    return ImportProfile(int(version), raw_leaves, int(size), int(width))


def boolean(query: QueryParams, name: str, *, default: bool) -> bool:
    """Read a boolean option in the spellings that Kubo takes. Raises BadArgument."""
    value = query.get(name)
    if value is None:
        return default
    if value.lower() in ("true", "t", "1", ""):
        return True
    if value.lower() in ("false", "f", "0"):
        return False
    raise BadArgument(f"option {name} is true or false")


def cid_argument(query: QueryParams) -> Cid:
    """Read `arg`, a CID or an `/ipfs/` path of one. Raises BadArgument."""
    text = query.get("arg")
    if text is None:
        raise BadArgument("argument 'ipfs-path' is required")
    try:
        return Cid.parse(text.removeprefix("/ipfs/"))
    except CidError as error:  # stop: the client's mistake
        raise BadArgument(f"invalid path: {error}") from error


def multipart_boundary(content_type: str) -> bytes:
    """Return the boundary of a multipart/form-data body. Raises BadArgument."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise BadArgument("the body is multipart/form-data with a boundary")
    if len(boundary) > 70:
        raise BadArgument("a multipart boundary has at most 70 characters")
    return boundary.encode("latin-1", "replace")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
