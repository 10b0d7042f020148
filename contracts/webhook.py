"""The facts of webhooks: addresses that callers want events sent to, and how each delivery goes.

`webhook.configured` (gateway; notifier for `WEBHOOK_URL` and to disable) holds the whole webhook; the newest counts.
`replay_requested` (gateway) asks for past events. `delivery.queued` (notifier; gateway for tests) says that an event is
to be sent to a webhook, `delivery.attempted` (notifier) how that stands after each attempt, and `delivery.parked`
(notifier) beside it that it was given up, so that these are found among however many others.

A *webhook* is one address with its filters and secrets. A *delivery* is one event on its way to one webhook. Deliveries
about one thing (`about`: an operation, a collection or a wallet) form a *thread*, and are made in the order of the log.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from contracts.access import CallerName
from contracts.fact import Count, Fact

MAX_SECRETS = 4
"""Secrets of one webhook that are valid at the same moment; bounds the signature header."""
MAX_EVENT_FILTERS = 20
QUEUE_PREFIX = "notifier-"
"""Before a webhook's id in the name of the durable consumer that holds what is queued for it."""

Time = Annotated[datetime, msgspec.Meta(tz=True)]
About = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{1,64}$")]
"""What a delivery is about: the id of an operation, collection or test, or a wallet's address."""


class WebhookState(StrEnum):
    """Whether events are sent."""

    ACTIVE = "active"
    DISABLED = "disabled"
    """Nothing is sent until somebody sets it active; what happens meanwhile can be replayed."""
    DELETED = "deleted"


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A signing secret as only the notifier can read it (`chassis.sealing`)."""

    sealed: str
    expires_at: Time | None = None
    """After a rotation: until when the old secret signs beside the new one."""


class WebhookConfigured(Fact, frozen=True, kw_only=True):
    """The webhook is like this from now on."""

    SUBJECT: ClassVar[str] = "webhook.configured.v1.{webhook}"

    webhook: UUID
    caller: CallerName
    """Whose it is; empty: the operator's, from `WEBHOOK_URL`."""
    url: Annotated[str, msgspec.Meta(max_length=2048)]
    events: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_EVENT_FILTERS)]
    """Event types, `<noun>.*` or `*`."""
    secrets: Annotated[tuple[SealedSecret, ...], msgspec.Meta(max_length=MAX_SECRETS)] = ()
    """The newest first. Empty: the secret is in the notifier's settings."""
    state: WebhookState = WebhookState.ACTIVE
    all_callers: bool = False
    """Events of everybody's operations, not of the caller's own only."""
    description: str = ""
    created_at: Time
    """By the clock of whoever made it. Events from before it was on the log are sent by replays only."""
    disabled_reason: str = ""


class ReplayRequested(Fact, frozen=True, kw_only=True):
    """Send past events that match the webhook's filters once more: those of one operation, or of a time."""

    SUBJECT: ClassVar[str] = "webhook.replay_requested.v1.{webhook}.{replay}"

    webhook: UUID
    replay: UUID
    operation: UUID | None = None
    since: Time | None = None
    until: Time | None = None


class EventSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where on the log the event stands that a delivery tells of."""

    stream: str
    sequence: Annotated[int, msgspec.Meta(ge=1)]


class DeliveryQueued(Fact, frozen=True, kw_only=True):
    """An event is to be sent to a webhook. Published under the thread's fence, so that a thread is a chain."""

    SUBJECT: ClassVar[str] = "delivery.queued.v1.{webhook}.{about}.{delivery}"

    webhook: UUID
    about: About
    delivery: UUID
    """The event's id; for replays derived from the replay and the event."""
    event: UUID
    event_type: str
    source: EventSource | None = None
    """None: a test, which tells of nothing on the log."""
    previous: UUID | None = None
    """The delivery before this one in the thread, which has to end first."""
    replay: UUID | None = None


class DeliveryState(StrEnum):
    """How a delivery stands."""

    RETRYING = "retrying"
    DELIVERED = "delivered"
    PARKED = "parked"
    """Given up; only a replay sends the event again."""


class DeliveryAttempted(Fact, frozen=True, kw_only=True):
    """How the delivery stands after its newest attempt."""

    SUBJECT: ClassVar[str] = "delivery.attempted.v1.{webhook}.{about}.{delivery}"

    webhook: UUID
    about: About
    delivery: UUID
    state: DeliveryState
    attempts: Count
    """0: parked without an attempt, because the webhook is disabled."""
    first_attempt_at: Time
    status: Annotated[int, msgspec.Meta(ge=100, le=999)] | None = None
    """The answer's HTTP status; None when there was none."""
    reason: str = ""
    """Why it was not taken, for a person; holds nothing of the answer's body."""
    next_attempt_at: Time | None = None
    carrier: UUID | None = None
    """The delivery whose message carries the thread: its handler made the attempt, and goes on along the thread."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of this delivery."""
        return self.state is not DeliveryState.RETRYING


class DeliveryParked(Fact, frozen=True, kw_only=True):
    """The delivery was given up; the newest `attempted` tells why. Said after that one, once."""

    SUBJECT: ClassVar[str] = "delivery.parked.v1.{webhook}.{about}.{delivery}"

    webhook: UUID
    about: About
    delivery: UUID


class ParkedTold(Fact, frozen=True, kw_only=True):
    """From here on every parked delivery has its `parked`, those from before that fact was known too."""

    SUBJECT: ClassVar[str] = "delivery.parked_told.v1.{through}"

    through: Annotated[int, msgspec.Meta(ge=0)]


def queue_name(webhook: UUID) -> str:
    """Return the name of the durable consumer that holds what is queued for a webhook."""
    return f"{QUEUE_PREFIX}{webhook}"


def thread_pattern(webhook: UUID, about: str) -> str:
    """Return the pattern of everything queued in a thread, which is its fence and its order."""
    return f"delivery.queued.v1.{webhook}.{about}.*"


def attempts_pattern(webhook: UUID, about: str) -> str:
    """Return the pattern of every attempt in a thread."""
    return f"delivery.attempted.v1.{webhook}.{about}.*"


def queue_pattern(webhook: UUID) -> str:
    """Return the pattern of everything queued for a webhook."""
    return f"delivery.queued.v1.{webhook}.*.*"
