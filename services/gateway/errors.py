"""Every refusal that a caller can meet, as an exception that knows its own HTTP answer.

Raised by the parsing, the domain and the handlers; `api/failures.py` turns them into the one error body. One class for
each thing that a caller has to do differently; nothing here holds a secret, a path or a driver's text.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import msgspec

SCHEMES: Final = 'ApiKey realm="mintstream", header="X-API-Key", Bearer realm="mintstream"'
"""How callers can show who they are, for `WWW-Authenticate`."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request, and where."""

    field: str
    """Path in the request, such as `nfts[3].name`; empty when it is the body as a whole."""
    message: str


class ApiError(Exception):
    """The request is answered with `status` and says why."""

    status: ClassVar[int]
    code: ClassVar[str]
    """Stable; clients branch on it."""

    def __init__(
        self, message: str, problems: Sequence[Problem] = (), *, data: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        self.data = dict(data) if data is not None else None

    @property
    def headers(self) -> dict[str, str]:
        """Extra response headers."""
        return {}


class ValidationFailed(ApiError):
    """The request does not say something that can be minted; `problems` has all that was found."""

    status = 400
    code = "validation_failed"

    def __init__(self, problems: Sequence[Problem], message: str = "Validation failed") -> None:
        super().__init__(message, problems)


class MalformedBody(ApiError):
    """The body is not JSON or not a form."""

    status = 400
    code = "malformed_body"


class UploadRefused(ApiError):
    """Files that can never be pinned as they are; `problems` names them."""

    status = 400
    code = "upload_refused"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("Upload refused", problems)


class Unauthorized(ApiError):
    """The API key or bearer token is missing, wrong, expired or revoked; which of these is not told."""

    status = 401
    code = "unauthorized"

    def __init__(self, shown: Literal["X-API-Key", "Authorization"] = "X-API-Key") -> None:
        """`shown` is the header that the caller relied on."""
        cure = "send a key that is in force, or a token as Authorization: Bearer"
        if shown == "Authorization":
            cure = "send a token that is in force; an API key goes into X-API-Key"
        super().__init__("Unauthorized", [Problem(shown, cure)])

    @property
    def headers(self) -> dict[str, str]:
        """The schemes, which RFC 9110 asks for with every 401."""
        return {"WWW-Authenticate": SCHEMES}


class SignInRefused(ApiError):
    """What a wallet has signed is no sign-in to this service, or not any more."""

    status = 401
    code = "sign_in_refused"

    def __init__(self, problem: Problem) -> None:
        super().__init__("Sign-in refused", [problem])

    @property
    def headers(self) -> dict[str, str]:
        """The schemes, as with every 401."""
        return {"WWW-Authenticate": SCHEMES}


class Forbidden(ApiError):
    """The caller is known, and may not do this."""

    status = 403
    code = "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__("Forbidden", [Problem("", f"needs the scope {scope}")])


class WebhookNotFound(ApiError):
    """The caller has no webhook of this id."""

    status = 404
    code = "webhook_not_found"

    def __init__(self) -> None:
        super().__init__("Webhook not found", [Problem("id", "no webhook of yours has this id")])


class DeadLetterNotFound(ApiError):
    """No dead letter has this number."""

    status = 404
    code = "dead_letter_not_found"

    def __init__(self) -> None:
        super().__init__("Dead letter not found", [Problem("letter", "no dead letter has this number")])


class DeadLetterDecided(ApiError):
    """The letter was replayed or dropped already."""

    status = 409
    code = "dead_letter_decided"

    def __init__(self) -> None:
        super().__init__("It was decided about this dead letter already")


class DeadLetterSuperseded(ApiError):
    """The log has gone on without the letter's message: saying it again would undo what came later."""

    status = 409
    code = "dead_letter_superseded"

    def __init__(self, reason: str) -> None:
        super().__init__("The log has gone on without this message", [Problem("letter", reason)])


class TooManyWebhooks(ApiError):
    """The caller, or everybody together, has as many webhooks as there may be."""

    status = 409
    code = "too_many_webhooks"

    def __init__(self) -> None:
        super().__init__("Too many webhooks; delete one first")


class SignInNotOffered(ApiError):
    """This gateway was not set up for sign-ins."""

    status = 404
    code = "sign_in_not_offered"

    def __init__(self) -> None:
        super().__init__("Sign-in is not offered here", [Problem("", "use an API key")])


class RequestTimeout(ApiError):
    """The body comes too slowly."""

    status = 408
    code = "request_timeout"

    def __init__(self) -> None:
        super().__init__("The request body came too slowly")

    @property
    def headers(self) -> dict[str, str]:
        """The rest of the body is not waited for."""
        return {"Connection": "close"}


class RateLimited(ApiError):
    """The caller has used up what it may ask for in this stretch of time."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str, rule: str, retry_after: int) -> None:
        super().__init__(message, [Problem("", f"{rule}; try again in {retry_after} seconds")])
        self._retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """When the next stretch begins, in seconds."""
        return {"Retry-After": str(self._retry_after)}


class CollectionNotFound(ApiError):
    """No such collection, or it takes no mints; which of the two is not told apart, as the document has it."""

    status = 404
    code = "collection_not_found"

    def __init__(
        self,
        message: str = "Collection not found or minting disabled",
        problem: str = "no collection of this id takes mints: GET /api/collections/{id} tells stage and allowMinting",
    ) -> None:
        super().__init__(message, [Problem("collectionId", problem)])


class OperationNotFound(ApiError):
    """No operation has this id."""

    status = 404
    code = "operation_not_found"

    def __init__(self) -> None:
        super().__init__("Operation not found", [Problem("transactionId", "no operation has this id")])


class IdempotencyKeyReused(ApiError):
    """The key already stands for another request."""

    status = 409
    code = "idempotency_key_reused"

    def __init__(self, differing: Sequence[str]) -> None:
        super().__init__(
            "Idempotency-Key was used before with a different request",
            [Problem(field, "differs from the request that first used this Idempotency-Key") for field in differing],
        )


class CollectionExists(ApiError):
    """The collection at this address is known already; `data` has its id."""

    status = 409
    code = "collection_exists"

    def __init__(self, collection: str) -> None:
        super().__init__(
            "Collection is known already",
            [Problem("collectionAddress", "is that of a collection that was made or imported here")],
            data={"id": collection},
        )


class OperationEnded(ApiError):
    """The operation is over: there is nothing left to cancel."""

    status = 409
    code = "operation_ended"

    def __init__(self) -> None:
        super().__init__("Operation has already ended", [Problem("transactionId", "the operation has already ended")])


class EventsArchived(ApiError):
    """Events of the operation have left the log for the archive: webhooks cannot be told of them any more."""

    status = 409
    code = "events_archived"

    def __init__(self) -> None:
        super().__init__("Events of this operation have left the log; its timeline tells them")


class OperationRunning(ApiError):
    """The operation is not over: which of its items fail is not known yet."""

    status = 409
    code = "operation_running"

    def __init__(self) -> None:
        super().__init__(
            "Operation has not ended yet", [Problem("transactionId", "wait for its end, or cancel it first")]
        )


class NothingToRetry(ApiError):
    """No item of the operation has failed."""

    status = 409
    code = "nothing_to_retry"

    def __init__(self) -> None:
        super().__init__(
            "No item of the operation has failed",
            [Problem("transactionId", "only items that failed, and were not cancelled, are minted anew")],
        )


class BodyTooLarge(ApiError):
    """The body, one file of it, or the request as a message is over its limit."""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(ApiError):
    """The body is neither JSON nor a form."""

    status = 415
    code = "unsupported_media_type"

    def __init__(self, received: str) -> None:
        super().__init__(
            "Unsupported media type",
            [Problem("Content-Type", f"send application/json or multipart/form-data, not {received or 'nothing'}")],
        )


class Unavailable(ApiError):
    """Something that this answer needs does not answer now; the same request may succeed later."""

    status = 503
    code = "unavailable"
    retry_after: ClassVar[int] = 2
    """Seconds."""

    @property
    def headers(self) -> dict[str, str]:
        """When to try again."""
        return {"Retry-After": str(self.retry_after)}


NOTHING_STORED: Final = "The event log does not answer; nothing was stored"


class LogSilent(Unavailable):
    """The log did not acknowledge: nothing is known to be stored, and nothing is known not to be."""

    code = "log_unavailable"


class ChainSilent(Unavailable):
    """The chain could not be read in time. A count that was asked for is still made."""

    code = "chain_unavailable"


class ReplayPending(Unavailable):
    """No indexer has replayed the dead letter yet; one will, because it is asked for on the log."""

    code = "replay_pending"

    def __init__(self) -> None:
        super().__init__("No indexer has replayed the dead letter yet; it is asked for, look at the letter later")


class TooManyFollowers(Unavailable):
    """This process streams to as many callers as it can."""

    code = "too_many_streams"
    retry_after = 10


class Overloaded(Unavailable):
    """This process works on as many requests as it can; this one was not looked at."""

    code = "overloaded"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("Too many requests are being answered; nothing was stored")


class ProjectionDown(Unavailable):
    """The database that lists are read from does not answer; minting goes on without it."""

    code = "database_unavailable"
