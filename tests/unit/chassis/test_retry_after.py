"""Retry-After headers: numbers, dates, nonsense; never negative, never beyond the limit."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.retry_after import retry_after

AT_MOST = 900.0
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("9" * 40, AT_MOST),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30.0),
        ("Thu, 01 Jan 2026 12:00:30", 30.0),
        ("Wed, 31 Dec 2025 12:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2027 12:00:00 GMT", AT_MOST),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999", None),
    ],
)
def test_known_headers(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW, AT_MOST) == seconds


@given(st.text(max_size=60))
def test_any_header(header: str) -> None:
    seconds = retry_after(header, NOW, AT_MOST)
    assert seconds is None or 0 <= seconds <= AT_MOST
