"""Images are told by their content; bombs, damage and other files are refused by name."""

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chassis.images import ImageInfo, ImageProblem, ImageRefused, inspect_image


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
