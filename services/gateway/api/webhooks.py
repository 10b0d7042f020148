"""`/api/webhooks`: addresses that events are sent to, their secrets, and what became of each delivery. For admins."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from contracts.access import Scope
from contracts.webhook import DeliveryState
from services.gateway.api.auth import Access
from services.gateway.api.body import received
from services.gateway.api.documentation import errors, json_body_of
from services.gateway.api.identifiers import webhook_id
from services.gateway.api.responses import Done, Success
from services.gateway.api.webhook_views import (
    DeliveryIdView,
    DeliveryListView,
    ReplayIdView,
    WebhookListView,
    WebhookSecretView,
    WebhookView,
)
from services.gateway.callers import Caller
from services.gateway.texts import DIGITS, Moment
from services.gateway.webhook_requests import ReplayBody, RotationBody, WebhookBody, WebhookChangesBody
from services.gateway.webhooks import Webhooks

MAX_LIMIT = 100
MAX_SEQUENCE = 2**63 - 1

ONE = errors(401, 404, 503)
CHANGE = errors(400, 401, 404, 413, 415, 503)


def webhooks_router(webhooks: Webhooks, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])
    admin = Depends(access.permit(Scope.ADMIN))

    @router.post(
        "",
        status_code=201,
        responses=errors(400, 401, 409, 413, 415, 503),
        openapi_extra=json_body_of(WebhookBody),
        response_model_exclude_none=True,
    )
    async def create_webhook(request: Request, caller: Annotated[Caller, admin]) -> Success[WebhookSecretView]:  # pyright: ignore[reportUnusedFunction]
        """Make a webhook. Its secret is in this answer and in no other."""
        async with received(request, file_field="", json_fields=()) as body:
            webhook, secret = await webhooks.create(body.fields, caller)
        return Success(data=WebhookSecretView.of(webhook, secret))

    @router.get("", responses=errors(401, 503), response_model_exclude_none=True)
    async def list_webhooks(caller: Annotated[Caller, admin]) -> Success[WebhookListView]:  # pyright: ignore[reportUnusedFunction]
        """List one's webhooks, the oldest first."""
        return Success(data=WebhookListView.of(await webhooks.all_of(caller)))

    @router.get("/{id}", responses=ONE, response_model_exclude_none=True)
    async def one_webhook(id: str, caller: Annotated[Caller, admin]) -> Success[WebhookView]:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Look at one webhook."""
        return Success(data=WebhookView.of(await webhooks.one(webhook_id(id), caller)))

    @router.patch(
        "/{id}",
        responses=CHANGE,
        openapi_extra=json_body_of(WebhookChangesBody),
        response_model_exclude_none=True,
    )
    async def update_webhook(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        id: str,  # noqa: A002
        caller: Annotated[Caller, admin],
    ) -> Success[WebhookView]:
        """Change a webhook, switch it off, or on again after its receiver had answered 410."""
        webhook = webhook_id(id)
        async with received(request, file_field="", json_fields=()) as body:
            return Success(data=WebhookView.of(await webhooks.update(webhook, body.fields, caller)))

    @router.delete("/{id}", responses=ONE)
    async def delete_webhook(id: str, caller: Annotated[Caller, admin]) -> Done:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Delete a webhook; what waits for it is not sent any more."""
        await webhooks.delete(webhook_id(id), caller)
        return Done(message="Webhook deleted")

    @router.post(
        "/{id}/rotate",
        responses=CHANGE,
        openapi_extra=json_body_of(RotationBody),
        response_model_exclude_none=True,
    )
    async def rotate_webhook_secret(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        id: str,  # noqa: A002
        caller: Annotated[Caller, admin],
    ) -> Success[WebhookSecretView]:
        """Give a webhook a new secret, told this once; the old one signs beside it for `overlapSeconds`."""
        webhook = webhook_id(id)
        async with received(request, file_field="", json_fields=()) as body:
            rotated, secret = await webhooks.rotate(webhook, body.fields, caller)
        return Success(data=WebhookSecretView.of(rotated, secret))

    @router.post("/{id}/test", status_code=202, responses=ONE, response_model_exclude_none=True)
    async def test_webhook(id: str, caller: Annotated[Caller, admin]) -> Success[DeliveryIdView]:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        """Send a `webhook.test` event; the deliveries tell how it went."""
        delivery = await webhooks.test(webhook_id(id), caller)
        return Success(data=DeliveryIdView(delivery_id=str(delivery)))

    @router.post(
        "/{id}/replay",
        status_code=202,
        responses=errors(400, 401, 404, 409, 413, 415, 503),
        openapi_extra=json_body_of(ReplayBody),
        response_model_exclude_none=True,
    )
    async def replay_webhook(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        id: str,  # noqa: A002
        caller: Annotated[Caller, admin],
    ) -> Success[ReplayIdView]:
        """Send past events once more, with the ids they had: those of one operation, or of a time."""
        webhook = webhook_id(id)
        async with received(request, file_field="", json_fields=()) as body:
            replay = await webhooks.replay(webhook, body.fields, caller)
        return Success(data=ReplayIdView(replay_id=str(replay)))

    @router.get("/{id}/deliveries", responses=errors(400, 401, 404, 503), response_model_exclude_none=True)
    async def list_deliveries(  # pyright: ignore[reportUnusedFunction]
        id: str,  # noqa: A002
        caller: Annotated[Caller, admin],
        state: Literal["delivered", "parked"] | None = None,
        since: Annotated[Moment | None, Query(description="Nothing from before; not beside `cursor`.")] = None,
        cursor: Annotated[int, Field(ge=0, le=MAX_SEQUENCE), DIGITS] = 0,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), DIGITS] = 20,
    ) -> Success[DeliveryListView]:
        """List what was queued for a webhook and how it stands, or only what was delivered or parked."""
        wanted = None if state is None else DeliveryState(state)
        page = await webhooks.deliveries(webhook_id(id), caller, wanted, since, cursor, limit)
        return Success(data=DeliveryListView.of(page))

    return router
