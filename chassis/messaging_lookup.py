# nats-py is annotated in part only: its option dictionaries and header types are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""Single messages by place, and what a stream holds now of some subjects: JetStream's side of `chassis.log.LogLookup`.

Used through `Log.lookup`, and by `Log.last`. Not done here: following a stream (`Log.read`).
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from chassis.log import EARLIEST, LATEST, ConsumerStanding, LogUnavailable, Message, RawMessage
from chassis.messaging_pull import (
    READ_BATCH,
    READER_INACTIVE,
    Pull,
    PullLost,
    counted,
    forget_reader,
    place_of,
    raw_message,
    reader_name,
)
from contracts import registry
from contracts.streams import Stream

CONSUMERS_AT_ONCE: Final = 256
"""How many consumers one answer of nats-server names at most."""


class StreamLookup:
    """Implements `chassis.log.LogLookup` on JetStream."""

    def __init__(self, client: Client, jetstream: JetStreamContext) -> None:
        self._client = client
        self._jetstream = jetstream

    async def at(self, stream: Stream, sequence: int) -> Message[Any] | None:
        """See `LogLookup.at`."""
        return decoded(await self._get(stream, sequence, None))

    async def next(self, stream: Stream, pattern: str, after: int) -> Message[Any] | None:
        """See `LogLookup.next`."""
        return decoded(await self._get(stream, after + 1, pattern))

    async def raw(self, stream: Stream, sequence: int) -> RawMessage | None:
        """Return the message at `sequence` as bytes, or None; as the stream's leader has it. Raises LogUnavailable."""
        return await self._get(stream, sequence, None)

    async def _get(self, stream: Stream, sequence: int, pattern: str | None) -> RawMessage | None:
        asked = self._jetstream.get_msg(stream.name, sequence, pattern, next=pattern is not None)
        return await _given(asked, f"{stream.name} at {sequence}")

    async def newest(self, stream: Stream, subject: str) -> RawMessage | None:
        """Return the newest message on `subject`, which may be a pattern, as bytes; also one that nobody can decode.

        Raises LogUnavailable. Not a direct get: a replica that lags would answer "never said", and what hangs on that
        is a mint.
        """
        return await _given(self._jetstream.get_last_msg(stream.name, subject), subject)

    async def consumers(self, stream: Stream) -> list[ConsumerStanding]:
        """See `ConsumerWatch.consumers`."""
        found: list[ConsumerStanding] = []
        offset = 0
        while True:
            try:
                page = await self._jetstream.consumers_info(stream.name, offset)
            except (TimeoutError, nats.errors.Error) as error:
                raise LogUnavailable(f"cannot list the consumers of {stream.name}: {type(error).__name__}") from error
            found += [
                ConsumerStanding(
                    name=each.name,
                    pending=each.num_pending or 0,
                    in_hand=each.num_ack_pending or 0,
                    redelivered=each.num_redelivered or 0,
                )
                for each in page
                if each.config.durable_name  # the others vanish with whoever reads
            ]
            offset += len(page)
            if len(page) < CONSUMERS_AT_ONCE:
                return found

    async def history(
        self, stream: Stream, patterns: Sequence[str], since: datetime | None = None, after: int = 0
    ) -> AsyncIterator[RawMessage]:
        """See `LogLookup.history`."""
        try:
            async for raw in self._read(stream, patterns, since, after):
                yield raw
        except (PullLost, TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read the history of {stream.name}: {error}") from error

    async def _read(
        self, stream: Stream, patterns: Sequence[str], since: datetime | None, after: int
    ) -> AsyncIterator[RawMessage]:
        jetstream: Any = self._jetstream
        info = await jetstream.add_consumer(
            stream.name,
            api.ConsumerConfig(
                name=reader_name(),
                filter_subjects=list(patterns),
                **_start(since, after),
                ack_policy=api.AckPolicy.NONE,
                inactive_threshold=READER_INACTIVE,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        pull = Pull(self._client, stream.name, info.name)
        left, given = int(info.num_pending), 0
        await pull.open()
        try:
            while left > 0:
                before = given
                async for message in pull.messages(min(left, READ_BATCH), wait=False):
                    place = place_of(message)
                    given, left = counted(place, given), place.pending
                    yield raw_message(message, place)
                if given == before:
                    return  # the rest was taken out of the stream meanwhile
        finally:
            await pull.close()
            await forget_reader(self._client, jetstream, stream, info.name)


async def _given(asked: Awaitable[api.RawStreamMsg], what: str) -> RawMessage | None:
    try:
        found = await asked
    except nats.js.errors.NotFoundError:
        return None
    except (TimeoutError, nats.errors.Error) as error:
        raise LogUnavailable(f"cannot read {what}: {type(error).__name__}") from error
    return RawMessage(
        subject=found.subject or "",
        sequence=found.seq or 0,
        stored_at=found.time or datetime.now(UTC),
        payload=found.data or b"",
        headers=cast("dict[str, str]", found.headers or {}),
    )


def decoded(raw: RawMessage | None) -> Message[Any] | None:
    """Return what the bytes say, if there are any; raises UndecodableMessage."""
    if raw is None:
        return None
    event = registry.decode(raw.subject, raw.payload)
    return Message(event, raw.subject, raw.sequence, raw.stored_at, raw.headers)


def _start(since: datetime | None, after: int) -> dict[str, Any]:
    if after:
        return {"deliver_policy": api.DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": after + 1}
    if since is not None:
        # Beyond what it can count nats-server begins at some other time, without a word.
        begin = max(EARLIEST, min(since, LATEST)).astimezone(UTC)
        return {"deliver_policy": api.DeliverPolicy.BY_START_TIME, "opt_start_time": begin}
    return {"deliver_policy": api.DeliverPolicy.ALL}
