"""What webhooks are sent, as the `webhooks` section of the OpenAPI document. Called by `documentation.describe`."""

from typing import Any, Final

from contracts.notification import EVENT_TYPES, json_schemas

Json = dict[str, Any]

_PREFIX: Final = "Event."
"""Before the names of components, which the API's own schemas may have too."""
_HEADERS: Final = {
    "webhook-id": "The event's id, the same in every attempt.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and an HMAC-SHA256 in base64, one for every valid secret, separated by spaces.",
}


def webhook_document() -> tuple[Json, Json]:
    """Return the section, and the schemas that it refers to by the names of components."""
    schemas, components = json_schemas(f"#/components/schemas/{_PREFIX}{{name}}")
    section = {name: {"post": _operation(name, schema)} for name, schema in schemas.items()}
    return section, {f"{_PREFIX}{name}": schema for name, schema in components.items()}


def _operation(name: str, schema: Json) -> Json:
    return {
        "summary": (EVENT_TYPES[name].__doc__ or "").strip(),
        "description": "Signed as the Standard Webhooks specification says.",
        "operationId": f"event_{name.replace('.', '_')}",
        "parameters": [
            {"name": header, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            for header, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "2XX": {"description": "Taken; nothing more is sent of this event."},
            "410": {"description": "The webhook is switched off."},
            "default": {"description": "Not taken: sent again, later and later, for three days; `Retry-After` counts."},
        },
    }
