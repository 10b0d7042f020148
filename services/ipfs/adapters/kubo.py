"""Pinning through Kubo's RPC API (`POST /api/v0/add`): a node of one's own, or the embedded endpoint.

Every parameter that decides the CID is sent, whatever the node's own `Import.*` defaults are. Source: the Kubo RPC
reference; a stream that breaks off answers 200 with its lines cut short, so a missing last line counts as not pinned.
Several files in one request are each added and pinned by themselves, in their order, with a line for each. Kubo writes
the line before it pins, and an error after that stands in a trailer that HTTP clients do not show: so it is asked for
the last pin. Lines behind a file's own tell that it was pinned.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from chassis.clock import Clock
from chassis.redaction import Secret
from services.ipfs.adapters.http import Exchange
from services.ipfs.adapters.multipart import FilePart, Multipart
from services.ipfs.bodies import InMemory
from services.ipfs.ports import Content, ContentMismatch, Pinnable, PinUnavailable
from unixfs import Cid, CidError, ImportProfile

MOST_FILES: Final = 128
"""Files of one request. The answer has some 170 bytes for each."""


class _Added(msgspec.Struct, frozen=True):
    """One line of the answer to `add`."""

    hash: str = msgspec.field(name="Hash")


class _Listed(msgspec.Struct, frozen=True):
    """The answer to `pin/ls`, by the CIDs that are pinned."""

    keys: dict[str, object] = msgspec.field(name="Keys")


class KuboPinning:
    """Implements `PinningService`. `profile` must be the one that the contents' CIDs were computed with."""

    name = "kubo"
    takes_bytes = True

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        profile: ImportProfile,
        clock: Clock,
        authorization: Secret | None = None,
    ) -> None:
        self._exchange = Exchange(client, "Kubo", clock)
        self._api = f"{url.rstrip('/')}/api/v0"
        self._authorization = authorization
        self._add_options = {
            "cid-version": str(profile.cid_version),
            "raw-leaves": "true" if profile.raw_leaves else "false",
            "chunker": f"size-{profile.chunk_size}",
            "max-file-links": str(profile.width),
            "hash": "sha2-256",
            "trickle": "false",
            "wrap-with-directory": "false",
            "inline": "false",
            "pin": "true",
            "progress": "false",
        }

    @property
    def most_files(self) -> int:
        """See `PinningService.most_files`."""
        return MOST_FILES

    async def pin(self, content: Pinnable) -> None:
        """Add and pin the content; see `PinningService.pin`."""
        # Kubo tells a directory after everything that is in it.
        self._compare(content.cid, (await self._added(_parts(content)))[-1])
        await self._require(content.cid)

    async def pin_all(self, contents: Sequence[Content]) -> None:
        """Add and pin the files with one request; see `PinningService.pin_all`."""
        lines = await self._added([part for content in contents for part in _parts(content)])
        for content, line in zip(contents, lines, strict=True):
            self._compare(content.cid, line)
        await self._require(contents[-1].cid)

    async def _require(self, cid: Cid) -> None:
        if not await self.has(cid):
            raise PinUnavailable(f"Kubo has added {cid} and not pinned it")

    async def _added(self, parts: Sequence[FilePart]) -> list[bytes]:
        """Return the answer's lines, one a part."""
        body = await self._exchange.send(
            "POST",
            f"{self._api}/add",
            headers=self._headers(),
            params=self._add_options,
            form=Multipart({}, parts),
        )
        lines = body.splitlines()
        if len(lines) != len(parts):
            raise self._exchange.misunderstood(f"{len(lines)} lines instead of {len(parts)}")
        return lines

    def _compare(self, expected: Cid, line: bytes) -> None:
        answered = self._exchange.decoded(line, _Added).hash
        if answered == str(expected):
            return
        try:
            matches = Cid.parse(answered) == expected
        except CidError as error:  # retry: not an answer of Kubo's
            raise self._exchange.misunderstood(str(error)) from error
        if not matches:
            raise ContentMismatch(expected, answered)

    async def pin_by_cid(self, cid: Cid) -> None:
        """Have the node fetch and pin it; see `PinningService.pin_by_cid`."""
        await self._exchange.send(
            "POST", f"{self._api}/pin/add", headers=self._headers(), params={"arg": str(cid), "recursive": "true"}
        )

    async def has(self, cid: Cid) -> bool:
        """Ask for the pin; see `PinningService.has`."""
        answer = await self._exchange.ask(
            "POST",
            f"{self._api}/pin/ls",
            headers=self._headers(),
            params={"arg": str(cid), "type": "recursive"},
        )
        if answer.status == 500 and b"is not pinned" in answer.body:
            return False
        listed = self._exchange.decoded(self._exchange.held(answer), _Listed).keys
        return any(_names(text, cid) for text in listed)

    async def check(self) -> None:
        """Ask for the version; see `PinningService.check`."""
        await self._exchange.send("POST", f"{self._api}/version", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._authorization.reveal()} if self._authorization else {}


def _names(text: str, cid: Cid) -> bool:
    """Return whether a node means this CID, which it may write in either version."""
    try:
        return Cid.parse(text).as_v1() == cid.as_v1()
    except CidError:  # go on: in a base that is not ours, so not what we asked for
        return False


def _parts(content: Pinnable) -> list[FilePart]:
    """Return the form's files; for a directory in the way of Kubo's reference: itself first, then paths under it."""
    if isinstance(content, Content):
        # A slash would make a directory of it.
        return [FilePart(content.name.replace("/", "_"), content.content_type, content.body)]
    inside = [
        FilePart(quote(f"{content.name}/{name}", safe=""), content.content_type, InMemory(data))
        for name, data in content.files.items()
    ]
    return [FilePart(quote(content.name, safe=""), "application/x-directory", InMemory(b"")), *inside]
