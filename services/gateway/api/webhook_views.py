"""The answers of `/api/webhooks`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from chassis.redaction import Secret
from contracts.webhook import DeliveryState, WebhookConfigured
from services.gateway.api.responses import Answer
from services.gateway.deliveries import Delivery, DeliveryPage


class WebhookView(Answer):
    """A webhook. Its secret is not among what is told."""

    id: str
    url: str
    events: list[str]
    description: str
    active: bool
    disabled_reason: str | None = None
    all_callers: bool
    created_at: datetime

    @classmethod
    def of(cls, webhook: WebhookConfigured) -> "WebhookView":
        """Return the view of `webhook`."""
        return cls(
            id=str(webhook.webhook),
            url=webhook.url,
            events=list(webhook.events),
            description=webhook.description,
            active=webhook.state == "active",
            disabled_reason=webhook.disabled_reason or None,
            all_callers=webhook.all_callers,
            created_at=webhook.created_at,
        )


class WebhookListView(Answer):
    """Every webhook of the caller."""

    webhooks: list[WebhookView]

    @classmethod
    def of(cls, webhooks: Sequence[WebhookConfigured]) -> "WebhookListView":
        """Return the view of `webhooks`."""
        return cls(webhooks=[WebhookView.of(each) for each in webhooks])


class WebhookSecretView(Answer):
    """A webhook with its new secret, which is told this once."""

    webhook: WebhookView
    secret: str

    @classmethod
    def of(cls, webhook: WebhookConfigured, secret: Secret) -> "WebhookSecretView":
        """Return the view of a webhook that was just given a secret."""
        return cls(webhook=WebhookView.of(webhook), secret=secret.reveal())


class DeliveryIdView(Answer):
    """What was queued."""

    delivery_id: str


class ReplayIdView(Answer):
    """What was asked for; its deliveries carry the id."""

    replay_id: str


class DeliveryView(Answer):
    """One event on its way to a webhook."""

    id: str
    event_id: str
    type: str
    about: str
    """The operation, collection or wallet; deliveries about one of them are made in order."""
    state: DeliveryState | Literal["queued"]
    attempts: int
    status: int | None = None
    """The newest answer's HTTP status."""
    reason: str | None = None
    queued_at: datetime
    next_attempt_at: datetime | None = None
    replay_id: str | None = None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        """Return the view of `delivery`."""
        queued, attempted = delivery.queued, delivery.attempted
        return cls(
            id=str(queued.delivery),
            event_id=str(queued.event),
            type=queued.event_type,
            about=queued.about,
            state="queued" if attempted is None else attempted.state,
            attempts=0 if attempted is None else attempted.attempts,
            status=None if attempted is None else attempted.status,
            reason=None if attempted is None else attempted.reason or None,
            queued_at=delivery.queued_at,
            next_attempt_at=None if attempted is None else attempted.next_attempt_at,
            replay_id=None if queued.replay is None else str(queued.replay),
        )


class DeliveryListView(Answer):
    """Deliveries, the oldest first. A page may be shorter than asked for; without `nextCursor` it is the last."""

    deliveries: list[DeliveryView]
    next_cursor: int | None = None

    @classmethod
    def of(cls, page: DeliveryPage) -> "DeliveryListView":
        """Return the view of `page`."""
        return cls(deliveries=[DeliveryView.of(each) for each in page.deliveries], next_cursor=page.after)
