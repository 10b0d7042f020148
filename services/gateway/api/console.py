"""`/console`: the operators' page, and its sessions. The files are those of the folder `console/`, as they are there.

Installed by `api/app.py`. The page is a client of the public API like any other (docs/console.md); what is only here is
what a browser needs beside it. Not done here: who may do what (`api/auth.py`).
"""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from services.gateway.api import sessions
from services.gateway.api.auth import API_KEY_HEADER, Access
from services.gateway.api.login import CallerView
from services.gateway.api.responses import Answer, Done, Success
from services.gateway.callers import Caller

FOLDER: Final = Path(__file__).resolve().parents[3] / "console"
_MEDIA_TYPES: Final = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css", ".html": "text/html"}


class ConsoleView(Answer):
    """What the page has to know of where it runs; told to anybody."""

    version: str
    explorer: str
    """Links to an explorer: `{kind}` is `tx` or `address`, `{id}` a signature or an address."""
    gateway: str
    """The IPFS gateway that shows images: `<gateway>/ipfs/<cid>`."""
    sign_in: bool
    """Whether a wallet may sign in."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str


def console_router(view: ConsoleView, access: Access, folder: Path = FOLDER) -> APIRouter:
    """Return the routes. The files are read now and served from memory: there is no path to walk out of.

    Raises FileNotFoundError when the folder has no page.
    """
    files = {path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    if "index.html" not in files:
        raise FileNotFoundError(f"the console's page is not in {folder}")
    headers = {"Content-Security-Policy": _policy(view.gateway), "Cache-Control": "no-cache"}
    router = APIRouter(prefix="/console", include_in_schema=False)

    @router.get("/config.json")
    async def console_config() -> ConsoleView:  # pyright: ignore[reportUnusedFunction]
        """Tell where the page runs."""
        return view

    @router.post("/session", response_model_exclude_none=True)
    async def begin_session(  # pyright: ignore[reportUnusedFunction]
        request: Request, response: Response, caller: Annotated[Caller, Depends(access.permit(None))]
    ) -> Success[CallerView]:
        """Keep the key or the token of this request as a session, or the session that it came with for longer."""
        key, token = request.headers.get(API_KEY_HEADER), request.headers.get("authorization", "").partition(" ")[2]
        sessions.begin(response, *((key, token) if key or token else sessions.credentials(request)))
        return Success(data=CallerView.of(caller))

    @router.delete("/session")
    async def end_session(response: Response) -> Done:  # pyright: ignore[reportUnusedFunction]
        """Forget the session."""
        sessions.end(response)
        return Done(message="Signed out")

    @router.get("")
    @router.get("/{path:path}")
    async def console_file(request: Request, path: str = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        """Serve a file of the page."""
        file = files.get(path or "index.html")
        if file is None:
            return JSONResponse({"success": False, "error": "No such file", "code": "not_found"}, status_code=404)
        told = headers | {"ETag": file.etag}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=told)
        return Response(file.body, media_type=file.media_type, headers=told)

    return router


def _read(path: Path) -> _File:
    body = path.read_bytes()
    # The usual types are named here because a machine's own table of types may say otherwise.
    media_type = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _policy(gateway: str) -> str:
    """Return the page's Content-Security-Policy: its own files, and pictures from `gateway` and by HTTPS."""
    parts = urlsplit(gateway)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src 'self' data: blob: https: {parts.scheme}://{parts.netloc}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
