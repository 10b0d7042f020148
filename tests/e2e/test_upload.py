"""Files uploaded by themselves: on IPFS under the hash that was answered, and good for a mint."""

import httpx
import pytest
from solders.keypair import Keypair

from contracts.streams import CONTENT
from tests.support.stack import IMAGES, PATIENCE, LiveStack
from unixfs import import_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_uploads_are_pinned_and_can_be_minted(live: LiveStack) -> None:
    data = IMAGES[0].read_bytes()
    files = {"files": (IMAGES[0].name, data, "image/png")}
    answers = [await live.http.post("/api/upload/ipfs", files=files, timeout=PATIENCE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].json() == answers[1].json()
    (upload,) = answers[0].json()["data"]["uploads"]
    assert upload["status"] == "pinned"
    assert upload["ipfsHash"] == str(import_bytes(data).cid)
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(upload["gatewayUrl"])).content == data
    said = [message.subject.split(".")[1] for message in await live.events(CONTENT)]
    assert (said.count("requested"), said.count("pinned")) == (1, 1)

    collection, recipient = await live.collection(), str(Keypair().pubkey())
    body = {
        "collectionId": collection["id"],
        "recipient": recipient,
        "metadata": {"name": "Uploaded", "image": upload["ipfsUri"]},
    }
    minted = await live.http.post("/api/mint/single", json=body, headers={"Prefer": "wait=60"}, timeout=PATIENCE)
    assert minted.json()["data"]["assetIds"] == await live.chain.assets_of(recipient)
