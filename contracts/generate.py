"""Writes JSON Schemas and `asyncapi.yaml` from the message classes: `python -m contracts.generate [--check]`.

`schemas/*.json` are the messages on the log, `schemas/webhooks/*.json` the bodies that webhooks are sent.

With `--check` nothing is written; the exit status is 1 when a committed file differs from what would be written.
"""

import sys
from pathlib import Path
from typing import Any, cast

import msgspec

from contracts import notification, registry
from contracts.fact import Event, Fact
from contracts.streams import CONSUMERS, STREAMS

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas"
WEBHOOK_SCHEMAS = SCHEMAS / "webhooks"
ASYNCAPI = HERE / "asyncapi.yaml"
JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(fact: type[Fact]) -> dict[str, Any]:
    """Return the JSON Schema of the whole message, envelope included, with `type` fixed to this fact's."""
    schema, components = _schema_parts(fact, "#/$defs/{name}")
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "$id": f"{fact.type()}.json",
        "title": fact.type(),
        "description": _summary(fact),
        **schema,
        "$defs": components,
    }


def webhook_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of the body that webhooks are sent, by event type."""
    schemas, components = notification.json_schemas("#/$defs/{name}")
    return {
        name: {"$schema": JSON_SCHEMA_DIALECT, "$id": f"{name}.json", **schema, "$defs": _used(schema, components)}
        for name, schema in schemas.items()
    }


def _used(schema: Any, components: dict[str, Any]) -> dict[str, Any]:
    """Return those components that `schema` refers to, directly or through others."""
    found: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        text = msgspec.json.encode(waiting.pop()).decode()
        for name, component in components.items():
            if f'"#/$defs/{name}"' in text and name not in found:
                found[name] = component
                waiting.append(component)
    return dict(sorted(found.items()))


def _schema_parts(fact: type[Fact], ref_template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the envelope's schema and those that it refers to."""
    (reference,), components = msgspec.json.schema_components((Event[fact],), ref_template=ref_template)
    envelope = components.pop(str(reference["$ref"]).rsplit("/", 1)[1])
    envelope.pop("title", None)
    envelope.pop("description", None)
    envelope["properties"]["type"] = {"const": fact.type()}
    return envelope, dict(sorted(components.items()))


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document of every subject, message, publisher and consumer."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for fact, publishers in registry.PUBLISHERS.items():
        name = fact.type()
        payload, components = _schema_parts(fact, "#/components/schemas/{name}")
        schemas |= {key: _without_discriminator(schema) for key, schema in components.items()}
        messages[name] = {
            "name": name,
            "summary": _summary(fact),
            "contentType": "application/json",
            "headers": {"$ref": "#/components/schemas/Headers"},
            "payload": _without_discriminator(payload),
        }
        channels[name] = {
            "address": fact.SUBJECT,
            "description": f"Stream {registry.stream_of(fact).name}.",
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "parameters": {token: {} for token in fact.tokens()},
        }
        for publisher in publishers:
            operations[f"{publisher}.publish.{name}"] = _operation("send", name)
        for consumer in CONSUMERS:
            if any(each.startswith(f"{fact.type()}.") for each in consumer.filters):
                operations[f"{consumer.name}.consume.{name}"] = _operation("receive", name, consumer.description)
    schemas["Headers"] = _headers()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mintstream event log",
            "version": "1",
            "description": f"Every message on the JetStream streams {', '.join(stream.name for stream in STREAMS)}.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _without_discriminator(schema: Any) -> Any:
    """Return the schema without OpenAPI's `discriminator` objects, which AsyncAPI words as a plain string.

    Nothing is lost: the alternatives' tag fields are fixed by `enum`.
    """
    match schema:
        case dict():
            fields = cast("dict[str, Any]", schema)
            return {key: _without_discriminator(value) for key, value in fields.items() if key != "discriminator"}
        case list():
            return [_without_discriminator(value) for value in cast("list[Any]", schema)]
        case _:
            return schema


def _operation(action: str, channel: str, summary: str | None = None) -> dict[str, Any]:
    operation: dict[str, Any] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    if summary:
        operation["summary"] = summary
    operation["messages"] = [{"$ref": f"#/channels/{channel}/messages/{channel}"}]
    return operation


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "Nats-Msg-Id": {"type": "string", "description": "The event's id."},
            "traceparent": {"type": "string", "description": "W3C trace context of the publisher."},
        },
    }


def _summary(fact: type[Fact]) -> str:
    return (fact.__doc__ or "").strip().splitlines()[0]


def files() -> dict[Path, bytes]:
    """Return every generated file with its content."""
    found = {
        **{SCHEMAS / f"{fact.type()}.json": _json(json_schema(fact)) for fact in registry.FACTS},
        **{WEBHOOK_SCHEMAS / f"{name}.json": _json(schema) for name, schema in webhook_schemas().items()},
    }
    found[ASYNCAPI] = b"# Generated by `python -m contracts.generate`; do not edit.\n" + msgspec.yaml.encode(asyncapi())
    return found


def _json(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def main(arguments: list[str]) -> int:
    """Write or check the generated files; return the exit status."""
    wanted = files()
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    extra = [path for path in SCHEMAS.rglob("*.json") if path not in wanted]
    if "--check" in arguments:
        for path in [*stale, *extra]:
            sys.stderr.write(f"{path.relative_to(HERE.parent)} is not what the classes say; run `make contracts`\n")
        return 1 if stale or extra else 0
    WEBHOOK_SCHEMAS.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_bytes(wanted[path])
    for path in extra:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
