"""`/api/upload`: files for IPFS (source document, section 2)."""

from typing import Literal

from fastapi import APIRouter, Depends, Request

from contracts.access import Scope
from services.gateway.api.admission import let_go
from services.gateway.api.auth import Access
from services.gateway.api.body import received
from services.gateway.api.documentation import errors, upload_body
from services.gateway.api.responses import Answer, Success
from services.gateway.uploading import Uploaded, Uploading


class UploadView(Answer):
    """One file. `queued` is pinned by itself later; its hash is final, because it follows from the bytes alone."""

    filename: str
    ipfs_hash: str
    ipfs_uri: str
    gateway_url: str
    size: int
    """Bytes."""
    status: Literal["queued", "pinned"]


class UploadsView(Answer):
    """The files in the order in which they came, the metadata last."""

    uploads: list[UploadView]


def upload_router(uploading: Uploading, gateway_url: str, access: Access) -> APIRouter:
    """Return the routes of the noun; `gateway_url` is where callers can look at what is pinned."""
    uploader = Depends(access.permit(Scope.MINT, "upload"))
    router = APIRouter(prefix="/api/upload", tags=["upload"], dependencies=[uploader])

    @router.post(
        "/ipfs",
        responses=errors(400, 401, 413, 415, 503),
        openapi_extra=upload_body(),
        response_model_exclude_none=True,
    )
    async def upload_ipfs(request: Request) -> Success[UploadsView]:  # pyright: ignore[reportUnusedFunction]
        """Put images, and metadata, on IPFS. The same bytes are one upload, however often they are sent."""
        async with received(request, file_field="files", json_fields=()) as body:
            wanted = await uploading.request(body.fields, body.files)
        let_go(request)  # from here on it waits for the pinning services, which may be away
        uploaded = await uploading.settled(wanted)
        return Success(data=UploadsView(uploads=[_view(one, gateway_url.rstrip("/")) for one in uploaded]))

    return router


def _view(one: Uploaded, gateway_url: str) -> UploadView:
    return UploadView(
        filename=one.filename,
        ipfs_hash=one.cid,
        ipfs_uri=one.uri,
        gateway_url=f"{gateway_url}/ipfs/{one.cid}",
        size=one.size,
        status=one.status,
    )
