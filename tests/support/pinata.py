"""Pinata's two upload APIs as their reference words them, strictly: whatever it would not take is an error here.

An ASGI application for `httpx.ASGITransport`. CIDs are computed as Pinata does, so an adapter that sends the wrong
`cid_version` is found out. `failures` answers the next uploads with these responses instead.
"""

import json
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.trees import import_tree
from unixfs import UNIXFS_V1_2025, V0, V1, import_bytes

JWT = "header.payload.signature"
API_KEY = "0123456789abcdef0123"
SECRET_KEY = "f" * 64
PROFILES = {"v0": V0, "v1": V1, "unixfs-v1-2025": UNIXFS_V1_2025}


@dataclass(frozen=True)
class Upload:
    """What was pinned."""

    cid: str
    name: str
    content_type: str
    data: bytes


@dataclass
class Pinata:
    """The double and what it has seen."""

    uploads: list[Upload] = field(default_factory=list[Upload])
    failures: list[Response] = field(default_factory=list[Response])

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v3/files", self._files, methods=["POST"]),
                Route("/pinning/pinFileToIPFS", self._pin_file, methods=["POST"]),
                Route("/data/pinList", self._pin_list, methods=["GET"]),
                Route("/data/testAuthentication", self._authentication, methods=["GET"]),
            ]
        )

    async def _files(self, request: Request) -> Response:
        if request.url.hostname != "uploads.pinata.test":
            return _error(404, "not found")
        if request.headers.get("authorization") != f"Bearer {JWT}":
            return _error(401, "Not Authorized")
        if self.failures:
            return self.failures.pop(0)
        async with request.form() as form:
            if set(form) != {"network", "name", "cid_version", "file"}:
                return _error(400, f"unexpected form fields {sorted(form)}")
            if form["network"] != "public":
                return _error(400, "this would be a private file")
            upload = await self._keep(form, str(form["cid_version"]), str(form["name"]))
        data = {"id": "1", "name": upload.name, "cid": upload.cid, "size": len(upload.data), "number_of_files": 1}
        return JSONResponse({"data": {**data, "mime_type": upload.content_type, "group_id": None}})

    async def _pin_file(self, request: Request) -> Response:
        if request.url.hostname != "api.pinata.test":
            return _error(404, "not found")
        if not self._authenticated(request):
            return _error(401, "INVALID_API_KEYS")
        if self.failures:
            return self.failures.pop(0)
        async with request.form() as form:
            if set(form) != {"file", "pinataOptions", "pinataMetadata"}:
                return _error(400, f"unexpected form fields {sorted(form)}")
            options = json.loads(str(form["pinataOptions"]))
            if set(options) != {"cidVersion"} or options["cidVersion"] not in (0, 1):
                return _error(400, "pinataOptions")
            name = json.loads(str(form["pinataMetadata"]))["name"]
            if len(form.getlist("file")) > 1:
                upload = await self._keep_folder(form, f"v{options['cidVersion']}", name)
            else:
                upload = await self._keep(form, f"v{options['cidVersion']}", name)
        return JSONResponse(
            {"IpfsHash": upload.cid, "PinSize": len(upload.data), "Timestamp": "2026-01-01T00:00:00.000Z"}
        )

    async def _pin_list(self, request: Request) -> Response:
        if not self._authenticated(request):
            return _error(401, "INVALID_CREDENTIALS")
        if request.query_params.get("status") != "pinned":
            return _error(400, "this would list what is not pinned")
        wanted = request.query_params["hashContains"]
        rows = [{"ipfs_pin_hash": upload.cid} for upload in self.uploads if wanted in upload.cid]
        return JSONResponse({"count": len(rows), "rows": rows})

    async def _authentication(self, request: Request) -> Response:
        return JSONResponse({"message": "ok"}) if self._authenticated(request) else _error(401, "INVALID_CREDENTIALS")

    @staticmethod
    def _authenticated(request: Request) -> bool:
        keys = (request.headers.get("pinata_api_key"), request.headers.get("pinata_secret_api_key"))
        return request.headers.get("authorization") == f"Bearer {JWT}" or keys == (API_KEY, SECRET_KEY)

    async def _keep(self, form: FormData, cid_version: str, name: str) -> Upload:
        file = form["file"]
        assert isinstance(file, UploadFile)
        data = await file.read()
        cid = str(import_bytes(data, PROFILES[cid_version]).cid)
        upload = Upload(cid, name, file.content_type or "", data)
        self.uploads.append(upload)
        return upload

    async def _keep_folder(self, form: FormData, cid_version: str, name: str) -> Upload:
        files: dict[str, bytes] = {}
        for file in form.getlist("file"):
            assert isinstance(file, UploadFile)
            folder, _, path = (file.filename or "").partition("/")
            assert folder == "metadata"
            files[path] = await file.read()
        upload = Upload(str(import_tree(files, PROFILES[cid_version]).cid), name, "", b"".join(files.values()))
        self.uploads.append(upload)
        return upload


def _error(status: int, reason: str) -> Response:
    return JSONResponse({"error": {"reason": reason, "details": reason}}, status_code=status)
