"""Public transactions of the deployed programs, by signature: fetched once, read by the contract tests.

    python -m tests.support.recordings https://a-node.example.com [...]

asks each node for every transaction that `tests/contract/vectors/recorded_transactions.json` names and keeps the raw
`getTransaction` results in RECORDED_TRANSACTIONS (by default `.recorded`, which git ignores). The transactions are of
mainnet and devnet, so it takes a node of each. Only the names and what they must decode to are in the repository.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import httpx
import msgspec

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


def fetch(http: httpx.Client, url: str, signature: str) -> dict[str, Any] | None:
    """The raw result of `getTransaction`; None when this node does not have it."""
    options = {"encoding": "base64", "maxSupportedTransactionVersion": 0, "commitment": "finalized"}
    request = {"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": [signature, options]}
    return http.post(url, json=request).raise_for_status().json().get("result")


def main() -> None:
    """Fetch what is missing."""
    parser = argparse.ArgumentParser(description="fetch the recorded transactions")
    parser.add_argument("urls", nargs="+", help="JSON-RPC endpoints with full history")
    urls = parser.parse_args().urls
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = {each.signature for scenario in names().scenarios.values() for each in scenario}
    missing = sorted(signature for signature in wanted if not (FOLDER / f"{signature}.json").exists())
    with httpx.Client(timeout=30) as http:
        for signature in missing:
            result = next((found for url in urls if (found := fetch(http, url, signature)) is not None), None)
            if result is None:
                print(f"no node has {signature}")
            else:
                (FOLDER / f"{signature}.json").write_bytes(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
