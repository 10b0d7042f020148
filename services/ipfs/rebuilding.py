"""A metadata directory that nobody has any more, made again from the log: its files follow from what was requested.

Used by `audit`. What is made is held against the CID, under every profile that was ever used: a directory whose files
held something that the log does not tell (a preview's address, the type of somebody else's image) is not made again.
"""

from chassis.log import EventLog
from contracts.collection import CollectionCreated
from contracts.mint import ImageUri, Nft, Pinned, Requested
from services.ipfs import metadata
from services.ipfs.metadata import PlacedImage
from services.ipfs.ports import Folder
from unixfs import UNIXFS_V1_2025, V0, V1, Cid, Entry, ImportProfile, import_bytes, import_directory

PROFILES = (V1, V0, UNIXFS_V1_2025)
"""That content was ever imported with."""
_SUFFIX = ".json"


async def rebuilt(log: EventLog, cid: Cid, pinned: Pinned) -> Folder | None:
    """Return the directory `cid`, which `pinned` speaks of; None when the log does not tell what was in it.

    Raises LogUnavailable.
    """
    requested = await log.last(Requested, operation=pinned.operation)
    created = await log.last(CollectionCreated, collection=pinned.collection)
    if requested is None or created is None:
        return None
    request, prefix = requested.data, f"{cid.uri}/"
    files: dict[str, bytes] = {}
    for chunk, _ in enumerate(request.chunks()):
        told = await log.last(Pinned, operation=request.operation, chunk=chunk)
        for item in () if told is None else told.data.items:
            name = item.uri.removeprefix(prefix)
            if name == item.uri or name in files:
                continue
            position = name.removesuffix(_SUFFIX)
            if not position.isdecimal() or int(position) >= len(request.nfts):
                return None
            nft = request.nfts[int(position)]
            files[name] = metadata.nft_metadata(nft, created.data, _placed(nft, item.image_uri))
    if any(folder_cid(files, each) == cid for each in PROFILES if each.cid_version == cid.version):
        return Folder(files, cid, "metadata", metadata.CONTENT_TYPE)
    return None


def folder_cid(files: dict[str, bytes], profile: ImportProfile) -> Cid:
    """Return the CID of a directory of these files; raises DirectoryTooLarge."""
    entries: list[Entry] = []
    for name, text in files.items():
        root = import_bytes(text, profile)
        entries.append(Entry(name, root.cid, root.dag_size))
    return import_directory(entries, profile).cid


def _placed(nft: Nft, uri: str) -> PlacedImage:
    return PlacedImage.at(uri) if isinstance(nft.image, ImageUri) else PlacedImage(uri, nft.image.content_type)
