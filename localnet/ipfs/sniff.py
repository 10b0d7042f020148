"""Content types from content. Pure; used by `gateway`.

Only types that a browser shows without running anything are named as they are. Markup (HTML, SVG, XML) is given as
plain text to be saved, so that nobody's NFT runs script in this origin.
"""

import json
from dataclasses import dataclass

HEAD_BYTES = 512
"""Bytes that `sniff` looks at, JSON excepted."""

JSON_MAX_BYTES = 1_048_576
"""Files up to this size are parsed to tell JSON from text that starts like it."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """A Content-Type value, and whether a browser should save the file instead of showing it."""

    value: str
    attachment: bool = False


OCTETS = ContentType("application/octet-stream", attachment=True)
TEXT = ContentType("text/plain; charset=utf-8")
MARKUP = ContentType("text/plain; charset=utf-8", attachment=True)
JSON = ContentType("application/json")


def sniff(content: bytes, *, whole: bool) -> ContentType:
    """Return the type of a file that starts with `content`; `whole` says that this is all of it."""
    head = content[:HEAD_BYTES]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ContentType("image/png")
    if head.startswith(b"\xff\xd8\xff"):
        return ContentType("image/jpeg")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return ContentType("image/gif")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ContentType("image/webp")
    text = _as_text(head, whole=whole and len(content) <= HEAD_BYTES)
    if text is None:
        return OCTETS
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return MARKUP
    if start.startswith(("{", "[")) and whole and _is_json(content):
        return JSON
    return TEXT


def _as_text(head: bytes, *, whole: bool) -> str | None:
    """Decode UTF-8 without control characters; a character cut by the end of `head` is allowed unless `whole`."""
    for cut in range(1 if whole else 4):
        try:
            text = head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:  # try again with one byte less: the cut may go through a character
            continue
        return text if all(character >= " " or character in "\t\n\r\f" for character in text) else None
    return None


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):  # stop: text that only starts like JSON
        return False
    return True
