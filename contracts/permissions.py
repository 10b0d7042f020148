"""Which service may say, read and take what: least privilege on the NATS server, from the registry.

The one list that the embedded stack's users, the production server's accounts and the drift tests are made from. A
service's user has its name; its replies come on `_INBOX_<name>.>`, which no other service may listen to. What a service
may say is `registry.PUBLISHERS`, and what it takes from durable consumers is those that are named after it.

Not done here: passwords, and the servers' configuration files. Protocol: subjects of the JetStream API, https://docs.nats.io/reference/reference-protocols/nats_api_reference.
"""

from collections.abc import Iterable, Iterator

import msgspec

from contracts import registry
from contracts.dead import DeadLetterReplayRequested
from contracts.fact import Fact
from contracts.guard import Challenged
from contracts.streams import (
    ACCESS,
    BUCKETS,
    COLLECTION,
    CONSUMERS,
    CONTENT,
    DEAD,
    DELIVERY,
    GUARD,
    HEALTH,
    LOGIN,
    MINT,
    STREAMS,
    UPLOADS,
    WEBHOOK,
    Bucket,
    Consumer,
    Stream,
)
from contracts.upload import UploadRequested
from contracts.webhook import DeliveryQueued, ReplayRequested

API = "$JS.API"


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """What a service does with the log, beside saying its facts and taking from its own consumers."""

    name: str
    """The service's name: its NATS user, its producer name, and the beginning of its consumers' names."""
    looks_up: tuple[Stream, ...] = ()
    """Streams of which it reads single messages by subject."""
    follows: tuple[Stream, ...] = ()
    """Streams that it reads whole, through consumers that vanish with it."""
    queues: tuple[Stream, ...] = ()
    """Streams on which it makes and removes durable consumers while it runs; nobody else has any there."""
    mends: tuple[Stream, ...] = ()
    """Streams on which it may say again what anybody said, and whose consumers it may make anew."""
    repeats: tuple[type[Fact], ...] = ()
    """Facts of others that it may say again, when a consumer gave up on one and a person wants it tried once more."""
    watches: tuple[Stream, ...] = ()
    """Streams of which it reads how far each consumer is."""
    puts: tuple[Bucket, ...] = ()
    """Object stores into which it puts."""
    takes: tuple[Bucket, ...] = ()
    """Object stores from which it reads and deletes."""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects of one user, sorted. A refusal goes before a permission."""

    publish: tuple[str, ...]
    never_publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    def configuration(self) -> dict[str, object]:
        """Return the `permissions` of a user in nats-server's configuration."""
        return {
            "publish": {"allow": list(self.publish), "deny": list(self.never_publish)},
            "subscribe": {"allow": list(self.subscribe)},
        }


ROLES: tuple[Role, ...] = (
    Role(
        name="gateway",
        looks_up=(MINT, COLLECTION, CONTENT, GUARD, ACCESS, LOGIN, WEBHOOK, DELIVERY, DEAD),
        follows=(MINT, COLLECTION, ACCESS, WEBHOOK, DELIVERY, DEAD, HEALTH),
        watches=(MINT, COLLECTION, CONTENT, GUARD, WEBHOOK, DELIVERY, DEAD),
        puts=(UPLOADS,),
    ),
    Role(
        name="ipfs",
        looks_up=(MINT, COLLECTION, CONTENT),
        follows=(MINT, COLLECTION, CONTENT),
        puts=(UPLOADS,),
        takes=(UPLOADS,),
    ),
    Role(name="minter", looks_up=(MINT, COLLECTION, GUARD), follows=(GUARD,)),
    Role(
        name="notifier",
        looks_up=(MINT, COLLECTION, WEBHOOK, DELIVERY),
        follows=(MINT, COLLECTION, WEBHOOK, DELIVERY),
        queues=(DELIVERY,),
        watches=(MINT, COLLECTION, DELIVERY),
    ),
    # The indexer restores what the log has lost, so it may say whatever stands on a stream that it keeps a copy of.
    # That makes it the one to replay dead letters too: of the other streams it may repeat what durable consumers take.
    Role(
        name="indexer",
        looks_up=(MINT, COLLECTION, CONTENT, GUARD, WEBHOOK, DELIVERY, DEAD),
        follows=(MINT, COLLECTION, GUARD),
        mends=(MINT, COLLECTION),
        repeats=(UploadRequested, Challenged, ReplayRequested, DeliveryQueued, DeadLetterReplayRequested),
    ),
)
"""Every service. The operator's own user is not here: it may do everything in the account."""


def consumers_of(role: Role) -> tuple[Consumer, ...]:
    """Return the durable consumers that feed a service."""
    return tuple(each for each in CONSUMERS if each.name.split("-", 1)[0] == role.name)


def permissions(role: Role) -> Permissions:
    """Return what the service's user may publish and subscribe to; everything else the server refuses."""
    return Permissions(
        publish=_sorted(_publish(role)),
        never_publish=_sorted(_never(role)),
        subscribe=(f"_INBOX_{role.name}.>",),
    )


def _sorted(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))


def _publish(role: Role) -> Iterator[str]:
    yield f"{API}.INFO"
    for name in (*(stream.name for stream in STREAMS), *(bucket.stream for bucket in BUCKETS)):
        yield f"{API}.STREAM.INFO.{name}"
    for fact, services in registry.PUBLISHERS.items():
        if role.name in services:
            # What names a service is said by that service alone.
            yield fact.subject_of(**{name: role.name if name == "service" else "*" for name in fact.tokens()})
    for fact in role.repeats:
        yield fact.pattern()
    for stream in role.watches:
        yield f"{API}.CONSUMER.LIST.{stream.name}"
    for stream in role.looks_up:
        yield f"{API}.STREAM.MSG.GET.{stream.name}"
    for consumer in consumers_of(role):
        yield f"{API}.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        yield f"$JS.ACK.{consumer.stream}.{consumer.name}.>"
    for stream in role.follows:
        # With the consumer's name in the subject, which the body must not contradict. A request without one would go by
        # the body's name, which no permission sees, and change the durable consumer that has it.
        yield f"{API}.CONSUMER.CREATE.{stream.name}.*"
        yield f"{API}.CONSUMER.MSG.NEXT.{stream.name}.*"
        yield f"{API}.CONSUMER.DELETE.{stream.name}.*"
    for stream in role.queues:
        yield f"{API}.CONSUMER.DURABLE.CREATE.{stream.name}.*"
        yield f"{API}.CONSUMER.MSG.NEXT.{stream.name}.*"
        yield f"{API}.CONSUMER.DELETE.{stream.name}.*"
        yield f"$JS.ACK.{stream.name}.>"
    yield from _mend(role)
    yield from _objects(role)


def _mend(role: Role) -> Iterator[str]:
    for stream in role.mends:
        yield from stream.subjects
        for consumer in CONSUMERS:
            if consumer.stream == stream.name:
                yield f"{API}.CONSUMER.DURABLE.CREATE.{stream.name}.{consumer.name}"
                yield f"{API}.CONSUMER.DELETE.{stream.name}.{consumer.name}"


def _objects(role: Role) -> Iterator[str]:
    for bucket in {*role.puts, *role.takes}:
        yield f"{API}.STREAM.MSG.GET.{bucket.stream}"
        # An object that is put over another one, or cut off, or deleted leaves pieces behind, which are purged.
        yield f"{API}.STREAM.PURGE.{bucket.stream}"
        yield f"$O.{bucket.name}.M.*"
    for bucket in role.puts:
        yield f"$O.{bucket.name}.C.*"
    for bucket in role.takes:
        # Nobody has durable consumers there.
        yield f"{API}.CONSUMER.CREATE.{bucket.stream}.*"
        yield f"{API}.CONSUMER.MSG.NEXT.{bucket.stream}.*"
        yield f"{API}.CONSUMER.DELETE.{bucket.stream}.*"


def _never(role: Role) -> Iterator[str]:
    """Yield what the wildcards of `follows` would let through: durable consumers, its own and those of others.

    Its own it may pull from by name, which no wildcard is needed for; nobody changes one, and only a mender deletes it.
    """
    own, mended = consumers_of(role), {stream.name for stream in role.mends}
    for consumer in CONSUMERS:
        if consumer.stream not in {stream.name for stream in role.follows}:
            continue
        yield f"{API}.CONSUMER.CREATE.{consumer.stream}.{consumer.name}"
        if consumer not in own:
            yield f"{API}.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        if consumer.stream not in mended:
            yield f"{API}.CONSUMER.DELETE.{consumer.stream}.{consumer.name}"
