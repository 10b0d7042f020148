"""The bodies of `/api/webhooks`, field by field. Pure."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from contracts.notification import EVENT_TYPES
from contracts.webhook import MAX_EVENT_FILTERS
from services.gateway.requests import Body
from services.gateway.texts import DIGITS, Moment, Truth, WebUrl, storable, uuid_of_text

MAX_OVERLAP_SECONDS = 604_800
DEFAULT_OVERLAP_SECONDS = 86_400


def event_filter(text: str) -> str:
    """Refuse what no event type can match."""
    nouns = {f"{name.split('.', 1)[0]}.*" for name in EVENT_TYPES}
    if text != "*" and text not in EVENT_TYPES and text not in nouns:
        raise ValueError(f"must be *, one of {', '.join(sorted(nouns))}, or one of {', '.join(sorted(EVENT_TYPES))}")
    return text


def hook_url(text: str) -> str:
    """Refuse addresses with credentials in them: they would stand on the log in clear."""
    if "@" in text.split("://", 1)[1].split("/", 1)[0]:
        raise ValueError("must not have credentials in it")
    return text


EventFilter = Annotated[str, AfterValidator(event_filter), Field(max_length=64)]
EventFilters = Annotated[list[EventFilter], Field(min_length=1, max_length=MAX_EVENT_FILTERS)]
EVERYTHING: list[str] = ["*"]
HookUrl = Annotated[WebUrl, AfterValidator(hook_url)]
Note = Annotated[str, Field(max_length=200), AfterValidator(storable)]


class WebhookBody(Body):
    """`POST /api/webhooks`."""

    url: HookUrl
    events: EventFilters = EVERYTHING
    description: Note = ""
    all_callers: Truth = False
    """Events of everybody's operations, not of one's own only."""


class WebhookChangesBody(Body):
    """`PATCH /api/webhooks/{id}`; what is left out stays as it is."""

    url: HookUrl | None = None
    events: EventFilters | None = None
    description: Note | None = None
    all_callers: Truth | None = None
    active: Truth | None = None
    """false: send nothing until it is true again."""


class RotationBody(Body):
    """`POST /api/webhooks/{id}/rotate`."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS), DIGITS] = DEFAULT_OVERLAP_SECONDS
    """For how long the old secret signs beside the new one."""


class ReplayBody(Body):
    """`POST /api/webhooks/{id}/replay`: one operation, or a time."""

    transaction_id: Annotated[UUID, BeforeValidator(uuid_of_text)] | None = None
    since: Moment | None = None
    until: Moment | None = None
