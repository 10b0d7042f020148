"""One example of every error that an answer of a given status can be, for the OpenAPI document.

Made from the error classes, so that no code is forgotten. Used by `documentation.py`.
"""

from collections.abc import Iterator
from typing import Any, Final

from services.gateway.api.failures import PLAIN
from services.gateway.errors import (
    ApiError,
    BodyTooLarge,
    ChainSilent,
    CollectionExists,
    CollectionNotFound,
    DeadLetterDecided,
    DeadLetterNotFound,
    DeadLetterSuperseded,
    EventsArchived,
    Forbidden,
    IdempotencyKeyReused,
    LogSilent,
    MalformedBody,
    NothingToRetry,
    OperationEnded,
    OperationNotFound,
    OperationRunning,
    Overloaded,
    Problem,
    ProjectionDown,
    RateLimited,
    ReplayPending,
    RequestTimeout,
    SignInNotOffered,
    SignInRefused,
    TooManyFollowers,
    TooManyWebhooks,
    Unauthorized,
    UnsupportedMediaType,
    UploadRefused,
    ValidationFailed,
    WebhookNotFound,
)

Json = dict[str, Any]

REQUEST_ID: Final = "0199d1a0-0000-7000-8000-000000000003"

ERRORS: Final[tuple[ApiError, ...]] = (
    ValidationFailed([Problem("recipient", "must be a Solana address: 32 bytes in base58")]),
    MalformedBody("Malformed JSON", [Problem("nfts", "is not JSON: malformed (byte 17)")]),
    UploadRefused([Problem("files[0]", "The image is refused. Send another.")]),
    Unauthorized(),
    SignInRefused(Problem("message", "is expired: ask for a new one")),
    Forbidden("admin"),
    SignInNotOffered(),
    WebhookNotFound(),
    TooManyWebhooks(),
    DeadLetterNotFound(),
    DeadLetterDecided(),
    DeadLetterSuperseded("something else was said on mint.pinned.v1 since: what the log says now counts"),
    RequestTimeout(),
    RateLimited("Too many mint requests", "10 in 900 seconds are allowed", 840),
    CollectionNotFound(),
    OperationNotFound(),
    IdempotencyKeyReused(["metadata.name"]),
    CollectionExists(REQUEST_ID),
    OperationEnded(),
    OperationRunning(),
    EventsArchived(),
    NothingToRetry(),
    BodyTooLarge("Request body too large", [Problem("", "the body is over 2097152 bytes")]),
    UnsupportedMediaType("text/plain"),
    LogSilent("The event log does not answer; nothing was stored"),
    ChainSilent("The chain was not counted in time; it will be, look at the collection later"),
    ReplayPending(),
    TooManyFollowers("Too many streams are open; try again later"),
    Overloaded(),
    ProjectionDown("The list is not available now; minting is not affected"),
)


def examples_of(status: int) -> Json:
    """Return the named examples of an answer with `status`, as OpenAPI's `examples`: each a reference."""
    return {body["code"]: {"$ref": f"#/components/examples/{body['code']}"} for body in _bodies(status)}


def every_example() -> Json:
    """Return what the references mean, for the document's `components`; a code is told with one status only."""
    statuses = sorted({error.status for error in ERRORS} | {500})
    return {body["code"]: {"value": body} for status in statuses for body in _bodies(status)}


def _bodies(status: int) -> Iterator[Json]:
    for error in ERRORS:
        if error.status == status:
            details = [{"field": problem.field, "message": problem.message} for problem in error.problems]
            yield _body(error.message, error.code, details)
    if status == 500:
        yield _body("Internal server error", "internal_error", [])
    if status in PLAIN:
        message, code, sentence = PLAIN[status]
        yield _body(message, code, [{"field": "", "message": sentence}])


def _body(error: str, code: str, details: list[Json]) -> Json:
    return {"success": False, "error": error, "details": details, "code": code, "requestId": REQUEST_ID}
