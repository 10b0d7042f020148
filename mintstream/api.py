"""A client of the gateway's HTTP API, as thin as a frontend's.

Used by the command line, the demo and the end-to-end tests. Errors of the API become ApiError with the API's own
words. Not done here: retries, which belong to whoever knows an idempotency key.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from mintstream.errors import ApiError

SETTLED: Final = frozenset({"completed", "failed", "cancelled"})
POLL_SECONDS: Final = 0.2
HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class GatewayClient:
    """One API key at one gateway; an async context manager."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"X-API-Key": api_key},
            timeout=timeout,
            transport=transport,
            # A proxy of the environment's does not reach this machine, and is told no key of it.
            trust_env=urlsplit(base_url).hostname not in HERE,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def create_collection(
        self, image: Path | None = None, *, idempotency_key: str | None = None, **fields: object
    ) -> str:
        """Ask for a collection and return its id; fields as in `POST /api/collections`."""
        headers = _identity(idempotency_key)
        if image is None:
            return str((await self.call("POST", "/api/collections", json=fields, headers=headers))["id"])
        files, form = {"image": await _file(image)}, _form(fields)
        return str((await self.call("POST", "/api/collections", data=form, files=files, headers=headers))["id"])

    async def wait_for_collection(self, collection: str, *, within: float) -> dict[str, Any]:
        """Return the collection once it is on chain; ApiError when it failed, TimeoutError after `within` seconds."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                found = await self.call("GET", f"/api/collections/{collection}")
            except ApiError as error:
                # Just after the request the projection may not know it yet; any other status is final.
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
            else:
                if found.get("error"):
                    raise ApiError(HTTPStatus.OK, f"the collection was not made: {found['error']}")
                if found.get("treeAddress"):
                    return found
            await asyncio.sleep(POLL_SECONDS)
        raise TimeoutError(f"collection {collection} is not on chain after {within:.0f} seconds")

    async def mint_batch(
        self,
        collection: str,
        recipient: str,
        nfts: Sequence[Mapping[str, object]],
        images: Sequence[Path] = (),
        *,
        batch_size: int | None = 10,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Ask for a batch as the source document's frontend does: multipart, files matched by order.

        `batch_size` None leaves it to the service.
        """
        fields: dict[str, object] = {"collectionId": collection, "recipient": recipient, "nfts": list(nfts)}
        if batch_size is not None:
            fields["batchSize"] = batch_size
        headers = _identity(idempotency_key)
        if not images:
            return await self.call("POST", "/api/mint/batch", json=fields, headers=headers)
        files = [("images", await _file(image)) for image in images]
        return await self.call("POST", "/api/mint/batch", data=_form(fields), files=files, headers=headers)

    async def status(self, operation: str) -> dict[str, Any]:
        """Return `GET /api/mint/status/{operation}`."""
        return await self.call("GET", f"/api/mint/status/{operation}")

    async def follow(
        self, operation: str, *, within: float, pause: float = POLL_SECONDS
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the operation's status until it is settled; raises TimeoutError after `within` seconds."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            status = await self.status(operation)
            yield status
            if status["status"] in SETTLED:
                return
            await asyncio.sleep(pause)
        raise TimeoutError(f"operation {operation} is not settled after {within:.0f} seconds")

    async def call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Return the `data` of an answer, or its message where there is no more to tell; `request` as httpx takes it.

        Raises ApiError; its status is 0 when there was no answer.
        """
        try:
            response = await self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            # Stop: the caller decides whether to ask again, and with which idempotency key.
            raise ApiError(0, f"no answer from {self.base_url}{path}: {type(error).__name__}") from error
        try:
            body: dict[str, Any] = response.json()
        except ValueError:
            raise ApiError(response.status_code, f"{method} {path} was not answered in JSON") from None
        if response.is_success and body.get("success"):
            return body["data"] if "data" in body else {"message": body["message"]}
        details = [f"{each['field']}: {each['message']}" for each in body.get("details", [])]
        raise ApiError(response.status_code, str(body.get("error", "refused")), details)


async def _file(path: Path) -> tuple[str, bytes]:
    return path.name, await asyncio.to_thread(path.read_bytes)


def _identity(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _form(fields: Mapping[str, object]) -> dict[str, str]:
    """Return fields as a form carries them: text as it is, everything else as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
