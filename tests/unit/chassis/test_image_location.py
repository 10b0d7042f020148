"""Where an image was taken is removed; its pixels and its other tags stay."""

import functools
import io
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chassis import jpeg
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
        (b"exif:GPSLatitude\0\0\0\0\x0050/1, 5/1", False),
        (b"Title\0\0\0\0\0GPS of the mind", True),
    ],
)
def test_texts_of_a_png(text: bytes, kept: bool) -> None:
    data = photo("PNG", gps=False)
    end = data.index(b"IEND") - 4
    chunk = struct.pack(">I", len(text)) + b"iTXt" + text + b"\0\0\0\0"
    with_text = data[:end] + chunk + data[end:]
    assert without_location(with_text, "image/png") == (with_text if kept else data)


def test_a_packet_in_compressed_text_of_a_png_goes() -> None:
    data = photo("PNG", gps=False)
    end = data.index(b"IEND") - 4
    text = b"XML:com.adobe.xmp\0\0" + zlib.compress(XMP)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + b"\0\0\0\0"
    assert without_location(data[:end] + chunk + data[end:], "image/png") == data


@pytest.mark.parametrize(
    ("behind", "kept"),
    [
        (b"", True),
        (b"a camera's own", True),
        (photo("JPEG", gps=False), True),
        (photo("JPEG", gps=True), False),
        (bytes(100) + photo("JPEG", gps=False) + photo("JPEG", gps=False, xmp=XMP), False),
        (b"\0\0\0\x18ftypmp42 moov udta \0\x12\xa9xyz\0\x0a\x15\xc7+50.08+014.42/", False),
        (jpeg.START * 5_000 + photo("JPEG", gps=True), False),
        (jpeg.START * 1_000_000, True),
        (jpeg.START + b"\xff\xe5\0\2" * 10_001, False),
    ],
)
@pytest.mark.parametrize("gps", [False, True])
def test_what_stands_behind_a_jpeg_goes_when_a_location_is_in_it(behind: bytes, kept: bool, gps: bool) -> None:
    data = photo("JPEG", gps=gps)
    alone = without_location(data, "image/jpeg")
    stripped = without_location(data + behind, "image/jpeg")
    assert stripped == alone + (behind if kept else b"")
    assert without_location(stripped, "image/jpeg") == stripped


def test_a_location_behind_a_scan_goes() -> None:
    data = photo("JPEG", gps=False)
    tags = photo("JPEG", gps=True)
    (found,) = [tags[each.start : each.end] for each in jpeg.segments(tags) if each.kind == jpeg.APP1]
    stripped = without_location(data[:-2] + found + data[-2:], "image/jpeg")
    assert found not in stripped
    assert pixels(stripped) == pixels(data)


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


@functools.cache
def animation() -> tuple[bytes, bytes, bytes]:
    """The head of a GIF file, and its two frames."""
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], loop=0)
    data = buffer.getvalue().removesuffix(b";")
    second = data.rindex(b"\x21\xf9\x04")
    first = data.index(b"\x21\xf9\x04")
    return data[:first], data[first:second], data[second:]


def gif(*extensions: bytes) -> bytes:
    """That animation with these extensions after head and frames, in turn."""
    places = [b"".join(extensions[place::3]) for place in range(3)]
    return b"".join(part + extra for part, extra in zip(animation(), places, strict=True)) + b";"


def in_blocks(content: bytes, size: int) -> bytes:
    """Data as the GIF format has it: in blocks, each with its length before it, and an empty one at the end."""
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def xmp_extension(packet: bytes) -> bytes:
    """As XMP part 3 has it: the packet as it is, then a trailer that ends wherever a length leads into it."""
    return b"\x21\xff\x0bXMP DataXMP" + packet + b"\x01" + bytes(range(255, -1, -1)) + b"\0"


def xmp_in_blocks(packet: bytes, size: int = 255) -> bytes:
    """As some programs write it."""
    return b"\x21\xff\x0bXMP DataXMP" + in_blocks(packet, size)


WRITERS: tuple[Callable[[bytes], bytes], ...] = (xmp_extension, xmp_in_blocks, lambda packet: xmp_in_blocks(packet, 2))


@st.composite
def extensions(draw: st.DrawFn) -> tuple[bytes, bool]:
    """An extension, and whether it stays."""
    text = draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=600)).encode()
    match draw(st.integers(0, 3)):
        case 0:
            return b"\x21\xfe" + in_blocks(text, 255), True  # a comment
        case 1:
            return b"\x21\xff\x0bICCRGBG1012" + in_blocks(text, 255), True
        case 2:
            return draw(st.sampled_from(WRITERS))(text), b"GPS" not in text
        case _:
            return draw(st.sampled_from(WRITERS))(text + XMP), False


@given(st.lists(extensions(), max_size=7))
def test_a_packet_that_speaks_of_gps_goes_from_a_gif_and_nothing_else(given: list[tuple[bytes, bool]]) -> None:
    data = gif(*(each for each, _ in given))
    stripped = without_location(data, "image/gif")
    assert stripped == gif(*(each if stays else b"" for each, stays in given))
    assert without_location(stripped, "image/gif") == stripped
    assert frames_of(stripped) == frames_of(data) == frames_of(gif())


def frames_of(data: bytes) -> list[bytes]:
    image = Image.open(io.BytesIO(data))
    found: list[bytes] = []
    for frame in range(getattr(image, "n_frames", 1)):
        image.seek(frame)
        found.append(image.convert("RGB").tobytes())
    return found


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_a_gif_that_is_cut_off_or_damaged_is_stripped_once(noise: bytes, length: int) -> None:
    whole = gif(xmp_extension(XMP), xmp_in_blocks(XMP))
    for data in (whole[:length], whole[:length] + noise + whole[length:], b"GIF89a" + noise + whole):
        stripped = without_location(data, "image/gif")
        assert without_location(stripped, "image/gif") == stripped


def test_a_jpeg_without_an_end_has_nothing_behind_it() -> None:
    for data in (b"", b"\xa9xyz", photo("JPEG", gps=False)[:-2] + b"\xa9xyz"):
        assert without_location(data, "image/jpeg") == data


def test_other_types_are_left_alone() -> None:
    assert without_location(XMP, "image/svg+xml") == XMP
