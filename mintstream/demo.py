"""The main job, shown: a collection, a batch of NFTs from images, every one checked against the chain.

Talks to the stack as any frontend and any stranger would: the HTTP API to mint, JSON-RPC and DAS to verify.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from solders.keypair import Keypair

from audit.chain import ChainVerifier, VerificationFailed, VerifiedAsset
from localnet.stack import Stack
from mintstream.api import GatewayClient
from mintstream.errors import ApiError

IMAGES: Final = Path(__file__).parents[1] / "examples" / "drop"
COLLECTION_SECONDS: Final = 60.0
MINT_SECONDS: Final = 600.0


class DemoFailed(Exception):
    """The main job did not end as it should; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Minted:
    """One NFT of the demo: what the API said and what the chain bore out."""

    name: str
    signature: str
    asset: VerifiedAsset


@dataclass(frozen=True, slots=True)
class Outcome:
    """The demo's figures; `seconds` from the request to the last confirmation."""

    minted: tuple[Minted, ...]
    seconds: float


async def run(stack: Stack, console: Console, *, count: int, standard: str) -> Outcome:
    """Mint `count` NFTs and verify each; raises DemoFailed, ApiError, VerificationFailed or TimeoutError."""
    images = sorted(IMAGES.glob("*.png"))
    if not images:
        raise DemoFailed(f"there are no images in {IMAGES}")
    recipient = str(Keypair().pubkey())
    async with GatewayClient(stack.api_url, stack.api_key) as api, ChainVerifier(stack.rpc_url) as chain:
        with console.status("Creating a collection and its merkle tree on chain"):
            collection = await _collection(api, images[0], standard)
        console.print(
            f"Collection [bold]{collection['name']}[/] ({standard}) {collection['collectionAddress']}\n"
            f"  its tree {collection['treeAddress']} has room for {collection['capacity']:,}",
            soft_wrap=True,
        )
        began = time.monotonic()
        names = [f"Ridge #{number}" for number in range(1, count + 1)]
        final = await _mint(api, console, collection["id"], recipient, names, images)
        seconds = time.monotonic() - began
        minted = await _verify(chain, console, final, recipient, names)
        on_chain = await chain.assets_of(recipient)
    if sorted(on_chain) != sorted(each.asset.asset_id for each in minted):
        raise DemoFailed(f"the wallet holds {len(on_chain)} assets on chain, {count} were minted for it")
    return Outcome(minted, seconds)


async def _collection(api: GatewayClient, image: Path, standard: str) -> dict[str, Any]:
    collection = await api.create_collection(
        image, name="Ridges", symbol="RIDGE", standard=standard, description="Hills at dusk, made by arithmetic."
    )
    return await api.wait_for_collection(collection, within=COLLECTION_SECONDS)


async def _mint(
    api: GatewayClient, console: Console, collection: str, recipient: str, names: list[str], images: list[Path]
) -> dict[str, Any]:
    nfts = [
        {
            "name": name,
            "description": "A ridge of hills.",
            "attributes": [{"trait_type": "image", "value": images[position % len(images)].stem}],
        }
        for position, name in enumerate(names)
    ]
    files = [images[position % len(images)] for position in range(len(names))]
    accepted = await api.mint_batch(collection, recipient, nfts, files)
    operation = accepted["transactionId"]
    console.print(f"Operation [bold]{operation}[/] accepted: {accepted['totalNfts']} NFTs", soft_wrap=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    status: dict[str, Any] = {}
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Minting", total=len(names))
        async for status in api.follow(operation, within=MINT_SECONDS):
            done = status["progress"]["completed"] + status["progress"]["failed"]
            progress.update(bar, completed=done, description=f"Minting ({status['status']})")
    if status["status"] != "completed" or status["progress"]["failed"]:
        errors = sorted({result["error"] for result in status["results"] if result.get("error")})
        raise DemoFailed(f"operation {operation} is {status['status']}: {'; '.join(errors) or status.get('error')}")
    return status


async def _verify(
    chain: ChainVerifier, console: Console, status: dict[str, Any], recipient: str, names: list[str]
) -> tuple[Minted, ...]:
    results: list[dict[str, Any]] = status["results"]
    with console.status("Checking every asset's proof against its tree on chain"):
        assets = await asyncio.gather(*(chain.verify(result["assetId"], recipient) for result in results))
    for result, asset in zip(results, assets, strict=True):
        if result["leafIndex"] != asset.leaf_index:
            raise DemoFailed(f"{asset.asset_id} is leaf {asset.leaf_index} on chain, not {result['leafIndex']}")
    return tuple(
        Minted(name, result["signature"], asset) for name, result, asset in zip(names, results, assets, strict=True)
    )


def fields(outcome: Outcome) -> dict[str, Any]:
    """Return what was minted for a program to read."""
    minted = [
        {
            "name": each.name,
            "assetId": each.asset.asset_id,
            "leafIndex": each.asset.leaf_index,
            "signature": each.signature,
            "uri": each.asset.uri,
        }
        for each in outcome.minted
    ]
    return {"minted": minted, "seconds": round(outcome.seconds, 3)}


def tell(outcome: Outcome, console: Console) -> None:
    """Print every minted NFT, each value whole and on a line of its own, so that it can be copied."""
    for each in outcome.minted:
        console.print(f"[bold]{each.name}[/]  leaf {each.asset.leaf_index}")
        for label, value in (("asset", each.asset.asset_id), ("signature", each.signature), ("uri", each.asset.uri)):
            console.print(f"  {label:<10}{value}", markup=False, soft_wrap=True)


FAILURES: Final = (DemoFailed, ApiError, VerificationFailed, TimeoutError)
"""What `run` raises when the main job fails, as opposed to a bug."""
