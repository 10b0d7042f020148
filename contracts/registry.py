"""Subject <-> class <-> stream, and the one way in which messages become bytes and back.

JSON on the wire, so that `nats sub 'mint.>'` reads like a story and an auditor needs no decoder.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from contracts import access, collection, content, dead, guard, health, mint, observation, upload, wallet, webhook
from contracts.fact import Event, Fact
from contracts.streams import ACCESS, COLLECTION, CONTENT, DEAD, DELIVERY, GUARD, HEALTH, LOGIN, MINT, WEBHOOK, Stream

PUBLISHERS: Mapping[type[Fact], tuple[str, ...]] = {
    mint.Requested: ("gateway",),
    mint.Cancelled: ("gateway",),
    mint.Pinned: ("ipfs",),
    mint.PinFailed: ("ipfs",),
    mint.Planned: ("minter",),
    mint.Signed: ("minter",),
    mint.Confirmed: ("minter",),
    mint.Finalized: ("minter",),
    mint.Failed: ("minter",),
    mint.Completed: ("indexer",),
    wallet.Paused: ("minter",),
    wallet.Resumed: ("minter",),
    collection.CollectionRequested: ("gateway",),
    collection.CollectionPinned: ("ipfs",),
    collection.CollectionSigned: ("minter",),
    collection.CollectionTableCreated: ("minter",),
    collection.CollectionTreeAdded: ("minter",),
    collection.CollectionCreated: ("minter",),
    collection.CollectionFailed: ("ipfs", "minter"),
    collection.CollectionCounted: ("indexer",),
    collection.CollectionUpdated: ("gateway",),
    collection.CollectionSyncRequested: ("gateway",),
    observation.CollectionObserved: ("indexer",),
    observation.CollectionDrift: ("indexer",),
    collection.CollectionImportRequested: ("gateway",),
    upload.UploadRequested: ("gateway",),
    upload.UploadPinned: ("ipfs",),
    upload.UploadFailed: ("ipfs",),
    content.AuditStarted: ("ipfs",),
    content.AuditEnded: ("ipfs",),
    content.Vanished: ("ipfs",),
    content.Restored: ("ipfs",),
    guard.Challenged: ("minter",),
    guard.Verified: ("indexer",),
    guard.Truncated: ("indexer",),
    guard.Bounded: ("minter",),
    guard.Archived: ("indexer",),
    access.KeyCreated: ("mintstream",),
    access.KeyRevoked: ("mintstream",),
    access.LoginRedeemed: ("gateway",),
    webhook.WebhookConfigured: ("gateway", "notifier"),
    webhook.ReplayRequested: ("gateway",),
    webhook.DeliveryQueued: ("notifier", "gateway"),
    webhook.DeliveryAttempted: ("notifier",),
    webhook.DeliveryParked: ("notifier",),
    webhook.ParkedTold: ("notifier",),
    dead.DeadLetter: ("indexer", "ipfs", "minter", "notifier"),
    dead.DeadLetterReplayRequested: ("gateway",),
    dead.DeadLetterReplayRefused: ("indexer",),
    dead.DeadLetterSettled: ("gateway", "indexer", "mintstream"),
    health.ServiceReported: ("gateway", "indexer", "ipfs", "minter", "notifier"),
}
"""Every fact, and the services that may say it; `mintstream` is the operator's command line."""

FACTS: tuple[type[Fact], ...] = tuple(PUBLISHERS)

_STREAM_BY_NOUN: dict[str, Stream] = {
    "mint": MINT,
    "collection": COLLECTION,
    "upload": CONTENT,
    "content": CONTENT,
    "dead": DEAD,
    "guard": GUARD,
    "health": HEALTH,
    "access": ACCESS,
    "login": LOGIN,
    "webhook": WEBHOOK,
    "delivery": DELIVERY,
}
_DECODERS: dict[str, msgspec.json.Decoder[Event[Any]]] = {
    fact.type(): msgspec.json.Decoder(Event[fact]) for fact in FACTS
}
_ENCODER = msgspec.json.Encoder()

F = TypeVar("F", bound=Fact)


class UndecodableMessage(Exception):
    """The bytes are not a message of the type that their subject names; retrying cannot help."""


class UnknownType(UndecodableMessage):
    """No class is registered for the subject; a newer producer may have written it."""


def type_of(subject: str) -> str:
    """Return the type that a subject names: its first three tokens."""
    return ".".join(subject.split(".", 3)[:3])


def stream_of(fact: type[Fact]) -> Stream:
    """Return the stream that holds facts of this class."""
    return _STREAM_BY_NOUN[fact.SUBJECT.split(".", 1)[0]]


def encode(event: Event[Fact]) -> bytes:
    """Return the event's bytes on the wire."""
    return _ENCODER.encode(event)


def decode(subject: str, payload: bytes) -> Event[Any]:
    """Return the event in `payload`, checked against the class that `subject` names.

    Raises UnknownType for an unregistered subject and UndecodableMessage when the bytes do not fit the class, or when
    body and subject do not name the same thing.
    """
    type_name = type_of(subject)
    if type_name not in _DECODERS:
        raise UnknownType(f"no message type is registered for subject {subject!r}")
    try:
        event = _DECODERS[type_name].decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The last two are what the decoder lets through: text that is not UTF-8, and nesting without end.
        raise UndecodableMessage(f"{subject}: {error}") from error
    if event.type != type_name or event.data.subject() != subject:
        raise UndecodableMessage(f"{subject}: the body says it is {event.data.subject()} of type {event.type}")
    return event
