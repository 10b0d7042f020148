"""What an uploaded file really is: its image type and size, told by its content alone.

Used by the gateway at its door and by the ipfs service before it pins. Pure, but slow: decoding takes up to a second
of a core, so asynchronous callers run it in a worker thread. Not done here: resizing, re-encoding, stripping metadata:
what is minted is what was uploaded, byte for byte.
"""

import io
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from PIL import Image, UnidentifiedImageError

MAX_IMAGE_BYTES: Final = 10 * 1_048_576
"""The source document's limit for one uploaded file: 10 MiB."""

MAX_IMAGE_PIXELS: Final = 40_000_000
"""Width times height of one frame; bounds the decoder's memory at about 160 MB."""

_CONTENT_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}

ALLOWED_CONTENT_TYPES: Final = frozenset(_CONTENT_TYPES.values())

_JPEG_DRAFT_SCALE: Final = 8
"""JPEG decodes at an eighth of its size for the check: all of its data is read, at a fraction of the memory."""


class ImageProblem(StrEnum):
    """Why an image is refused."""

    EMPTY = "empty"
    TOO_MANY_BYTES = "too_many_bytes"
    NOT_AN_IMAGE = "not_an_image"
    TOO_MANY_PIXELS = "too_many_pixels"
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
    """An image's type and the size in pixels of its first frame."""

    content_type: str
    width: int
    height: int


def inspect_image(data: bytes, *, max_bytes: int = MAX_IMAGE_BYTES, max_pixels: int = MAX_IMAGE_PIXELS) -> ImageInfo:
    """Return what the bytes are: PNG, JPEG, GIF or WebP whose first frame decodes whole. Raises ImageRefused.

    Dimensions are read from the header and held against `max_pixels` before anything is decompressed.
    """
    if not data:
        raise ImageRefused(ImageProblem.EMPTY, "the file is empty")
    if len(data) > max_bytes:
        raise ImageRefused(ImageProblem.TOO_MANY_BYTES, f"the file has {len(data)} bytes; at most {max_bytes}")
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_CONTENT_TYPES)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageRefused(
                    ImageProblem.TOO_MANY_PIXELS, f"the image has {width} x {height} pixels; at most {max_pixels}"
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
        raise ImageRefused(ImageProblem.TOO_MANY_PIXELS, f"the image has more than {max_pixels} pixels") from None
    except Exception as error:  # stop: decoders raise OSError, SyntaxError, ValueError and more for damaged bytes
        raise ImageRefused(ImageProblem.DAMAGED, f"the image cannot be decoded ({type(error).__name__})") from error
    return ImageInfo(content_type, width, height)
