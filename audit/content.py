"""Whether the bytes behind an `ipfs://` URI have its CID: fetched through IPFS gateways, imported here, compared.

Used by `gathering`. No gateway is believed: bytes that give the CID are the content whoever sent them, so the gateways
are asked one after another until one has them. A file in a directory (`ipfs://<directory>/<name>`) is proven in two
steps: the directory's block has the directory's CID and gives the file's CID, which the file's bytes have. Where no
gateway gives blocks, the directory is made again from the files that are asked about, which are usually all of it.

Sources: the path gateway specification of ipfs/specs; `?format=raw` of its trustless gateway specification. Not done
here: sharded directories and directories in directories, neither of which is ever pinned; and redirects, by which a
gateway could have requests sent into our own network.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import quote

import httpx

from chassis.images import MAX_IMAGE_BYTES
from unixfs import (
    UNIXFS_V1_2025,
    V0,
    V1,
    Cid,
    CidError,
    DirectoryTooLarge,
    Entry,
    Importer,
    PathRefused,
    RootFile,
    import_directory,
)
from unixfs import ImportProfile as Profile
from unixfs.dagpb import DagError, decode_directory
from unixfs.directory import MAX_DIRECTORY_BYTES, check_name

T = TypeVar("T")

PROFILES: Final = (V1, V0, UNIXFS_V1_2025)
"""Those under which files were ever pinned."""
PARALLEL: Final = 8
_ABSENT: Final = (404, 410, 504)
"""What gateways answer for content that they do not find."""
_NO_TIME: Final = "there was no time to look"
_NO_GATEWAY: Final = "no IPFS gateway answers"

Roots = Mapping[Profile, RootFile]
"""A file's root under each profile."""


class _Unknown(Exception):
    """It cannot be told; the sentence says why."""


@dataclass(frozen=True, slots=True)
class ContentAnswers:
    """What was found, by URI."""

    has_its_cid: Mapping[str, bool | None]
    """None: nobody has the bytes."""
    silences: Mapping[str, str]
    """Why there is no answer about the other URIs."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URI points: a file by its CID, or by its name in a directory."""

    root: Cid
    name: str

    @property
    def path(self) -> str:
        return f"{self.root}/{quote(self.name)}" if self.name else str(self.root)


@dataclass(slots=True)
class _Fetched:
    """What the gateways gave so far."""

    directories: dict[Cid, Mapping[str, Cid]] = field(default_factory=dict[Cid, Mapping[str, Cid]])
    """Those whose block was had: the CIDs of their files by name."""
    files: dict[_Place, Roots | None] = field(default_factory=dict[_Place, Roots | None])
    """None: nobody has it."""
    silences: dict[_Place, str] = field(default_factory=dict[_Place, str])
    made: dict[Cid, frozenset[Cid]] = field(default_factory=dict[Cid, frozenset[Cid]])
    """What directories without a block would be, made again from their files."""


class Contents:
    """Asks the gateways, in their order; the clients, each with a gateway as its base URL, belong to the caller."""

    def __init__(self, gateways: Sequence[httpx.AsyncClient]) -> None:
        self._gateways = tuple(gateways)
        self._slots = asyncio.Semaphore(PARALLEL)

    async def check(self, uris: Iterable[str], seconds: float | None = None) -> ContentAnswers:
        """Look at each URI; what is not looked at within `seconds` is not known."""
        places: dict[str, _Place] = {}
        silences: dict[str, str] = {}
        for uri in uris:
            try:
                places[uri] = _place_of(uri)
            except (_Unknown, CidError, PathRefused) as error:  # stop: the report says that it is not known
                silences[uri] = str(error)
        fetched = _Fetched()
        with contextlib.suppress(TimeoutError):  # stop: the report says what was not looked at
            async with asyncio.timeout(seconds):
                await self._fetch(frozenset(places.values()), fetched)
        told: dict[str, bool | None] = {}
        for uri, place in places.items():
            try:
                told[uri] = _judge(place, fetched)
            except _Unknown as error:  # stop: the report says that it is not known
                silences[uri] = str(error)
        return ContentAnswers(told, silences)

    async def _fetch(self, places: frozenset[_Place], fetched: _Fetched) -> None:
        """Fetch the directories, and then the files, of which more is known by then."""

        async def directory(root: Cid) -> None:
            if (found := await self._directory(root)) is not None:
                fetched.directories[root] = found

        async def file(place: _Place) -> None:
            wanted = fetched.directories.get(place.root, {}).get(place.name) if place.name else place.root
            try:
                fetched.files[place] = await self._file(place, wanted)
            except _Unknown as error:  # stop: the report says that it is not known
                fetched.silences[place] = str(error)

        await self._each(directory, {place.root for place in places if place.name})
        await self._each(file, places)

    async def _each(self, work: Callable[[T], Awaitable[None]], things: Iterable[T]) -> None:
        async def one(thing: T) -> None:
            async with self._slots:
                await work(thing)

        await asyncio.gather(*map(one, things))

    async def _directory(self, root: Cid) -> Mapping[str, Cid] | None:
        """Return the CIDs of a directory's files by name; None when no gateway gives its block."""
        for gateway in self._gateways:
            block = bytearray()
            try:
                async with _got(gateway, f"{root}?format=raw", "application/vnd.ipld.raw") as response:
                    async for piece in response.aiter_bytes():
                        block += piece
                        if len(block) > MAX_DIRECTORY_BYTES:
                            break
                if root.verifies(bytes(block)):
                    return {entry.name: entry.cid for entry in decode_directory(bytes(block)) or ()}
            except (httpx.HTTPError, DagError):
                continue  # go on: with the next gateway, and in the end without the block
        return None

    async def _file(self, place: _Place, wanted: Cid | None) -> Roots | None:
        """Return a file's roots, by preference those of bytes that have the wanted CID; None when nobody has it."""
        other: Roots | None = None
        silent = False
        for gateway in self._gateways:
            try:
                roots = await _imported(gateway, place.path)
            except httpx.HTTPStatusError as error:  # go on: with the next gateway
                silent = silent or error.response.status_code not in _ABSENT
                continue
            except httpx.HTTPError:  # go on: with the next gateway
                silent = True
                continue
            if wanted is None or _has(roots, wanted):
                return roots
            other = roots
        if other is None and (silent or not self._gateways):
            raise _Unknown(_NO_GATEWAY)
        return other


def _place_of(uri: str) -> _Place:
    """Return where an URI points; raises _Unknown, CidError and PathRefused."""
    scheme, _, rest = uri.partition("://")
    if scheme != "ipfs":
        raise _Unknown("not an ipfs:// URI")
    root, slash, name = rest.partition("/")
    if slash:
        check_name(name)
    return _Place(Cid.parse(root), name)


def _judge(place: _Place, fetched: _Fetched) -> bool | None:
    """Return whether the bytes have the CID; None when nobody has them. Raises _Unknown."""
    if place in fetched.silences:
        raise _Unknown(fetched.silences[place])
    if place not in fetched.files:
        raise _Unknown(_NO_TIME)
    roots = fetched.files[place]
    if roots is None:
        return None
    if not place.name:
        return _has(roots, place.root)
    if place.root in fetched.directories:
        entries = fetched.directories[place.root]
        return place.name in entries and _has(roots, entries[place.name])
    if place.root not in fetched.made:
        fetched.made[place.root] = _made_again(place.root, fetched)
    if place.root not in fetched.made[place.root]:
        raise _Unknown("no gateway gives the directory's block, and these files alone do not make it")
    return True


def _made_again(root: Cid, fetched: _Fetched) -> frozenset[Cid]:
    """Return the CIDs that a directory of those files would have under each profile."""
    files = {place.name: roots for place, roots in fetched.files.items() if place.root == root and roots is not None}
    made: set[Cid] = set()
    for profile in PROFILES:
        entries = [Entry(name, roots[profile].cid, roots[profile].dag_size) for name, roots in files.items()]
        with contextlib.suppress(DirectoryTooLarge):  # stop: it would have been sharded, so it is none of ours
            made.add(import_directory(entries, profile).cid)
    return frozenset(made)


def _has(roots: Roots, cid: Cid) -> bool:
    return any(each.cid == cid for each in roots.values())


async def _imported(gateway: httpx.AsyncClient, path: str) -> Roots:
    """Fetch a file and import it under each profile; raises httpx.HTTPError.

    What is larger than anything that was ever pinned is cut off, so that it has no CID of ours.
    """
    importers = {profile: Importer(profile) for profile in PROFILES}
    size = 0
    async with _got(gateway, path, "*/*") as response:
        async for piece in response.aiter_bytes():
            for importer in importers.values():
                importer.update(piece)
            if (size := size + len(piece)) > MAX_IMAGE_BYTES:
                break
    return {profile: importer.finish() for profile, importer in importers.items()}


@contextlib.asynccontextmanager
async def _got(gateway: httpx.AsyncClient, path: str, accept: str) -> AsyncGenerator[httpx.Response]:
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    async with gateway.stream("GET", f"/ipfs/{path}", headers=headers) as response:
        response.raise_for_status()
        yield response
