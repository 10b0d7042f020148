"""Requests, images and a pinning service in memory, for tests of what happens before a mint."""

import asyncio
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from PIL import Image

from contracts.collection import CollectionCreated, CollectionRequested, Standard, TreeShape
from contracts.mint import Attribute, ImageUri, Nft, Requested, UploadedImage
from services.ipfs.bodies import InMemory
from services.ipfs.ports import Content, Folder, Pinnable, PinUnavailable
from tests.support.trees import import_tree
from unixfs import V1, Cid, import_bytes

NAMESPACE = UUID("6f0f6d0e-3b0e-4f8e-9d9e-0c8f3f1f7a11")
OPERATION = uuid5(NAMESPACE, "operation")
COLLECTION = uuid5(NAMESPACE, "collection")
ADDRESS = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
SIGNATURE = "5" * 88


def png(number: int) -> bytes:
    """Return a small PNG; another for each number."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 77)).save(buffer, "PNG")
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def uploaded(data: bytes) -> UploadedImage:
    return UploadedImage(sha256=sha256(data), content_type="image/png", size=len(data), filename="../evil name.png")


def nft(number: int, *, image: bytes | str | None = None, copies: int = 1) -> Nft:
    """Return an NFT with an uploaded image of its own, or with the image given."""
    return Nft(
        name=f"Booth #{number}",
        image=ImageUri(uri=image) if isinstance(image, str) else uploaded(image or png(number)),
        description=f"Číslo {number}",
        attributes=(Attribute(trait_type="Row", value=str(number)),),
        copies=copies,
    )


def mint_request(*nfts: Nft, batch_size: int = 10) -> Requested:
    return Requested(
        operation=OPERATION,
        operation_type="batch_mint",
        collection=COLLECTION,
        recipient=ADDRESS,
        nfts=nfts,
        batch_size=batch_size,
    )


def collection_created() -> CollectionCreated:
    return CollectionCreated(
        collection=COLLECTION,
        name="Booths",
        symbol="BTH",
        standard=Standard.V2,
        uri="ipfs://collection",
        collection_address=ADDRESS,
        tree_address=ADDRESS,
        creator_address=ADDRESS,
        tree=TreeShape(),
        signatures=(SIGNATURE,),
        slot=1,
        fee=5000,
        seller_fee_basis_points=500,
    )


def collection_requested(image: bytes | None = None) -> CollectionRequested:
    return CollectionRequested(
        collection=COLLECTION,
        name="Booths",
        symbol="BTH",
        description="All booths",
        image=uploaded(image) if image else None,
        external_url="https://booths.test",
        seller_fee_basis_points=500,
    )


@dataclass(frozen=True)
class Kept:
    """A file as the pinning service in memory has it."""

    data: bytes
    cid: Cid
    name: str
    content_type: str


class MemoryPinning:
    """Keeps contents in memory and checks their CIDs. `before` runs first and may raise."""

    takes_bytes = True
    most_files = 4

    def __init__(self, before: Callable[[Kept], None] | None = None, name: str = "memory") -> None:
        self.name = name
        self.contents: dict[Cid, Kept] = {}
        self.folders: dict[Cid, Folder] = {}
        self.calls: list[Cid] = []
        self.requests: list[int] = []
        """Files of each `pin_all`."""
        self.network: dict[Cid, Kept] = {}
        self._before = before

    async def pin(self, content: Pinnable) -> None:
        """See `PinningService.pin`."""
        await asyncio.sleep(0)
        self.calls.append(content.cid)
        if isinstance(content, Folder):
            assert import_tree(content.files, V1).cid == content.cid
            self.folders[content.cid] = content
            return
        data = b"".join([piece async for piece in content.body.pieces()])
        assert len(data) == content.body.size
        kept = Kept(data, content.cid, content.name, content.content_type)
        if self._before is not None:
            self._before(kept)
        assert import_bytes(data).cid == content.cid
        self.contents[content.cid] = kept

    async def pin_all(self, contents: Sequence[Content]) -> None:
        """See `PinningService.pin_all`."""
        assert 1 <= len(contents) <= self.most_files
        self.requests.append(len(contents))
        for content in contents:
            await self.pin(content)

    async def pin_by_cid(self, cid: Cid) -> None:
        """See `PinningService.pin_by_cid`: takes it from `network`, which others fill."""
        if cid not in self.network:
            raise PinUnavailable(f"nobody has {cid}")
        self.contents[cid] = self.network[cid]

    async def has(self, cid: Cid) -> bool:
        """See `PinningService.has`."""
        return cid in self.contents or cid in self.folders

    async def check(self) -> None:
        """See `PinningService.check`."""

    def at(self, uri: str) -> Kept:
        """Return the content that an `ipfs://` URI names; KeyError when it was never pinned."""
        cid, _, name = uri.removeprefix("ipfs://").partition("/")
        if name:
            folder = self.folders[Cid.parse(cid)]
            return Kept(folder.files[name], folder.cid, name, folder.content_type)
        return self.contents[Cid.parse(cid)]


def content_of(data: bytes, cid: Cid | None = None, name: str = "name.png") -> Content:
    """Return an image to pin, under the CID of the default profile unless told otherwise."""
    return Content(InMemory(data), cid or import_bytes(data).cid, name, "image/png")


def folder_of(files: Mapping[str, bytes], name: str = "metadata") -> Folder:
    """Return a directory to pin."""
    return Folder(files, import_tree(files, V1).cid, name, "application/json")
