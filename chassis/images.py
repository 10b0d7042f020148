"""What an uploaded file really is: its image type and size, told by its content alone.

Used by the gateway at its door and by the ipfs service before it pins. Slow: decoding takes up to a second of a core,
so asynchronous callers run it in a worker thread. What a decoder takes of time and memory is bounded by what the file
says of itself, before it is asked. Not done here: resizing (`services.ipfs.pictures`), taking the location off
(`chassis.image_location`).
"""

import io
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from PIL import Image, UnidentifiedImageError

from chassis import jpeg

MAX_IMAGE_BYTES: Final = 10 * 1_048_576
"""The source document's limit for one uploaded file: 10 MiB."""

MAX_IMAGE_PIXELS: Final = 40_000_000
"""Width times height of one frame."""

MAX_DECODER_BYTES: Final = 268_435_456
"""Of memory that a decoder may take for one image: fewer pixels are taken where it needs much for each of them."""

LARGE_BYTES: Final = 33_554_432
"""What a decoder takes for a large image, of which one is decoded at a time: see `decoding`."""

_WEBP_PIXEL_BYTES: Final = 16
"""libwebp's animation decoder, which Pillow uses for all, has two canvases, and is copied from twice."""

_COEFFICIENT_BYTES: Final = 2
"""Of each pixel and colour, which libjpeg keeps of an image that comes in several scans."""

_PIXEL_BYTES: Final = 4

MAX_JPEG_SCANS: Final = 100
"""A progressive JPEG has about ten. Each is a walk over the whole image, and 66 bytes are enough for one."""

MAX_JPEG_SEGMENTS: Final = 10_000

MAX_READS: Final = 250_000
"""Pieces that a file is read in. Ten MiB of the smallest chunks, segments or frames are millions; of real ones, some
ten thousands (an animated GIF is read by 255 bytes)."""

MAX_IMAGE_FRAMES: Final = 1_000
"""Frames of an animation; only the first is decoded, but a viewer decodes them all."""

_CONTENT_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
_MULTI_PICTURE: Final = "MPO"
"""Pillow's name of a JPEG with others behind it, as cameras with two lenses write them; viewers show the first."""

FORMATS: Final = tuple(_CONTENT_TYPES)
"""Pillow's names of what is taken: no other of its decoders is ever asked."""

ALLOWED_CONTENT_TYPES: Final = frozenset(_CONTENT_TYPES.values())

_MARKUP_HEAD_BYTES: Final = 4_096

_JPEG_DRAFT_SCALE: Final = 8
"""JPEG decodes at an eighth of its size for the check: all of its data is read, at a fraction of the memory."""

_one_large = threading.Lock()


class ImageProblem(StrEnum):
    """Why an image is refused."""

    EMPTY = "empty"
    TOO_MANY_BYTES = "too_many_bytes"
    NOT_AN_IMAGE = "not_an_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MANY_PARTS = "too_many_parts"
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
    scans = _jpeg_scans(file)
    try:
        # Pillow asks no more of a file than this.
        with Image.open(cast("IO[bytes]", _Metered(file)), formats=FORMATS) as image:
            return _decode(image, scans, limits)
    except ImageRefused:
        raise  # stop: already named
    except UnidentifiedImageError:  # stop: no allowed format knows these bytes
        raise ImageRefused(ImageProblem.NOT_AN_IMAGE, "the file is not a PNG, JPEG, GIF or WebP image") from None
    except Image.DecompressionBombError:  # stop: Pillow's own limit, far above ours
        raise ImageRefused(
            ImageProblem.TOO_MANY_PIXELS, f"the image has more than {limits.max_pixels} pixels"
        ) from None
    except MemoryError:
        raise  # the machine's trouble: nothing is known of the image
    except Exception as error:  # stop: decoders raise OSError, SyntaxError, ValueError and more for damaged bytes
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's trouble, too: a decoder's own errors have no number
        raise ImageRefused(ImageProblem.DAMAGED, "the image is damaged or breaks off: it cannot be decoded") from error


def _decode(image: Image.Image, scans: int, limits: ImageLimits) -> ImageInfo:
    """Decode the first frame, once its header has told that it is within the limits. Raises ImageRefused and more."""
    width, height = image.size
    kind = "JPEG" if image.format == _MULTI_PICTURE else str(image.format)
    pixel_bytes = _pixel_bytes(image, kind, scans)
    most = min(limits.max_pixels, MAX_DECODER_BYTES // pixel_bytes)
    if width * height > most:
        raise ImageRefused(
            ImageProblem.TOO_MANY_PIXELS, f"the image has {width} x {height} pixels; at most {most} of this kind"
        )
    frames = int(getattr(image, "n_frames", 1))
    if frames > limits.max_frames:
        raise ImageRefused(
            ImageProblem.TOO_MANY_FRAMES, f"the animation has {frames} frames; at most {limits.max_frames}"
        )
    if kind == "JPEG":
        image.draft(None, (max(width // _JPEG_DRAFT_SCALE, 1), max(height // _JPEG_DRAFT_SCALE, 1)))
    with decoding(width * height * pixel_bytes):
        image.load()
    return ImageInfo(_CONTENT_TYPES[kind], width, height)


def _pixel_bytes(image: Image.Image, kind: str, scans: int) -> int:
    """Return how much memory decoding takes for each pixel."""
    if kind == "WEBP":
        return _WEBP_PIXEL_BYTES
    if kind == "JPEG":
        return _COEFFICIENT_BYTES * len(image.getbands()) if scans > 1 else 1
    return _PIXEL_BYTES


@contextmanager
def decoding(decoder_bytes: int) -> Generator[None]:
    """Decode an image within, which takes about so many bytes: of large images one at a time in this process.

    Blocks the thread meanwhile. Without it, as many as there are threads would decide how much memory is needed.
    """
    if decoder_bytes <= LARGE_BYTES:
        yield
        return
    with _one_large:
        yield


def _jpeg_scans(file: BinaryIO) -> int:
    """Return the number of scans of a JPEG, 0 for anything else. Raises ImageRefused for too many of them."""
    start = file.read(len(jpeg.START))
    data = start + file.read() if start == jpeg.START else b""
    file.seek(0)
    scans = 0
    for number, segment in enumerate(jpeg.segments(data)):
        scans += segment.kind == jpeg.SCAN
        if scans > MAX_JPEG_SCANS or number >= MAX_JPEG_SEGMENTS:
            raise _too_many_parts()
    return scans


def _too_many_parts() -> ImageRefused:
    return ImageRefused(ImageProblem.TOO_MANY_PARTS, "the file is made of more parts than any image needs")


class _Metered:
    """A file that is read in at most MAX_READS pieces: what its decoder does in Python is bounded with them."""

    def __init__(self, file: BinaryIO) -> None:
        self._left = MAX_READS
        self._read = file.read
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        """Read on. Raises ImageRefused."""
        self._left -= 1
        if self._left < 0:
            raise _too_many_parts()
        return self._read(size)


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
