"""The segments of a JPEG file, found without decoding it. Pure; used by `images` and `image_location`.

Source: ITU T.81, annex B. Nothing good is expected of the bytes: what is no segment is passed over, as decoders do.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

START: Final = b"\xff\xd8"
APP1, SCAN, END = 0xE1, 0xDA, 0xD9
"""Kinds of segments: where EXIF and XMP are, the header of a scan, and the end of the picture, which has no content."""

_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""Within the data of a scan no 0xFF is followed by any of these."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's kind, and where it is: `start` at its marker, `end` behind its content."""

    kind: int
    start: int
    end: int


def segments(data: bytes, start: int = 0) -> Iterator[Segment]:
    """Yield the segments of the picture that begins at `start`, up to its end if it has one.

    Of a scan only the header is one.
    """
    offset = start + len(START)
    while (marker := _MARKER.search(data, offset)) is not None:
        kind, offset = data[marker.end() - 1], marker.end()
        if kind != END:
            offset = min(offset + int.from_bytes(data[offset : offset + 2], "big"), len(data))
        yield Segment(kind, marker.start(), offset)
        if kind == END:
            return
