"""`POST /api/upload/ipfs`: what is said of files, once for the same bytes, and what the caller is told."""

import asyncio
import hashlib
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from chassis.image_location import without_location
from contracts.content import Restored, Vanished
from contracts.mint import FailureCode
from contracts.upload import UploadFailed, UploadPinned, UploadRequested
from services.gateway.images import Images
from services.gateway.main import media_type
from services.gateway.uploading import Uploading
from tests.support.gateway import Gateway, png
from unixfs import V1, import_bytes

PATH = "/api/upload/ipfs"


def form(*files: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", (f"{number}.png", data, "image/png")) for number, data in enumerate(files)]


def pinned(data: bytes, **changes: Any) -> UploadPinned:
    cid = str(import_bytes(data).cid)
    sha256 = hashlib.sha256(data).hexdigest()
    values: dict[str, Any] = {"sha256": sha256, "cid": cid, "uri": f"ipfs://{cid}", "size": len(data)}
    return UploadPinned(**(values | changes))


async def settle(gateway: Gateway, fact: UploadPinned | UploadFailed) -> None:
    """What the ipfs service says, as soon as the upload is asked for."""
    while not any(said.sha256 == fact.sha256 for said in gateway.log.facts(UploadRequested)):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await gateway.log.publish(fact, cause=None)


async def finished(gateway: Gateway, posting: asyncio.Task[httpx.Response]) -> httpx.Response:
    """The answer, however often the gateway looks at the log again."""
    while not posting.done():
        await asyncio.sleep(0.001)
        await gateway.clock.advance(0.1)
    return await posting


async def test_images_and_metadata_are_answered_once_they_are_pinned(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    image, metadata = png(1), b'{"name": "Tent"}'
    posting = asyncio.create_task(client.post(PATH, files=form(image), data={"metadata": metadata.decode()}))
    await settle(gateway, pinned(image))
    await settle(gateway, pinned(metadata))
    answer = await finished(gateway, posting)
    assert answer.status_code == 200, answer.text
    uploads = answer.json()["data"]["uploads"]
    for upload, data, filename in zip(uploads, (image, metadata), ("0.png", "metadata.json"), strict=True):
        cid = str(import_bytes(data).cid)
        assert upload == {
            "filename": filename,
            "ipfsHash": cid,
            "ipfsUri": f"ipfs://{cid}",
            "gatewayUrl": f"https://gateway.pinata.cloud/ipfs/{cid}",
            "size": len(data),
            "status": "pinned",
        }
        assert gateway.uploads.objects[hashlib.sha256(data).hexdigest()] == data
    assert [fact.content_type for fact in gateway.log.facts(UploadRequested)] == ["image/png", "application/json"]


async def test_the_same_bytes_are_one_upload(gateway: Gateway, client: httpx.AsyncClient) -> None:
    image = png(2)
    await gateway.log.publish(pinned(image), cause=None)
    answers = [await client.post(PATH, files=form(image, image)) for _ in range(2)]
    assert answers[0].json()["data"]["uploads"][0]["status"] == "pinned"
    assert answers[0].json() == answers[1].json()
    assert gateway.log.facts(UploadRequested) == []
    assert gateway.uploads.objects == {}, "what is pinned need not be kept"


async def test_what_an_audit_missed_is_asked_for_again(gateway: Gateway, client: httpx.AsyncClient) -> None:
    image = png(2)
    fact = pinned(image)
    await gateway.log.publish(fact, cause=None)
    await gateway.log.publish(Vanished(cid=fact.cid, audit=7, providers=("kubo",)), cause=None)
    posting = asyncio.create_task(client.post(PATH, files=form(image)))
    while not gateway.log.facts(UploadRequested):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert gateway.uploads.objects[fact.sha256] == image
    await gateway.log.publish(Restored(cid=fact.cid, audit=7, providers=("kubo",), source="upload"), cause=None)
    await gateway.log.publish(fact, cause=None)
    assert (await finished(gateway, posting)).json()["data"]["uploads"][0]["status"] == "pinned"
    again = await client.post(PATH, files=form(image))
    assert again.json()["data"]["uploads"][0]["status"] == "pinned"
    assert len(gateway.log.facts(UploadRequested)) == 1


async def test_a_refused_file_is_named_and_may_be_sent_again(gateway: Gateway, client: httpx.AsyncClient) -> None:
    image = png(3)
    refusal = UploadFailed(
        sha256=hashlib.sha256(image).hexdigest(),
        code=FailureCode.IMAGE_REFUSED,
        reason="Too odd.",
        cure="Send another.",
    )
    posting = asyncio.create_task(client.post(PATH, files=form(image)))
    await settle(gateway, refusal)
    answer = await finished(gateway, posting)
    assert (answer.status_code, answer.json()["code"]) == (400, "upload_refused")
    assert answer.json()["details"] == [{"field": "files[0]", "message": "Too odd. Send another."}]
    again = asyncio.create_task(client.post(PATH, files=form(image)))
    while len(gateway.log.facts(UploadRequested)) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await gateway.log.publish(pinned(image), cause=None)
    assert (await finished(gateway, again)).status_code == 200


async def test_what_is_not_pinned_in_time_is_queued(gateway: Gateway, client: httpx.AsyncClient) -> None:
    posting = asyncio.create_task(client.post(PATH, files=form(png(4))))
    (upload,) = (await finished(gateway, posting)).json()["data"]["uploads"]
    assert (upload["status"], upload["ipfsHash"]) == ("queued", str(import_bytes(png(4)).cid))


async def test_who_waits_for_pins_holds_up_no_other_request() -> None:
    gateway = await Gateway(max_in_flight=2).with_collections()
    async with gateway.client() as client:
        waiting = [asyncio.create_task(client.post(PATH, files=form(png(number)))) for number in range(2)]
        while len(gateway.log.facts(UploadRequested)) < len(waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        while (await client.get("/api/collections")).status_code == 503:  # noqa: ASYNC110 (until both have let go)
            await asyncio.sleep(0.001)
        assert not any(job.done() for job in waiting)
        assert {(await finished(gateway, job)).status_code for job in waiting} == {200}


@pytest.mark.parametrize(
    ("files", "fields", "where"),
    [
        ([], {}, "files"),
        (form(b"no image"), {}, "files[0]"),
        ([], {"metadata": "[1]"}, "metadata"),
        ([], {"metadata": "{"}, "metadata"),
        (form(png()), {"name": "x"}, "name"),
    ],
)
async def test_what_cannot_be_uploaded_is_refused(
    gateway: Gateway, client: httpx.AsyncClient, files: Any, fields: dict[str, str], where: str
) -> None:
    answer = (
        await client.post(PATH, files=files, data=fields)
        if files
        else await client.post(
            PATH, data=fields or None, headers={} if fields else {"Content-Type": "application/x-www-form-urlencoded"}
        )
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["details"][0]["field"] == where
    assert gateway.log.facts(UploadRequested) == []


async def test_what_is_uploaded_without_its_location_is_one_upload_too(gateway: Gateway) -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (50.0, 5.0, 12.0)}
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", exif=exif)
    image = buffer.getvalue()
    stripped = without_location(image, "image/png")
    assert stripped != image
    images = Images(gateway.uploads, media_type)
    uploading = Uploading(gateway.log, images, gateway.clock, V1, strip_location=True)
    await gateway.log.publish(pinned(stripped), cause=None)
    first, second = [
        (await uploading.settled(await uploading.request({}, [Sent(data)])))[0] for data in (image, stripped)
    ]
    assert first == second
    assert first.cid == str(import_bytes(stripped).cid)
    assert gateway.uploads.objects == {}


class Sent:
    """A file of a form."""

    field = "files"
    filename = "a.png"

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        return self._data
