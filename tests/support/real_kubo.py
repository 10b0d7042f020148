"""Pins files and directories with a real Kubo node through the adapter, and compares every CID. Run by hand.

    python -m tests.support.real_kubo http://127.0.0.1:5001

What it adds is removed again (`pin/rm`). Exit status 1 when the node disagrees about any CID.
"""

import argparse
import asyncio
import hashlib
import sys

import httpx

from chassis.clock import SystemClock
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.provider import PROFILES
from services.ipfs.bodies import InMemory
from services.ipfs.ports import Content, ContentMismatch, Folder, Pinnable
from tests.support.trees import import_tree
from unixfs import ImportProfile, import_bytes

CHUNK = 262_144
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 1_048_576, 10 * 1_048_576, 50 * 1_048_576)


def contents(profile: ImportProfile) -> list[Pinnable]:
    """Return what is pinned with one profile."""
    files = [hashlib.shake_256(f"real {size}".encode()).digest(size) for size in SIZES]
    found: list[Pinnable] = [
        Content(InMemory(data), import_bytes(data, profile).cid, f"{len(data)} bytes", "application/octet-stream")
        for data in files
    ]
    documents = {f"{number}.json": b'{"name":"%d"}' % number for number in range(1000)}
    found.append(Folder(documents, import_tree(documents, profile).cid, "metadata", "application/json"))
    return found


async def compare(url: str) -> int:
    """Pin everything; return how many CIDs differ."""
    different = 0
    async with httpx.AsyncClient(timeout=600) as client:
        for name, profile in PROFILES.items():
            node = KuboPinning(client, url, profile, SystemClock())
            await node.check()
            different += await _many(node, client, url, name, profile)
            for content in contents(profile):
                try:
                    await node.pin(content)
                    there = await node.has(content.cid)
                    print(f"{name:16} {content.name:16} {content.cid} {'same' if there else 'NOT PINNED'}")
                    different += not there
                except ContentMismatch as error:  # go on: the others are worth knowing
                    print(f"{name:16} {content.name:16} DIFFERENT: {error}")
                    different += 1
                    continue
                await client.post(f"{url.rstrip('/')}/api/v0/pin/rm", params={"arg": str(content.cid)})
    return different


async def _many(node: KuboPinning, client: httpx.AsyncClient, url: str, name: str, profile: ImportProfile) -> int:
    """Pin many files with one request; return how many are not pinned under their CIDs then."""
    texts = [b'{"name":"one of many, %d"}' % number for number in range(node.most_files)]
    files = [Content(InMemory(t), import_bytes(t, profile).cid, "m.json", "application/json") for t in texts]
    try:
        await node.pin_all(files)
    except ContentMismatch as error:  # go on: the others are worth knowing
        print(f"{name:16} many at once     DIFFERENT: {error}")
        return 1
    missing = [file for file in files if not await node.has(file.cid)]
    print(f"{name:16} many at once     {len(files) - len(missing)} of {len(files)} pinned")
    for file in files:
        await client.post(f"{url.rstrip('/')}/api/v0/pin/rm", params={"arg": str(file.cid)})
    return len(missing)


def main() -> None:
    """Read the node's URL and compare."""
    parser = argparse.ArgumentParser(description="compare CIDs with a real Kubo node")
    parser.add_argument("url", help="base URL of the node's RPC API")
    sys.exit(1 if asyncio.run(compare(parser.parse_args().url)) else 0)


if __name__ == "__main__":
    main()
