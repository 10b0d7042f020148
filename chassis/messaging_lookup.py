# nats-py is annotated in part only: its option dictionaries and header types are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""Single messages by place, and what a stream holds now of some subjects: JetStream's side of `chassis.log.LogLookup`.

Used through `Log.lookup`. Not done here: the newest message of a subject (`Log.last`), following a stream (`Log.read`).
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from chassis.log import LogUnavailable, Message, RawMessage
from chassis.messaging_pull import READ_BATCH, READER_INACTIVE, Pull, PullLost, raw_message
from contracts import registry
from contracts.streams import Stream


class StreamLookup:
    """Implements `chassis.log.LogLookup` on JetStream."""

    def __init__(self, client: Client, jetstream: JetStreamContext) -> None:
        self._client = client
        self._jetstream = jetstream

    async def at(self, stream: Stream, sequence: int) -> Message[Any] | None:
        """See `LogLookup.at`."""
        return await self._get(stream, sequence, None)

    async def next(self, stream: Stream, pattern: str, after: int) -> Message[Any] | None:
        """See `LogLookup.next`."""
        return await self._get(stream, after + 1, pattern)

    async def _get(self, stream: Stream, sequence: int, pattern: str | None) -> Message[Any] | None:
        try:
            found = await self._jetstream.get_msg(stream.name, sequence, pattern, next=pattern is not None)
        except nats.js.errors.NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read {stream.name} at {sequence}: {type(error).__name__}") from error
        subject = found.subject or ""
        return Message(
            event=registry.decode(subject, found.data or b""),
            subject=subject,
            sequence=found.seq or sequence,
            stored_at=found.time or datetime.now(UTC),
            headers=cast("dict[str, str]", found.headers or {}),
        )

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
                filter_subjects=list(patterns),
                **_start(since, after),
                ack_policy=api.AckPolicy.NONE,
                inactive_threshold=READER_INACTIVE,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        pull = Pull(self._client, stream.name, info.name)
        left = int(info.num_pending)
        await pull.open()
        try:
            while left > 0:
                async for message in pull.messages(min(left, READ_BATCH)):
                    left = message.metadata.num_pending
                    yield raw_message(message)
        finally:
            await pull.close()
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                # The server forgets it anyway after READER_INACTIVE seconds.
                await jetstream.delete_consumer(stream.name, info.name)


def _start(since: datetime | None, after: int) -> dict[str, Any]:
    if after:
        return {"deliver_policy": api.DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": after + 1}
    if since is not None:
        return {"deliver_policy": api.DeliverPolicy.BY_START_TIME, "opt_start_time": since.astimezone(UTC)}
    return {"deliver_policy": api.DeliverPolicy.ALL}
