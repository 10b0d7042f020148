"""Streams, consumers and buckets as resources of NACK, the JetStream controller, from the list that the code uses.

`resources` gives what `deploy/k8s/base/jetstream.yaml` holds. A test makes the same on a real server through
`chassis.messaging` and compares what the server says of it. Field names: NACK's `jetstream.nats.io/v1beta2`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.streams import BUCKETS, CONSUMERS, DUPLICATE_WINDOW, STREAMS, Bucket, Consumer, Stream

API_VERSION: Final = "jetstream.nats.io/v1beta2"
ACCOUNT: Final = "mintstream"
"""The resource in base/account.yaml that says where the log is."""
REPLICAS: Final = 3
"""Copies of every message; overlays for one machine patch it."""

Resource = Mapping[str, Any]


def resources() -> Iterator[Resource]:
    """Yield every resource, streams first."""
    for stream in STREAMS:
        yield _resource("Stream", stream.name.lower(), _stream(stream))
    for bucket in BUCKETS:
        yield _resource("ObjectStore", bucket.name.lower(), _bucket(bucket))
    for consumer in CONSUMERS:
        yield _resource("Consumer", consumer.name, _consumer(consumer))


def _resource(kind: str, name: str, spec: Resource) -> Resource:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": {**spec, "account": ACCOUNT}}


def _stream(stream: Stream) -> Resource:
    limits: dict[str, Any] = {}
    if stream.max_age is not None:
        limits["maxAge"] = duration(stream.max_age)
    if stream.max_bytes is not None:
        limits["maxBytes"] = stream.max_bytes
    return {
        "name": stream.name,
        "description": stream.description,
        "subjects": list(stream.subjects),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        **limits,
        "maxMsgSize": stream.max_message_bytes,
        "duplicateWindow": duration(DUPLICATE_WINDOW),
        "replicas": REPLICAS,
        "denyDelete": True,
        "allowDirect": True,
        "allowAtomicPublish": True,
        # Taking the resource away must never take the log away.
        "preventDelete": True,
    }


def _bucket(bucket: Bucket) -> Resource:
    return {
        "bucket": bucket.name,
        "description": bucket.description,
        "storage": "file",
        "ttl": duration(bucket.ttl),
        "maxBytes": bucket.max_bytes,
        "replicas": REPLICAS,
        "preventDelete": True,
    }


def _consumer(consumer: Consumer) -> Resource:
    return {
        "durableName": consumer.name,
        "streamName": consumer.stream,
        "description": consumer.description,
        "filterSubjects": list(consumer.filters),
        "deliverPolicy": "all",
        "ackPolicy": "explicit",
        "ackWait": duration(consumer.ack_wait),
        "maxAckPending": consumer.max_ack_pending,
        "maxDeliver": -1,
        "replayPolicy": "instant",
    }


def duration(seconds: float) -> str:
    """Return seconds as a Go duration: `6s`, `1.5s`."""
    return f"{seconds:g}s" if seconds < 1_000_000 else f"{seconds:.0f}s"
