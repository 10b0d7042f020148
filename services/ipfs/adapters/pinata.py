"""Pinning through Pinata: the v3 upload API with a JWT, or the legacy API with a key pair.

v3: multipart `POST /v3/files` on the uploads host with `network=public` (private is its default), `cid_version` and
`name`; answers `{"data": {"cid": …}}`. Legacy: multipart `POST /pinning/pinFileToIPFS` with JSON texts in
`pinataOptions` and `pinataMetadata`; answers `{"IpfsHash": …}`. Source: Pinata's API reference. The same content
again is answered with the same CID. Directories go to the legacy API, which takes the JWT too: v3 has no form for them.
Not done here: resumable uploads (above 100 MB), groups, key-values, gateways.
"""

from dataclasses import dataclass
from typing import Final, Literal

import httpx
import msgspec

from chassis.clock import Clock
from chassis.redaction import Secret
from services.ipfs.adapters.http import Exchange
from services.ipfs.adapters.multipart import FilePart, Multipart
from services.ipfs.bodies import InMemory
from services.ipfs.ports import ContentMismatch, ContentUnavailable, Folder, OneByOne, Pinnable
from unixfs import Cid, CidError

UPLOADS_URL: Final = "https://uploads.pinata.cloud"
API_URL: Final = "https://api.pinata.cloud"

CidVersion = Literal["v0", "v1", "unixfs-v1-2025"]
"""Pinata's names of the import profiles."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Credentials of the legacy API."""

    api_key: Secret
    secret_key: Secret

    def headers(self) -> dict[str, str]:
        """Return the headers that carry them."""
        return {"pinata_api_key": self.api_key.reveal(), "pinata_secret_api_key": self.secret_key.reveal()}


@dataclass(frozen=True, slots=True)
class Bearer:
    """A JWT, which both APIs take."""

    jwt: Secret

    def headers(self) -> dict[str, str]:
        """Return the header that carries it."""
        return {"Authorization": f"Bearer {self.jwt.reveal()}"}


class _File(msgspec.Struct, frozen=True):
    cid: str


class _Uploaded(msgspec.Struct, frozen=True):
    """The answer of `POST /v3/files`."""

    data: _File


class _PinnedFile(msgspec.Struct, frozen=True):
    """The answer of `pinFileToIPFS`."""

    ipfs_hash: str = msgspec.field(name="IpfsHash")


class _PinRow(msgspec.Struct, frozen=True):
    ipfs_pin_hash: str


class _PinList(msgspec.Struct, frozen=True):
    """The answer of `GET /data/pinList`."""

    rows: list[_PinRow]


class PinataPinning(OneByOne):
    """Implements `PinningService` with the v3 API. `cid_version` must name the profile of the contents' CIDs."""

    name = "pinata"
    takes_bytes = True

    def __init__(
        self,
        client: httpx.AsyncClient,
        jwt: Secret,
        cid_version: CidVersion,
        clock: Clock,
        *,
        uploads_url: str = UPLOADS_URL,
        api_url: str = API_URL,
    ) -> None:
        self._exchange = Exchange(client, "Pinata", clock)
        self._jwt = Bearer(jwt)
        self._cid_version = cid_version
        self._files_url = f"{uploads_url.rstrip('/')}/v3/files"
        legacy_version: Literal["v0", "v1"] = "v0" if cid_version == "v0" else "v1"
        self._legacy = PinataLegacyPinning(client, self._jwt, legacy_version, clock, api_url=api_url)

    async def pin(self, content: Pinnable) -> None:
        """Upload the content to public IPFS; see `PinningService.pin`. Directories take the legacy API's way."""
        if isinstance(content, Folder):
            await self._legacy.pin(content)
            return
        body = await self._exchange.send(
            "POST",
            self._files_url,
            headers=self._jwt.headers(),
            form=Multipart(
                {"network": "public", "name": content.name, "cid_version": self._cid_version},
                [FilePart(content.name, content.content_type, content.body)],
            ),
        )
        _compare(content.cid, self._exchange.decoded(body, _Uploaded).data.cid)

    async def check(self) -> None:
        """Try the credentials; see `PinningService.check`."""
        await self._legacy.check()

    async def pin_by_cid(self, cid: Cid) -> None:
        """Ask the legacy API; see `PinningService.pin_by_cid`."""
        await self._legacy.pin_by_cid(cid)

    async def has(self, cid: Cid) -> bool:
        """Ask the legacy API's list, which knows the files of both; see `PinningService.has`."""
        return await self._legacy.has(cid)


class PinataLegacyPinning(OneByOne):
    """Implements `PinningService` with `pinFileToIPFS`, for accounts that have a key pair and no JWT."""

    name = "pinata"
    takes_bytes = True

    def __init__(
        self,
        client: httpx.AsyncClient,
        credentials: "KeyPair | Bearer",
        cid_version: Literal["v0", "v1"],
        clock: Clock,
        *,
        api_url: str = API_URL,
    ) -> None:
        self._exchange = Exchange(client, "Pinata", clock)
        self._credentials = credentials
        self._options = msgspec.json.encode({"cidVersion": int(cid_version[1])}).decode()
        self._api_url = api_url.rstrip("/")

    async def pin(self, content: Pinnable) -> None:
        """Upload the content; see `PinningService.pin`."""
        fields = {
            "pinataOptions": self._options,
            "pinataMetadata": msgspec.json.encode({"name": content.name}).decode(),
        }
        body = await self._exchange.send(
            "POST",
            f"{self._api_url}/pinning/pinFileToIPFS",
            headers=self._credentials.headers(),
            form=Multipart(fields, _parts(content)),
        )
        _compare(content.cid, self._exchange.decoded(body, _PinnedFile).ipfs_hash)

    async def pin_by_cid(self, cid: Cid) -> None:
        """Have Pinata fetch it (`pinByHash`), which takes place after the answer; see `PinningService.pin_by_cid`."""
        await self._exchange.send(
            "POST",
            f"{self._api_url}/pinning/pinByHash",
            headers=self._credentials.headers(),
            json=msgspec.json.encode({"hashToPin": str(cid)}),
        )
        if not await self.has(cid):
            raise ContentUnavailable(f"Pinata is still looking for {cid}")

    async def has(self, cid: Cid) -> bool:
        """Look for the pin in the account's list; see `PinningService.has`."""
        body = await self._exchange.send(
            "GET",
            f"{self._api_url}/data/pinList",
            headers=self._credentials.headers(),
            params={"hashContains": str(cid), "status": "pinned", "pageLimit": "1"},
        )
        return any(row.ipfs_pin_hash == str(cid) for row in self._exchange.decoded(body, _PinList).rows)

    async def check(self) -> None:
        """Try the credentials; see `PinningService.check`."""
        await self._exchange.send(
            "GET", f"{self._api_url}/data/testAuthentication", headers=self._credentials.headers()
        )


def _parts(content: Pinnable) -> list[FilePart]:
    """Return the form's files; those of a directory are told by their common first path part."""
    if isinstance(content, Folder):
        return [
            FilePart(f"{content.name}/{name}", content.content_type, InMemory(data))
            for name, data in content.files.items()
        ]
    return [FilePart(content.name, content.content_type, content.body)]


def _compare(expected: Cid, answered: str) -> None:
    """Hold Pinata's CID against the computed one. Raises ContentMismatch, also for a text that is no CID."""
    try:
        matches = Cid.parse(answered) == expected
    except CidError:  # stop: whatever it is, it is not the computed CID
        matches = False
    if not matches:
        raise ContentMismatch(expected, answered)
