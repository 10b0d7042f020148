"""What callers do with their webhooks; the notifier does the rest. Called by `api/webhooks.py`.

A webhook is one message on the log, the newest counts, and it is changed by compare-and-set. Its secret is sealed
before it is on the log, shown once, and never read here again. `deliveries` lists what was sent.
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from chassis.clock import Clock
from chassis.log import EventLog, LogLookup, LogUnavailable, Message, SequenceConflict
from chassis.redaction import Secret
from chassis.sealing import Sealer
from chassis.telemetry import get_logger
from contracts.fact import Fact
from contracts.mint import Confirmed, Finalized, Requested
from contracts.notification import TEST_EVENT
from contracts.streams import MINT, WEBHOOK
from contracts.webhook import (
    MAX_SECRETS,
    DeliveryQueued,
    DeliveryState,
    ReplayRequested,
    SealedSecret,
    WebhookConfigured,
    WebhookState,
)
from services.gateway.callers import Caller
from services.gateway.deliveries import DeliveryPage, history, page_of_deliveries
from services.gateway.errors import (
    EventsArchived,
    LogSilent,
    OperationNotFound,
    Problem,
    TooManyWebhooks,
    ValidationFailed,
    WebhookNotFound,
)
from services.gateway.handlers import NOTHING_STORED
from services.gateway.identity import new_id
from services.gateway.requests import read_body
from services.gateway.webhook_requests import ReplayBody, RotationBody, WebhookBody, WebhookChangesBody

MAX_WEBHOOKS: Final = 50
"""Of one caller."""
MAX_ALL_WEBHOOKS: Final = 1000
"""Of everybody: each has a queue and a few connections in the notifier."""
MAX_CONFLICTS: Final = 5
SECRET_BYTES: Final = 32

_log = get_logger(__name__)


class WebhookLog(EventLog, Protocol):
    """The log as it is used here."""

    @property
    def lookup(self) -> LogLookup:
        """What it holds of some subjects."""
        ...


class Webhooks:
    """Carries out what callers want of their webhooks."""

    def __init__(self, log: WebhookLog, sealer: Sealer, clock: Clock) -> None:
        self._event_log = log
        self._sealer = sealer
        self._clock = clock

    async def all_of(self, caller: Caller) -> Sequence[WebhookConfigured]:
        """Return the caller's webhooks, the oldest first. Raises LogSilent."""
        return [each for each in await self._all() if _is_seen_by(each, caller)]

    async def one(self, webhook: UUID, caller: Caller) -> WebhookConfigured:
        """Return a webhook. Raises WebhookNotFound and LogSilent."""
        return (await self._found(webhook, caller)).data

    async def create(self, fields: Mapping[str, object], caller: Caller) -> tuple[WebhookConfigured, Secret]:
        """Make a webhook and its secret. Raises ValidationFailed, TooManyWebhooks and LogSilent."""
        body = read_body(WebhookBody, fields)
        present = await self._all()
        if len(present) >= MAX_ALL_WEBHOOKS or sum(_is_seen_by(each, caller) for each in present) >= MAX_WEBHOOKS:
            raise TooManyWebhooks
        secret = _new_secret()
        webhook = WebhookConfigured(
            webhook=new_id(),
            caller=caller.name,
            url=body.url,
            events=tuple(body.events),
            secrets=(SealedSecret(sealed=self._sealer.seal(secret)),),
            all_callers=body.all_callers,
            description=body.description,
            created_at=self._clock.now(),
        )
        await self._say(webhook, expected=0)
        _log.info("webhook created", webhook=str(webhook.webhook), caller=caller.name)
        return webhook, secret

    async def update(self, webhook: UUID, fields: Mapping[str, object], caller: Caller) -> WebhookConfigured:
        """Change what `fields` name. Raises ValidationFailed, WebhookNotFound and LogSilent."""
        body = read_body(WebhookChangesBody, fields)
        changes: dict[str, Any] = {
            name: getattr(body, name)
            for name in ("url", "description", "all_callers")
            if getattr(body, name) is not None
        }
        if body.events is not None:
            changes["events"] = tuple(body.events)
        if body.active is not None:
            changes["state"] = WebhookState.ACTIVE if body.active else WebhookState.DISABLED
            changes["disabled_reason"] = "" if body.active else "Switched off."
        return await self._change(webhook, caller, changes)

    async def delete(self, webhook: UUID, caller: Caller) -> None:
        """Delete a webhook with its secrets and what is queued for it. Raises WebhookNotFound and LogSilent."""
        await self._change(webhook, caller, {"state": WebhookState.DELETED, "secrets": ()})

    async def rotate(
        self, webhook: UUID, fields: Mapping[str, object], caller: Caller
    ) -> tuple[WebhookConfigured, Secret]:
        """Give a webhook a new secret, beside which the old ones sign for a while. Raises as `update`."""
        overlap = timedelta(seconds=read_body(RotationBody, fields).overlap_seconds)
        found = await self._found(webhook, caller)
        if not found.data.secrets:
            raise ValidationFailed([Problem("", "its secret is in the settings of the notifier (WEBHOOK_SECRET)")])
        now, secret = self._clock.now(), _new_secret()
        old = [
            SealedSecret(sealed=each.sealed, expires_at=min(each.expires_at or now + overlap, now + overlap))
            for each in found.data.secrets
            if overlap and (each.expires_at is None or each.expires_at > now)
        ]
        kept = (SealedSecret(sealed=self._sealer.seal(secret)), *old)[:MAX_SECRETS]
        rotated = msgspec.structs.replace(found.data, secrets=kept)
        if not await self._say(rotated, expected=found.sequence):
            raise LogSilent("Somebody else changes this webhook; nothing was stored")
        _log.info("webhook secret rotated", webhook=str(webhook))
        return rotated, secret

    async def test(self, webhook: UUID, caller: Caller) -> UUID:
        """Queue a test event; return its id. Raises WebhookNotFound and LogSilent."""
        await self._found(webhook, caller)
        test = new_id()
        queued = DeliveryQueued(webhook=webhook, about=str(test), delivery=test, event=test, event_type=TEST_EVENT)
        await self._say(queued, expected=0)
        return test

    async def replay(self, webhook: UUID, fields: Mapping[str, object], caller: Caller) -> UUID:
        """Ask for past events once more; return the replay's id.

        Raises as `update`, OperationNotFound and EventsArchived.
        """
        body = read_body(ReplayBody, fields)
        if (body.transaction_id is None) == (body.since is None):
            raise ValidationFailed([Problem("", "name either transactionId or since")])
        if body.until is not None and (body.since is None or body.until <= body.since):
            raise ValidationFailed([Problem("until", "must be later than since")])
        await self._found(webhook, caller)
        if body.transaction_id is not None:
            await self._require_events(body.transaction_id, caller)
        replay = ReplayRequested(
            webhook=webhook, replay=new_id(), operation=body.transaction_id, since=body.since, until=body.until
        )
        await self._say(replay, expected=0)
        return replay.replay

    async def _require_events(self, operation: UUID, caller: Caller) -> None:
        """Raise OperationNotFound, EventsArchived when the log has no more of it than how it ended, or LogSilent."""
        try:
            requested = await self._event_log.last(Requested, operation=operation)
            if requested is None:
                raise OperationNotFound
            caller.require_sight(requested.data.caller)
            pattern = Finalized.pattern().replace("*", str(operation), 1)
            final: Message[Finalized] | None = await self._event_log.lookup.next(MINT, pattern, 0)
            if final is None:
                return
            place = {"operation": operation, "chunk": final.data.chunk, "tx": final.data.tx}
            if await self._event_log.last(Confirmed, **place) is None:
                raise EventsArchived
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent(NOTHING_STORED) from error

    async def deliveries(
        self, webhook: UUID, caller: Caller, state: DeliveryState | None, since: datetime | None, after: int, limit: int
    ) -> DeliveryPage:
        """Return a page of deliveries: all, or those that ended in `state`. Raises WebhookNotFound and LogSilent."""
        await self._found(webhook, caller)
        try:
            return await page_of_deliveries(self._event_log.lookup, webhook, state, since, after, limit)
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent("The event log does not answer") from error

    async def _all(self) -> list[WebhookConfigured]:
        """Return every webhook that is not deleted, the oldest first."""
        newest: dict[UUID, WebhookConfigured] = {}
        pattern = WebhookConfigured.pattern()
        try:
            async with aclosing(history(self._event_log.lookup, WebhookConfigured, WEBHOOK, [pattern])) as messages:
                async for message in messages:
                    newest[message.data.webhook] = message.data
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent("The event log does not answer") from error
        return [each for each in newest.values() if each.state is not WebhookState.DELETED]

    async def _found(self, webhook: UUID, caller: Caller) -> Message[WebhookConfigured]:
        try:
            found = await self._event_log.last(WebhookConfigured, webhook=webhook)
        except LogUnavailable as error:  # stop: without the log nothing can be said or known
            raise LogSilent(NOTHING_STORED) from error
        if found is None or found.data.state is WebhookState.DELETED or not _is_seen_by(found.data, caller):
            raise WebhookNotFound
        return found

    async def _change(self, webhook: UUID, caller: Caller, changes: Mapping[str, Any]) -> WebhookConfigured:
        for _ in range(MAX_CONFLICTS):
            found = await self._found(webhook, caller)
            changed = msgspec.structs.replace(found.data, **changes)
            if changed == found.data or await self._say(changed, expected=found.sequence):
                return changed
        raise LogSilent(NOTHING_STORED)

    async def _say(self, fact: Fact, *, expected: int) -> bool:
        """Store the fact; False when somebody else has spoken on its subject meanwhile."""
        try:
            await self._event_log.publish(fact, cause=None, expected_sequence=expected)
        except SequenceConflict:  # go on: the caller of this looks again
            return False
        except LogUnavailable as error:  # stop: the caller may say it again
            raise LogSilent("The event log does not answer; it may or may not be stored") from error
        return True


def _is_seen_by(webhook: WebhookConfigured, caller: Caller) -> bool:
    """A webhook is its caller's own; that of WEBHOOK_URL is every admin's."""
    return webhook.caller == caller.name or (webhook.caller == "" and caller.is_admin)


def _new_secret() -> Secret:
    return Secret("whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())
