"""A courier on a log in memory, with a receiver that answers by script."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet
from msgspec import structs

from chassis.clock import Clock, ManualClock
from chassis.log import Message
from chassis.redaction import Secret
from chassis.sealing import Sealer
from contracts.mint import Completed
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryQueued,
    DeliveryState,
    EventSource,
    SealedSecret,
    WebhookConfigured,
)
from services.notifier.courier import Courier
from services.notifier.domain import Answer, Schedule
from services.notifier.keyring import Keyring
from tests.support.memory_log import MemoryLog
from tests.support.webhooks import SECRET, Received

WEBHOOK = UUID(int=7)
SEALER = Sealer(Secret(Fernet.generate_key().decode()))


@dataclass
class Scripted:
    """A sender that answers by script, then takes everything."""

    answers: list[Answer | Exception] = field(default_factory=list[Answer | Exception])
    sent: list[Received] = field(default_factory=list[Received])
    taken: list[Received] = field(default_factory=list[Received])

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        received = Received(dict(headers), body)
        self.sent.append(received)
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else Answer(204)
        if isinstance(answer, Exception):
            raise answer
        if answer.taken:
            self.taken.append(received)
        return answer


@dataclass
class World:
    """A courier on a log in memory."""

    sender: Scripted = field(default_factory=Scripted)
    clock: ManualClock = field(default_factory=ManualClock)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    log: MemoryLog = field(init=False)
    _last: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])

    def __post_init__(self) -> None:
        self.log = MemoryLog(now=self.clock.now)

    def courier(self, schedule: Schedule | None = None, clock: Clock | None = None) -> Courier:
        """A process; `clock` is its own one, when it is wrong."""
        keyring = Keyring(SEALER, [Secret(SECRET)])
        schedule, clock = schedule or Schedule(), clock or self.clock
        return Courier(self.log, self.sender, keyring, schedule, clock, self.draining, luck=lambda: 0.5)

    async def configure(self, **changes: Any) -> None:
        secrets = (SealedSecret(sealed=SEALER.seal(Secret(SECRET))),)
        webhook = WebhookConfigured(
            webhook=WEBHOOK,
            caller="a",
            url="https://a.test",
            events=("*",),
            secrets=secrets,
            created_at=self.clock.now(),
        )
        await self.log.publish(structs.replace(webhook, **changes), cause=None)

    async def queue(self, *operations: int) -> list[Message[DeliveryQueued]]:
        """Queue one more event about each operation, in this order; an operation may come again."""
        for number, operation in enumerate(operations, start=len(self.log.facts(Completed))):
            fact = Completed(operation=UUID(int=operation), total=number, minted=0, failed=0)
            sequence = await self.log.publish(fact, cause=None)
            event = self.log.messages(Completed)[-1].event.id
            queued = DeliveryQueued(
                webhook=WEBHOOK,
                about=str(fact.operation),
                delivery=event,
                event=event,
                event_type="mint.completed",
                source=EventSource(stream="MINT", sequence=sequence),
                previous=self._last.get(fact.operation),
            )
            self._last[fact.operation] = event
            await self.log.publish(queued, cause=None)
        return self.log.messages(DeliveryQueued)

    def ended(self) -> dict[UUID, DeliveryState]:
        return {each.delivery: each.state for each in self.log.facts(DeliveryAttempted) if each.ended}

    def newest(self) -> DeliveryAttempted:
        return self.log.facts(DeliveryAttempted)[-1]
