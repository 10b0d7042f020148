"""Makes the deliveries of one webhook: the handler of its queue.

Within a thread (everything about one operation) deliveries are made in order, each after the one before it has ended.
The message of the first delivery that has not ended *carries* its thread: its handler goes on along the thread until
there is nothing more, or until an attempt fails, and then comes again when the next attempt is due. The messages behind
it are acknowledged at once. So a receiver that is down costs one pending message a thread, and nothing waits in memory.

| killed | what is on the log | what the next process does |
| --- | --- | --- |
| before the request | `queued`, not acknowledged | sends it |
| between the request and `attempted` | the same: nobody knows whether it was taken | sends it again, with the same id |
| between `attempted` and `parked` | that it has ended | says `parked`, and goes on along the thread |
| before the next of the thread | that delivery's end | finds it, and goes on along the thread |
| before the acknowledgement | the end of all of them | walks the thread once more, sends nothing |

Why none is left behind: a message is acknowledged without its delivery having ended only when the one before it in the
thread has not ended either, or when `attempted` names another message that carries the thread. Whoever ends a delivery
looks for the next of the thread *afterwards*, finds it, and is acknowledged when there is no next one. Should the log
lose that and no more, the next message of the thread takes up what is overdue by an hour.

With two processes beside each other both may send a delivery at the same time, when the thread's next message comes to
the one just as the other gets there. One of them says `attempted`, and carries the thread from then on.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec
from msgspec import structs

from chassis.clock import Clock
from chassis.log import LogUnavailable, Message, RetryLater, SequenceConflict
from chassis.sealing import Unsealable
from chassis.telemetry import get_logger
from contracts.streams import DELIVERY
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryQueued,
    DeliveryState,
    WebhookConfigured,
    WebhookState,
    attempts_pattern,
    thread_pattern,
)
from services.notifier.domain import (
    Answer,
    Outcome,
    Schedule,
    is_forsaken,
    judge,
    later,
    pause_after,
    seconds_left,
    waited_since,
)
from services.notifier.keyring import Keyring
from services.notifier.parking import say_parked
from services.notifier.ports import NotifierLog, Sender
from services.notifier.recovery import LOOK_AGAIN_SECONDS, Recoveries
from services.notifier.signing import signed_headers
from services.notifier.telling import Missing, Teller, Untellable

MAX_REASON: Final = 300
"""Characters of a reason that are kept."""
MISSING_SECONDS: Final = 3600.0
"""How long an event is waited for that the log does not hold."""
DISABLED: Final = "The webhook is disabled; set it active and replay."

_log = get_logger(__name__)
_encoder = msgspec.json.Encoder()


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
        self._recoveries = Recoveries()
        self._threads: WeakValueDictionary[tuple[UUID, str], asyncio.Lock] = WeakValueDictionary()

    async def on_queued(self, message: Message[DeliveryQueued]) -> None:
        """Make the delivery and those that follow it in its thread. Raises RetryLater when one has to wait."""
        queued = message.data
        # Before the lock, so that a busy thread takes up two of the webhook's slots at the most.
        current = await self._begin(message)
        if current is None:
            return  # whoever carries the thread comes to this one
        async with self._threads.setdefault((queued.webhook, queued.about), asyncio.Lock()):
            pattern = thread_pattern(queued.webhook, queued.about)
            while current is not None:
                if self._draining.is_set():
                    raise RetryLater("shutting down", after=0)
                if not await self._make(current, carrier=queued.delivery):
                    return
                current = await self._event_log.lookup.next(DELIVERY, pattern, current.sequence)

    async def _begin(self, message: Message[DeliveryQueued]) -> Message[DeliveryQueued] | None:
        """Return the first of the thread that is this message's to make; None when somebody else carries the thread."""
        queued = message.data
        if queued.previous is None:
            return message
        before = await self._stands(queued, queued.previous)
        if before is not None and before.data.ended:
            return message
        newest = await self._event_log.last_matching(DELIVERY, attempts_pattern(queued.webhook, queued.about))
        ours = newest is not None and newest.data.carrier == queued.delivery
        if not ours and not await self._is_still(message, newest):
            return None
        first, before = await self._first_not_ended(message)
        if ours or first is message or is_forsaken(first.stored_at, before, self._clock.now()):
            return first
        return None

    async def _is_still(self, message: Message[DeliveryQueued], newest: Message[DeliveryAttempted] | None) -> bool:
        """Return whether nothing has been done in the thread for long, or ever will be before `message`."""
        queued, now = message.data, self._clock.now()
        if newest is not None:
            return is_forsaken(newest.stored_at, newest, now)
        first = await self._event_log.lookup.next(DELIVERY, thread_pattern(queued.webhook, queued.about), 0)
        return first is None or first.sequence >= message.sequence or is_forsaken(first.stored_at, None, now)

    async def _first_not_ended(
        self, message: Message[DeliveryQueued]
    ) -> tuple[Message[DeliveryQueued], Message[DeliveryAttempted] | None]:
        """Return where the thread stands still, going back from `message`."""
        current, stands, thread = message, None, message.data
        while (previous := current.data.previous) is not None:
            before = await self._stands(thread, previous)
            found = await self._event_log.last(
                DeliveryQueued, webhook=thread.webhook, about=thread.about, delivery=previous
            )
            if found is None or (before is not None and before.data.ended):  # it has left the log, or is done
                break
            current, stands = found, before
        return current, stands

    async def _stands(self, queued: DeliveryQueued, delivery: UUID) -> Message[DeliveryAttempted] | None:
        return await self._event_log.last(
            DeliveryAttempted, webhook=queued.webhook, about=queued.about, delivery=delivery
        )

    async def _make(self, message: Message[DeliveryQueued], carrier: UUID) -> bool:
        """Return whether the delivery has ended and `carrier` goes on; False when the thread is not its to carry.

        Raises RetryLater until when the next attempt is due.
        """
        queued = message.data
        before = await self._stands(queued, queued.delivery)
        if before is not None and self._is_anothers(message, before, carrier):
            return False
        if before is not None and before.data.ended:
            await self._say_end(before.data, message)
            return True
        if (left := self._seconds_left(queued, before)) > 0:
            raise RetryLater("the next attempt is not due yet", after=min(left, LOOK_AGAIN_SECONDS))
        webhook = await self._event_log.last(WebhookConfigured, webhook=queued.webhook)
        if webhook is None or webhook.data.state is WebhookState.DELETED:
            return False  # nobody looks at its deliveries any more
        attempted = structs.replace(await self._attempted(message, webhook, before), carrier=carrier)
        try:
            sequence = await self._event_log.publish(
                attempted, cause=message.event, expected_sequence=before.sequence if before else 0
            )
        except SequenceConflict as error:
            raise RetryLater("another process makes this delivery", after=1.0) from error
        self._tell(attempted)
        if attempted.attempts:
            taken = attempted.state is DeliveryState.DELIVERED
            self._recoveries.note(queued.webhook, queued.about, sequence, taken=taken)
        if attempted.next_attempt_at is not None:
            left = (attempted.next_attempt_at - self._clock.now()).total_seconds()
            raise RetryLater("the receiver did not take it", after=min(max(left, 0.0), LOOK_AGAIN_SECONDS))
        await self._say_end(attempted, message)
        return True

    def _is_anothers(self, message: Message[DeliveryQueued], before: Message[DeliveryAttempted], carrier: UUID) -> bool:
        if before.data.carrier in (None, carrier):
            return False
        return before.data.ended or not is_forsaken(message.stored_at, before, self._clock.now())

    def _seconds_left(self, queued: DeliveryQueued, before: Message[DeliveryAttempted] | None) -> float:
        if before is None or before.data.ended or self._recoveries.is_back(queued.webhook, before.sequence):
            return 0.0
        return seconds_left(pause_after(before), before.stored_at, self._clock.now())

    async def _say_end(self, attempted: DeliveryAttempted, message: Message[DeliveryQueued]) -> None:
        if attempted.state is DeliveryState.PARKED:
            await say_parked(self._event_log, attempted, message.event)

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
            answer, schedule = await self._attempt(message, webhook.data)
            now = self._clock.now()
            judged = (answer, attempts, waited_since(before, message, first_at, now), now, schedule, self._luck())
            outcome = judge(*judged)
            # Before the delivery ends: killed in between, the next process finds the webhook disabled.
            if outcome.disable and not await self._disable(webhook, answer.reason):
                outcome = later(*judged)  # its owner has changed it meanwhile: what was called is not what is there
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

    async def _attempt(self, message: Message[DeliveryQueued], webhook: WebhookConfigured) -> tuple[Answer, Schedule]:
        """Return how one request ended, and the schedule by which that is tried again."""
        try:
            body = _encoder.encode(await self._teller.tell(message))
            secrets = self._keyring.secrets(webhook, now := self._clock.now())
            headers = signed_headers(str(message.data.event), now, body, secrets)
            return await self._sender.send(webhook.url, headers, body), self._schedule
        except Missing as error:  # retry for a while: a log that has lost its tail may be given it back
            patience = min(self._schedule.give_up, MISSING_SECONDS)
            return Answer(None, f"It cannot be told: {error}."), replace(self._schedule, give_up=patience)
        except Untellable as error:  # stop: the log will not change
            return Answer(None, f"It cannot be told: {error}."), replace(self._schedule, give_up=0.0)
        except Unsealable as error:  # retry by the schedule: an operator has to correct the settings
            return Answer(None, f"It cannot be signed: {error}."), self._schedule
        except LogUnavailable:
            raise  # retried by the chassis, and no attempt
        except Exception as error:
            # Retry by the schedule: a mistake of ours. It must end as a parked delivery that everybody sees: buried as
            # a dead letter, it would hold up its thread for ever.
            _log.exception("delivery failed", webhook=str(webhook.webhook), delivery=str(message.data.delivery))
            return Answer(None, f"It could not be sent ({type(error).__name__})."), self._schedule

    async def _disable(self, webhook: Message[WebhookConfigured], reason: str) -> bool:
        """Switch the webhook off; return False when it is not: somebody has just changed it, and it is active."""
        disabled = structs.replace(webhook.data, state=WebhookState.DISABLED, disabled_reason=reason)
        try:
            await self._event_log.publish(disabled, cause=None, expected_sequence=webhook.sequence)
        except SequenceConflict:  # go on: by what is there now, which may be another answer's 410
            newest = await self._event_log.last(WebhookConfigured, webhook=webhook.data.webhook)
            return newest is None or newest.data.state is not WebhookState.ACTIVE
        _log.warning("webhook disabled", webhook=str(webhook.data.webhook), reason=reason)
        return True

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
