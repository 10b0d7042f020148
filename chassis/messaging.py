# nats-py is annotated in part only: its option dictionaries and header types are unknown to the checker.
# pyright: reportUnknownMemberType=false
"""The event log on NATS JetStream; with its two siblings `messaging_*`, the only importer of nats.

`Log` implements the protocols of `chassis.log`. Streams, consumers and buckets come from `contracts.streams`.
What is not done here: what becomes of a message (`chassis.delivery` decides), and what a message says (`contracts`).
"""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import msgspec
import nats.errors
import nats.js.errors
import uuid_utils.compat as uuid_utils
from nats.aio.client import Client, RawCredentials
from nats.js import JetStreamContext

from chassis import metrics, telemetry
from chassis.batching import Batching
from chassis.clock import Clock, SystemClock
from chassis.connectivity import Connectivity, Reports
from chassis.delivery import BurialCap, backoff
from chassis.log import MAX_BATCH, ConsumerStanding, Handler, LogUnavailable, Message, RawMessage, SequenceConflict
from chassis.logs import get_logger
from chassis.messaging_acks import Acknowledgements
from chassis.messaging_client import ReconnectingClient
from chassis.messaging_credentials import UnusableCredentials
from chassis.messaging_declare import Declaring, consumer_config
from chassis.messaging_lookup import StreamLookup, decoded
from chassis.messaging_publish import Publisher
from chassis.messaging_pull import ConsumerLoop, StreamReader
from chassis.messaging_repair import LogRepair
from chassis.messaging_spans import sending
from chassis.messaging_uploads import ObjectStoreUploads
from chassis.settings import ServiceSettings
from contracts import registry
from contracts.dead import DeadLetter
from contracts.fact import Event, Fact, Producer
from contracts.guard import Witness
from contracts.streams import BUCKETS, CONSUMERS, STREAMS, Bucket, Consumer, Stream

F = TypeVar("F", bound=Fact)

WRONG_LAST_SEQUENCE = 10071
"""JetStream's error code for a refused `Nats-Expected-Last-Subject-Sequence`."""
PUBLISH_ATTEMPTS = 5
MAX_PENDING_PUBLISHES = 512
"""Publishes that may wait for their acknowledgement at once; more wait their turn."""

_LOGIN = re.compile(r"//[^/]*@")

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the log is and who calls. `servers` are NATS URLs; `timeout` is in seconds."""

    servers: tuple[str, ...]
    producer: Producer
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    credentials: str | None = field(default=None, repr=False)
    """Contents of a NATS .creds file: a user JWT and its seed."""
    ca_file: str | None = None
    """File of the certificate authorities (PEM) that the servers' certificates must come from; None: the system's."""
    declares: bool = True
    """Whether `declare` makes what is missing, or only looks."""
    max_batch: int = MAX_BATCH
    """Most messages that go to the disk as one atomic batch; 1 publishes each by itself."""
    rule: Callable[[int], Batching] = Batching
    """What makes the rule by which a stream's messages go singly or as a batch, given `max_batch`."""
    timeout: float = 5.0
    connect_seconds: float = 20.0
    """How long the first connection is tried for."""
    replicas: int = 1

    @classmethod
    def of(cls, settings: ServiceSettings, producer: Producer) -> Self:
        """Return the connection that a service's settings describe."""
        return cls(
            servers=tuple(server.strip() for server in settings.nats_url.split(",")),
            producer=producer,
            user=settings.nats_user,
            password=settings.nats_password.reveal() if settings.nats_password else None,
            credentials=settings.nats_creds.reveal() if settings.nats_creds else None,
            ca_file=settings.nats_ca_file,
            declares=settings.nats_declare,
            max_batch=settings.nats_max_batch,
        )


class Log:
    """A connection to the event log. Make it with `connect`; it reconnects by itself for ever."""

    def __init__(self, client: Client, connection: Connection, clock: Clock, connectivity: Connectivity) -> None:
        self._client = client
        self.connectivity = connectivity
        self.witnesses: dict[str, Witness] = {}
        """By stream: the newest message that was acknowledged to this process."""
        self._connection = connection
        self._clock = clock
        self._jetstream: JetStreamContext = client.jetstream(timeout=connection.timeout)
        self._slots = asyncio.Semaphore(MAX_PENDING_PUBLISHES)
        self._draining = asyncio.Event()
        self._acknowledgements = Acknowledgements(client, connection.timeout)
        self._publishers: dict[str, Publisher] = {}

    @classmethod
    async def connect(cls, connection: Connection, clock: Clock | None = None) -> Self:
        """Return a connected log; raises LogUnavailable when no server answers within `connect_seconds`."""
        connectivity = Connectivity()
        reports = Reports(connectivity)
        options: dict[str, Any] = {
            "name": connection.producer.name,
            # Replies are for whoever asked: `contracts.permissions` lets a service listen to its own inbox alone.
            "inbox_prefix": f"_INBOX_{connection.producer.name}",
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.25,
            "connect_timeout": connection.timeout,
            "allow_reconnect": True,
            "ping_interval": 10,
            "max_outstanding_pings": 3,
            "disconnected_cb": reports.disconnected,
            "reconnected_cb": reports.reconnected,
            "error_cb": reports.failed,
        }
        if connection.user is not None:
            options |= {"user": connection.user, "password": connection.password}
        if connection.credentials is not None:
            options["user_credentials"] = RawCredentials(connection.credentials)
        if connection.ca_file is not None:
            options["tls"] = _tls(connection.ca_file)
        try:
            # The client would try for ever; a service that starts without its log must say so instead.
            async with asyncio.timeout(connection.connect_seconds):
                client = ReconnectingClient()
                await client.connect(list(connection.servers), **options)
        except UnusableCredentials as error:
            # Stop: the operator has to give others.
            raise LogUnavailable(f"NATS_CREDS cannot be used: {error}") from None
        except (TimeoutError, OSError, nats.errors.Error) as error:
            reason = str(error) or f"none in {connection.connect_seconds:g} s"
            # Without what stands before the @, which is a token or a password though neither belongs there.
            servers = ", ".join(_LOGIN.sub("//", server) for server in connection.servers)
            raise LogUnavailable(f"no NATS server answers at {servers}: {reason}") from error
        return cls(client, connection, clock or SystemClock(), connectivity)

    @classmethod
    @asynccontextmanager
    async def session(cls, connection: Connection, clock: Clock | None = None) -> AsyncGenerator[Self]:
        """Connect, and close on leaving."""
        log = await cls.connect(connection, clock)
        try:
            yield log
        finally:
            await log.close()

    async def close(self) -> None:
        """Flush and close the connection; one that is lost already is closed too. Consumers must have been drained."""
        self.connectivity.ending = True
        for publisher in self._publishers.values():
            await publisher.close()
        self._acknowledgements.close()
        if self._client.is_closed:
            return
        try:
            await self._client.close()
        except (OSError, RuntimeError) as error:
            # Stop: the client writes what waits into a transport that is gone, a RuntimeError with uvloop.
            # Nothing of it was acknowledged, and whoever published it was told so.
            _logger.warning("nats was away at the end", reason=f"{type(error).__name__}: {error}")

    def drain(self) -> None:
        """Ask every `consume` of this log to take no more messages, finish what it has, and return."""
        self._draining.set()

    async def ping(self) -> None:
        """Return when the stream leader answers; raises LogUnavailable. For readiness."""
        try:
            await self._jetstream.account_info()
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"JetStream does not answer: {error}") from error

    # Declaring -------------------------------------------------------------------------------------------------

    async def declare(
        self,
        streams: Iterable[Stream] = STREAMS,
        consumers: Iterable[Consumer] = CONSUMERS,
        buckets: Iterable[Bucket] = BUCKETS,
    ) -> None:
        """Create or update what must exist on the server. Safe to call from many processes at once.

        Raises LogUnavailable. A connection that does not declare only looks, and raises it too when a stream or bucket
        is not there. The consumers need not be there yet; pulling from a missing one is tried again until it is.
        """
        declaring = Declaring(self._jetstream, self._connection.replicas)
        if self._connection.declares:
            await declaring.make(streams, consumers, buckets)
        else:
            await declaring.look(streams, buckets)

    async def keep(self, consumer: Consumer) -> None:
        """Create or update a durable consumer of the service's own making; raises LogUnavailable."""
        try:
            await self._jetstream.add_consumer(consumer.stream, consumer_config(consumer))
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot make consumer {consumer.name}: {type(error).__name__}") from error

    async def remove(self, consumer: Consumer) -> None:
        """Remove such a consumer for good; removing what is not there changes nothing. Raises LogUnavailable."""
        try:
            await self._jetstream.delete_consumer(consumer.stream, consumer.name)
        except nats.js.errors.NotFoundError:
            return
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot remove consumer {consumer.name}: {type(error).__name__}") from error

    # Publishing ------------------------------------------------------------------------------------------------

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """Store `fact`; see `chassis.log.EventLog.publish`."""
        event = self.envelope(fact, cause)
        subject = fact.subject()
        headers = {"Nats-Msg-Id": str(event.id)}
        if expected_sequence is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected_sequence)
            if fence is not None:
                headers["Nats-Expected-Last-Subject-Sequence-Subject"] = fence
        payload = registry.encode(event)
        with sending(type(fact), subject, event.id, len(payload)):
            telemetry.inject(headers)
            async with self._slots:
                sequence = await self._store(event, subject, payload, headers, expected_sequence)
        self._witness(registry.stream_of(type(fact)).name, sequence, event)
        return sequence

    def _witness(self, stream: str, sequence: int, event: Event[Fact]) -> None:
        known = self.witnesses.get(stream)
        if known is None or sequence > known.sequence:
            self.witnesses[stream] = Witness(stream=stream, sequence=sequence, event=event.id)

    def repair(self) -> LogRepair:
        """Return the means to put messages back; for the truncation guard and for replays of dead letters."""
        return LogRepair(self._jetstream, {each.name: consumer_config(each) for each in CONSUMERS})

    @property
    def lookup(self) -> StreamLookup:
        """The means to find single messages by place."""
        return StreamLookup(self._client, self._jetstream)

    async def _store(
        self, event: Event[Fact], subject: str, payload: bytes, headers: dict[str, str], expected: int | None
    ) -> int:
        stream = registry.stream_of(type(event.data)).name
        reason = "never tried"
        for attempt in range(1, PUBLISH_ATTEMPTS + 1):
            try:
                return await self._publisher(stream).publish(subject, payload, headers)
            except nats.js.errors.APIError as error:
                if error.err_code == WRONG_LAST_SEQUENCE and expected is not None:
                    return await self._conflict(event, subject, expected)
                # The server refused for a reason of its own (no leader, storage full): it may pass, so retry.
                reason = f"refused: {error.description}"
            except (TimeoutError, nats.errors.Error) as error:
                # No answer: stored or not, we cannot tell. The same event id makes the retry safe.
                reason = type(error).__name__
            if self._draining.is_set() and not self._client.is_connected:
                break  # nobody waits for a server that is away: whose message this is about will be delivered again
            if attempt < PUBLISH_ATTEMPTS:
                _logger.warning("publish not acknowledged, retrying", subject=subject, reason=reason, attempt=attempt)
                await self._clock.sleep(backoff(attempt) / 4)
        raise LogUnavailable(f"{subject} was not acknowledged: {reason}")

    def _publisher(self, stream: str) -> Publisher:
        found = self._publishers.get(stream)
        if found is None:
            rule = self._connection.rule(self._connection.max_batch)
            found = self._publishers[stream] = Publisher(self._client, self._acknowledgements, stream, rule)
        return found

    async def _conflict(self, event: Event[Fact], subject: str, expected: int) -> int:
        """Tell our own earlier try, stored but not acknowledged to us, from somebody else's message."""
        stored = decoded(await self.lookup.newest(registry.stream_of(type(event.data)), subject))
        if stored is not None and stored.event.id == event.id:
            return stored.sequence
        metrics.FENCED.add(stream=registry.stream_of(type(event.data)).name)
        raise SequenceConflict(subject, expected)

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """Store `fact` unless its subject was ever used; see `chassis.log.EventLog.publish_once`."""
        try:
            await self.publish(fact, cause=cause, expected_sequence=0)
        except SequenceConflict:
            return False
        return True

    def envelope(self, fact: Fact, cause: Event[Fact] | None) -> Event[Fact]:
        """Return `fact` in a new envelope, caused by `cause`."""
        return Event(
            id=uuid_utils.uuid7(),
            type=fact.type(),
            time=self._clock.now(),
            producer=self._connection.producer,
            data=fact,
            causation_id=cause.id if cause else None,
        )

    # Reading ---------------------------------------------------------------------------------------------------

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """Return the newest message about the thing that `tokens` name; raises LogUnavailable."""
        return decoded(await self.lookup.newest(registry.stream_of(fact), fact.subject_of(**tokens)))

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """Return the newest message whose subject matches `pattern`; raises LogUnavailable."""
        return decoded(await self.lookup.newest(stream, pattern))

    async def last_sequence(self, stream: Stream) -> int:
        """Return the last sequence of `stream`; raises LogUnavailable."""
        try:
            return (await self._jetstream.stream_info(stream.name)).state.last_seq
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read the state of {stream.name}: {type(error).__name__}") from error

    async def first_sequence(self, stream: Stream) -> int:
        """Return the first sequence that `stream` still holds, or would give next; raises LogUnavailable."""
        try:
            state = (await self._jetstream.stream_info(stream.name)).state
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot read the state of {stream.name}: {type(error).__name__}") from error
        return max(state.first_seq, 1)

    async def consumers(self, stream: Stream) -> list[ConsumerStanding]:
        """Return how far each durable consumer of `stream` is; raises LogUnavailable."""
        return await self.lookup.consumers(stream)

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """Yield every message of `stream` beyond sequence `after`, in order, until closed."""
        reader = StreamReader(self._client, self._jetstream, stream, self._clock)
        try:
            async for message in reader.read(after):
                yield message
        finally:
            # Whoever reads next tells it: the last word of one that has stopped would stand beside that.
            metrics.CONSUMER_LAG.set(0, consumer=stream.name)

    # Consuming -------------------------------------------------------------------------------------------------

    async def consume(self, consumer: Consumer, handler: Handler, *, concurrency: int) -> None:
        """Feed `handler` until `drain` is called; see `chassis.log.Consuming`."""
        loop = ConsumerLoop(
            client=self._client,
            consumer=consumer,
            handler=handler,
            concurrency=concurrency,
            bury=self._bury,
            cap=BurialCap(),
            clock=self._clock,
            draining=self._draining,
        )
        await loop.run()

    async def _bury(self, consumer: Consumer, raw: RawMessage, deliveries: int, reason: str) -> None:
        payload, encoding = _readable(raw.payload)
        letter = DeadLetter(
            stream=consumer.stream,
            consumer=consumer.name,
            subject_name=raw.subject,
            stream_sequence=raw.sequence,
            reason=reason,
            deliveries=deliveries,
            payload=payload,
            payload_encoding=encoding,
            headers=dict(raw.headers),
        )
        await self.publish(letter, cause=None)

    # Uploads ---------------------------------------------------------------------------------------------------

    async def uploads(self, bucket: Bucket) -> ObjectStoreUploads:
        """Return the object store `bucket`; raises LogUnavailable."""
        try:
            store = await self._jetstream.object_store(bucket.name)
        except (TimeoutError, nats.errors.Error) as error:
            raise LogUnavailable(f"cannot open the object store {bucket.name}: {type(error).__name__}") from error
        return ObjectStoreUploads(store, bucket, self.lookup)


def _readable(payload: bytes) -> tuple[str, str]:
    """Return a body as a dead letter holds it, and its encoding: as text, unless it is none or grows too much by it."""
    encoded = base64.b64encode(payload)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return encoded.decode(), "base64"
    # Quotes and backslashes double in a text within a text. The largest message fits into DEAD as base64 only.
    return (text, "utf-8") if len(msgspec.json.encode(text)) <= len(encoded) else (encoded.decode(), "base64")


def _tls(ca_file: str) -> ssl.SSLContext:
    """Return how to check a server that `ca_file` vouches for. Raises LogUnavailable when the file cannot be used."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # stop: the operator has to correct NATS_CA_FILE (SSLError is an OSError)
        raise LogUnavailable(f"NATS_CA_FILE {ca_file} cannot be used: {error.strerror or error}") from error
