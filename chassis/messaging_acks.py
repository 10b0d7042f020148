# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""JetStream's acknowledgements of what one connection publishes, told to whoever waits for them.

Used by `chassis.messaging_publish` only. nats-py's own `publish` of JetStream waits for each by a task's timer and a
random name, at twice the cost of the message itself; here all share one inbox, names are counted, and one timer looks
after them all. Not done here: trying again, and what a refusal means.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"


class Refusal(msgspec.Struct, frozen=True):
    """Why the server did not store a message."""

    code: int | None = None
    err_code: int | None = None
    description: str | None = None


class Ack(msgspec.Struct, frozen=True):
    """What the server says of a message (JetStream's `PubAck`), or of the batch that it ends."""

    seq: int = 0
    """Sequence in the stream, from 1."""
    count: int | None = None
    """Messages of the batch; None for a single message."""
    error: Refusal | None = None


Answer = asyncio.Future[Ack]
"""Raises APIError for the server's refusal; TimeoutError or another nats.errors.Error when nobody knows."""

_decode = msgspec.json.Decoder(Ack).decode


@dataclass(slots=True)
class _Awaited:
    answer: Answer
    deadline: float
    settled: Callable[[], None] | None

    def settle(self, outcome: Ack | Exception) -> None:
        if self.answer.done():  # whoever waited has gone
            pass
        elif isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)
        if self.settled is not None:
            self.settled()


class Acknowledgements:
    """Publishes over one connection, and waits `timeout` seconds for each acknowledgement."""

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._awaited: dict[str, _Awaited] = {}
        """By the last token of the subject that the server answers to; the oldest first."""
        self._names = itertools.count(1)
        self._inbox = client.new_inbox()
        self._open = False
        self._timer: asyncio.TimerHandle | None = None

    async def publish(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str],
        answer: Answer,
        settled: Callable[[], None] | None = None,
    ) -> None:
        """Hand the message to the connection, which writes what it has at the loop's next turn; settle `answer` later.

        `settled` is called at that very moment, before whoever waits has its turn. Never raises: what keeps the message
        from being written is the answer too.
        """
        loop = asyncio.get_running_loop()
        name = str(next(self._names))
        awaited = self._awaited[name] = _Awaited(answer, loop.time() + self._timeout, settled)
        try:
            if not self._open:
                self._open = True  # before others have their turn: the subscription goes out before their messages
                await self._client.subscribe(f"{self._inbox}.*", cb=self._take)
            await self._client.publish(subject, payload, reply=f"{self._inbox}.{name}", headers=headers)
        except nats.errors.Error as error:  # not judged here: the caller knows whether it may try again
            if self._awaited.pop(name, None) is not None:
                awaited.settle(error)
            return
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._give_up)

    def close(self) -> None:
        """Tell all who wait that their message may be stored or not."""
        if self._timer is not None:
            self._timer.cancel()
        awaited, self._awaited = self._awaited, {}
        for each in awaited.values():
            each.settle(nats.errors.ConnectionClosedError())

    async def _take(self, message: Msg) -> None:
        awaited = self._awaited.pop(message.subject[len(self._inbox) + 1 :], None)
        if awaited is not None:  # else it came too late
            awaited.settle(_outcome(message))

    def _give_up(self) -> None:
        """Let those who have waited long enough know that nothing came, and look again when the next one has."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._awaited:
            name, oldest = next(iter(self._awaited.items()))
            if oldest.deadline > now:
                self._timer = loop.call_at(oldest.deadline, self._give_up)
                return
            del self._awaited[name]
            oldest.settle(nats.errors.TimeoutError())


def _outcome(message: Msg) -> Ack | Exception:
    if message.headers and message.headers.get(_STATUS) == _NO_RESPONDERS:
        return nats.js.errors.NoStreamResponseError()
    try:
        ack = _decode(message.data)
    except msgspec.DecodeError:  # not an acknowledgement: whether the message is stored, nobody knows
        return nats.errors.TimeoutError()
    if ack.error is None:
        return ack
    why = ack.error
    return nats.js.errors.APIError(code=why.code, err_code=why.err_code, description=why.description)
