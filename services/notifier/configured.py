"""The operator's own webhook, from `WEBHOOK_URL`: put on the log at the start, like any other, but for its secret."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from chassis.log import EventLog, SequenceConflict
from contracts.webhook import WebhookConfigured, WebhookState

CONFIGURED: Final = UUID("00000000-0000-8000-8000-000000000001")
"""The webhook's id."""


def wanted(
    before: WebhookConfigured | None, url: str | None, events: tuple[str, ...], now: datetime
) -> WebhookConfigured | None:
    """Return what to say about the webhook; None when nothing has changed.

    While its URL stays the same, it stays disabled if it is: the receiver has said that it wants no more.
    """
    if url is None:
        if before is None or before.state is WebhookState.DELETED:
            return None
        return structs.replace(before, state=WebhookState.DELETED)
    if before is not None and before.state is not WebhookState.DELETED and before.url == url:
        return None if before.events == events else structs.replace(before, events=events)
    return WebhookConfigured(
        webhook=CONFIGURED,
        caller="",
        url=url,
        events=events,
        all_callers=True,
        description="WEBHOOK_URL",
        created_at=now,
    )


async def configure(log: EventLog, url: str | None, events: tuple[str, ...], now: datetime) -> None:
    """Bring the webhook on the log to the settings. Raises LogUnavailable."""
    before = await log.last(WebhookConfigured, webhook=CONFIGURED)
    said = wanted(before.data if before else None, url, events, now)
    if said is None:
        return
    try:
        await log.publish(said, cause=None, expected_sequence=before.sequence if before else 0)
    except SequenceConflict:  # go on: another notifier with the same settings has just said it
        return
