"""Images are told by their content; bombs, damage and other files are refused by name."""

import errno
import io
import struct
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chassis.images import (
    LARGE_BYTES,
    MAX_JPEG_SCANS,
    MAX_JPEG_SEGMENTS,
    MAX_READS,
    ImageInfo,
    ImageProblem,
    ImageRefused,
    decoding,
    inspect_image,
)


def picture(kind: str, width: int = 33, height: int = 17, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.effect_noise((width, height), 60).convert("RGB")
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_that_states(width: int, height: int) -> bytes:
    """A small PNG whose header states a size that its data does not have."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def progressive(scans: int) -> bytes:
    """A grey JPEG of 8 x 8 pixels in one scan for its brightness and so many for the rest, each of a few bytes."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content

    head = segment(0xDB, bytes([0, *[1] * 64]))
    head += segment(0xC2, struct.pack(">BHHB", 8, 8, 8, 1) + bytes((1, 0x11, 0)))
    head += segment(0xC4, bytes([0x00, 1, *[0] * 15, 0x00])) + segment(0xC4, bytes([0x10, 1, *[0] * 15, 0x00]))
    first = segment(0xDA, bytes((1, 1, 0, 0, 0, 0))) + b"\x7f"
    other = segment(0xDA, bytes((1, 1, 0, 1, 63, 0))) + b"\x7f"
    return b"\xff\xd8" + head + first + other * scans + b"\xff\xd9"


def webp_that_states(width: int, height: int) -> bytes:
    """A small lossless WebP whose header states a size that its data does not have."""
    data = bytearray(picture("WEBP", lossless=True))
    assert data[12:16] == b"VP8L"
    rest = struct.unpack_from("<I", data, 21)[0] >> 28 << 28
    struct.pack_into("<I", data, 21, rest | (height - 1) << 14 | width - 1)
    return bytes(data)


def problem(data: bytes, **limits: int) -> ImageProblem:
    with pytest.raises(ImageRefused) as caught:
        inspect_image(data, **limits)
    return caught.value.problem


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_allowed_types(kind: str) -> None:
    assert inspect_image(picture(kind)) == ImageInfo(f"image/{kind.lower()}", 33, 17)


def test_an_animation_and_a_transparent_image() -> None:
    frames = [Image.new("RGB", (4, 5), colour) for colour in ("red", "green", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert inspect_image(buffer.getvalue()) == ImageInfo("image/gif", 4, 5)
    buffer = io.BytesIO()
    Image.new("RGBA", (3, 2)).save(buffer, "PNG")
    assert inspect_image(buffer.getvalue()) == ImageInfo("image/png", 3, 2)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO"])
def test_other_image_types_are_refused(kind: str) -> None:
    assert problem(picture(kind, 32, 32)) == ImageProblem.NOT_AN_IMAGE


@pytest.mark.parametrize(
    "data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"hello", b"%PDF-1.7", b"MZ" * 100, b"\x00"]
)
def test_other_files_are_refused(data: bytes) -> None:
    assert problem(data) == ImageProblem.NOT_AN_IMAGE


def test_limits() -> None:
    data = picture("PNG")
    assert problem(b"") == ImageProblem.EMPTY
    assert problem(data, max_bytes=len(data) - 1) == ImageProblem.TOO_MANY_BYTES
    assert inspect_image(data, max_bytes=len(data)).width == 33
    assert problem(data, max_pixels=33 * 17 - 1) == ImageProblem.TOO_MANY_PIXELS
    assert inspect_image(data, max_pixels=33 * 17).height == 17


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(8_000, 5_001), (10_000, 10_000), (100_000, 100_000)])
def test_bombs_are_refused_by_their_header(width: int, height: int) -> None:
    assert problem(png_that_states(width, height)) == ImageProblem.TOO_MANY_PIXELS


def test_what_a_decoder_takes_of_memory_is_bounded() -> None:
    assert problem(webp_that_states(4_096, 4_097)) == ImageProblem.TOO_MANY_PIXELS
    assert problem(webp_that_states(4_096, 4_096)) == ImageProblem.DAMAGED, "so much may be decoded"


def test_what_a_decoder_takes_of_time_is_bounded() -> None:
    assert inspect_image(progressive(MAX_JPEG_SCANS - 1)) == ImageInfo("image/jpeg", 8, 8)
    assert problem(progressive(MAX_JPEG_SCANS)) == ImageProblem.TOO_MANY_PARTS
    jpeg, png, gif = picture("JPEG"), picture("PNG"), picture("GIF")
    assert problem(jpeg[:2] + b"\xff\xe5\x00\x02" * MAX_JPEG_SEGMENTS + jpeg[2:]) == ImageProblem.TOO_MANY_PARTS
    assert problem(jpeg[:2] + b"\xff" * MAX_READS + jpeg[2:]) == ImageProblem.TOO_MANY_PARTS
    empty = struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd"))
    assert problem(png[:33] + empty * (MAX_READS // 2) + png[33:]) == ImageProblem.TOO_MANY_PARTS
    comment = b"\x21\xfe" + b"\x01a" * MAX_READS + b"\x00"
    assert problem(gif[:-1] + comment + gif[gif.index(b"\x2c") :]) == ImageProblem.TOO_MANY_PARTS


def test_large_images_are_decoded_one_at_a_time() -> None:
    entered = {size: threading.Event() for size in (LARGE_BYTES, LARGE_BYTES + 1)}

    def decode(size: int) -> None:
        with decoding(size):
            entered[size].set()

    threads = [threading.Thread(target=decode, args=(size,)) for size in entered]
    with decoding(LARGE_BYTES + 1):
        for thread in threads:
            thread.start()
        assert entered[LARGE_BYTES].wait(60)
        assert not entered[LARGE_BYTES + 1].is_set()
    for thread in threads:
        thread.join()
    assert entered[LARGE_BYTES + 1].is_set()


def test_a_jpeg_of_several_pictures_is_a_jpeg() -> None:
    images = [Image.new("RGB", (32, 16), colour) for colour in ("red", "green")]
    buffer = io.BytesIO()
    images[0].save(buffer, "MPO", save_all=True, append_images=images[1:])
    assert inspect_image(buffer.getvalue()) == ImageInfo("image/jpeg", 32, 16)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_what_the_machine_lacks_is_no_damage_of_the_image(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load(_: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(type(error)):
        inspect_image(picture("PNG"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_damaged(kind: str) -> None:
    data = picture(kind, 200, 200)
    assert problem(data[: len(data) // 2]) == ImageProblem.DAMAGED


def test_the_sentence_holds_nothing_of_the_bytes() -> None:
    with pytest.raises(ImageRefused) as caught:
        inspect_image(b"secret words")
    assert "secret" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]), st.integers(0, 300), st.binary(max_size=40))
def test_any_damage_is_an_image_or_a_refusal(kind: str, position: int, noise: bytes) -> None:
    data = picture(kind)
    try:
        inspect_image(data[:position] + noise + data[position + len(noise) :])
    except ImageRefused:
        return
