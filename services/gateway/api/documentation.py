"""What FastAPI cannot see by itself: bodies that are read as they stream in, errors that every route has, examples.

Used by the routers (`body_of`, `ERRORS`) and by `api/app.py` (`describe`).
"""

from pathlib import Path
from typing import Any, Final, cast

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.api.examples import every_example, examples_of
from services.gateway.api.responses import Failure
from services.gateway.api.webhook_document import webhook_document
from services.gateway.identity import IDEMPOTENCY_HEADER
from services.gateway.requests import (
    ChallengeBody,
    CollectionBody,
    CollectionFlagsBody,
    EstimateBody,
    ImportBody,
    LoginBody,
    MintBatchBody,
    MintSingleBody,
)
from services.gateway.webhook_requests import ReplayBody, RotationBody, WebhookBody, WebhookChangesBody

Json = dict[str, Any]

BODIES: tuple[type[BaseModel], ...] = (
    MintSingleBody,
    MintBatchBody,
    CollectionBody,
    CollectionFlagsBody,
    EstimateBody,
    ImportBody,
    ChallengeBody,
    LoginBody,
    WebhookBody,
    WebhookChangesBody,
    RotationBody,
    ReplayBody,
)
_JSON = "application/json"
_EXAMPLES: Final[Json] = msgspec.json.decode(Path(__file__).with_name("examples.json").read_bytes())
"""By operationId: the example of a request, and named examples of every answer that is no error."""
_PARAMETERS: Final = {
    "transactionId": "The operation's id, as the answer to the mint told it.",
    "id": "The id of the collection or webhook.",
    "letter": "The number of the dead letter.",
    "status": "Only those with this status.",
    "state": "Only those that ended like this.",
    "collectionId": "Only those of this collection.",
    "recipient": "Only those for this wallet.",
    "assetId": "Only the one that minted this NFT.",
    "signature": "Only the one whose NFTs this transaction minted.",
    "allowMinting": "Only those that take mints now, or only those that do not.",
    "cursor": "The `nextCursor` of the page before.",
    "page": "Which page, from 1.",
    "limit": "Most entries of a page.",
    "after": "Only what stands behind this sequence of the log.",
}
_COMPONENT = "#/components/schemas/{model}"
_MEANINGS = {
    400: "The request is malformed or does not pass validation; `details` names every field.",
    401: "The API key or bearer token is missing, wrong, expired or revoked.",
    403: "The caller may not do this: `details` names the scope that it lacks.",
    404: "There is no such thing, or it takes no requests.",
    408: "The body came too slowly.",
    409: "The request is at odds with what is on the log; `code` and `details` say how.",
    413: "The body, a file, or the request as a whole is too large.",
    415: "The body is neither JSON nor a form.",
    429: "Too many requests; try again after `Retry-After` seconds. `RateLimit` tells what is left.",
    500: "A mistake of ours; `requestId` finds it in the logs.",
    503: "Something that is needed does not answer, or too much is asked; try again after `Retry-After` seconds.",
}


_FILES: Final = ("mint_single", "mint_batch", "request_collection")
_LETTER: Final = ("one_dead_letter", "replay_dead_letter", "drop_dead_letter")
_WEBHOOK: Final = (
    *("one_webhook", "update_webhook", "delete_webhook", "rotate_webhook_secret"),
    *("test_webhook", "replay_webhook", "list_deliveries"),
)
_OPERATION: Final = (
    *("mint_status", "mint_timeline", "mint_events", "cancel_mint", "retry_mint"),
    *("audit_operation", "replay_webhook"),
)
_COLLECTION: Final = (
    *("mint_single", "mint_batch", "retry_mint"),
    *("one_collection", "update_collection", "collection_drift", "sync_collection"),
)
ONLY_OF: Final[dict[str, tuple[str, ...]]] = {
    "chain_unavailable": ("sync_collection", "audit_operation"),
    "collection_exists": ("import_collection",),
    "collection_not_found": _COLLECTION,
    "dead_letter_decided": _LETTER,
    "dead_letter_not_found": _LETTER,
    "dead_letter_superseded": _LETTER,
    "events_archived": ("replay_webhook",),
    "idempotency_key_reused": _FILES,
    "nothing_to_retry": ("retry_mint",),
    "operation_ended": ("cancel_mint",),
    "operation_not_found": _OPERATION,
    "operation_running": ("retry_mint",),
    "replay_pending": _LETTER,
    "sign_in_not_offered": ("challenge", "login"),
    "sign_in_refused": ("challenge", "login"),
    "too_many_streams": ("mint_events",),
    "too_many_webhooks": ("create_webhook",),
    "upload_refused": (*_FILES, "upload_ipfs"),
    "webhook_not_found": _WEBHOOK,
}
"""By an error's code, the operationIds of those that answer it; what is not named here any of them may."""
_ALONGSIDE = {401: (403, 429), 413: (408,)}
"""What every route with a caller, and every route with a body, can answer beside what it names."""


def errors(*statuses: int) -> dict[int | str, Json]:
    """Return the error answers of a route, for its `responses`."""
    implied = [other for status in statuses for other in _ALONGSIDE.get(status, ())]
    return {
        status: {
            "model": Failure,
            "description": _MEANINGS[status],
            "content": {"application/json": {"examples": examples_of(status)}},
        }
        for status in sorted({*statuses, *implied, 500, 503})
    }


def body_of(model: type[BaseModel], *, file_field: str, many: bool, json_fields: tuple[str, ...]) -> Json:
    """Return a route's `openapi_extra`: the body as JSON, or as a form with files, and the idempotency key."""
    reference = {"$ref": _COMPONENT.format(model=model.__name__)}
    file: Json = {"type": "string", "format": "binary", "description": "PNG, JPEG, GIF or WebP, at most 10 MiB."}
    properties: Json = {
        (field.alias or name): {"type": "string", "description": "A JSON text." if name in json_fields else "As text."}
        for name, field in model.model_fields.items()
    }
    properties[file_field] = {"type": "array", "items": file} if many else file
    required = [field.alias or name for name, field in model.model_fields.items() if field.is_required()]
    form = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    encoding = {name: {"contentType": "application/json"} for name in json_fields}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": reference},
                "multipart/form-data": {"schema": form, "encoding": encoding},
            },
        },
        "parameters": [
            {
                "name": IDEMPOTENCY_HEADER,
                "in": "header",
                "required": False,
                "description": "Makes a repetition safe: one key with one request is one operation, for ever.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        ],
    }


def json_body_of(model: type[BaseModel]) -> Json:
    """Return a route's `openapi_extra`: the body as JSON."""
    schema = {"$ref": _COMPONENT.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def upload_body() -> Json:
    """Return the `openapi_extra` of uploads: files, and a JSON document as text."""
    properties: Json = {
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "metadata": {"type": "string", "description": "A JSON object as text; it becomes a file of its own."},
    }
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def describe(app: FastAPI) -> None:
    """Give `app` an OpenAPI document with the bodies' schemas among its components, and with examples."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, definitions = models_json_schema([(body, "validation") for body in BODIES], ref_template=_COMPONENT)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas |= cast("Json", definitions["$defs"])
            document["webhooks"], events = webhook_document()
            schemas |= events
            document["components"]["examples"] = every_example()
            # FastAPI describes its own validation errors, which this API answers in its own shape.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path in document["paths"].values():
                for operation in path.values():
                    _complete(operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi


def _complete(operation: Json) -> None:
    """Take out what is never answered, and put in the examples and the parameters' meanings."""
    operation["responses"].pop("422", None)
    name = operation["operationId"]
    for answer in operation["responses"].values():
        for content in answer.get("content", {}).values():
            told: Json = content.get("examples", {})
            for code in [code for code in told if name not in ONLY_OF.get(code, (name,))]:
                del told[code]
    for parameter in operation.get("parameters", []):
        if meaning := _PARAMETERS.get(parameter["name"]):
            parameter.setdefault("description", meaning)
    shown = _EXAMPLES.get(name, {})
    body = operation.get("requestBody", {}).get("content", {}).get(_JSON)
    if body is not None and "request" in shown:
        body["examples"] = {"request": {"value": shown["request"]}}
    for status, examples in shown.get("answers", {}).items():
        for content in operation["responses"][status].get("content", {}).values():
            content["examples"] = {name: {"value": value} for name, value in examples.items()}
