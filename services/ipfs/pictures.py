"""What becomes of an uploaded image before it is pinned: checked, its location taken off, a preview made.

Slow and blocking: `content` calls it in a worker thread. What the settings leave alone is pinned byte for byte as it
was uploaded. Not done here: what an image is (`chassis.images`), where a location hides (`chassis.image_location`).
"""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from chassis.image_location import without_location
from chassis.images import FORMATS, ImageInfo, ImageLimits, decoding, inspect_file
from services.ipfs.bodies import PIECE_BYTES, Body, InMemory, OnDisk
from unixfs import Cid, Importer, ImportProfile, import_bytes

_PREVIEW_QUALITY = 80
_PREVIEW_PIXEL_BYTES = 8
"""Of memory: the image as it was decoded, and in the preview's colours."""


@dataclass(frozen=True, slots=True)
class ImageRules:
    """What the settings ask for. `preview_pixels` is the longest edge of a preview; None makes none."""

    limits: ImageLimits = field(default_factory=ImageLimits)
    strip_location: bool = False
    preview_pixels: int | None = None

    @property
    def take_as_uploaded(self) -> bool:
        """Whether an upload is pinned byte for byte and nothing else is made of it."""
        return not self.strip_location and self.preview_pixels is None


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that is ready to be pinned (in memory when something was taken off the upload), and its preview."""

    info: ImageInfo
    body: Body
    cid: Cid
    preview: bytes | None = None


def picture(upload: OnDisk, rules: ImageRules, profile: ImportProfile) -> Picture:
    """Check an upload and make of it what is pinned. Raises ImageRefused."""
    info = inspect_file(upload.path, rules.limits)
    body: Body = upload
    cid: Cid | None = None
    if rules.strip_location:
        data = upload.path.read_bytes()
        stripped = without_location(data, info.content_type)
        if stripped != data:
            body, cid = InMemory(stripped), import_bytes(stripped, profile).cid
    preview = None if rules.preview_pixels is None or info.markup else _preview(upload.path, rules.preview_pixels)
    return Picture(info, body, cid or file_cid(upload.path, profile), preview)


def file_cid(path: Path, profile: ImportProfile) -> Cid:
    """Return the CID of a file, read a piece at a time."""
    importer = Importer(profile)
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            importer.update(piece)
    return importer.finish().cid


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read a piece at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _preview(path: Path, longest: int) -> bytes | None:
    """Return the first frame, upright and without metadata, as WebP; None when the image is not larger than that."""
    with Image.open(path, formats=FORMATS) as image:
        if max(image.size) <= longest:
            return None
        image.draft("RGB", (longest, longest))  # JPEG only: decodes no larger than needed
        with decoding(image.width * image.height * _PREVIEW_PIXEL_BYTES):
            image.load()
            mode = "RGBA" if image.has_transparency_data else "RGB"
            small = image if image.mode == mode else image.convert(mode)
            small.thumbnail((longest, longest))
        buffer = io.BytesIO()
        _upright(small).save(buffer, "WEBP", quality=_PREVIEW_QUALITY, method=4, exif=b"")
        return buffer.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF says; as it is where that cannot be read, which viewers do too."""
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise  # retry: the machine's trouble
    except Exception:  # go on: Pillow raises many kinds for damaged tags
        return image
