"""The source document's own frontend client, under Node, against the stack."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.support.stack import IMAGES, PATIENCE, Json, LiveStack

JS = Path(__file__).parents[1] / "js"

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not on the PATH"),
]


async def run_client(live: LiveStack, **argument: object) -> Json:
    """What the client's script prints."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(JS / "frontend_client.mjs"),
        json.dumps(argument),
        env=os.environ | {"NEXT_PUBLIC_BACKEND_URL": live.stack.api_url, "NEXT_PUBLIC_API_KEY": live.stack.api_key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, complaints.decode()
    return json.loads(output)


async def test_the_documents_client_may_run_in_a_page_under_development(live: LiveStack) -> None:
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "x-api-key"
    answer = await live.http.options("/api/mint/single", headers=asked)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "http://localhost:3000")
    stranger = await live.http.options("/api/mint/single", headers=asked | {"Origin": "http://elsewhere.example"})
    assert stranger.status_code == 400


async def test_the_documents_client_works_unchanged(live: LiveStack) -> None:
    collection = await live.collection()
    recipient = str(Keypair().pubkey())
    images = [str(path) for path in IMAGES[:3]]
    seen = await run_client(live, collection=collection["id"], recipient=recipient, images=images, pollMs=100)

    assert seen["single"]["success"] is True
    assert seen["single"]["data"]["status"] == "queued"
    assert seen["singleStatus"]["status"] == "completed"
    assert seen["batch"]["data"]["totalNfts"] == 6  # 1 + 2 + 3 copies
    assert seen["batch"]["data"]["batchCount"] == 3
    assert seen["batchStatus"]["progress"] == {"total": 6, "completed": 6, "failed": 0, "percentage": 100}
    assert [one["status"] for one in seen["batchStatus"]["results"]] == ["success"] * 6
    assert seen["cancellation"] == {"success": True, "message": "Operation cancelled successfully"}

    assert sorted(await live.chain.assets_of(recipient)) == sorted(
        one["assetId"]
        for status in ("singleStatus", "batchStatus", "cancelledStatus")
        for one in seen[status]["results"]
        if one["status"] == "success"
    )

    assert seen["errors"] == {
        "unknownOperation": "Operation not found",
        "unknownCollection": "Collection not found or minting disabled",
        "badRecipient": "Validation failed",
        "cancelTwice": None,
        "cancelEnded": "Operation has already ended",
    }
    stats = seen["stats"]["data"]
    minted = 7 + seen["cancelledStatus"]["progress"]["completed"]
    assert stats["last24Hours"] == {"minted": minted, "operations": 3, "successRate": 100.0}
    assert (stats["totalCollections"], stats["activeOperations"]) == (1, 0)
    assert stats["totalCapacity"] == collection["capacity"]
    assert 0 < stats["walletBalance"] < 1e9
