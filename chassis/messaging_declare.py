# nats-py is annotated in part only: its option dictionaries are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""Making what `contracts.streams` lists on the server: streams, durable consumers, object stores.

Used by `chassis.messaging` only. On Kubernetes the NACK controller makes the same from resources that `deploy.nack`
generates; a test holds the two against each other on a real server.
"""

from collections.abc import Iterable

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext, api

from chassis.log import LogUnavailable
from contracts.streams import DUPLICATE_WINDOW, Bucket, Consumer, Stream


class Declaring:
    """Makes, or only looks for, what must exist in an account."""

    def __init__(self, jetstream: JetStreamContext, replicas: int) -> None:
        self._jetstream = jetstream
        self._replicas = replicas

    async def make(self, streams: Iterable[Stream], consumers: Iterable[Consumer], buckets: Iterable[Bucket]) -> None:
        """Create or update. Safe to call from many processes at once.

        Raises LogUnavailable when nobody answers, as in a cluster that has no leader yet; a refusal stays an error of
        the client.
        """
        try:
            for stream in streams:
                await self._make_stream(stream)
            for bucket in buckets:
                await self._make_bucket(bucket)
            for consumer in consumers:
                await self._jetstream.add_consumer(consumer.stream, consumer_config(consumer))
        except (TimeoutError, nats.errors.NoRespondersError, nats.js.errors.ServiceUnavailableError) as error:
            raise LogUnavailable(f"cannot declare: {type(error).__name__}") from error

    async def look(self, streams: Iterable[Stream], buckets: Iterable[Bucket]) -> None:
        """Return when every stream and bucket is there; raises LogUnavailable otherwise."""
        for name in (*(stream.name for stream in streams), *(bucket.stream for bucket in buckets)):
            try:
                await self._jetstream.stream_info(name)
            except nats.js.errors.NotFoundError:
                # Stop: the platform starts the service again, and by then it may have been made.
                raise LogUnavailable(f"stream {name} is not there: NATS_DECLARE=false leaves it to others") from None
            except (TimeoutError, nats.errors.Error) as error:
                raise LogUnavailable(f"cannot look for stream {name}: {type(error).__name__}") from error

    async def _make_stream(self, stream: Stream) -> None:
        config = api.StreamConfig(
            name=stream.name,
            subjects=list(stream.subjects),
            description=stream.description,
            retention=api.RetentionPolicy.LIMITS,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            max_msg_size=stream.max_message_bytes,
            max_age=stream.max_age,
            max_bytes=stream.max_bytes,
            num_replicas=self._replicas,
            duplicate_window=DUPLICATE_WINDOW,
            deny_delete=True,
            allow_direct=True,
            allow_atomic=True,
        )
        try:
            await self._jetstream.add_stream(config)
        except nats.js.errors.BadRequestError:
            # It exists with other settings: bring it to these. A setting that cannot be changed raises, and stops us.
            await self._jetstream.update_stream(config)

    async def _make_bucket(self, bucket: Bucket) -> None:
        try:
            await self._jetstream.object_store(bucket.name)
        except nats.js.errors.NotFoundError:
            await self._jetstream.create_object_store(
                bucket.name,
                config=api.ObjectStoreConfig(
                    bucket=bucket.name,
                    description=bucket.description,
                    ttl=bucket.ttl,
                    max_bytes=bucket.max_bytes,
                    storage=api.StorageType.FILE,
                    replicas=self._replicas,
                ),
            )


def consumer_config(consumer: Consumer) -> api.ConsumerConfig:
    """Return JetStream's configuration of a durable consumer."""
    return api.ConsumerConfig(
        durable_name=consumer.name,
        description=consumer.description,
        filter_subjects=list(consumer.filters),
        deliver_policy=api.DeliverPolicy.ALL,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=consumer.ack_wait,
        max_ack_pending=consumer.max_ack_pending,
        # Unlimited: chassis.delivery decides when to give up, and never loses a message by giving up.
        max_deliver=-1,
    )
