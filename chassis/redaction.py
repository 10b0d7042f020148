"""Keeping secrets out of logs, errors and probes.

Used by settings (the `Secret` type), telemetry (every log line) and the probes (error texts). Not done here:
reading or storing secrets.
"""

import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NoReturn, cast
from urllib.parse import parse_qsl, urlsplit

REDACTED: Final = "[redacted]"

# Deep structures in a log line are a mistake; past this depth they are not worth a walk.
_MAX_DEPTH: Final = 6
_SHORTEST_KEY: Final = 8
_SHORTEST_IN_PATH: Final = 16
"""Shorter parts of paths are words, such as `mainnet-beta`."""

_SECRET_KEY = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|api_?key|private_?key|secret_?key|authorization|cookie|credential|mnemonic|seed)s?$",
    re.IGNORECASE,
)
# Callers choose some of what is logged, so the time that each of these takes grows with the text alone: none begins
# with a run of characters that it would try again from each of them. A password goes to the last @ before the path.
_URL_PASSWORD = re.compile(r"(?P<begin>://[^\s/:@?#]*):[^\s/\"']+@")
_URL_SECRET_PARAMETER = re.compile(
    r"(?P<name>[?&][a-z_-]*(?:api-?_?key|token|secret|password)=)[^\s&#\"']+", re.IGNORECASE
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}")


class Secret:
    """A text that does not print: `str` and `repr` give a placeholder; encoders and pickle refuse it.

    It is not a `str`, so it cannot slip into a message or a header unnoticed; `reveal` is the only way out
    and easy to search for.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"

    def __str__(self) -> str:
        return REDACTED

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def scrub(text: str) -> str:
    """`text` without passwords in URLs, key-like query parameters and authorization values."""
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\g<begin>:{REDACTED}@", text)
    if "=" in text:
        text = _URL_SECRET_PARAMETER.sub(rf"\g<name>{REDACTED}", text)
    if "Bearer " in text or "Basic " in text:
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return text


def keys_in(url: str) -> tuple[str, ...]:
    """What of a provider's URL may be a key: its password, the long parts of its path, and what its parameters say."""
    try:
        parts = urlsplit(url)
    except ValueError:  # go on: what is no URL is asked of nobody
        return ()
    said = [value for _, value in parse_qsl(parts.query)] + [parts.password or "", parts.username or ""]
    found = [each for each in said if len(each) >= _SHORTEST_KEY]
    return (*found, *(each for each in parts.path.split("/") if len(each) >= _SHORTEST_IN_PATH))


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a key of this name is taken to hold a secret (`password`, `api_key`, `nats_token`, ...)."""
    return _SECRET_KEY.search(name.replace("-", "_")) is not None


def redact(value: object, depth: int = 0) -> object:
    """`value` fit to be logged: secrets replaced, texts scrubbed, containers walked to a fixed depth."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Secret):
        return REDACTED
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return redact_mapping(cast("Mapping[object, object]", value), depth + 1)
    if isinstance(value, (list, tuple)):
        return [redact(item, depth + 1) for item in cast("list[object]", value)]
    if isinstance(value, (set, frozenset)):
        return [redact(item, depth + 1) for item in cast("set[object]", value)]
    return value


def redact_mapping(mapping: Mapping[object, object], depth: int = 0) -> dict[str, object]:
    """A copy of `mapping` with the values of secret-looking keys replaced and the others redacted."""
    return {
        str(key): REDACTED if value is not None and is_secret_name(str(key)) else redact(value, depth)
        for key, value in mapping.items()
    }
