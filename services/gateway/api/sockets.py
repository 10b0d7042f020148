"""How a page shows who it is over a WebSocket: by a credential among the subprotocols that it offers. Pure.

Browsers send no headers of the page's own with a WebSocket, but the names of subprotocols, which stand in no history
and, unlike a query, in hardly any proxy's log. A page offers PROTOCOL, which is what the server chooses and names, and
beside it one name that is TOKEN_PREFIX and a bearer token, or KEY_PREFIX and an API key. Read by `api/auth.py` and
`api/events.py`.
"""

from collections.abc import Sequence
from typing import Final, cast

from starlette.types import Scope

PROTOCOL: Final = "mintstream"
KEY_PREFIX: Final = "mintstream.key."
TOKEN_PREFIX: Final = "mintstream.bearer."  # noqa: S105 (a name, no password)


def credentials(scope: Scope) -> tuple[str | None, str | None]:
    """Return the API key or the bearer token that a connection offers; two times None when it offers none."""
    offered = _offered(scope)
    return _behind(KEY_PREFIX, offered), _behind(TOKEN_PREFIX, offered)


def chosen(scope: Scope) -> str | None:
    """Return the subprotocol to accept the connection with: never the one with the credential."""
    return PROTOCOL if PROTOCOL in _offered(scope) else None


def _offered(scope: Scope) -> Sequence[str]:
    return cast("Sequence[str]", scope.get("subprotocols", ()))


def _behind(prefix: str, offered: Sequence[str]) -> str | None:
    return next((name.removeprefix(prefix) for name in offered if name.startswith(prefix)), None) or None
