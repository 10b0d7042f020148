"""What content is made of: CIDs, IPFS blocks, images, metadata, and the answers of pinning services."""

import io
from typing import Any, Final

import msgspec
from PIL import Image

from chassis.clock import ManualClock
from chassis.image_location import without_location
from chassis.images import ImageRefused, inspect_image
from chassis.redaction import Secret
from contracts.mint import Nft
from services.ipfs.adapters.gateway import HttpGateway
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.pinata import Bearer, PinataLegacyPinning, PinataPinning
from services.ipfs.adapters.pinning_api import PinningApi
from services.ipfs.metadata import PlacedImage, nft_metadata, why_invalid
from services.ipfs.ports import ContentMismatch, PinRefused, PinUnavailable
from tests.fuzz.target import Target
from tests.fuzz.targets_chain import http_client
from tests.support.content import collection_created, content_of, folder_of, nft, png
from unixfs import (
    V1,
    Cid,
    CidError,
    Codec,
    Entry,
    FileReader,
    ImportProfile,
    graph_cids,
    import_bytes,
    import_directory,
)
from unixfs.dagpb import DagError, decode_directory, decode_file_node

SECRET: Final = Secret("very-secret")


def cid(data: bytes) -> None:
    """A CID's text, or its bytes: what is taken is written back as it was."""
    text = data.decode("latin-1")
    try:
        assert str(Cid.parse(text)) == text or text[:1] == "z", "one CID with two texts in one base"
    except CidError:
        assert bytes(Cid.from_bytes(data)) == data


BLOCKS: Final[dict[Cid, bytes]] = {}
_FILE: Final = import_bytes(bytes(range(256)) * 8, ImportProfile(0, False, 256, 3), BLOCKS.__setitem__)
_ENTRIES: Final = [Entry(name, _FILE.cid, _FILE.dag_size) for name in ("a.json", "b", "ü")]
_FOLDER: Final = import_directory(_ENTRIES, V1, BLOCKS.__setitem__)


def block(data: bytes) -> None:
    """A block under a name of its own, with good blocks below: read as a file, as a directory, as a graph."""
    root = Cid.of_block(data, Codec.DAG_PB)

    def get(wanted: Cid) -> bytes:
        if wanted == root:
            return data
        if wanted not in BLOCKS:
            raise DagError("a block that is not there")
        return BLOCKS[wanted]

    taken = 0
    for read in (
        lambda: decode_file_node(data),
        lambda: decode_directory(data),
        lambda: sum(len(piece) for piece in FileReader(root, get).read(0, 100_000)),
        lambda: len(list(graph_cids(root, get))),
    ):
        try:
            read()
            taken += 1
        except DagError:
            continue
    if not taken:
        raise DagError("a block of no kind")


def _picture(kind: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {1: "N", 2: (50.0, 5.0, 12.0)}
    buffer = io.BytesIO()
    Image.effect_noise((16, 16), 80).convert("RGB").save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def _animation() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("P", (8, 8), number) for number in range(4)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], comment=b"made")
    return buffer.getvalue()


XMP: Final = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="50,5.2N"/></x:xmpmeta>'
PICTURES: Final = (
    *(_picture("PNG"), _picture("JPEG", xmp=XMP), _picture("WEBP", xmp=XMP)),
    *(_animation(), png(1), _picture("JPEG") + _picture("JPEG", xmp=XMP)),
)
TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")


def image(data: bytes) -> None:
    """A file: whatever it is, taking the location off ends, and once is as good as twice."""
    for content_type in TYPES:
        stripped = without_location(data, content_type)
        assert without_location(stripped, content_type) == stripped, f"{content_type}: twice is not once"
        assert len(stripped) <= len(data) + 64, f"{content_type}: it grew"
    found = inspect_image(data, max_pixels=1_000_000)
    inspect_image(without_location(data, found.content_type), max_pixels=1_000_000)


def metadata(data: bytes) -> None:
    """An NFT as the log tells it: its document is valid, or it is said why not; the same one always."""
    asked = msgspec.json.decode(data, type=Nft)
    document = nft_metadata(asked, collection_created(), PlacedImage.at(getattr(asked.image, "uri", "ipfs://x")))
    assert document == nft_metadata(
        msgspec.json.decode(msgspec.json.encode(asked), type=Nft),
        collection_created(),
        PlacedImage.at(getattr(asked.image, "uri", "ipfs://x")),
    )
    why_invalid(document)


CONTENT: Final = content_of(b"data")
FOLDER: Final = folder_of({"0.json": b"{}"})


async def pinning(data: bytes) -> None:
    """One answer, given to everything that the ipfs service asks of a pinning service or a gateway."""
    clock = ManualClock()
    taken = 0
    async with http_client(data) as http:
        pinata = PinataPinning(http, SECRET, "v1", clock)
        services = (
            KuboPinning(http, "http://kubo.test", V1, clock),
            pinata,
            PinataLegacyPinning(http, Bearer(SECRET), "v1", clock),
        )
        gateway = HttpGateway(http, "http://gateway.test", V1, clock)
        api = PinningApi(http, "http://api.test", SECRET, clock)
        for service in services:
            for ask in (
                lambda service=service: service.pin(CONTENT),
                lambda service=service: service.pin(FOLDER),
                lambda service=service: service.pin_by_cid(CONTENT.cid),
                lambda service=service: service.has(CONTENT.cid),
                service.check,
            ):
                taken += await _asked(ask)
        for ask in (lambda: api.has(CONTENT.cid), api.check):
            taken += await _asked(ask)
        taken += await _asked(lambda: gateway.fetch(CONTENT.cid, io.BytesIO(), 1000))
    if not taken:
        raise PinUnavailable("nothing understood")


async def _asked(ask: Any) -> bool:
    try:
        await ask()
    except (PinUnavailable, PinRefused, ContentMismatch) as error:
        told = str(error)
    else:
        return True
    assert "very-secret" not in told
    return False


def _json(body: object) -> bytes:
    return b"200 \n" + msgspec.json.encode(body)


_PIN: Final[dict[str, object]] = {
    "requestid": "r1",
    "status": "pinned",
    "created": "2026-01-01T00:00:00Z",
    "pin": {"cid": str(CONTENT.cid)},
}
PINNED: Final = (
    _json({"Name": "a", "Hash": str(CONTENT.cid), "Size": "4"}),
    _json({"data": {"id": "1", "cid": str(CONTENT.cid), "size": 4}}),
    _json({"IpfsHash": str(CONTENT.cid), "PinSize": 4, "Timestamp": "2026-01-01T00:00:00Z"}),
    _json({"count": 1, "rows": [{"ipfs_pin_hash": str(CONTENT.cid)}]}),
    _json({"count": 1, "results": [_PIN]}),
    _json(_PIN),
    b"200 \ndata",
    b"500 \n" + msgspec.json.encode({"Message": "is not pinned", "Code": 0}),
    b"200 gzip\n\x1f\x8b\x08\x00",
)

TARGETS: Final = (
    Target(
        "cid",
        cid,
        (CidError,),
        (*(str(each).encode() for each in BLOCKS), *(bytes(each) for each in BLOCKS), b"z" + b"Qm" * 20),
    ),
    Target("block", block, (DagError,), tuple(BLOCKS.values())),
    Target("image", image, (ImageRefused,), PICTURES),
    Target(
        "metadata",
        metadata,
        (msgspec.DecodeError, UnicodeDecodeError, RecursionError),
        tuple(msgspec.json.encode(each) for each in (nft(1), nft(2, image="https://example.com/a.png?b#c"))),
    ),
    Target("pinning-service", pinning, (PinUnavailable,), PINNED),
)
