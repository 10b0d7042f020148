"""Images and metadata onto IPFS: fetched, checked, named by their CID, pinned once. Used by `handlers`.

The shell between the pure parts (`metadata`, `domain`, `unixfs`), `pictures` and the ports. What can never succeed
comes back as a `Refusal`; what may succeed later is raised, after everything else under way has finished, so that the
next try has less to do.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from chassis import telemetry
from chassis.log import UploadStore
from contracts.collection import CollectionCreated, CollectionRequested
from contracts.content import Vanished
from contracts.mint import Nft, Requested
from contracts.upload import UploadPinned, UploadRequested
from services.ipfs import metadata
from services.ipfs.bodies import InMemory, copied
from services.ipfs.domain import (
    UPLOAD_MISSING,
    Outcome,
    Placed,
    Refusal,
    invalid_metadata,
    refuse_image,
    refuse_metadata,
)
from services.ipfs.metadata import PlacedImage
from services.ipfs.pictures import file_cid
from services.ipfs.pinning import ImagePinner, Pinning
from services.ipfs.ports import (
    Content,
    ContentMismatch,
    Folder,
    Pinnable,
    PinRefused,
    PinUnavailable,
)
from services.ipfs.rebuilding import folder_cid
from services.ipfs.sessions import Session
from services.ipfs.uploads import PinnedUploads
from unixfs import import_bytes

K = TypeVar("K")
V = TypeVar("V")


class ContentPinner:
    """Pins the content of NFTs and collections, at most `concurrency` files at once over all operations."""

    def __init__(self, uploads: UploadStore, pinned: PinnedUploads, pinning: Pinning, *, concurrency: int) -> None:
        self._uploads = uploads
        self._how = pinning
        self._slots = asyncio.Semaphore(concurrency)
        self._images = ImagePinner(uploads, pinned, pinning, self._slots, self._pin)

    @property
    def retrieved_from(self) -> str | None:
        """The gateway that everything pinned here was had from, None when none is asked."""
        return self._how.retrieved_from

    @property
    def keeps_uploads(self) -> bool:
        """Whether the bytes of an upload are needed although it is pinned: mints of it make something else of them."""
        return not self._how.rules.take_as_uploaded

    async def lost(self, told: UploadPinned, session: Session) -> Vanished | None:
        """See `ImagePinner.lost`."""
        return await self._images.lost(told, session)

    async def place_nfts(
        self, request: Requested, positions: Iterable[int], collection: CollectionCreated, session: Session
    ) -> dict[int, Outcome]:
        """Pin the images, then the metadata of the NFTs at `positions`; return what became of each.

        Equal images and equal documents are pinned once. Raises PinUnavailable and LogUnavailable.
        """
        wanted = set(positions)
        if self._how.layout != "operation":
            return await self._place(request, wanted, collection, session)
        missing = set(range(len(request.nfts))) - session.outcomes.keys()
        if missing:
            # All or nothing: the directory's CID is that of all its files.
            session.outcomes |= await self._place(request, set(range(len(request.nfts))), collection, session)
        return {position: session.outcomes[position] for position in wanted}

    async def _place(
        self, request: Requested, positions: set[int], collection: CollectionCreated, session: Session
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        nfts: dict[int, Nft] = {}
        for position in sorted(positions):
            nft = request.nfts[position]
            unfit = metadata.why_unfit(nft.name, metadata.nft_symbol(nft, collection), "")
            if unfit is None:
                nfts[position] = nft
            else:
                outcomes[position] = invalid_metadata(unfit)
        # Structs are equal by value, so equal images are one job.
        distinct = {nft.image for nft in nfts.values()}
        images = await settle({image: self._images.place(image, session) for image in distinct})
        placed: dict[int, PlacedImage] = {}
        documents: dict[int, bytes] = {}
        for position, nft in nfts.items():
            image = images[nft.image]
            if isinstance(image, Refusal):
                outcomes[position] = image
                continue
            document = metadata.nft_metadata(nft, collection, image)
            invalid = metadata.why_invalid(document)
            if invalid is not None:
                outcomes[position] = invalid_metadata(invalid)
                continue
            placed[position], documents[position] = image, document
        uris = await self._pin_documents(documents, session)
        for position, uri in uris.items():
            nft = nfts[position]
            symbol = metadata.nft_symbol(nft, collection)
            outcomes[position] = (
                uri if isinstance(uri, Refusal) else Placed(nft.name, symbol, uri, placed[position].uri)
            )
        return outcomes

    async def place_collection(
        self, request: CollectionRequested, session: Session
    ) -> tuple[Placed | Refusal, PlacedImage | None]:
        """Pin a collection's image and metadata; raises PinUnavailable and LogUnavailable."""
        unfit = metadata.why_unfit(request.name, request.symbol, "")
        if unfit is not None:
            return invalid_metadata(unfit), None
        image: PlacedImage | None = None
        if request.image is not None:
            found = await self._images.place(request.image, session)
            if isinstance(found, Refusal):
                return found, None
            image = found
        document = metadata.collection_metadata(request, image)
        invalid = metadata.why_invalid(document)
        if invalid is not None:
            return invalid_metadata(invalid), image
        uri = await self._pin_document(document, session)
        if isinstance(uri, Refusal):
            return uri, image
        return Placed(request.name, request.symbol, uri, image.uri if image else ""), image

    async def place_upload(self, request: UploadRequested, session: Session) -> Refusal | None:
        """Pin a file as it was uploaded, under the CID that its caller was told; return why it cannot be.

        Raises PinUnavailable and LogUnavailable.
        """
        async with self._slots, copied(self._uploads, request.sha256) as upload:
            if upload is None:
                return UPLOAD_MISSING
            cid = await asyncio.to_thread(file_cid, upload.path, self._how.profile)
            if str(cid) != request.cid:
                return refuse_image(ContentMismatch(cid, request.cid))
            suffix = request.content_type.partition("/")[2].partition("+")[0]
            try:
                await self._pin(Content(upload, cid, f"{cid}.{suffix}", request.content_type), session)
            except (PinRefused, ContentMismatch) as error:  # stop: the same bytes fail again
                return refuse_image(error)
        return None

    async def _pin_documents(self, documents: Mapping[int, bytes], session: Session) -> dict[int, str | Refusal]:
        """Pin metadata by position, each as a file or all as one directory; return their URIs."""
        if not documents:
            return {}
        if self._how.layout == "file":
            uris = await self._pin_files(tuple(dict.fromkeys(documents.values())), session)
            return {position: uris[text] for position, text in documents.items()}
        files = {f"{position}.json": text for position, text in documents.items()}
        folder = Folder(files, folder_cid(files, self._how.profile), "metadata", metadata.CONTENT_TYPE)
        async with self._slots:
            try:
                await self._pin(folder, session)
            except (PinRefused, ContentMismatch) as error:  # stop: the same bytes fail again
                return dict.fromkeys(documents, refuse_metadata(error))
        return {position: f"{folder.cid.uri}/{position}.json" for position in documents}

    async def _pin_document(self, text: bytes, session: Session) -> str | Refusal:
        """Pin a metadata document; return its URI."""
        return (await self._pin_files((text,), session))[text]

    async def _pin_files(self, texts: Sequence[bytes], session: Session) -> dict[bytes, str | Refusal]:
        """Pin metadata documents, each as a file of its own, as many at once as the pinning service takes."""
        most = self._how.service.most_files
        groups = [texts[start : start + most] for start in range(0, len(texts), most)]
        done = await settle({group: self._pin_group(group, session) for group in groups})
        return {text: uri for uris in done.values() for text, uri in uris.items()}

    async def _pin_group(self, texts: Sequence[bytes], session: Session) -> dict[bytes, str | Refusal]:
        """Pin documents with one request; return their URIs."""
        contents = {text: self._document(text) for text in texts}
        async with self._slots:
            try:
                await self._pin_all(list(contents.values()), session)
                return {text: content.cid.uri for text, content in contents.items()}
            except (PinRefused, ContentMismatch) as error:
                if len(texts) == 1:  # stop: the same bytes fail again
                    return {texts[0]: refuse_metadata(error)}
        # Go on: one of them is at fault. Alone, each gets the verdict that is its own.
        done = await settle({text: self._pin_group((text,), session) for text in texts})
        return {text: uri for uris in done.values() for text, uri in uris.items()}

    def _document(self, text: bytes) -> Content:
        cid = import_bytes(text, self._how.profile).cid
        return Content(InMemory(text), cid, f"{cid}.json", metadata.CONTENT_TYPE)

    async def _pin_all(self, contents: Sequence[Content], session: Session) -> None:
        missing = [content for content in contents if content.cid not in session.pinned]
        if len(missing) < 2:
            for content in missing:
                await self._pin(content, session)
            return
        with telemetry.span("ipfs pin", kind=telemetry.SpanKind.CLIENT, attributes={"ipfs.files": len(missing)}):
            await self._how.service.pin_all(missing)
            for content in missing:
                await self._confirm(content, session)

    async def _pin(self, content: Pinnable, session: Session) -> None:
        if content.cid in session.pinned:
            return
        with telemetry.span("ipfs pin", kind=telemetry.SpanKind.CLIENT, attributes={"ipfs.cid": str(content.cid)}):
            await self._how.service.pin(content)
            await self._confirm(content, session)

    async def _confirm(self, content: Pinnable, session: Session) -> None:
        """Note that the content is pinned, once the gateway has given it back if one is asked."""
        if self._how.gateway is not None:
            await self._how.gateway.confirm(content)
        session.pinned.add(content.cid)


async def settle(jobs: Mapping[K, Coroutine[Any, Any, V]]) -> dict[K, V]:
    """Run all jobs to their ends and return their results; then only, raise what one of them raised.

    Of several errors, one that is not PinUnavailable comes first, then the PinUnavailable that wants the longest wait.
    """
    results = await asyncio.gather(*jobs.values(), return_exceptions=True)
    done: dict[K, V] = {}
    unavailable: list[PinUnavailable] = []
    for key, result in zip(jobs, results, strict=True):
        if isinstance(result, PinUnavailable):
            unavailable.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            done[key] = result
    if unavailable:
        raise max(unavailable, key=lambda error: (error.operator, error.after or 0.0))
    return done
