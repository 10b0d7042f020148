"""Every error a caller can make: a 4xx in the one shape that names the field, and nothing on the log."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.images import MAX_IMAGE_BYTES
from chassis.log import LogUnavailable
from services.gateway.api.body import MAX_FORM_BYTES, MAX_JSON_BYTES
from services.gateway.api.form import MAX_TEXT_BYTES, MAX_TEXT_FIELDS
from tests.support.gateway import CLOSED_COLLECTION, ORIGIN, RECIPIENT, URI, Gateway, Json, batch, png, single

UNKNOWN_COLLECTION = "0199b0a0-0000-7000-8000-00000000ffff"
META: Json = {"name": "Tent 1", "image": URI}


def refused(gateway: Gateway, answer: httpx.Response, status: int, code: str, *fields: str) -> Json:
    """Check the one shape and that the request left no trace; return the body."""
    body = answer.json()
    assert answer.status_code == status, body
    assert body["success"] is False
    assert body["code"] == code
    assert isinstance(body["error"], str)
    assert body["requestId"] == answer.headers["X-Request-Id"]
    assert set(body) <= {"success", "error", "details", "code", "requestId", "data"}
    assert [detail["field"] for detail in body["details"]] == list(fields)
    assert all(detail["message"] for detail in body["details"])
    assert gateway.requests() == []
    assert gateway.uploads.objects == {}
    return body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (single(recipient="0OIl" * 11), "recipient"),
        (single(recipient="abc"), "recipient"),
        (single(recipient="1" * 45), "recipient"),
        (single(recipient="1" * 31), "recipient"),
        (single(recipient="1" * 32), "recipient"),
        (single(recipient=""), "recipient"),
        (single(recipient=None), "recipient"),
        (single(recipient=7), "recipient"),
        (single(collectionId="my-collection"), "collectionId"),
        (single(collectionId="{0199b0a0-0000-7000-8000-000000000001}"), "collectionId"),
        (single(copies=0), "copies"),
        (single(copies=1001), "copies"),
        (single(copies=True), "copies"),
        (single(copies=1.5), "copies"),
        (single(copies="1e2"), "copies"),
        (single(copies="many"), "copies"),
        (single(copies=-1), "copies"),
        (single(metadata=None), "metadata"),
        (single(metadata=[]), "metadata"),
        (single(metadata=json.dumps(META)), "metadata"),
        (single(metadata={"image": URI}), "metadata.name"),
        (single(metadata=META | {"name": ""}), "metadata.name"),
        (single(metadata=META | {"name": "   "}), "metadata.name"),
        (single(metadata=META | {"name": "x" * 33}), "metadata.name"),
        (single(metadata=META | {"name": "é" * 17}), "metadata.name"),
        (single(metadata=META | {"name": "two\nlines"}), "metadata.name"),
        (single(metadata=META | {"name": "two\x85lines"}), "metadata.name"),
        (single(metadata=META | {"name": "two\u2028lines"}), "metadata.name"),
        (single(metadata=META | {"name": "\u200b\u2060 "}), "metadata.name"),
        (single(metadata=META | {"name": "nul\x00"}), "metadata.name"),
        (single(metadata=META | {"description": "nul\x00"}), "metadata.description"),
        (single(metadata=META | {"description": "x" * 5001}), "metadata.description"),
        (single(metadata=META | {"symbol": "ELEVENBYTES"}), "metadata.symbol"),
        (single(metadata={"name": "x"}), "metadata.image"),
        (single(metadata={"name": "x", "image": None}), "metadata.image"),
        (single(metadata={"name": "x", "image": ""}), "metadata.image"),
        (single(metadata={"name": "x", "image": "http://example.org/x.png"}), "metadata.image"),
        (single(metadata={"name": "x", "image": "file:///etc/passwd"}), "metadata.image"),
        (single(metadata={"name": "x", "image": "data:image/png;base64,AAAA"}), "metadata.image"),
        (single(metadata={"name": "x", "image": "ipfs://"}), "metadata.image"),
        (single(metadata={"name": "x", "image": "https://"}), "metadata.image"),
        (single(metadata={"name": "x", "image": "https://a b"}), "metadata.image"),
        (single(metadata=META | {"external_url": "javascript:alert(1)"}), "metadata.external_url"),
        (single(metadata=META | {"external_url": "https://example.org:70000/"}), "metadata.external_url"),
        (single(metadata=META | {"attributes": [{"trait_type": "a"}]}), "metadata.attributes[0].value"),
        (single(metadata=META | {"attributes": [{"trait_type": "a", "value": 1}]}), "metadata.attributes[0].value"),
        (single(metadata=META | {"attributes": [{"trait_type": "a", "value": "1"}] * 101}), "metadata.attributes"),
        (single(metadata=META | {"creators": []}), "metadata.creators"),
        (single(priority=1), "priority"),
    ],
)
async def test_single_mints_that_are_refused(
    gateway: Gateway, client: httpx.AsyncClient, body: Json, field: str
) -> None:
    answer = await client.post("/api/mint/single", json=body)
    assert refused(gateway, answer, 400, "validation_failed", field)["error"] == "Validation failed"


async def test_the_limit_of_a_name_is_explained(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/mint/single", json=single(metadata=META | {"name": "é" * 17}))
    [detail] = refused(gateway, answer, 400, "validation_failed", "metadata.name")["details"]
    assert detail["message"] == "is 34 bytes in UTF-8; the chain keeps at most 32"


@pytest.mark.parametrize("name", ["x" * 32, "é" * 16, "⛺" * 10, "名" * 10])
async def test_names_up_to_the_limit_are_taken(gateway: Gateway, client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("/api/mint/single", json=single(metadata=META | {"name": name}))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (batch([]), ["nfts"]),
        (batch([META] * 1001), ["nfts"]),
        (batch(nfts=[META, META, {"name": "x" * 40, "image": URI}, {"image": URI}]), ["nfts[2].name", "nfts[3].name"]),
        (batch([META | {"copies": 1001}]), ["nfts[0].copies"]),
        (batch([META | {"surprise": 1}]), ["nfts[0].surprise"]),
        (batch([META, {"name": "a"}, META, {"name": "b"}]), ["nfts[1].image", "nfts[3].image"]),
        (batch(batchSize=0), ["batchSize"]),
        (batch(batchSize=101), ["batchSize"]),
        (batch(delayBetweenBatches=-1), ["delayBetweenBatches"]),
        (batch(copies=3), ["copies"]),
    ],
)
async def test_batches_that_are_refused(
    gateway: Gateway, client: httpx.AsyncClient, body: Json, fields: list[str]
) -> None:
    answer = await client.post("/api/mint/batch", json=body)
    refused(gateway, answer, 400, "validation_failed", *fields)


async def test_more_than_1000_items_are_refused_in_the_documents_words(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/api/mint/batch", json=batch([META | {"copies": 500}, META | {"copies": 501}]))
    body = refused(gateway, answer, 400, "validation_failed", "nfts")
    assert body["error"] == "Too many NFTs in batch (max 1000)"


async def test_everything_that_is_wrong_is_told_at_once(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/mint/single", json={"copies": "x", "extra": 1})
    refused(gateway, answer, 400, "validation_failed", "collectionId", "recipient", "metadata", "copies", "extra")


@pytest.mark.parametrize("collection", [UNKNOWN_COLLECTION, str(CLOSED_COLLECTION)])
@pytest.mark.parametrize("path", ["single", "batch"])
async def test_an_unknown_and_a_closed_collection_look_alike(
    gateway: Gateway, client: httpx.AsyncClient, collection: str, path: str
) -> None:
    body = (single if path == "single" else batch)(collectionId=collection)
    answer = await client.post(f"/api/mint/{path}", json=body)
    told = refused(gateway, answer, 404, "collection_not_found", "collectionId")
    assert told["error"] == "Collection not found or minting disabled"
    assert "allowMinting" in told["details"][0]["message"]


async def test_json_that_curl_sends_as_a_form_is_told_so(gateway: Gateway, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/api/mint/single", content=json.dumps(single()), headers=headers)
    told = refused(gateway, answer, 400, "malformed_body", "Content-Type")
    assert "send JSON as application/json" in told["details"][0]["message"]


async def test_files_are_not_kept_for_an_unknown_collection(gateway: Gateway, client: httpx.AsyncClient) -> None:
    form = {"collectionId": UNKNOWN_COLLECTION, "recipient": RECIPIENT, "metadata": '{"name": "x"}'}
    answer = await client.post("/api/mint/single", data=form, files={"image": ("x.png", png(), "image/png")})
    refused(gateway, answer, 404, "collection_not_found", "collectionId")


async def form_post(client: httpx.AsyncClient, path: str, body: Json, files: list[tuple[str, Any]]) -> httpx.Response:
    """Send `body` as the form of the source document's client."""
    data = {name: json.dumps(value) if isinstance(value, list | dict) else str(value) for name, value in body.items()}
    return await client.post(f"/api/mint/{path}", data=data, files=files)


async def test_what_is_no_image_is_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    files = [
        ("images", ("a.png", png(), "image/png")),
        ("images", ("b.png", b"<html>", "image/png")),
        ("images", ("c.png", png()[:40], "image/png")),
        ("images", ("d.png", b"", "image/png")),
    ]
    answer = await form_post(client, "batch", batch([{"name": "x"}] * 4), files)
    refused(gateway, answer, 400, "validation_failed", "images[1]", "images[2]", "images[3]")
    answer = await form_post(
        client, "single", single(metadata={"name": "x"}), [("image", ("a.txt", b"text", "image/png"))]
    )
    refused(gateway, answer, 400, "validation_failed", "image")


async def test_an_image_over_10_mib_is_refused_at_the_byte_that_is_too_many(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    files = [
        ("images", ("a.png", png(), "image/png")),
        ("images", ("b.png", b"\x00" * (MAX_IMAGE_BYTES + 1), "image/png")),
        ("images", ("c.png", png(), "image/png")),
    ]
    answer = await form_post(client, "batch", batch([{"name": "x"}] * 3), files)
    refused(gateway, answer, 413, "body_too_large", "images[1]")
    answer = await form_post(
        client, "single", single(metadata={"name": "x"}), [("image", ("b.png", b"\x00" * (MAX_IMAGE_BYTES + 1), "x"))]
    )
    refused(gateway, answer, 413, "body_too_large", "image")


async def test_an_image_of_10_mib_is_read_whole(gateway: Gateway, client: httpx.AsyncClient) -> None:
    image = png() + b"\x00" * (MAX_IMAGE_BYTES - len(png()))
    answer = await form_post(
        client, "single", single(metadata={"name": "x"}), [("image", ("b.png", image, "image/png"))]
    )
    assert answer.status_code == 200, answer.text
    assert [len(kept) for kept in gateway.uploads.objects.values()] == [MAX_IMAGE_BYTES]


async def test_a_wrong_number_of_files_is_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    one = ("images", ("a.png", png(), "image/png"))
    answer = await form_post(client, "batch", batch([{"name": "a"}, {"name": "b"}]), [one])
    refused(gateway, answer, 400, "validation_failed", "nfts[1].image")
    answer = await form_post(client, "batch", batch([{"name": "a"}]), [one] * 3)
    refused(gateway, answer, 400, "validation_failed", "images[1]", "images[2]")
    answer = await form_post(client, "batch", batch([{"name": "a"}]), [one] * 51)
    assert refused(gateway, answer, 400, "validation_failed", "images")["error"] == "Too many files (max 50)"
    image = ("image", ("a.png", png(), "image/png"))
    answer = await form_post(client, "single", single(metadata={"name": "a"}), [image] * 2)
    refused(gateway, answer, 400, "validation_failed", "image")
    answer = await form_post(client, "single", single(), [image])
    refused(gateway, answer, 400, "validation_failed", "metadata.image")


async def test_files_in_unknown_fields_are_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await form_post(client, "single", single(), [("picture", ("a.png", png(), "image/png"))])
    refused(gateway, answer, 400, "validation_failed", "picture")


async def test_a_field_given_twice_is_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    parts = [("recipient", (None, "1" * 32)), ("recipient", (None, "1" * 32))]
    refused(gateway, await client.post("/api/mint/single", files=parts), 400, "validation_failed", "recipient")
    content = b"recipient=1&copies=1&recipient=2"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/api/mint/single", content=content, headers=headers)
    refused(gateway, answer, 400, "validation_failed", "recipient")


MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "content", "fields"),
    [
        ("application/json", b"{", [""]),
        ("application/json", b'{"a": NaN}', [""]),
        ("application/json", b'{"a": "\xff"}', [""]),
        ("application/json", b'{"a": "\\ud800"}', [""]),
        ("application/json", b"[" * 50_000, [""]),
        ("application/json", b'{"a":' * 50_000, [""]),
        ("application/json", b"[]", [""]),
        ("application/json", b'"text"', [""]),
        ("application/json", b"null", [""]),
        ("application/x-www-form-urlencoded", b"metadata={", ["metadata"]),
        ("application/x-www-form-urlencoded", b"a=%ff", []),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(MAX_TEXT_FIELDS + 1)), []),
        (MULTIPART, b"", []),
        (MULTIPART, b"no boundary here", []),
        (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="recipient"\r\n\r\nabc', []),
        (MULTIPART, b"--b\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--b--\r\n", []),
        (MULTIPART, b"--b\r\nContent-Type: text/plain\r\n\r\nabc\r\n--b--\r\n", []),
        (MULTIPART, b"--b\r\nX: " + b"y" * 100_000, []),
        ("multipart/form-data; boundary=" + "b" * 500, b"--b", []),
        ("multipart/form-data", b"--b", ["Content-Type"]),
        (
            MULTIPART,
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % n
                for n in range(MAX_TEXT_FIELDS + 1)
            )
            + b"--b--\r\n",
            [],
        ),
    ],
)
async def test_malformed_bodies_are_refused(
    gateway: Gateway, client: httpx.AsyncClient, content_type: str, content: bytes, fields: list[str]
) -> None:
    answer = await client.post("/api/mint/single", content=content, headers={"Content-Type": content_type})
    refused(gateway, answer, 400, "malformed_body", *fields)


async def test_text_that_is_not_utf8_is_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    content = b'--b\r\nContent-Disposition: form-data; name="recipient"\r\n\r\n\xff\r\n--b--\r\n'
    answer = await client.post("/api/mint/single", content=content, headers={"Content-Type": MULTIPART})
    refused(gateway, answer, 400, "validation_failed", "recipient")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_media_types_are_refused(
    gateway: Gateway, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/api/mint/single", content=b"{}", headers=headers)
    refused(gateway, answer, 415, "unsupported_media_type", "Content-Type")


async def test_a_declared_length_over_the_limit_is_refused_unread(gateway: Gateway, client: httpx.AsyncClient) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    for content_type, limit in (("application/json", MAX_JSON_BYTES), (MULTIPART, MAX_FORM_BYTES)):
        headers = {"Content-Type": content_type, "Content-Length": str(limit + 1)}
        answer = await client.post("/api/mint/single", content=never(), headers=headers)
        refused(gateway, answer, 413, "body_too_large", "")


async def test_a_body_that_outgrows_the_limit_is_refused_while_it_comes(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    sent = 0

    async def growing() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4 * MAX_JSON_BYTES:
            sent += 65_536
            yield b" " * 65_536

    answer = await client.post("/api/mint/single", content=growing(), headers={"Content-Type": "application/json"})
    refused(gateway, answer, 413, "body_too_large", "")
    assert sent <= MAX_JSON_BYTES + 2 * 65_536


async def test_texts_of_a_form_are_bounded(gateway: Gateway, client: httpx.AsyncClient) -> None:
    files = [("metadata", (None, b" " * (MAX_TEXT_BYTES + 1)))]
    refused(gateway, await client.post("/api/mint/single", files=files), 413, "body_too_large", "metadata")


async def test_a_request_that_no_message_can_hold_is_refused(gateway: Gateway, client: httpx.AsyncClient) -> None:
    nfts = [META | {"description": "x" * 1200}] * 1000
    answer = await client.post("/api/mint/batch", json=batch(nfts))
    refused(gateway, answer, 413, "body_too_large", "nfts")


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "ключ".encode()])
async def test_bad_idempotency_keys_are_refused(gateway: Gateway, client: httpx.AsyncClient, key: str | bytes) -> None:
    answer = await client.post("/api/mint/single", json=single(), headers=[(b"Idempotency-Key", key)])  # type: ignore[list-item]
    refused(gateway, answer, 400, "validation_failed", "Idempotency-Key")


@pytest.mark.parametrize("key", [None, "", "wrong", "the-key-of-the-test", "the-key-of-the-testsX"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/mint/single"),
        ("POST", "/api/mint/batch"),
        ("GET", f"/api/mint/status/{UNKNOWN_COLLECTION}"),
        ("GET", "/api/collections"),
        ("GET", "/api/collections?page=none"),
        ("GET", f"/api/collections/{UNKNOWN_COLLECTION}"),
        ("POST", "/api/collections"),
    ],
)
async def test_every_route_wants_the_key_first(gateway: Gateway, method: str, path: str, key: str | None) -> None:
    async with gateway.client(api_key=key) as client:
        answer = await client.request(method, path, content=b"not looked at")
    assert refused(gateway, answer, 401, "unauthorized", "X-API-Key")["error"] == "Unauthorized"
    assert "WWW-Authenticate" in answer.headers


async def test_an_unauthorized_body_is_not_read(gateway: Gateway) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with gateway.client(api_key="wrong") as client:
        answer = await client.post("/api/mint/single", content=never(), headers={"Content-Type": "application/json"})
    refused(gateway, answer, 401, "unauthorized", "X-API-Key")


@pytest.mark.parametrize("path", ["/", "/api", "/api/mint", "/api/mint/singles", "/nope", "/health/", "/docs/"])
async def test_unknown_routes_are_told_in_the_same_shape(
    gateway: Gateway, client: httpx.AsyncClient, path: str
) -> None:
    assert refused(gateway, await client.get(path), 404, "not_found", "")["error"] == "Endpoint not found"


async def test_a_wrong_method_is_told_in_the_same_shape(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/mint/single")
    refused(gateway, answer, 405, "method_not_allowed", "")
    assert answer.headers["Allow"] == "POST"


async def test_mistakes_of_ours_are_told_without_their_inside(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.log.fail_publishes.append(RuntimeError("postgresql://mint:hunter2@inside/db"))
    answer = await client.post("/api/mint/single", json=single(), headers={"Origin": ORIGIN})
    body = refused(gateway, answer, 500, "internal_error")
    assert body["error"] == "Internal server error"
    assert "hunter2" not in answer.text
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("silent", ["last", "put"])
async def test_a_log_that_does_not_answer_is_told_as_such(
    gateway: Gateway, client: httpx.AsyncClient, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise LogUnavailable("nats://inside:4222")

    monkeypatch.setattr(gateway.log if silent == "last" else gateway.uploads, silent, fail)
    files = [("image", ("a.png", png(), "image/png"))]
    answer = await form_post(client, "single", single(metadata={"name": "x"}), files)
    body = refused(gateway, answer, 503, "log_unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert "data" not in body
    assert "inside" not in answer.text


async def test_a_status_of_nothing_is_not_found(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for identity in (UNKNOWN_COLLECTION, "not-a-uuid", str(UUID(int=0)), "%00", "*", ">"):
        answer = await client.get(f"/api/mint/status/{identity}")
        body = refused(gateway, answer, 404, "operation_not_found", "transactionId")
        assert body["error"] == "Operation not found"
