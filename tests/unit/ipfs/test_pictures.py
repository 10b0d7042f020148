"""What becomes of an upload: refused, taken as it is, without its location, with a preview."""

import io
from pathlib import Path

import pytest
from PIL import Image

from chassis.images import ImageLimits, ImageProblem, ImageRefused
from services.ipfs.bodies import InMemory, OnDisk
from services.ipfs.pictures import ImageRules, Picture, picture
from tests.unit.chassis.test_image_location import GPS, photo
from unixfs import V0, V1, import_bytes

SVG = b'<?xml version="1.0"?>\n<!-- a --><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"\xef\xbb\xbf  <!DOCTYPE html><html></html>"


@pytest.fixture
def make(tmp_path: Path) -> "Maker":
    return Maker(tmp_path / "upload")


class Maker:
    """Runs `picture` on bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, data: bytes, rules: ImageRules | None = None) -> Picture:
        self.path.write_bytes(data)
        return picture(OnDisk(self.path, len(data)), rules or ImageRules(), V1)


def animation(frames: int) -> bytes:
    buffer = io.BytesIO()
    images = [Image.new("RGB", (4, 4), (number * 40, 0, 0)) for number in range(frames)]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], loop=0)
    return buffer.getvalue()


def test_by_default_it_is_taken_as_it_is(make: Maker) -> None:
    data = photo("JPEG", gps=True)
    made = make(data)
    assert isinstance(made.body, OnDisk)
    assert made.cid == import_bytes(data).cid
    assert made.preview is None


def test_the_location_is_taken_off_by_setting(make: Maker) -> None:
    rules = ImageRules(strip_location=True)
    made = make(photo("JPEG", gps=True), rules)
    assert isinstance(made.body, InMemory)
    assert GPS not in Image.open(io.BytesIO(made.body.data)).getexif()
    assert made.cid == import_bytes(made.body.data).cid
    assert isinstance(make(photo("JPEG", gps=False), rules).body, OnDisk)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_preview_is_smaller_upright_and_without_metadata(make: Maker, kind: str) -> None:
    made = make(photo(kind, gps=True), ImageRules(preview_pixels=64))
    assert made.preview is not None
    image = Image.open(io.BytesIO(made.preview))
    assert (image.format, max(image.size)) == ("WEBP", 64)
    assert len(image.getexif()) == 0
    again = make(photo(kind, gps=True), ImageRules(preview_pixels=64))
    assert again.preview == made.preview, "the same upload has the same preview"


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0not a TIFF", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x07\0\0\0\x01\0\x06\0\0"]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_no_hindrance(make: Maker, kind: str, exif: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 50)).save(buffer, kind, exif=exif)
    made = make(buffer.getvalue(), ImageRules(preview_pixels=64))
    assert made.preview is not None
    assert Image.open(io.BytesIO(made.preview)).size == (64, 32)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_every_kind_of_colours_has_a_preview(make: Maker, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (100, 50)).save(buffer, "PNG")
    made = make(buffer.getvalue(), ImageRules(preview_pixels=64))
    assert made.preview is not None
    preview = Image.open(io.BytesIO(made.preview))
    assert (preview.mode, preview.size) == ("RGBA" if "A" in mode else "RGB", (64, 32))


def test_a_small_image_needs_no_preview(make: Maker) -> None:
    assert make(photo("PNG", gps=False), ImageRules(preview_pixels=1_000)).preview is None


def test_too_many_frames_are_refused(make: Maker) -> None:
    rules = ImageRules(ImageLimits(max_frames=3))
    make(animation(3), rules)
    with pytest.raises(ImageRefused) as caught:
        make(animation(4), rules)
    assert caught.value.problem == ImageProblem.TOO_MANY_FRAMES


@pytest.mark.parametrize(("data", "content_type"), [(SVG, "image/svg+xml"), (HTML, "text/html")])
def test_markup_is_refused_unless_allowed(make: Maker, data: bytes, content_type: str) -> None:
    with pytest.raises(ImageRefused) as caught:
        make(data)
    assert caught.value.problem == ImageProblem.NOT_AN_IMAGE
    allowed = make(data, ImageRules(ImageLimits(allow_markup=True), strip_location=True, preview_pixels=64))
    assert (allowed.info.content_type, allowed.preview) == (content_type, None)


def test_text_that_is_no_markup_is_refused_even_then(make: Maker) -> None:
    for data in (b"hello <svg>", b"<xml/>", b"<!-- never closed", b"<?xml?>"):
        with pytest.raises(ImageRefused):
            make(data, ImageRules(ImageLimits(allow_markup=True)))


def test_the_cid_is_that_of_the_profile(tmp_path: Path) -> None:
    data = photo("PNG", gps=False)
    path = tmp_path / "upload"
    path.write_bytes(data)
    assert picture(OnDisk(path, len(data)), ImageRules(), V0).cid == import_bytes(data, V0).cid
