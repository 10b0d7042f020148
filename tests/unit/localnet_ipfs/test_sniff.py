"""Content types: images and JSON by what they are, markup never as markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.ipfs.sniff import HEAD_BYTES, sniff

SHOWN = {"image/png", "image/jpeg", "image/gif", "image/webp", "application/json", "text/plain; charset=utf-8"}


@pytest.mark.parametrize(
    ("content", "value", "attachment"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png", False),
        (b"\xff\xd8\xff\xe0", "image/jpeg", False),
        (b"GIF89a\x01\x00", "image/gif", False),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", False),
        (b"RIFF\x00\x00\x00\x00WAVE", "application/octet-stream", True),
        (b'{"name": "x"}', "application/json", False),
        (b"[1, 2]", "application/json", False),
        (b"{not json", "text/plain; charset=utf-8", False),
        ("čau".encode(), "text/plain; charset=utf-8", False),
        (b"", "text/plain; charset=utf-8", False),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text/plain; charset=utf-8", True),
        (b"\xef\xbb\xbf  <!DOCTYPE html>", "text/plain; charset=utf-8", True),
        (b"<?xml version='1.0'?>", "text/plain; charset=utf-8", True),
        (b"MZ\x00\x01", "application/octet-stream", True),
        (b"\xff\xfe<\x00h\x00t\x00m\x00l\x00", "application/octet-stream", True),
        (b"[" * 100_000, "text/plain; charset=utf-8", False),
    ],
)
def test_known_beginnings(content: bytes, value: str, attachment: bool) -> None:
    sniffed = sniff(content, whole=True)
    assert (sniffed.value, sniffed.attachment) == (value, attachment)


def test_a_character_cut_by_the_head_is_still_text() -> None:
    content = b"a" * (HEAD_BYTES - 1) + "ž".encode()
    assert sniff(content[:HEAD_BYTES], whole=False).value.startswith("text/plain")
    assert sniff(content[:HEAD_BYTES], whole=True).value == "application/octet-stream"


@given(st.binary(max_size=600), st.booleans())
def test_nothing_is_ever_a_type_that_runs(content: bytes, whole: bool) -> None:
    sniffed = sniff(content, whole=whole)
    assert sniffed.value in SHOWN or (sniffed.value == "application/octet-stream" and sniffed.attachment)
