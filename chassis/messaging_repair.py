# nats-py is annotated in part only: its option dictionaries and header types are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""Putting messages back onto a stream that has lost its tail, at the same sequence or not at all; and taking some out.

Used through `Log.repair`: by the indexer's truncation guard, and by `mintstream archive prune`. Not done here: knowing
what was lost, and what may leave.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext, api

from chassis.log import LogUnavailable, RawMessage, SequenceConflict
from contracts.streams import Consumer, Stream

WRONG_LAST_STREAM_SEQUENCE: Final = 10071
"""JetStream's error code for a refused `Nats-Expected-Last-Sequence`, and for a refused one of a subject."""
_CONDITIONS: Final = ("nats-expected-", "nats-batch-")


class Repairing(Protocol):
    """What the guard does to a log that is not whole."""

    async def append(self, stream: Stream, raw: RawMessage, *, exactly: bool) -> int:
        """Store the message's bytes again and return their sequence.

        With `exactly`, only at the sequence that it had: raises SequenceConflict when the stream's end is elsewhere.
        Raises LogUnavailable when it may be stored or not; storing it again is then safe for two minutes.
        """
        ...

    async def repeat(self, stream: Stream, raw: RawMessage) -> int:
        """Say a message again, if it still is the last word on its subject; return the new sequence.

        Its consumers are given it once more. Raises SequenceConflict when something was said since, this among it, and
        LogUnavailable when it may be stored or not; repeating it is then safe.
        """
        ...

    async def renew(self, consumers: Iterable[Consumer]) -> None:
        """Make durable consumers anew, so that each is given the whole stream again; raises LogUnavailable.

        A consumer may remember having been given sequences that the stream will use a second time.
        """
        ...


class LogRepair:
    """Implements `Repairing` on JetStream."""

    def __init__(self, jetstream: JetStreamContext, configurations: Mapping[str, api.ConsumerConfig]) -> None:
        self._jetstream = jetstream
        self._configurations = configurations

    async def append(self, stream: Stream, raw: RawMessage, *, exactly: bool) -> int:
        """See `Repairing.append`."""
        headers = kept_headers(raw.headers)
        if exactly:
            headers["Nats-Expected-Last-Sequence"] = str(raw.sequence - 1)
        try:
            ack = await self._jetstream.publish(raw.subject, raw.payload, stream=stream.name, headers=headers)
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_STREAM_SEQUENCE:
                raise SequenceConflict(raw.subject, raw.sequence - 1) from error
            raise LogUnavailable(f"{raw.subject} cannot be restored: {error.description}") from error
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"{raw.subject} was not acknowledged: {type(error).__name__}") from error
        return ack.seq

    async def repeat(self, stream: Stream, raw: RawMessage) -> int:
        """See `Repairing.repeat`."""
        headers = {name: value for name, value in kept_headers(raw.headers).items() if name.lower() != "nats-msg-id"}
        headers["Nats-Expected-Last-Subject-Sequence"] = str(raw.sequence)
        try:
            ack = await self._jetstream.publish(raw.subject, raw.payload, stream=stream.name, headers=headers)
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_STREAM_SEQUENCE:
                raise SequenceConflict(raw.subject, raw.sequence) from error
            raise LogUnavailable(f"{raw.subject} cannot be said again: {error.description}") from error
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"{raw.subject} was not acknowledged: {type(error).__name__}") from error
        return ack.seq

    async def purge(self, stream: Stream, pattern: str, up_to: int) -> None:
        """Take the messages on the subjects of `pattern` up to sequence `up_to` out of the stream, for ever.

        Doing it again changes nothing. Raises LogUnavailable; they may be gone then.
        """
        try:
            # `seq` is the first that stays: https://docs.nats.io/reference/reference-protocols/nats_api_reference
            await self._jetstream.purge_stream(stream.name, seq=up_to + 1, subject=pattern)
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot purge {pattern}: {type(error).__name__}") from error

    async def renew(self, consumers: Iterable[Consumer]) -> None:
        """See `Repairing.renew`."""
        for consumer in consumers:
            try:
                # It may have been lost with the tail, or nobody has declared it yet.
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    await self._jetstream.delete_consumer(consumer.stream, consumer.name)
                await self._jetstream.add_consumer(consumer.stream, self._configurations[consumer.name])
            except (TimeoutError, nats.errors.Error) as error:
                raise LogUnavailable(f"cannot renew consumer {consumer.name}: {type(error).__name__}") from error


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without the conditions of the first publish, which the server would judge again."""
    return {name: value for name, value in headers.items() if not name.lower().startswith(_CONDITIONS)}
