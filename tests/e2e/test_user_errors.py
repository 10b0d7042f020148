"""Every mistake a caller can make: a 4xx that names the field, and nothing on the log."""

import io
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from solders.keypair import Keypair

from chassis.images import MAX_IMAGE_BYTES
from contracts.collection import CollectionRequested
from contracts.streams import COLLECTION, MINT
from tests.support.stack import IMAGES, URI, Json, LiveStack, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECIPIENT = str(Keypair().pubkey())
UNKNOWN = "0199d1a0-0000-7000-8000-00000000dead"
OPEN, CLOSED = "an open collection", "a closed collection"
TOO_LARGE = b"\x89PNG\r\n\x1a\n" + bytes(MAX_IMAGE_BYTES)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Collections:
    """Stand for OPEN and CLOSED in requests."""

    live: LiveStack
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def put_into(self, text: str) -> str:
        for name, collection in self.ids.items():
            text = text.replace(name, collection)
        return text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collections(live: LiveStack) -> AsyncGenerator[Collections]:
    opened, closed = await live.collection(), await live.collection(allowMinting=False)
    yield Collections(live, {OPEN: opened["id"], CLOSED: closed["id"]})
    # Nothing of all this was ever said.
    assert await live.log.last_sequence(MINT) == 0
    assert len(facts(await live.events(COLLECTION), CollectionRequested)) == 2


def single(**changes: Any) -> Json:
    return {"collectionId": OPEN, "recipient": RECIPIENT, "metadata": nft()} | changes


def nft(**changes: Any) -> Json:
    return {key: value for key, value in ({"name": "Tent", "image": URI} | changes).items() if value is not None}


def batch(*nfts: Json, **changes: Any) -> Json:
    return {"collectionId": OPEN, "recipient": RECIPIENT, "nfts": list(nfts)} | changes


SINGLE: list[tuple[str, Json, int, str]] = [
    ("unknown collection", single(collectionId=UNKNOWN), 404, "collectionId"),
    ("minting disabled", single(collectionId=CLOSED), 404, "collectionId"),
    ("collection is no id", single(collectionId="tents"), 400, "collectionId"),
    ("recipient is not base58", single(recipient="0OIl" + RECIPIENT[4:]), 400, "recipient"),
    ("recipient is 31 bytes", single(recipient="2" * 42), 400, "recipient"),
    ("recipient is 33 bytes", single(recipient="z" * 44 + "zz"), 400, "recipient"),
    ("recipient missing", {"collectionId": OPEN, "metadata": nft()}, 400, "recipient"),
    ("name over the limit", single(metadata=nft(name="é" * 17)), 400, "metadata.name"),
    ("name is blank", single(metadata=nft(name="  ")), 400, "metadata.name"),
    ("no image", single(metadata=nft(image=None)), 400, "metadata.image"),
    ("image is no URI that lasts", single(metadata=nft(image="http://example.org/1.png")), 400, "metadata.image"),
    ("unknown field", single(colour="blue"), 400, "colour"),
    ("unknown field within", single(metadata=nft(colour="blue")), 400, "metadata.colour"),
    ("no copies", single(copies=0), 400, "copies"),
    ("too many copies", single(copies=1001), 400, "copies"),
    ("copies is no number", single(copies="two"), 400, "copies"),
    (
        "attribute without its value",
        single(metadata=nft(attributes=[{"trait_type": "colour"}])),
        400,
        "metadata.attributes[0].value",
    ),
]


@pytest.mark.parametrize(("body", "status", "name"), [case[1:] for case in SINGLE], ids=[case[0] for case in SINGLE])
async def test_a_wrong_single_mint(collections: Collections, body: Json, status: int, name: str) -> None:
    content = collections.put_into(json.dumps(body))
    await refused(collections, "/api/mint/single", status, name, content=content, headers=JSON)


BATCH: list[tuple[str, Json, int, str]] = [
    ("no NFT", batch(), 400, "nfts"),
    ("the second without an image", batch(nft(), nft(image=None)), 400, "nfts[1].image"),
    ("the third with a long name", batch(nft(), nft(), nft(name="n" * 33)), 400, "nfts[2].name"),
    ("over 1000 with their copies", batch(nft(copies=600), nft(copies=401)), 400, "nfts"),
    ("chunks too large", batch(nft(), batchSize=101), 400, "batchSize"),
    ("unknown collection", batch(nft(), collectionId=UNKNOWN), 404, "collectionId"),
    ("minting disabled", batch(nft(), collectionId=CLOSED), 404, "collectionId"),
    ("unknown field", batch(nft(), delay=1), 400, "delay"),
]


@pytest.mark.parametrize(("body", "status", "name"), [case[1:] for case in BATCH], ids=[case[0] for case in BATCH])
async def test_a_wrong_batch(collections: Collections, body: Json, status: int, name: str) -> None:
    content = collections.put_into(json.dumps(body))
    await refused(collections, "/api/mint/batch", status, name, content=content, headers=JSON)


JSON = {"Content-Type": "application/json"}

FILES: list[tuple[str, bytes, int, str]] = [
    ("not an image", b"%PDF-1.7 is no picture", 400, "image"),
    ("an image cut short", IMAGES[0].read_bytes()[:-1000], 400, "image"),
    ("empty", b"", 400, "image"),
    ("too large", TOO_LARGE, 413, "image"),
]


@pytest.mark.parametrize(("file", "status", "name"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
async def test_a_wrong_file(collections: Collections, file: bytes, status: int, name: str) -> None:
    form = {
        "collectionId": collections.ids[OPEN],
        "recipient": RECIPIENT,
        "metadata": json.dumps(nft(image=None)),
        "copies": "1",
    }
    files = {"image": ("tent.png", file, "image/png")}
    await refused(collections, "/api/mint/single", status, name, data=form, files=files)


async def test_one_wrong_file_of_a_batch(collections: Collections) -> None:
    form = {
        "collectionId": collections.ids[OPEN],
        "recipient": RECIPIENT,
        "nfts": json.dumps([nft(image=None), nft(image=None)]),
        "batchSize": "10",
    }
    files = [("images", ("1.png", png(), "image/png")), ("images", ("2.png", b"no picture", "image/png"))]
    await refused(collections, "/api/mint/batch", 400, "images[1]", data=form, files=files)


async def test_more_files_than_nfts(collections: Collections) -> None:
    form = {
        "collectionId": collections.ids[OPEN],
        "recipient": RECIPIENT,
        "nfts": json.dumps([nft(image=None)]),
        "batchSize": "10",
    }
    files = [("images", (f"{number}.png", png(), "image/png")) for number in range(2)]
    await refused(collections, "/api/mint/batch", 400, "images[1]", data=form, files=files)


@pytest.mark.parametrize("content", ['{"collectionId": ', "[]", '"text"', "", "\xff", '{"a": NaN}', "[" * 5000])
async def test_malformed_json(collections: Collections, content: str) -> None:
    answer = await collections.live.http.post("/api/mint/single", content=content.encode("latin-1"), headers=JSON)
    assert answer.status_code == 400, answer.text
    check_shape(answer.json())


@pytest.mark.parametrize("key", [None, "", "wrong", "ключ"], ids=["missing", "empty", "wrong", "not ASCII"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/mint/single"),
        ("POST", "/api/mint/batch"),
        ("POST", "/api/collections"),
        ("GET", "/api/collections"),
        ("GET", f"/api/mint/status/{UNKNOWN}"),
    ],
)
async def test_without_the_key(collections: Collections, key: str | None, method: str, path: str) -> None:
    http = collections.live.http
    request = http.build_request(method, path, content=json.dumps(single()) if method == "POST" else None)
    del request.headers["X-API-Key"]
    if key is not None:
        request.headers.raw.append((b"X-API-Key", key.encode()))
    answer = await http.send(request)
    assert answer.status_code == 401, answer.text
    body = answer.json()
    check_shape(body)
    assert body["error"] == "Unauthorized"


async def test_an_operation_that_nobody_asked_for(collections: Collections) -> None:
    for operation in (UNKNOWN, "tents"):
        answer = await collections.live.http.get(f"/api/mint/status/{operation}")
        assert answer.status_code == 404
        check_shape(answer.json())
        assert [detail["field"] for detail in answer.json()["details"]] == ["transactionId"]


async def refused(collections: Collections, path: str, status: int, name: str, **request: Any) -> None:
    """Send it; it is refused in the one shape, with the field's name, and nothing is said on the log."""
    answer = await collections.live.http.post(path, **request)
    assert answer.status_code == status, answer.text
    body = answer.json()
    check_shape(body)
    assert name in [detail["field"] for detail in body["details"]], body
    assert await collections.live.log.last_sequence(MINT) == 0


def check_shape(body: Json) -> None:
    assert body["success"] is False
    assert isinstance(body["error"], str)
    assert body["error"]
    assert all(set(detail) == {"field", "message"} for detail in body["details"])
    text = json.dumps(body)
    assert not any(word in text for word in ("Traceback", "services/", "site-packages", "postgresql://"))
