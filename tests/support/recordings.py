"""Public transactions of the deployed programs, by signature: fetched once, read by the contract tests.

    python -m tests.support.recordings https://a-node.example.com [...]

asks each node for every transaction that `tests/contract/vectors/recorded_transactions.json` names and keeps the raw
`getTransaction` results in RECORDED_TRANSACTIONS (by default `.recorded`, which git ignores). The transactions are of
mainnet and devnet, so it takes a node of each. Only the names and what they must decode to are in the repository.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bubblegum.errors import DecodeError
from bubblegum.transaction import ExecutedTransaction, from_rpc

NAMES = Path(__file__).parents[1] / "contract/vectors/recorded_transactions.json"
FOLDER = Path(os.environ.get("RECORDED_TRANSACTIONS", ".recorded"))


class Recorded(msgspec.Struct, frozen=True):
    """One transaction and what it must decode to: names of changes, with the instruction where a change has one."""

    signature: str
    changes: tuple[str, ...]


class Names(msgspec.Struct, frozen=True):
    """Where the transactions were found, and all of them by scenario, in the order of their slots."""

    source: str
    commit: str
    scenarios: dict[str, tuple[Recorded, ...]]


def names() -> Names:
    """What is to be recorded."""
    return msgspec.json.decode(NAMES.read_bytes(), type=Names)


def recorded(signature: str) -> ExecutedTransaction | None:
    """A transaction that was fetched; None for one that was not."""
    path = FOLDER / f"{signature}.json"
    return from_rpc(json.loads(path.read_bytes())) if path.exists() else None


class NodeFailed(Exception):
    """A node gave no answer that can be used; the text says why, without the URL, which may hold a key."""


def fetch(http: httpx.Client, url: str, signature: str) -> dict[str, Any] | None:
    """The raw result of `getTransaction`; None when this node does not have it. Raises NodeFailed."""
    options = {"encoding": "base64", "maxSupportedTransactionVersion": 0, "commitment": "finalized"}
    request = {"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": [signature, options]}
    try:
        answer = http.post(url, json=request).raise_for_status().json()
    except httpx.HTTPStatusError as error:
        raise NodeFailed(f"HTTP status {error.response.status_code}") from None
    except (httpx.HTTPError, ValueError) as error:
        raise NodeFailed(type(error).__name__) from None
    if "error" in answer:
        raise NodeFailed(f"{answer['error'].get('message')} ({answer['error'].get('code')})")
    found = answer.get("result")
    if found is None:
        return None
    try:
        told = from_rpc(found).signature
    except DecodeError as error:
        raise NodeFailed(str(error)) from None
    if told != signature:
        raise NodeFailed(f"it gave {told} instead")
    return found


def fetch_from(http: httpx.Client, urls: Sequence[str], signature: str) -> tuple[dict[str, Any] | None, list[str]]:
    """The result from the first node that has it, and why the others gave none."""
    reasons: list[str] = []
    for number, url in enumerate(urls, 1):
        try:
            found = fetch(http, url, signature)
        except NodeFailed as error:
            reasons.append(f"node {number}: {error}")
            continue
        if found is not None:
            return found, reasons
        reasons.append(f"node {number} does not have it")
    return None, reasons


def main() -> None:
    """Fetch what is missing; the exit status is 1 when something still is."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.recordings",
        description="Fetch the public transactions that the decoder is held to. What is there already is not asked for "
        f"again; they are kept in {FOLDER}/ (RECORDED_TRANSACTIONS names another folder). Then run "
        "`pytest tests/contract/test_recorded_transactions.py`.",
    )
    parser.add_argument(
        "urls", nargs="+", metavar="URL", help="JSON-RPC node with full history; one of mainnet and one of devnet"
    )
    urls = parser.parse_args().urls
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = sorted({each.signature for scenario in names().scenarios.values() for each in scenario})
    missing = [signature for signature in wanted if not (FOLDER / f"{signature}.json").exists()]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} are in {FOLDER}/")
    failed = 0
    with httpx.Client(timeout=30) as http:
        for number, signature in enumerate(missing, 1):
            result, reasons = fetch_from(http, urls, signature)
            if result is None:
                failed += 1
                print(f"{number}/{len(missing)} {signature}: {'; '.join(reasons)}")
            else:
                (FOLDER / f"{signature}.json").write_bytes(msgspec.json.encode(result))
    if failed:
        sys.exit(f"{failed} are still missing: try another node, or again later")
    print("all there")


if __name__ == "__main__":
    main()
