"""A request's header fields, found by name without a walk through all of them: a mint asks for a dozen.

The index is made once for each request. Names are those of ASGI: bytes in lower case. Not done here: what they mean.
"""

from collections.abc import Mapping

from starlette.types import Scope

_KEY = "header_fields"


def fields_of(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the fields of the request by name; of a field that was sent several times, the first one."""
    state = scope.setdefault("state", {})
    found: Mapping[bytes, bytes] | None = state.get(_KEY)
    if found is None:
        found = state[_KEY] = dict(reversed(scope["headers"]))
    return found


def field(scope: Scope, name: bytes) -> str | None:
    """Return the field's value, or None when it was not sent."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


def fields_named(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a field, in the order in which they were sent."""
    return [value.decode("latin-1") for each, value in scope["headers"] if each == name]
