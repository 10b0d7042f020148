"""Pinning through Kubo's RPC API (`POST /api/v0/add`): a node of one's own, or the embedded endpoint.

Every parameter that decides the CID is sent, whatever the node's own `Import.*` defaults are. Source: the Kubo RPC
reference; a stream that breaks off answers 200 with its lines cut short, so a missing last line counts as not pinned.
"""

import httpx
import msgspec

from chassis.clock import Clock
from chassis.redaction import Secret
from services.ipfs.adapters.http import Exchange
from services.ipfs.ports import Content, ContentMismatch
from unixfs import Cid, CidError, ImportProfile


class _Added(msgspec.Struct, frozen=True):
    """One line of the answer to `add`."""

    hash: str = msgspec.field(name="Hash")


class KuboPinning:
    """Implements `PinningService`. `profile` must be the one that the contents' CIDs were computed with."""

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

    async def pin(self, content: Content) -> None:
        """Add and pin the content; see `PinningService.pin`."""
        body = await self._exchange.send(
            "POST",
            f"{self._api}/add",
            headers=self._headers(),
            params=self._add_options,
            file=(content.name, content.data, content.content_type),
        )
        lines = body.splitlines()
        if len(lines) != 1:
            raise self._exchange.misunderstood(f"{len(lines)} lines instead of one")
        try:
            answered = msgspec.json.decode(lines[0], type=_Added).hash
            matches = Cid.parse(answered) == content.cid
        except msgspec.DecodeError as error:  # retry: cut short by a node that is going down
            raise self._exchange.misunderstood(str(error)) from error
        except CidError as error:  # retry: not an answer of Kubo's
            raise self._exchange.misunderstood(str(error)) from error
        if not matches:
            raise ContentMismatch(content.cid, answered)

    async def check(self) -> None:
        """Ask for the version; see `PinningService.check`."""
        await self._exchange.send("POST", f"{self._api}/version", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._authorization.reveal()} if self._authorization else {}
