"""What an uploaded file really is: its image type and size, told by its content alone.

Used by the gateway at its door and by the ipfs service before it pins. Slow: decoding takes up to a second of a core,
so asynchronous callers run it in a worker thread. Not done here: resizing (`services.ipfs.pictures`), taking the
location off (`chassis.image_location`).
"""

import io
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, UnidentifiedImageError

MAX_IMAGE_BYTES: Final = 10 * 1_048_576
"""The source document's limit for one uploaded file: 10 MiB."""

MAX_IMAGE_PIXELS: Final = 40_000_000
"""Width times height of one frame; bounds the decoder's memory at about 160 MB."""

MAX_IMAGE_FRAMES: Final = 1_000
"""Frames of an animation; only the first is decoded, but a viewer decodes them all."""

_CONTENT_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}

ALLOWED_CONTENT_TYPES: Final = frozenset(_CONTENT_TYPES.values())

_MARKUP_HEAD_BYTES: Final = 4_096

_JPEG_DRAFT_SCALE: Final = 8
"""JPEG decodes at an eighth of its size for the check: all of its data is read, at a fraction of the memory."""


class ImageProblem(StrEnum):
    """Why an image is refused."""

    EMPTY = "empty"
    TOO_MANY_BYTES = "too_many_bytes"
    NOT_AN_IMAGE = "not_an_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    DAMAGED = "damaged"


class ImageRefused(ValueError):
    """These bytes are not an image that can be minted. Fatal: the same bytes are refused again.

    `problem` is for programs; the text is a sentence for a person and holds nothing of the bytes.
    """

    def __init__(self, problem: ImageProblem, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image's type and the size in pixels of its first frame (0 x 0 for markup, which has none)."""

    content_type: str
    width: int
    height: int

    @property
    def markup(self) -> bool:
        """Whether this is SVG or HTML, which a viewer runs instead of decoding it."""
        return self.content_type not in ALLOWED_CONTENT_TYPES


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is taken. `allow_markup` takes SVG and HTML too, which can hold script: viewers must sandbox them."""

    max_bytes: int = MAX_IMAGE_BYTES
    max_pixels: int = MAX_IMAGE_PIXELS
    max_frames: int = MAX_IMAGE_FRAMES
    allow_markup: bool = False


def inspect_image(data: bytes, *, max_bytes: int = MAX_IMAGE_BYTES, max_pixels: int = MAX_IMAGE_PIXELS) -> ImageInfo:
    """Return what the bytes are: PNG, JPEG, GIF or WebP whose first frame decodes whole. Raises ImageRefused.

    Dimensions are read from the header and held against `max_pixels` before anything is decompressed.
    """
    limits = ImageLimits(max_bytes=max_bytes, max_pixels=max_pixels)
    return _inspect(io.BytesIO(data), len(data), limits)


def inspect_file(path: Path, limits: ImageLimits) -> ImageInfo:
    """Return what the file is, as `inspect_image` does, without holding its bytes whole. Raises ImageRefused."""
    with path.open("rb") as file:
        return _inspect(file, path.stat().st_size, limits)


def _inspect(file: BinaryIO, size: int, limits: ImageLimits) -> ImageInfo:
    if size == 0:
        raise ImageRefused(ImageProblem.EMPTY, "the file is empty")
    if size > limits.max_bytes:
        raise ImageRefused(ImageProblem.TOO_MANY_BYTES, f"the file has {size} bytes; at most {limits.max_bytes}")
    if limits.allow_markup:
        kind = markup_type(file.read(_MARKUP_HEAD_BYTES))
        file.seek(0)
        if kind is not None:
            return ImageInfo(kind, 0, 0)
    try:
        with Image.open(file, formats=tuple(_CONTENT_TYPES)) as image:
            width, height = image.size
            if width * height > limits.max_pixels:
                raise ImageRefused(
                    ImageProblem.TOO_MANY_PIXELS,
                    f"the image has {width} x {height} pixels; at most {limits.max_pixels}",
                )
            frames = int(getattr(image, "n_frames", 1))
            if frames > limits.max_frames:
                raise ImageRefused(
                    ImageProblem.TOO_MANY_FRAMES, f"the animation has {frames} frames; at most {limits.max_frames}"
                )
            content_type = _CONTENT_TYPES[str(image.format)]
            if content_type == "image/jpeg":
                image.draft(None, (max(width // _JPEG_DRAFT_SCALE, 1), max(height // _JPEG_DRAFT_SCALE, 1)))
            image.load()
    except ImageRefused:
        raise  # stop: already named
    except UnidentifiedImageError:  # stop: no allowed format knows these bytes
        raise ImageRefused(ImageProblem.NOT_AN_IMAGE, "the file is not a PNG, JPEG, GIF or WebP image") from None
    except Image.DecompressionBombError:  # stop: Pillow's own limit, far above ours
        raise ImageRefused(
            ImageProblem.TOO_MANY_PIXELS, f"the image has more than {limits.max_pixels} pixels"
        ) from None
    except Exception as error:  # stop: decoders raise OSError, SyntaxError, ValueError and more for damaged bytes
        raise ImageRefused(ImageProblem.DAMAGED, "the image is damaged or breaks off: it cannot be decoded") from error
    return ImageInfo(content_type, width, height)


def markup_type(head: bytes) -> str | None:
    """Return the type of a file that starts like SVG or HTML, told by its root element; None for anything else."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while text.startswith((b"<?", b"<!--")):
        end = b"?>" if text.startswith(b"<?") else b"-->"
        text = text.partition(end)[2].lstrip()
    lowered = text[:256].lower()
    if lowered.startswith((b"<svg", b"<!doctype svg")):
        return "image/svg+xml"
    return "text/html" if lowered.startswith((b"<!doctype html", b"<html")) else None
