"""Where an image was taken is removed; its pixels and its other tags stay."""

import io
import struct

import pytest
from PIL import Image

from chassis.image_location import without_location

GPS = 0x8825
ORIENTATION = 0x0112
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="50,5.2N"/></x:xmpmeta>'
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def photo(kind: str, *, gps: bool, xmp: bytes | None = None) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010F] = "Maker"
    if gps:
        exif[GPS] = {1: "N", 2: (50.0, 5.0, 12.0), 3: "E", 4: (14.0, 25.0, 9.0)}
    image = Image.radial_gradient("L").convert("RGB")
    buffer = io.BytesIO()
    extra = {"xmp": xmp} if xmp is not None and kind != "PNG" else {}
    image.save(buffer, kind, exif=exif, **extra)
    return buffer.getvalue()


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_location_goes_and_the_rest_stays(kind: str) -> None:
    data = photo(kind, gps=True)
    assert GPS in Image.open(io.BytesIO(data)).getexif()
    stripped = without_location(data, FORMATS[kind])
    image = Image.open(io.BytesIO(stripped))
    assert GPS not in image.getexif()
    assert image.getexif()[ORIENTATION] == 6
    assert image.getexif()[0x010F] == "Maker"
    assert pixels(stripped) == pixels(data)
    assert without_location(stripped, FORMATS[kind]) == stripped


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_without_a_location_is_returned_as_it_is(kind: str) -> None:
    data = photo(kind, gps=False, xmp=b"<x:xmpmeta>a title</x:xmpmeta>")
    assert without_location(data, FORMATS[kind]) == data


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_packet_that_speaks_of_gps_goes(kind: str) -> None:
    data = photo(kind, gps=False, xmp=XMP)
    assert b"GPSLatitude" in data
    stripped = without_location(data, FORMATS[kind])
    assert b"GPSLatitude" not in stripped
    assert pixels(stripped) == pixels(data)
    assert without_location(stripped, FORMATS[kind]) == stripped


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"XML:com.adobe.xmp\0\0\0\0\0" + XMP, False),
        (b"XML:com.adobe.xmp\0\1\0\0\0" + b"compressed", False),
        (b"XML:com.adobe.xmp\0\0\0\0\0<title/>", True),
        (b"Raw profile type exif\0\0abc", False),
        (b"Title\0\0\0\0\0GPS of the mind", True),
    ],
)
def test_texts_of_a_png(text: bytes, kept: bool) -> None:
    data = photo("PNG", gps=False)
    end = data.index(b"IEND") - 4
    chunk = struct.pack(">I", len(text)) + b"iTXt" + text + b"\0\0\0\0"
    with_text = data[:end] + chunk + data[end:]
    assert without_location(with_text, "image/png") == (with_text if kept else data)


def test_tags_that_cannot_be_read_go_whole() -> None:
    data = photo("JPEG", gps=True)
    start = data.index(b"Exif\0\0") + 6
    damaged = data[:start] + b"XX" + data[start + 2 :]
    stripped = without_location(damaged, "image/jpeg")
    assert b"Exif\0\0" not in stripped
    assert pixels(stripped) == pixels(data)


def test_fill_bytes_before_a_marker_are_kept() -> None:
    data = photo("JPEG", gps=False)
    filled = data[:2] + b"\xff" + data[2:]
    assert without_location(filled, "image/jpeg") == filled


def test_other_types_are_left_alone() -> None:
    assert without_location(b"GIF89a GPS", "image/gif") == b"GIF89a GPS"
