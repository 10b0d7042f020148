"""`/api/collections`: list them, look at one, ask for a new one with its tree (source document, section 2)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from services.gateway.api.auth import Authenticator
from services.gateway.api.body import received
from services.gateway.api.documentation import body_of, errors
from services.gateway.api.mint import IdempotencyKey
from services.gateway.api.responses import CollectionDetailView, CollectionListView, CollectionRequestedView, Success
from services.gateway.errors import CollectionNotFound
from services.gateway.handlers import Collections
from services.gateway.ports import CollectionQuery, CollectionState
from services.gateway.requests import CollectionBody
from services.gateway.texts import DIGITS, Truth, uuid_of_text

MAX_PAGE = 1_000_000
MAX_LIMIT = 100

_JSON = ("tree",)


def collections_router(collections: Collections, authenticate: Authenticator) -> APIRouter:
    """Return the routes of the noun."""
    router = APIRouter(prefix="/api/collections", tags=["collections"])
    caller_name = Depends(authenticate)

    @router.get("", responses=errors(400, 401, 503), dependencies=[caller_name], response_model_exclude_none=True)
    async def list_collections(  # pyright: ignore[reportUnusedFunction]
        status: CollectionState | None = None,
        allow_minting: Annotated[Truth | None, Query(alias="allowMinting")] = None,
        page: Annotated[int, DIGITS, Field(ge=1, le=MAX_PAGE)] = 1,
        limit: Annotated[int, DIGITS, Field(ge=1, le=MAX_LIMIT)] = 20,
    ) -> Success[CollectionListView]:
        """List the collections that are on chain, the newest first."""
        query = CollectionQuery(status=status, allow_minting=allow_minting, page=page, limit=limit)
        return Success(data=CollectionListView.of(await collections.page(query), query))

    @router.get(
        "/{id}",
        responses=errors(401, 404, 503),
        dependencies=[caller_name],
        response_model_exclude_none=True,
    )
    async def one_collection(id: str) -> Success[CollectionDetailView]:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Look at one collection, also while it is being made or when that failed."""
        try:
            collection = uuid_of_text(id)
        except ValueError:  # stop: what is no UUID is no collection either
            raise CollectionNotFound("Collection not found") from None
        return Success(data=CollectionDetailView.of(await collections.one(collection)))

    @router.post(
        "",
        status_code=202,
        responses=errors(400, 401, 409, 413, 415, 503),
        openapi_extra=body_of(CollectionBody, file_field="image", many=False, json_fields=_JSON),
        response_model_exclude_none=True,
    )
    async def request_collection(  # pyright: ignore[reportUnusedFunction]
        request: Request, caller: Annotated[str, caller_name], key: IdempotencyKey = None
    ) -> Success[CollectionRequestedView]:
        """Ask for a collection and its merkle tree."""
        async with received(request, file_field="image", json_fields=_JSON) as body:
            requested = await collections.request(body.fields, body.files, caller, key)
        return Success(data=CollectionRequestedView.of(requested), message="Collection queued successfully")

    return router
