"""Makes the deliveries of one webhook: the handler of its queue.

Within a thread (everything about one operation) deliveries are made in order, each after the one before it has ended.
The message of the first delivery that has not ended *carries* its thread: its handler goes on along the thread until
there is nothing more, or until an attempt fails, and then comes again when the next attempt is due. The messages behind
it are acknowledged at once. So a receiver that is down costs one pending message a thread, and nothing waits in memory.

| killed | what is on the log | what the next process does |
| --- | --- | --- |
| before the request | `queued`, not acknowledged | sends it |
| between the request and `attempted` | the same: nobody knows whether it was taken | sends it again, with the same id |
| between `attempted` and the next of the thread | that delivery's end | finds it, and goes on along the thread |
| before the acknowledgement | the end of all of them | walks the thread once more, sends nothing |

Why none is left behind: a message is acknowledged without its delivery having ended only when the one before it in the
thread has not ended either; whoever ends that one looks for the next of the thread *afterwards*, and finds it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec

from chassis.clock import Clock
from chassis.log import LogUnavailable, Message, RetryLater, SequenceConflict
from chassis.redaction import Secret
from chassis.sealing import Sealer, Unsealable
from chassis.telemetry import get_logger
from contracts.streams import DELIVERY
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryQueued,
    DeliveryState,
    WebhookConfigured,
    WebhookState,
    thread_pattern,
)
from services.notifier.domain import Answer, Outcome, Schedule, judge, seconds_left
from services.notifier.ports import NotifierLog, Sender
from services.notifier.signing import signed_headers
from services.notifier.telling import Teller, Untellable

MAX_REASON: Final = 300
"""Characters of a reason that are kept."""
DISABLED: Final = "The webhook is disabled; set it active and replay."

_log = get_logger(__name__)
_encoder = msgspec.json.Encoder()


class Keyring:
    """The signing secrets. `configured` are WEBHOOK_SECRET's; without `sealer` no other webhook can be signed."""

    def __init__(self, sealer: Sealer | None, configured: Sequence[Secret] = ()) -> None:
        self._sealer = sealer
        self._configured = tuple(configured)

    def secrets(self, webhook: WebhookConfigured, now: datetime) -> Sequence[Secret]:
        """Return the secrets that sign at `now`, the newest first. Raises Unsealable."""
        if not webhook.secrets:
            return self._configured
        if self._sealer is None:
            raise Unsealable("WEBHOOK_SEALING_KEYS is not set")
        valid = [each for each in webhook.secrets if each.expires_at is None or each.expires_at > now]
        return [self._sealer.open(each.sealed) for each in valid]


class Courier:
    """Delivers for any webhook. `luck` gives numbers in [0, 1), for the jitter."""

    def __init__(
        self,
        log: NotifierLog,
        sender: Sender,
        keyring: Keyring,
        schedule: Schedule,
        clock: Clock,
        draining: asyncio.Event,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._event_log = log
        self._sender = sender
        self._keyring = keyring
        self._schedule = schedule
        self._clock = clock
        self._draining = draining
        self._luck = luck
        self._teller = Teller(log)
        self._threads: WeakValueDictionary[tuple[UUID, str], asyncio.Lock] = WeakValueDictionary()

    async def on_queued(self, message: Message[DeliveryQueued]) -> None:
        """Make the delivery and those that follow it in its thread. Raises RetryLater when one has to wait."""
        queued = message.data
        # Before the lock, so that a busy thread takes up two of the webhook's slots at the most.
        if queued.previous is not None and not await self._has_ended(queued, queued.previous):
            return  # whoever carries the thread comes to this one
        async with self._threads.setdefault((queued.webhook, queued.about), asyncio.Lock()):
            current: Message[DeliveryQueued] | None = message
            pattern = thread_pattern(queued.webhook, queued.about)
            while current is not None:
                if self._draining.is_set():
                    raise RetryLater("shutting down", after=0)
                await self._make(current)
                current = await self._event_log.lookup.next(DELIVERY, pattern, current.sequence)

    async def _has_ended(self, queued: DeliveryQueued, delivery: UUID) -> bool:
        found = await self._stands(queued, delivery)
        return found is not None and found.data.ended

    async def _stands(self, queued: DeliveryQueued, delivery: UUID) -> Message[DeliveryAttempted] | None:
        return await self._event_log.last(
            DeliveryAttempted, webhook=queued.webhook, about=queued.about, delivery=delivery
        )

    async def _make(self, message: Message[DeliveryQueued]) -> None:
        """Return when the delivery has ended. Raises RetryLater until when its next attempt is due."""
        queued = message.data
        before = await self._stands(queued, queued.delivery)
        if before is not None and before.data.ended:
            return
        if before is not None and before.data.next_attempt_at is not None:
            asked = (before.data.next_attempt_at - before.event.time).total_seconds()
            left = seconds_left(asked, before.stored_at, self._clock.now())
            if left > 0:
                raise RetryLater("the next attempt is not due yet", after=left)
        webhook = await self._event_log.last(WebhookConfigured, webhook=queued.webhook)
        if webhook is None or webhook.data.state is WebhookState.DELETED:
            return  # nobody looks at its deliveries any more
        attempted = await self._attempted(message, webhook, before)
        try:
            await self._event_log.publish(
                attempted, cause=message.event, expected_sequence=before.sequence if before else 0
            )
        except SequenceConflict as error:
            raise RetryLater("another process makes this delivery", after=1.0) from error
        self._tell(attempted)
        if attempted.next_attempt_at is not None:
            left = (attempted.next_attempt_at - self._clock.now()).total_seconds()
            raise RetryLater("the receiver did not take it", after=max(left, 0.0))

    async def _attempted(
        self,
        message: Message[DeliveryQueued],
        webhook: Message[WebhookConfigured],
        before: Message[DeliveryAttempted] | None,
    ) -> DeliveryAttempted:
        """Make one attempt, if there is to be one, and return how the delivery stands."""
        queued, now = message.data, self._clock.now()
        attempts = before.data.attempts if before else 0
        first_at = before.data.first_attempt_at if before else now
        if webhook.data.state is WebhookState.DISABLED:
            answer, outcome = Answer(None, DISABLED), Outcome(DeliveryState.PARKED)
        else:
            attempts += 1
            answer, outcome = await self._attempt(message, webhook.data, attempts, first_at)
        if outcome.disable:
            # Before the delivery ends: killed in between, the next process finds the webhook disabled.
            await self._disable(webhook, answer.reason)
        return DeliveryAttempted(
            webhook=queued.webhook,
            about=queued.about,
            delivery=queued.delivery,
            state=outcome.state,
            attempts=attempts,
            first_attempt_at=first_at,
            status=answer.status,
            reason=answer.reason[:MAX_REASON],
            next_attempt_at=outcome.next_attempt_at,
        )

    async def _attempt(
        self, message: Message[DeliveryQueued], webhook: WebhookConfigured, attempts: int, first_at: datetime
    ) -> tuple[Answer, Outcome]:
        try:
            body = _encoder.encode(await self._teller.tell(message))
            now = self._clock.now()
            secrets = self._keyring.secrets(webhook, now)
            answer = await self._sender.send(
                webhook.url, signed_headers(str(message.data.event), now, body, secrets), body
            )
        except Untellable as error:  # stop: the log will not change
            return Answer(None, f"It cannot be told: {error}."), Outcome(DeliveryState.PARKED)
        except Unsealable as error:  # retry by the schedule: an operator has to correct the settings
            answer = Answer(None, f"It cannot be signed: {error}.")
        except LogUnavailable:
            raise  # retried by the chassis, and no attempt
        except Exception as error:
            # Retry by the schedule: a mistake of ours. It must end as a parked delivery that everybody sees: buried as
            # a dead letter, it would hold up its thread for ever.
            _log.exception("delivery failed", webhook=str(webhook.webhook), delivery=str(message.data.delivery))
            answer = Answer(None, f"It could not be sent ({type(error).__name__}).")
        return answer, judge(answer, attempts, first_at, self._clock.now(), self._schedule, self._luck())

    async def _disable(self, webhook: Message[WebhookConfigured], reason: str) -> None:
        disabled = msgspec.structs.replace(webhook.data, state=WebhookState.DISABLED, disabled_reason=reason)
        try:
            await self._event_log.publish(disabled, cause=None, expected_sequence=webhook.sequence)
        except SequenceConflict:  # stop: its owner has just changed it; if it is gone still, the next answer says so
            return
        _log.warning("webhook disabled", webhook=str(webhook.data.webhook), reason=reason)

    def _tell(self, attempted: DeliveryAttempted) -> None:
        say = _log.info if attempted.state is DeliveryState.DELIVERED else _log.warning
        say(
            f"delivery {attempted.state}",
            webhook=str(attempted.webhook),
            about=attempted.about,
            delivery=str(attempted.delivery),
            attempts=attempted.attempts,
            status=attempted.status,
            reason=attempted.reason,
        )
