"""A collection that was made without Mintstream: taken over through the API, minted into, counted."""

import base64

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair

from bubblegum import instructions
from bubblegum.collections import create_core_collection
from bubblegum.types import MetadataArgsV2
from contracts.collection import Standard, TreeShape
from localnet.secret_files import read_secret
from services.minter.plan import tree_instructions
from tests.support.cluster import signed
from tests.support.stack import Json, LiveStack, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHAPE = TreeShape(max_depth=5, max_buffer_size=8, canopy_depth=0)


async def land(live: LiveStack, wallet: Keypair, work: list[Instruction], *signers: Keypair) -> None:
    """Send a transaction as anybody would, and wait until it is confirmed."""
    recent = (await live.rpc("getLatestBlockhash"))["value"]["blockhash"]
    transaction = signed(wallet, work, Hash.from_string(recent), signers=list(signers))
    wire = base64.b64encode(bytes(transaction)).decode()
    options = {"encoding": "base64", "preflightCommitment": "confirmed"}
    signature = await live.rpc("sendTransaction", wire, options)

    async def confirmed() -> bool:
        (status,) = (await live.rpc("getSignatureStatuses", [signature]))["value"]
        assert status is None or status["err"] is None
        return status is not None and status["confirmationStatus"] != "processed"

    await eventually(confirmed, "it is confirmed")


async def made_elsewhere(live: LiveStack, wallet: Keypair) -> tuple[str, str]:
    """A collection of the minter's wallet with one NFT in one tree; their addresses."""
    collection, tree = Keypair(), Keypair()
    core = create_core_collection(
        payer=wallet.pubkey(),
        collection=collection.pubkey(),
        name="Elsewhere",
        uri="https://example.org/c.json",
        update_authority=wallet.pubkey(),
    )
    await land(live, wallet, [core], collection)
    size = (await live.http.post("/api/collections/estimate", json={"tree": {"maxDepth": 5, "canopyDepth": 0}})).json()
    rent = size["data"]["lamports"]["treeRent"]
    await land(live, wallet, tree_instructions(Standard.V2, SHAPE, tree.pubkey(), wallet.pubkey(), rent), tree)
    minted = instructions.mint_v2(
        tree=tree.pubkey(),
        payer=wallet.pubkey(),
        leaf_owner=Keypair().pubkey(),
        metadata=MetadataArgsV2("Old", "ELS", "https://example.org/1.json", 0, collection=collection.pubkey()),
        core_collection=collection.pubkey(),
    )
    await land(live, wallet, [minted])
    return str(collection.pubkey()), str(tree.pubkey())


async def imported(live: LiveStack, address: str) -> Json:
    """How the import of the collection ended."""
    asked = await live.http.post("/api/collections/import", json={"collectionAddress": address, "symbol": "ELS"})
    assert asked.status_code == 202, asked.text
    path = f"/api/collections/{asked.json()['data']['id']}"

    async def ended() -> Json | None:
        found: Json = (await live.http.get(path)).json()["data"]
        return found if found["stage"] in ("created", "failed") else None

    return await eventually(ended, "the import has ended")


async def test_a_collection_made_elsewhere_is_minted_into(live: LiveStack) -> None:
    wallet = Keypair.from_base58_string(read_secret(live.stack.plan.secrets.wallet_key))
    address, tree = await made_elsewhere(live, wallet)
    collection = await imported(live, address)
    assert (collection["stage"], collection["name"], collection["symbol"]) == ("created", "Elsewhere", "ELS")
    assert (collection["collectionAddress"], collection["treeAddress"]) == (address, tree), "DAS told of the tree"
    asked = await live.ask(collection, 3)
    assert (await live.settled(asked.operation))["progress"]["completed"] == 3

    async def counted() -> bool:
        found = (await live.http.get(f"/api/collections/{collection['id']}")).json()["data"]
        return (found["minted"], found["capacity"], found["hasValidTree"]) == (4, 32, True)

    await eventually(counted, "what was there before is counted too")

    stranger = await imported(live, str(wallet.pubkey()))
    assert (stranger["stage"], stranger["errorCode"]) == ("failed", "not_a_collection")
    again = await live.http.post("/api/collections/import", json={"collectionAddress": address})
    assert (again.status_code, again.json()["data"]["id"]) == (409, collection["id"])
    assert await live.dead_letters() == []
