"""The console's session: the caller's own credential, kept by the browser where no script can read it. Pure.

The cookie holds the API key or the token itself, so that there is no second store of sessions, every replica knows it,
and revoking the key ends it at once. It is HttpOnly and SameSite=Strict, and it counts only beside the header
`X-Console`, which no form can send and which other origins may not send (it is not among the CORS headers).
Read by `api/auth.py`; given and taken by `api/console.py`.
"""

import base64
import binascii
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

COOKIE: Final = "mintstream_console"
CONSOLE_HEADER: Final = "X-Console"
MAX_AGE: Final = 12 * 3600
"""Seconds after which a browser that was left open asks for the key again."""
_KEY, _TOKEN = "k", "t"


def credentials(connection: HTTPConnection) -> tuple[str | None, str | None]:
    """Return the API key or the bearer token of a request's session; two times None when it has none."""
    if CONSOLE_HEADER not in connection.headers:
        return None, None
    kind, _, encoded = connection.cookies.get(COOKIE, "").partition(".")
    try:
        credential = base64.urlsafe_b64decode(encoded).decode()
    except (binascii.Error, ValueError):  # stop: outside input; whoever has no session has to sign in
        return None, None
    if not credential:
        return None, None
    return (credential, None) if kind == _KEY else (None, credential) if kind == _TOKEN else (None, None)


def begin(response: Response, key: str | None, token: str | None) -> None:
    """Have the browser keep the credential that a request came with: its key, or else its token."""
    kind, credential = (_KEY, key) if key is not None else (_TOKEN, token or "")
    value = f"{kind}.{base64.urlsafe_b64encode(credential.encode()).decode()}"
    # Browsers take Secure from http://127.0.0.1 and http://localhost too; elsewhere the console needs HTTPS.
    response.set_cookie(COOKIE, value, max_age=MAX_AGE, path="/", secure=True, httponly=True, samesite="strict")


def end(response: Response) -> None:
    """Have the browser forget the credential."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
