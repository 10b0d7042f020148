"""A request's header fields, looked up by name without a walk through all of them.

Made once for each request by `api/scope.py`; a mint asks for a dozen of them. Not done here: what a field means.
"""

from typing import TypeVar, overload

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

_KEY = "header_fields"


class Fields(Headers):
    """Starlette's headers with an index. Of a field that was sent several times, the first one is found, as there."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        self._first = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(raw)}

    def __getitem__(self, key: str) -> str:
        """Return the field's value. Raises KeyError."""
        return self._first[key.lower()]

    def __contains__(self, key: object) -> bool:
        """Whether the field was sent."""
        return isinstance(key, str) and key.lower() in self._first

    @overload
    def get(self, key: str) -> str | None: ...
    @overload
    def get(self, key: str, default: str | T) -> str | T: ...
    def get(self, key: str, default: object = None) -> object:
        """Return the field's value, or `default` when it was not sent."""
        return self._first.get(key.lower(), default)


def fields_of(scope: Scope) -> Fields:
    """Return the fields of the request, made at the first call."""
    state = scope.setdefault("state", {})
    found: Fields | None = state.get(_KEY)
    if found is None:
        found = state[_KEY] = Fields(scope)
    return found


class FieldsRequest(Request):
    """A request that finds its headers by the index."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._fields = fields_of(scope)

    @property
    def headers(self) -> Headers:
        """See Starlette's Request."""
        return self._fields
