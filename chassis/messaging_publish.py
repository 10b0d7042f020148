# nats-py is annotated in part only: its option dictionaries and header types are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""Publishing to JetStream: what is waiting at the same moment goes to the disk as one atomic batch.

Used by `chassis.messaging` only. A stream that syncs every write pays one fsync for the batch instead of one for each
message. A batch is stored whole or not at all; when it is refused, its messages are published one by one, and each
gets its own answer. Protocol: atomic batch publishing of nats-server 2.12 (ADR-50), headers `Nats-Batch-*`.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from chassis.log import MAX_BATCH
from chassis.logs import get_logger

MAX_BATCH_BYTES: Final = 1_048_576

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    subject: str
    payload: bytes
    headers: dict[str, str]
    answer: "asyncio.Future[int]"

    @property
    def identity(self) -> str:
        """What the message is about: its subject without the fact's name, so that overlapping fences are one."""
        noun, _, rest = self.subject.split(".", 2)
        return f"{noun}.{rest}"


class BatchPublisher:
    """Publishes to one stream: one batch on its way at a time, the next one gathers meanwhile."""

    def __init__(
        self, client: Client, jetstream: JetStreamContext, stream: str, timeout: float, most: int = MAX_BATCH
    ) -> None:
        """`most` messages are a batch at the most; with 1 every message goes by itself, without waiting for others."""
        self._client = client
        self._jetstream = jetstream
        self._stream = stream
        self._timeout = timeout
        self._most = most
        self._waiting: deque[_Waiting] = deque()
        self._flushing: asyncio.Task[None] | None = None

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Return the message's stream sequence once it is stored.

        Raises what the client raises: APIError for the server's refusal of this very message, TimeoutError or another
        nats.errors.Error when it may be stored or not.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        message = _Waiting(subject, payload, headers, answer)
        if self._most == 1:
            await self._publish_one(message)
            return await answer
        self._waiting.append(message)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name=f"publish to {self._stream}")
        return await answer

    async def close(self) -> None:
        """Give up what is on its way; whoever waits for it is told that it may be stored or not."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)

    async def _flush(self) -> None:
        taken: list[_Waiting] = []
        try:
            # One turn of the loop, so that all who publish in this turn are in the batch.
            await asyncio.sleep(0)
            while self._waiting:
                taken = self._take()
                if len(taken) == 1:
                    await self._publish_one(taken[0])
                elif taken:
                    await self._publish_batch(taken)
        finally:
            # Cancelled, or a bug: nobody may wait for ever, and nobody may believe it was refused.
            for each in [*taken, *self._waiting]:
                if not each.answer.done():
                    each.answer.set_exception(nats.errors.ConnectionClosedError())
            self._waiting.clear()

    def _take(self) -> list[_Waiting]:
        """Take the longest batch from the front in which no two messages are about the same thing.

        The server checks a batch's expected sequences against what was stored *before* it: two messages with the same
        expectation would both be stored, and the compare-and-set would be none.
        """
        taken: list[_Waiting] = []
        identities: set[str] = set()
        size = 0
        while self._waiting and len(taken) < self._most:
            first = self._waiting[0]
            size += len(first.payload)
            if first.identity in identities or (taken and size > MAX_BATCH_BYTES):
                break
            if not first.answer.cancelled():
                taken.append(first)
                identities.add(first.identity)
            self._waiting.popleft()
        return taken

    async def _publish_one(self, message: _Waiting) -> None:
        try:
            ack = await self._jetstream.publish(
                message.subject, message.payload, stream=self._stream, headers=dict(message.headers)
            )
        except (TimeoutError, nats.errors.Error) as error:
            # Not judged here: the caller knows what it expected and whether it may retry.
            _answer(message, error)
        else:
            _answer(message, ack.seq)

    async def _publish_batch(self, batch: Sequence[_Waiting]) -> None:
        try:
            last = await self._commit(batch)
        except nats.js.errors.APIError as error:
            # Nothing of the batch is stored. Alone, each message gets the answer that is its own.
            _logger.debug("batch refused, publishing singly", stream=self._stream, reason=error.description)
            await asyncio.gather(*(self._publish_one(message) for message in batch))
        except (TimeoutError, nats.errors.Error) as error:
            # All or none of it is stored. Each caller finds out by its own retry.
            for message in batch:
                _answer(message, error)
        else:
            for position, message in enumerate(batch, start=1):
                _answer(message, last - len(batch) + position)

    async def _commit(self, batch: Sequence[_Waiting]) -> int:
        """Send the batch and return its last sequence; raises APIError when the server refuses it."""
        identifier = uuid4().hex
        for position, message in enumerate(batch, start=1):
            headers = {
                **message.headers,
                "Nats-Expected-Stream": self._stream,
                "Nats-Batch-Id": identifier,
                "Nats-Batch-Sequence": str(position),
            }
            if position < len(batch):
                await self._client.publish(message.subject, message.payload, headers=headers)
                continue
            headers["Nats-Batch-Commit"] = "1"
            response = await self._client.request(
                message.subject, message.payload, timeout=self._timeout, headers=headers
            )
            answer: dict[str, Any] = json.loads(response.data)
            if "error" in answer:
                with contextlib.suppress(KeyError):
                    nats.js.errors.APIError.from_error(answer["error"])
                raise nats.js.errors.APIError(description=str(answer["error"]))
            if answer.get("count") != len(batch):
                # Not the acknowledgement of this batch: a server that does not know batches stored the last message
                # alone. Saying "unknown" lets every caller find out.
                raise nats.errors.TimeoutError
            return int(answer["seq"])
        raise AssertionError("a batch is not empty")


def _answer(message: _Waiting, outcome: int | Exception) -> None:
    if message.answer.done():
        return
    if isinstance(outcome, int):
        message.answer.set_result(outcome)
    else:
        message.answer.set_exception(outcome)
