"""Spans of messages, named and described as OpenTelemetry's semantic conventions for messaging say.

Used by `chassis.messaging*`, and by whoever works on several messages at once. The trace context rides in the NATS
headers, so a span here goes on with the trace of whoever said the message. Conventions:
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ (there is none for NATS in particular).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from uuid import UUID

from chassis import telemetry
from chassis.log import RawMessage, RetryLater, SequenceConflict
from contracts.fact import Fact
from contracts.registry import type_of
from contracts.streams import Consumer

Spanned = AbstractContextManager[telemetry.Span]


def sending(fact: type[Fact], subject: str, message_id: UUID, size: int) -> Spanned:
    """A span around the publish of one fact; `size` in bytes. Losing a compare-and-set is an answer, no error."""
    if not telemetry.recording():
        return telemetry.unrecorded()
    return telemetry.span(
        f"send {fact.type()}",
        kind=telemetry.SpanKind.PRODUCER,
        attributes={
            "messaging.system": "nats",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": subject,
            "messaging.destination.template": fact.SUBJECT,
            "messaging.message.id": str(message_id),
            "messaging.message.body.size": size,
        },
        expected=(SequenceConflict,),
    )


def processing(consumer: Consumer, raw: RawMessage) -> Spanned:
    """A span around the handling of one delivery. A retry that the handler asks for is no error."""
    if not telemetry.recording():
        return telemetry.carried(raw.headers)
    return telemetry.span(
        f"process {type_of(raw.subject)}",
        context=telemetry.extract(raw.headers),
        kind=telemetry.SpanKind.CONSUMER,
        attributes={
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": raw.subject,
            "messaging.consumer.group.name": consumer.name,
            "messaging.message.id": raw.headers.get("Nats-Msg-Id", str(raw.sequence)),
        },
        expected=(RetryLater,),
    )


def processing_together(stream: str, messages: Sequence[RawMessage], operation: str) -> Spanned:
    """A span around work on several messages of a stream at once, linked to each of them."""
    context, links = telemetry.together([raw.headers for raw in messages])
    return telemetry.span(
        f"{operation} {stream}",
        context=context,
        kind=telemetry.SpanKind.CONSUMER,
        attributes={
            "messaging.system": "nats",
            "messaging.operation.name": operation,
            "messaging.operation.type": "process",
            "messaging.destination.name": stream,
            "messaging.batch.message_count": len(messages),
        },
        links=links,
    )
