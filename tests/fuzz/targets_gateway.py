"""What callers send to the gateway: forms, bodies, cursors; and what everybody on the log decodes."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.requests import Request

from contracts import registry
from contracts.registry import UndecodableMessage, UnknownType
from services.gateway.api.body import received
from services.gateway.api.cursors import read_cursor, write_cursor
from services.gateway.api.form import FormReader, ReceivedForm
from services.gateway.errors import ApiError
from services.gateway.requests import (
    ChallengeBody,
    CollectionBody,
    CollectionFlagsBody,
    EstimateBody,
    ImportBody,
    LoginBody,
    MintBatchBody,
    MintSingleBody,
    read_body,
)
from services.gateway.uploading import Metadata
from tests.fuzz.target import Target
from tests.support import samples
from tests.support.content import png
from tests.support.samples import COLLECTION, RECIPIENT, TIME

BOUNDARY: Final = b"boundary"
BODIES: Final = (
    *(MintSingleBody, MintBatchBody, CollectionBody, CollectionFlagsBody),
    *(ChallengeBody, LoginBody, EstimateBody, ImportBody),
)

NFT: Final[dict[str, Any]] = {
    "name": "Booth #1",
    "description": "d",
    "image": "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq",
    "symbol": "BTH",
    "attributes": [{"trait_type": "Row", "value": "1"}],
    "external_url": "https://example.com/1",
}
JSON_BODIES: Final[tuple[dict[str, Any], ...]] = (
    {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "metadata": NFT, "copies": 2},
    {
        "collectionId": str(COLLECTION),
        "recipient": RECIPIENT,
        "nfts": [NFT | {"copies": "3"}, NFT],
        "batchSize": 5,
        "delayBetweenBatches": 10,
    },
    {
        "name": "Booths",
        "symbol": "BTH",
        "standard": "v1",
        "tree": {"maxDepth": 14, "maxBufferSize": 64, "canopyDepth": 8},
        "trees": 2,
        "sellerFeeBasisPoints": 500,
        "isPublic": "true",
    },
    {"address": RECIPIENT, "domain": "example.com"},
    {"message": "example.com wants you to sign in", "signature": "5" * 88},
    {"collectionAddress": RECIPIENT, "treeAddresses": [RECIPIENT], "symbol": "BTH"},
)


def _part(name: str, content: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return b"--boundary\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


FORM: Final = (
    _part("collectionId", str(COLLECTION).encode())
    + _part("metadata", msgspec.json.encode(NFT))
    + _part("images", png(1), "a.png")
    + _part("images", b"", "")
    + _part("images", png(2), "../b.png")
    + b"--boundary--\r\n"
)


async def _chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def _read(body: bytes, size: int) -> tuple[dict[str, str], list[tuple[str, str, bytes]]] | str:
    reader = FormReader(BOUNDARY)
    try:
        await reader.read(_chunks(body, size))
        return reader.form.texts, await _files(reader.form)
    except ApiError as error:
        return type(error).__name__
    finally:
        reader.form.close()


async def _files(form: ReceivedForm) -> list[tuple[str, str, bytes]]:
    return [(file.field, file.filename, await file.read()) for file in form.files]


async def form(data: bytes) -> None:
    """A form says the same however its bytes come: whole, or in pieces of a size that the first byte tells."""
    size, body = (data[0] + 1 if data else 1), data[1:]
    whole, cut = await _read(body, 65_536), await _read(body, size)
    assert whole == cut, "the form depends on how its bytes were cut"


async def body(data: bytes) -> None:
    """A body under the Content-Type in the first line, then read as each request that takes one."""
    content_type, _, content = data.partition(b"\n")
    headers = [(b"content-type", content_type), (b"content-length", str(len(content)).encode())]
    chunks = [content[start : start + 4096] for start in range(0, len(content), 4096)] or [b""]

    async def receive() -> dict[str, Any]:
        piece = chunks.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(chunks)}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
    async with received(request, file_field="images", json_fields=("metadata", "nfts", "tree")) as found:
        if "metadata" in found.fields and isinstance(found.fields["metadata"], str):
            _refused_or_read(lambda: Metadata(found.fields["metadata"]))
        for kind in BODIES:
            _refused_or_read(lambda kind=kind: read_body(kind, found.fields))


def _refused_or_read(read: Any) -> None:
    try:
        read()
    except ApiError as error:
        msgspec.json.encode(error.problems)  # what was refused can be said to the caller


def cursor(data: bytes) -> None:
    """A cursor that is taken is one that we could have written."""
    moment, operation = read_cursor(data.decode("latin-1"))
    assert read_cursor(write_cursor(moment, operation)) == (moment, operation)


EVENTS: Final = tuple(samples.event(fact) for fact in samples.SAMPLES)


def event(data: bytes) -> None:
    """A message of the log: its subject in the first line."""
    subject, _, payload = data.partition(b"\n")
    found = registry.decode(subject.decode("latin-1"), payload)
    assert found.data.subject() == subject.decode("latin-1")


TARGETS: Final = (
    Target("form", form, (), tuple(bytes([size]) + FORM for size in (0, 6, 255))),
    Target(
        "body",
        body,
        (ApiError,),
        (
            *(b"application/json\n" + msgspec.json.encode(each) for each in JSON_BODIES),
            b"multipart/form-data; boundary=boundary\n" + FORM,
            b"application/x-www-form-urlencoded\nname=Booths&symbol=BTH&tree=%7B%22maxDepth%22%3A14%7D",
        ),
    ),
    Target("cursor", cursor, (ApiError,), (write_cursor(TIME, COLLECTION).encode(),)),
    Target(
        "event",
        event,
        (UnknownType, UndecodableMessage),
        tuple(each.data.subject().encode() + b"\n" + msgspec.json.encode(each) for each in EVENTS),
    ),
)
