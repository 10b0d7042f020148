"""Single mints as frontends send them: JSON with a published image, the form of the source document's client, and the
command line."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.programs import BUBBLEGUM
from contracts.mint import Requested
from contracts.streams import MINT
from tests.support.exactly_once import check_exactly_once, pinned_items
from tests.support.stack import IMAGES, URI, Asked, Json, LiveStack, facts
from unixfs import import_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFF_CURVE = str(Pubkey.find_program_address([b"vault"], BUBBLEGUM)[0])


async def asked_of(
    live: LiveStack, collection: Json, answer: httpx.Response, recipient: str, names: list[str], after: int
) -> Asked:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    assert body["message"] == "Mint operation queued successfully"
    lists = ("signatures", "leafIndexes", "assetIds", "ipfsUris")
    assert all(body["data"][name] == [] for name in lists), "they fill up in the status"
    return Asked(
        operation=UUID(body["data"]["transactionId"]),
        collection=collection,
        recipient=recipient,
        names=tuple(names),
        after=after,
    )


@pytest.mark.parametrize("standard", ["v1", "v2"])
async def test_copies_of_one_nft_with_a_published_image(live: LiveStack, standard: str) -> None:
    collection = await live.collection(standard)
    recipient, after = str(Keypair().pubkey()), await live.log.last_sequence(MINT)
    body = {
        "collectionId": collection["id"],
        "recipient": recipient,
        "metadata": {
            "name": "Tente bleue à côté",
            "description": "Éclairée",
            "image": URI,
            "attributes": [{"trait_type": "colour", "value": "blue"}],
            "external_url": "https://example.org/tents/1",
        },
        "copies": 3,
    }
    answer = await live.http.post("/api/mint/single", json=body)
    asked = await asked_of(live, collection, answer, recipient, ["Tente bleue à côté"] * 3, after)
    items = pinned_items(await check_exactly_once(live, asked))
    assert len({item.uri for item in items.values()}) == 1, "copies share their metadata"
    assert {item.image_uri for item in items.values()} == {URI}
    document = json.loads(await pinned_bytes(live, items[0].uri))
    assert document["image"] == URI
    assert document["name"] == "Tente bleue à côté"
    assert document["attributes"] == [{"trait_type": "colour", "value": "blue"}]
    assert document["external_url"] == "https://example.org/tents/1"


async def test_the_form_of_the_documents_client(live: LiveStack) -> None:
    collection = await live.collection()
    recipient, after = str(Keypair().pubkey()), await live.log.last_sequence(MINT)
    image = IMAGES[0].read_bytes()
    answer = await live.http.post(
        "/api/mint/single",
        data={
            "collectionId": collection["id"],
            "recipient": recipient,
            "metadata": json.dumps(
                {"name": "Ridge", "description": "Generated NFT from 01.png", "attributes": []},
            ),
            "copies": "2",
        },
        files={"image": (IMAGES[0].name, image, "image/png")},
    )
    asked = await asked_of(live, collection, answer, recipient, ["Ridge", "Ridge"], after)
    items = pinned_items(await check_exactly_once(live, asked))
    document = json.loads(await pinned_bytes(live, items[0].uri))
    assert document["name"] == "Ridge"
    assert document["symbol"] == collection["symbol"]
    assert document["description"] == "Generated NFT from 01.png"
    assert document["image"] == items[0].image_uri
    assert document["properties"]["files"] == [{"uri": items[0].image_uri, "type": "image/png"}]
    assert document["properties"]["creators"] == [{"address": collection["creatorAddress"], "share": 100}]
    assert await pinned_bytes(live, document["image"]) == image


async def pinned_bytes(live: LiveStack, uri: str) -> bytes:
    """What an `ipfs://` URI names, held to its own content identifier."""
    cid = uri.removeprefix("ipfs://")
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{live.stack.ipfs_url}/ipfs/{cid}")
    assert answer.status_code == 200, answer.text
    assert str(import_bytes(answer.content).cid) == cid
    return answer.content


async def test_a_vault_may_own_an_nft(live: LiveStack) -> None:
    collection, after = await live.collection(), await live.log.last_sequence(MINT)
    body = {
        "collectionId": collection["id"],
        "recipient": OFF_CURVE,
        "metadata": {"name": "For the vault", "image": URI},
    }
    answer = await live.http.post("/api/mint/single", json=body)
    await check_exactly_once(live, await asked_of(live, collection, answer, OFF_CURVE, ["For the vault"], after))


async def test_a_status_is_there_as_soon_as_the_post_is_answered(live: LiveStack) -> None:
    collection = await live.collection()
    recipient = str(Keypair().pubkey())
    body = {"collectionId": collection["id"], "recipient": recipient, "metadata": {"name": "Now", "image": URI}}
    operations: list[str] = []
    for _ in range(10):
        posted = await live.http.post("/api/mint/single", json=body)
        operations.append(posted.json()["data"]["transactionId"])
        asked_at_once = await live.http.get(f"/api/mint/status/{operations[-1]}")
        assert asked_at_once.status_code == 200, asked_at_once.text
        assert asked_at_once.json()["data"]["progress"]["total"] == 1
    assert len(set(operations)) == 10
    for operation in operations:
        assert (await live.settled(UUID(operation)))["status"] == "completed"
    assert len(await live.chain.assets_of(recipient)) == 10


async def test_an_idempotency_key_is_one_operation(live: LiveStack) -> None:
    collection, after = await live.collection(), await live.log.last_sequence(MINT)
    recipient = str(Keypair().pubkey())
    body: Json = {"collectionId": collection["id"], "recipient": recipient, "metadata": {"name": "Once", "image": URI}}
    headers = {"Idempotency-Key": f"order-{collection['id']}"}
    first = await live.http.post("/api/mint/single", json=body, headers=headers)
    again = await live.http.post("/api/mint/single", json=body, headers=headers)
    asked = await asked_of(live, collection, first, recipient, ["Once"], after)
    assert again.json() == first.json()
    events = await check_exactly_once(live, asked)
    after_the_end = await live.http.post("/api/mint/single", json=body, headers=headers)
    assert after_the_end.json() == first.json()

    other = body | {"metadata": {"name": "Twice", "image": URI}}
    refused = await live.http.post("/api/mint/single", json=other, headers=headers)
    assert refused.status_code == 409, refused.text
    assert refused.json()["success"] is False
    assert [detail["field"] for detail in refused.json()["details"]] == ["metadata"] or refused.json()["details"]
    requests = facts(await live.events(after=after), Requested)
    assert [one for one in requests if one.recipient == recipient] == facts(events, Requested)


async def test_the_command_line_mints_a_folder_once(live: LiveStack, tmp_path: Path) -> None:
    """As the owner of the data directory: no address and no key is named."""
    collection, recipient = await live.collection(), str(Keypair().pubkey())
    drop = tmp_path / "drop"
    drop.mkdir()
    for number, image in enumerate(IMAGES[:3], start=1):
        (drop / f"{number}.png").write_bytes(image.read_bytes())
    (drop / "metadata.csv").write_text("image,name,Hour\n" + "".join(f"{n}.png,Ridge #{n},dusk\n" for n in (1, 2, 3)))
    mint = ["mint", str(drop), "--collection", collection["id"], "--recipient", recipient, "--wait", "--json"]

    async def mintstream(*arguments: str) -> Any:
        environ = os.environ | {"MINTSTREAM_DATA": str(live.stack.data_dir), "XDG_STATE_HOME": str(tmp_path)}
        command = [sys.executable, "-m", "mintstream", *arguments]
        done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    [status] = await mintstream(*mint)
    assert status["progress"]["completed"] == 3
    assert await mintstream(*mint) == [status]
    assert len(await live.chain.assets_of(recipient)) == 3
    assert (await mintstream("status", status["transactionId"], "--json"))["status"] == "completed"
    listed = await mintstream("collections", "list", "--json")
    assert collection["id"] in [each["id"] for each in listed["collections"]]
    assert [each for each in await mintstream("doctor", "--json") if not each["ok"]] == []
    assert await mintstream("dead", "list", "--json") == []
