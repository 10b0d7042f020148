# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""Publishing to JetStream: what waits at the same moment goes in one write, singly or as one atomic batch.

Used by `chassis.messaging` only. Which of the two is `chassis.batching`'s rule. A batch is stored whole or not at all;
when it is refused, its messages are published one by one, and each gets its own answer. Protocol: atomic batch
publishing of nats-server 2.12 (ADR-50), headers `Nats-Batch-*`. Not done here: waiting for acknowledgements
(`chassis.messaging_acks`) and trying again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, thread_time
from typing import Final
from uuid import uuid4

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from chassis.batching import Batching, Burst
from chassis.logs import get_logger
from chassis.messaging_acks import Ack, Acknowledgements, Answer

MAX_BATCH_BYTES: Final = 1_048_576

_logger = get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    subject: str
    payload: bytes
    headers: dict[str, str]
    answer: Answer

    @property
    def identity(self) -> str:
        """What the message is about: its subject without the fact's name, so that overlapping fences are one."""
        noun, _, rest = self.subject.split(".", 2)
        return f"{noun}.{rest}"


class Publisher:
    """Publishes to one stream: one burst is on its way at a time, the next one gathers meanwhile."""

    def __init__(self, client: Client, acknowledgements: Acknowledgements, stream: str, rule: Batching) -> None:
        self._client = client
        self._acknowledgements = acknowledgements
        self._stream = stream
        self._expected = {"Nats-Expected-Stream": stream}
        self._rule = rule
        self._waiting: deque[_Waiting] = deque()
        self._flushing: asyncio.Task[None] | None = None

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Return the message's stream sequence once it is stored.

        Raises what the client raises: APIError for the server's refusal of this very message, TimeoutError or another
        nats.errors.Error when it may be stored or not.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(subject, payload, headers, answer))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name=f"publish to {self._stream}")
        return (await answer).seq

    async def close(self) -> None:
        """Give up what is on its way; whoever waits for it is told that it may be stored or not."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._give_up(())  # a task that is cancelled before its first step does nothing at all

    async def _flush(self) -> None:
        taken: Sequence[_Waiting] = ()
        try:
            # One turn of the loop, so that all who publish in this turn go together.
            await asyncio.sleep(0)
            while self._waiting:
                burst = self._rule.burst(len(self._waiting), monotonic())
                if burst.batched:
                    taken = self._take(burst.count)
                    await self._publish_batch(taken)
                else:
                    first = [self._waiting.popleft() for _ in range(burst.count)]
                    taken = [each for each in first if not each.answer.cancelled()]
                    await self._publish_singly(taken)
        finally:
            self._give_up(taken)  # cancelled, or a bug

    def _give_up(self, taken: Sequence[_Waiting]) -> None:
        """Settle what was taken and what waits: nobody may wait for ever, and nobody may believe it was refused."""
        for each in (*taken, *self._waiting):
            if not each.answer.done():
                each.answer.set_exception(nats.errors.ConnectionClosedError())
        self._waiting.clear()

    def _take(self, most: int) -> list[_Waiting]:
        """Take the longest batch from the front in which no two messages are about the same thing.

        The server checks a batch's expected sequences against what was stored *before* it: two messages with the same
        expectation would both be stored, and the compare-and-set would be none.
        """
        taken: list[_Waiting] = []
        identities: set[str] = set()
        size = 0
        while self._waiting and len(taken) < most:
            first = self._waiting[0]
            size += len(first.payload)
            if first.identity in identities or (taken and size > MAX_BATCH_BYTES):
                break
            if not first.answer.cancelled():
                taken.append(first)
                identities.add(first.identity)
            self._waiting.popleft()
        return taken

    async def _publish_singly(self, messages: Sequence[_Waiting]) -> None:
        """Send the messages in one write; return when the server has answered all of them.

        Not when it has answered the last: a replicated stream refuses at once, and stores what came before it later.
        """
        all_answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(messages)

        def note() -> None:
            nonlocal left
            left -= 1
            if left == 0 and not all_answered.done():
                self._rule.stored(Burst(len(messages), batched=False), _idle() - began)
                all_answered.set_result(None)

        began = _idle()
        for each in messages:
            headers = each.headers | self._expected
            await self._acknowledgements.publish(each.subject, each.payload, headers, each.answer, note)
        if messages:
            await all_answered

    async def _publish_batch(self, batch: Sequence[_Waiting]) -> None:
        if len(batch) < 2:
            await self._publish_singly(batch)
            return
        began = _idle()
        try:
            first = await self._commit(batch)
        except nats.js.errors.APIError as error:
            # Nothing of the batch is stored. Alone, each message gets the answer that is its own.
            _logger.debug("batch refused, publishing singly", stream=self._stream, reason=error.description)
            await self._publish_singly(batch)
        except (TimeoutError, nats.errors.Error) as error:
            # All or none of it is stored. Each caller finds out by its own retry.
            for message in batch:
                if not message.answer.done():
                    message.answer.set_exception(error)
        else:
            self._rule.stored(Burst(len(batch), batched=True), _idle() - began)
            for sequence, message in enumerate(batch, start=first):
                if not message.answer.done():
                    message.answer.set_result(Ack(sequence))

    async def _commit(self, batch: Sequence[_Waiting]) -> int:
        """Send the batch and return its first sequence; raises APIError when the server refuses it."""
        identifier = uuid4().hex
        *others, last = (
            (each, each.headers | self._expected | {"Nats-Batch-Id": identifier, "Nats-Batch-Sequence": str(position)})
            for position, each in enumerate(batch, start=1)
        )
        for each, headers in others:
            await self._client.publish(each.subject, each.payload, headers=headers)
        message, headers = last
        answer: Answer = asyncio.get_running_loop().create_future()
        committing = headers | {"Nats-Batch-Commit": "1"}
        await self._acknowledgements.publish(message.subject, message.payload, committing, answer)
        ack = await answer
        if ack.count != len(batch):
            # Not the acknowledgement of this batch: a server that does not know batches stored the last message
            # alone. Saying "unknown" lets every caller find out.
            raise nats.errors.TimeoutError
        return ack.seq - len(batch) + 1


def _idle() -> float:
    """Return the seconds in which this thread has not worked, from an arbitrary start.

    What it did while it waited for the log, such as answering whose message is stored already, is no time of the log's.
    """
    return monotonic() - thread_time()
