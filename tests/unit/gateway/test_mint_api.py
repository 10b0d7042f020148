"""Mints that are taken on: what is answered, what is on the log, what is in the object store."""

import hashlib
import json
from uuid import UUID

import httpx
import pytest

from chassis.log import LogUnavailable
from contracts.mint import Attribute, ImageUri, Requested, UploadedImage
from tests.support.gateway import COLLECTION, RECIPIENT, URI, Gateway, Json, batch, png, single


def sent_form(body: Json, json_field: str) -> Json:
    """A body as the source document's frontend client appends it to a FormData."""
    return {name: json.dumps(value) if name == json_field else str(value) for name, value in body.items()}


async def test_a_single_mint_from_json(gateway: Gateway, client: httpx.AsyncClient) -> None:
    metadata = {
        "name": "Tent ⛺",
        "description": "A tent",
        "image": URI,
        "symbol": "TNT",
        "attributes": [{"trait_type": "size", "value": "2"}],
        "external_url": "https://example.org/tent",
    }
    answer = await client.post("/api/mint/single", json=single(metadata=metadata, copies=3))
    assert answer.status_code == 200
    operation = answer.json()["data"]["transactionId"]
    assert answer.json() == {
        "success": True,
        "data": {
            "transactionId": operation,
            "status": "queued",
            "estimatedTime": 9,
            "signatures": [],
            "leafIndexes": [],
            "assetIds": [],
            "ipfsUris": [],
        },
        "message": "Mint operation queued successfully",
    }
    [requested] = gateway.log.facts(Requested)
    assert str(requested.operation) == operation
    assert UUID(operation).version == 7
    assert (requested.operation_type, requested.collection, requested.recipient) == ("mint", COLLECTION, RECIPIENT)
    assert requested.total == 3
    [nft] = requested.nfts
    assert nft.name == "Tent ⛺"
    assert nft.image == ImageUri(uri=URI)
    assert nft.attributes == (Attribute(trait_type="size", value="2"),)
    assert (nft.symbol, nft.external_url, nft.description) == ("TNT", "https://example.org/tent", "A tent")


async def test_a_single_mint_from_the_documents_form(gateway: Gateway, client: httpx.AsyncClient) -> None:
    image = png(7)
    metadata: Json = {"name": "Tent 1", "description": "Generated NFT from tent.png", "attributes": []}
    answer = await client.post(
        "/api/mint/single",
        data=sent_form(single(metadata=metadata, copies=2), "metadata"),
        files={"image": ("C:\\fakepath\\tent.png", image, "application/octet-stream")},
    )
    assert answer.status_code == 200, answer.text
    [requested] = gateway.log.facts(Requested)
    digest = hashlib.sha256(image).hexdigest()
    assert requested.nfts[0].image == UploadedImage(
        sha256=digest, content_type="image/png", size=len(image), filename="tent.png"
    )
    assert requested.nfts[0].copies == 2
    assert gateway.uploads.objects == {digest: image}


async def test_a_batch_from_the_documents_form_pairs_files_with_nfts_in_order(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    images = [png(number) for number in range(3)]
    nfts: list[Json] = [
        {"name": "first", "copies": 2},
        {"name": "published", "image": URI},
        {"name": "second"},
        {"name": "third", "copies": "4"},
    ]
    answer = await client.post(
        "/api/mint/batch",
        data=sent_form(batch(nfts, batchSize=3, delayBetweenBatches=250), "nfts"),
        files=[("images", (f"{number}.png", image, "image/png")) for number, image in enumerate(images)],
    )
    assert answer.status_code == 200, answer.text
    [requested] = gateway.log.facts(Requested)
    digests = [hashlib.sha256(image).hexdigest() for image in images]
    taken = [nft.image.sha256 if isinstance(nft.image, UploadedImage) else nft.image.uri for nft in requested.nfts]
    assert taken == [digests[0], URI, digests[1], digests[2]]
    assert [nft.copies for nft in requested.nfts] == [2, 1, 1, 4]
    assert (requested.batch_size, requested.delay_between_batches_ms) == (3, 250)
    assert set(gateway.uploads.objects) == set(digests)
    assert answer.json()["data"] == {
        "transactionId": str(requested.operation),
        "status": "queued",
        "totalNfts": 8,
        "estimatedTime": 90,
        "batchCount": 3,
    }
    assert answer.json()["message"] == "Batch mint operation queued successfully"


async def test_a_batch_without_a_size_takes_the_services(client: httpx.AsyncClient, gateway: Gateway) -> None:
    gateway.batch_size = 4
    async with gateway.client() as client:
        answer = await client.post("/api/mint/batch", json=batch([{"name": "x", "image": URI, "copies": 9}]))
    assert answer.json()["data"]["batchCount"] == 3
    assert gateway.log.facts(Requested)[0].batch_size == 4


async def test_an_urlencoded_form_is_a_form(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/mint/single", data=sent_form(single(), "metadata"))
    assert answer.request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert answer.status_code == 200, answer.text
    assert gateway.log.facts(Requested)[0].nfts[0].name == "Tent 1"


async def test_a_form_field_for_a_file_may_stay_empty(gateway: Gateway, client: httpx.AsyncClient) -> None:
    # What a browser sends for a file input without a file: an empty name, not none.
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in sent_form(single(), "metadata").items()]
    parts.append('name="image"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n')
    content = "".join(f"--b\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post("/api/mint/single", content=content.encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert gateway.log.facts(Requested)[0].nfts[0].image == ImageUri(uri=URI)


async def test_images_are_kept_before_the_request_is_said(gateway: Gateway, client: httpx.AsyncClient) -> None:
    said_first: list[bool] = []
    put = gateway.uploads.put

    async def watched(sha256: str, data: bytes) -> None:
        said_first.append(bool(gateway.log.facts(Requested)))
        await put(sha256, data)

    gateway.uploads.put = watched
    form = sent_form(batch([{"name": "a"}, {"name": "b"}, {"name": "c"}]), "nfts")
    files = [("images", ("same.png", png(1), "image/png"))] * 2 + [("images", ("other.png", png(2), "image/png"))]
    answer = await client.post("/api/mint/batch", data=form, files=files)
    assert answer.status_code == 200, answer.text
    assert said_first == [False, False]  # two contents, each once


async def test_minting_goes_on_without_the_database(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.projection.down = True
    answer = await client.post("/api/mint/single", json=single())
    assert answer.status_code == 200
    status = await client.get(f"/api/mint/status/{answer.json()['data']['transactionId']}")
    assert status.json()["data"]["status"] == "pending"


async def test_a_repeated_key_is_one_operation(gateway: Gateway, client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await client.post("/api/mint/single", json=single(), headers=headers)
    # The same again as a form: what it means counts, not how it was sent.
    second = await client.post("/api/mint/single", data=sent_form(single(), "metadata"), headers=headers)
    assert first.status_code == 200
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert len(gateway.requests()) == 1
    assert UUID(first.json()["data"]["transactionId"]).version == 8


async def test_a_repeated_key_is_answered_though_the_collection_has_closed(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "order-18"}
    first = await client.post("/api/mint/single", json=single(), headers=headers)
    closed = single(collectionId=str(COLLECTION))
    gateway.log.streams["COLLECTION"].clear()
    second = await client.post("/api/mint/single", json=closed, headers=headers)
    assert second.json() == first.json()


async def test_requests_without_a_key_are_never_taken_for_one_another(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    for _ in range(2):
        assert (await client.post("/api/mint/single", json=single())).status_code == 200
    assert len(set(gateway.requests())) == 2


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("single", single(recipient="So11111111111111111111111111111111111111112"), ["recipient"]),
        ("single", single(copies=2), ["copies"]),
        ("single", single(metadata={"name": "Other", "image": URI}), ["metadata.description", "metadata.name"]),
        ("batch", batch(), ["batchSize", "copies", "endpoint", "metadata", "nfts"]),
    ],
)
async def test_a_key_with_another_request_is_refused(
    gateway: Gateway, client: httpx.AsyncClient, path: str, body: Json, fields: list[str]
) -> None:
    headers = {"Idempotency-Key": "order-19"}
    await client.post("/api/mint/single", json=single(), headers=headers)
    answer = await client.post(
        f"/api/mint/{path}", json=body | ({"batchSize": 5} if path == "batch" else {}), headers=headers
    )
    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_key_reused"
    assert [detail["field"] for detail in answer.json()["details"]] == fields
    assert len(gateway.requests()) == 1


@pytest.mark.parametrize(("path", "body"), [("single", single()), ("batch", batch())])
async def test_a_repetition_is_the_same_request_although_the_default_batch_size_has_changed(
    gateway: Gateway, path: str, body: Json
) -> None:
    headers = {"Idempotency-Key": "order-30"}
    answers: list[Json] = []
    for batch_size in (10, 25):
        gateway.batch_size = batch_size
        async with gateway.client() as client:
            answers.append((await client.post(f"/api/mint/{path}", json=body, headers=headers)).json()["data"])
            said = await client.post("/api/mint/batch", json=batch() | {"batchSize": 25}, headers=headers)
            assert said.status_code == 409
    assert answers[0] == answers[1]
    assert len(gateway.requests()) == 1


async def test_a_key_with_another_picture_is_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    form, headers = sent_form(batch([{"name": "a"}, {"name": "b"}]), "nfts"), {"Idempotency-Key": "order-20"}
    for last, expected in ((1, 200), (1, 200), (2, 409)):
        files = [("images", ("a.png", png(0), "image/png")), ("images", (f"{last}.png", png(last), "image/png"))]
        answer = await client.post("/api/mint/batch", data=form, files=files, headers=headers)
        assert answer.status_code == expected, answer.text
    assert [detail["field"] for detail in answer.json()["details"]] == ["nfts[1].image"]
    assert len(gateway.requests()) == 1
    assert len(gateway.uploads.objects) == 2


async def test_of_two_requests_with_one_key_at_the_same_time_one_is_said(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    """The second reads the log before the first has published: only the compare-and-set tells them apart."""
    headers, body = {"Idempotency-Key": "order-21"}, single()
    read, raced = gateway.log.last, False

    async def overtaken(fact: type[Requested], **tokens: object) -> object:
        nonlocal raced
        found = await read(fact, **tokens)
        if fact is Requested and not raced:
            raced = True
            async with gateway.client() as other:
                assert (await other.post("/api/mint/single", json=body, headers=headers)).status_code == 200
        return found

    gateway.log.last = overtaken  # type: ignore[method-assign]
    answer = await client.post("/api/mint/single", json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["data"]["transactionId"] == str(gateway.log.facts(Requested)[0].operation)
    assert len(gateway.requests()) == 1


async def test_a_silent_log_is_told_with_the_id_to_ask_for(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.log.fail_publishes.append(LogUnavailable("nats://user:hunter2@inside:4222 did not answer"))
    answer = await client.post("/api/mint/single", json=single(), headers={"Idempotency-Key": "order-22"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    body = answer.json()
    assert body["code"] == "log_unavailable"
    assert "inside" not in answer.text
    again = await client.post("/api/mint/single", json=single(), headers={"Idempotency-Key": "order-22"})
    assert again.json()["data"]["transactionId"] == body["data"]["transactionId"]
    assert len(gateway.requests()) == 1
