"""What a server asks for with `Retry-After` (RFC 9110, 10.2.3): a number of seconds or a date. Pure.

Used by every adapter that speaks HTTP to others.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(header: str | None, now: datetime, at_most: float) -> float | None:
    """Return the seconds that the header asks for, from 0 to `at_most`; None without a valid one."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), at_most)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # go on without: a header that nobody can read asks for nothing
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), at_most)
