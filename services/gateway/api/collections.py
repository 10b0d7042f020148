"""`/api/collections`: list them, look at one, ask for a new one with its tree (source document, section 2)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.body import received
from services.gateway.api.collection_views import CollectionDetailView, DriftView, EstimateView, ImportRequestedView
from services.gateway.api.documentation import body_of, errors, json_body_of
from services.gateway.api.identifiers import collection_id
from services.gateway.api.listings import SyncView, UpdatedView
from services.gateway.api.mint import IdempotencyKey
from services.gateway.api.responses import CollectionListView, CollectionRequestedView, Success
from services.gateway.callers import Caller
from services.gateway.curating import Curating
from services.gateway.estimates import estimate
from services.gateway.handlers import Collections
from services.gateway.importing import Importing
from services.gateway.ports import CollectionQuery, CollectionState
from services.gateway.requests import CollectionBody, CollectionFlagsBody, EstimateBody, ImportBody, read_body
from services.gateway.texts import DIGITS, Truth

MAX_PAGE = 1_000_000
MAX_LIMIT = 100

_JSON = ("tree",)


def collections_router(collections: Collections, curating: Curating, importing: Importing, access: Access) -> APIRouter:
    """Return the routes of the noun."""
    router = APIRouter(prefix="/api/collections", tags=["collections"])
    reader, admin = Depends(access.permit(Scope.READ)), Depends(access.permit(Scope.ADMIN))

    @router.get("", responses=errors(400, 401, 503), dependencies=[reader], response_model_exclude_none=True)
    async def list_collections(  # pyright: ignore[reportUnusedFunction]
        status: CollectionState | None = None,
        allow_minting: Annotated[Truth | None, Query(alias="allowMinting")] = None,
        page: Annotated[int, Field(ge=1, le=MAX_PAGE), DIGITS] = 1,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), DIGITS] = 20,
    ) -> Success[CollectionListView]:
        """List the collections that are on chain, the newest first."""
        query = CollectionQuery(status=status, allow_minting=allow_minting, page=page, limit=limit)
        return Success(data=CollectionListView.of(await collections.page(query), query))

    @router.get(
        "/{id}",
        responses=errors(401, 404, 503),
        dependencies=[reader],
        response_model_exclude_none=True,
    )
    async def one_collection(id: str) -> Success[CollectionDetailView]:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Look at one collection, also while it is being made or when that failed."""
        return Success(data=CollectionDetailView.of(await collections.one(collection_id(id))))

    @router.get(
        "/{id}/drift",
        responses=errors(400, 401, 404, 503),
        dependencies=[admin],
        response_model_exclude_none=True,
    )
    async def collection_drift(  # pyright: ignore[reportUnusedFunction]
        id: str,  # noqa: A002
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), DIGITS] = 10,
    ) -> Success[DriftView]:
        """See how a collection compares with the chain, and what differed before."""
        return Success(data=DriftView.of(await collections.drifts(collection_id(id), limit)))

    @router.patch(
        "/{id}",
        responses=errors(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body_of(CollectionFlagsBody),
        dependencies=[admin],
        response_model_exclude_none=True,
    )
    async def update_collection(request: Request, id: str) -> Success[CollectionDetailView]:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Set the flags of a collection on chain. A mint that is asked for after the answer obeys them."""
        collection = collection_id(id)
        async with received(request, file_field="", json_fields=()) as body:
            await curating.update(collection, body.fields)
        updated = await collections.on_log(collection)
        return Success(data=CollectionDetailView.of(updated), message="Collection updated successfully")

    @router.post(
        "/estimate",
        responses=errors(400, 401, 413, 415),
        openapi_extra=json_body_of(EstimateBody),
        dependencies=[reader],
        response_model_exclude_none=True,
    )
    async def estimate_collection(request: Request) -> Success[EstimateView]:  # pyright: ignore[reportUnusedFunction]
        """See what a collection would cost, before anything is made or paid: rents, fees and transactions."""
        async with received(request, file_field="", json_fields=_JSON) as body:
            found = estimate(read_body(EstimateBody, body.fields))
        return Success(data=EstimateView.of(found))

    @router.post(
        "/import",
        status_code=202,
        responses=errors(400, 401, 409, 413, 415, 503),
        openapi_extra=json_body_of(ImportBody),
        dependencies=[admin],
        response_model_exclude_none=True,
    )
    async def import_collection(request: Request) -> Success[ImportRequestedView]:  # pyright: ignore[reportUnusedFunction]
        """Take over a collection that is on chain already: it is read and judged, and nothing is signed for it.

        While it is under way, asking again changes nothing; after it failed, it is tried anew.
        """
        async with received(request, file_field="", json_fields=()) as body:
            requested = await importing.request(body.fields)
        return Success(data=ImportRequestedView.of(requested), message="Import queued successfully")

    @router.post("/sync/{id}", responses=errors(401, 404, 503), dependencies=[admin], response_model_exclude_none=True)
    async def sync_collection(id: str) -> Success[SyncView]:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Have a collection counted on chain now."""
        counted = await curating.sync(collection_id(id))
        updated = UpdatedView(minted=counted.minted, capacity=counted.capacity, has_valid_tree=counted.has_valid_tree)
        return Success(data=SyncView(updated=updated), message="Collection synchronized successfully")

    @router.post(
        "",
        status_code=202,
        responses=errors(400, 401, 409, 413, 415, 503),
        openapi_extra=body_of(CollectionBody, file_field="image", many=False, json_fields=_JSON),
        response_model_exclude_none=True,
    )
    async def request_collection(  # pyright: ignore[reportUnusedFunction]
        request: Request, caller: Annotated[Caller, admin], key: IdempotencyKey = None
    ) -> Success[CollectionRequestedView]:
        """Ask for a collection and its merkle tree."""
        async with received(request, file_field="image", json_fields=_JSON) as body:
            requested = await collections.request(body.fields, body.files, caller.name, key)
        return Success(data=CollectionRequestedView.of(requested), message="Collection queued successfully")

    return router
