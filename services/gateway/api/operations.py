"""`/api/mint`: operations as a list, event by event, cancelled, and tried again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.cursors import read_cursor
from services.gateway.api.documentation import errors
from services.gateway.api.identifiers import operation_id
from services.gateway.api.listings import OperationListView, TimelineView
from services.gateway.api.responses import Done, MintBatchView, Success
from services.gateway.callers import Caller
from services.gateway.operations import Operations
from services.gateway.ports import OperationQuery, OperationState
from services.gateway.texts import DIGITS, Address, CollectionId, TransactionSignature

MAX_LIMIT = 100
MAX_EVENTS = 500
MAX_SEQUENCE = 2**63 - 1


def operations_router(operations: Operations, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/mint", tags=["mint"])
    reader, minter = Depends(access.permit(Scope.READ)), Depends(access.permit(Scope.MINT))
    retrier = Depends(access.permit(Scope.MINT, "mint"))

    @router.get("/operations", responses=errors(400, 401, 503), response_model_exclude_none=True)
    async def list_operations(  # pyright: ignore[reportUnusedFunction]
        caller: Annotated[Caller, reader],
        status: OperationState | None = None,
        collection: Annotated[CollectionId | None, Query(alias="collectionId")] = None,
        recipient: Address | None = None,
        asset: Annotated[Address | None, Query(alias="assetId")] = None,
        signature: TransactionSignature | None = None,
        cursor: Annotated[str | None, Query(max_length=64, description="The nextCursor of the page before.")] = None,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), DIGITS] = 20,
    ) -> Success[OperationListView]:
        """List one's operations, the newest first; an admin sees everybody's."""
        query = OperationQuery(
            caller=caller.only,
            status=status,
            collection=collection,
            recipient=recipient,
            asset=asset,
            signature=signature,
            before=None if cursor is None else read_cursor(cursor),
            limit=limit + 1,
        )
        return Success(data=OperationListView.of(await operations.page(query), limit))

    @router.get(
        "/operations/{transactionId}/timeline", responses=errors(400, 401, 404, 503), response_model_exclude_none=True
    )
    async def mint_timeline(  # pyright: ignore[reportUnusedFunction]
        transactionId: str,  # noqa: N803
        caller: Annotated[Caller, reader],
        after: Annotated[int, Field(ge=0, le=MAX_SEQUENCE), DIGITS] = 0,
        limit: Annotated[int, Field(ge=1, le=MAX_EVENTS), DIGITS] = MAX_EVENTS,
    ) -> Success[TimelineView]:
        """Read every event of an operation as it is on the log, with its causes."""
        history = await operations.timeline(operation_id(transactionId), caller, after, limit)
        return Success(data=TimelineView.of(history, limit))

    @router.delete("/cancel/{transactionId}", responses=errors(401, 404, 409, 503))
    async def cancel_mint(  # pyright: ignore[reportUnusedFunction]
        transactionId: str,  # noqa: N803
        caller: Annotated[Caller, minter],
    ) -> Done:
        """Cancel an operation: what is not signed yet is not minted any more; what is signed is followed to its end."""
        await operations.cancel(operation_id(transactionId), caller)
        return Done(message="Operation cancelled successfully")

    @router.post("/retry/{transactionId}", responses=errors(401, 404, 409, 503), response_model_exclude_none=True)
    async def retry_mint(  # pyright: ignore[reportUnusedFunction]
        transactionId: str,  # noqa: N803
        caller: Annotated[Caller, retrier],
    ) -> Success[MintBatchView]:
        """Mint the failed items of an operation that has ended, as a new operation; asking again is the same one."""
        requested = await operations.retry(operation_id(transactionId), caller)
        return Success(data=MintBatchView.of(requested), message="Retry operation queued successfully")

    return router
