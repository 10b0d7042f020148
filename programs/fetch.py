"""Fetch the deployed bytecode of the real programs over JSON-RPC into `programs/deployed/`.

Used by `python -m programs.build --from-rpc URL`. Nothing is written unless every program was fetched and every pin
matched. What is not done here: deciding which programs a cluster loads (`programs.manifest`).

Account layouts: the platform's documentation of the upgradeable loader (a program account points at a program-data
account whose bytecode follows 45 bytes of bookkeeping), of loader v4 (48 bytes) and of the older loaders (none).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import httpx
from solders.pubkey import Pubkey

from programs.manifest import DEPLOYED, Program

UPGRADEABLE_LOADER = "BPFLoaderUpgradeab1e11111111111111111111111"
LOADER_V4 = "LoaderV411111111111111111111111111111111111"
OLD_LOADERS = frozenset({"BPFLoader2111111111111111111111111111111111", "BPFLoader1111111111111111111111111111111111"})

_PROGRAM_STATE, _PROGRAM_DATA_STATE = 2, 3
_PROGRAM_DATA_HEADER_BYTES = 45
_LOADER_V4_HEADER_BYTES = 48
_TIMEOUT_SECONDS = 60.0


class FetchError(Exception):
    """A program could not be fetched or is not the pinned one; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class _AccountInfo:
    owner: str
    data: bytes


def parse_pins(pins: Sequence[str]) -> dict[str, str]:
    """`["name=sha256", ...]` as a dict. Raises FetchError for anything else."""
    parsed: dict[str, str] = {}
    for pin in pins:
        name, _, digest = pin.partition("=")
        if not name or len(digest) != 64 or not set(digest.lower()) <= set("0123456789abcdef"):
            raise FetchError(f"--pin {pin} is not NAME=SHA256 (64 hex digits).")
        parsed[name] = digest.lower()
    return parsed


def executable_hash(bytecode: bytes) -> str:
    """sha256 of the bytecode without its trailing zeros: the hash that public program verifiers give."""
    return hashlib.sha256(bytecode.rstrip(b"\0")).hexdigest()


def fetch_programs(url: str, programs: Sequence[Program], pins: dict[str, str]) -> None:
    """Fetch `programs` from the node at `url`, check them against `pins` and write them to `programs/deployed/`.

    Raises FetchError, before anything is written, when one is missing or is not the pinned one.
    """
    strangers = set(pins) - {program.name for program in programs}
    if strangers:
        raise FetchError(f"--pin names {', '.join(sorted(strangers))}, which is not being fetched.")
    fetched: list[tuple[Program, bytes]] = []
    with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
        for program in programs:
            bytecode = deployed_bytecode(client, url, program)
            digest = executable_hash(bytecode)
            if pins.get(program.name, digest) != digest:
                raise FetchError(
                    f"{program.name} has sha256 {digest}, but {pins[program.name]} is pinned. Nothing was written."
                )
            fetched.append((program, bytecode))
    DEPLOYED.mkdir(exist_ok=True)
    for program, bytecode in fetched:
        program.deployed.write_bytes(bytecode)
        print(f"{program.name}: {len(bytecode)} bytes, sha256 {executable_hash(bytecode)}")  # noqa: T201 - output


def deployed_bytecode(client: httpx.Client, url: str, program: Program) -> bytes:
    """The ELF file deployed at the program's address. Raises FetchError."""
    account = _account(client, url, program.address)
    if account is None:
        raise FetchError(f"{program.name} ({program.address}) does not exist on that cluster.")
    if account.owner in OLD_LOADERS:
        bytecode = account.data
    elif account.owner == LOADER_V4:
        bytecode = account.data[_LOADER_V4_HEADER_BYTES:]
    elif account.owner == UPGRADEABLE_LOADER:
        bytecode = _upgradeable_bytecode(client, url, program, account)
    else:
        raise FetchError(f"{program.name} ({program.address}) is owned by {account.owner}, which is not a loader.")
    if not bytecode.startswith(b"\x7fELF"):
        raise FetchError(f"What is deployed as {program.name} ({program.address}) is not an ELF file.")
    return bytecode


def _upgradeable_bytecode(client: httpx.Client, url: str, program: Program, account: _AccountInfo) -> bytes:
    if len(account.data) < 36 or struct.unpack_from("<I", account.data)[0] != _PROGRAM_STATE:
        raise FetchError(f"{program.name} ({program.address}) is not a program account.")
    data_address = Pubkey.from_bytes(account.data[4:36])
    holder = _account(client, url, data_address)
    if holder is None or holder.owner != UPGRADEABLE_LOADER:
        raise FetchError(f"{program.name} was closed: its program data {data_address} does not exist.")
    if len(holder.data) < 4 or struct.unpack_from("<I", holder.data)[0] != _PROGRAM_DATA_STATE:
        raise FetchError(f"{data_address} is not the program data of {program.name}.")
    return holder.data[_PROGRAM_DATA_HEADER_BYTES:]


def _account(client: httpx.Client, url: str, address: Pubkey) -> _AccountInfo | None:
    """getAccountInfo; None when there is no such account. Raises FetchError for any failure of the node."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "getAccountInfo",
        "params": [str(address), {"encoding": "base64", "commitment": "finalized"}],
    }
    try:
        response = client.post(url, json=body)
        response.raise_for_status()
        reply: Any = response.json()
        if "error" in reply:
            raise FetchError(f"The node refused getAccountInfo of {address}: {reply['error']}.")
        value = reply["result"]["value"]
        if value is None:
            return None
        encoded = cast("str", value["data"][0])
        return _AccountInfo(owner=str(value["owner"]), data=base64.b64decode(encoded, validate=True))
    except httpx.HTTPError as error:
        # Stops: the person chooses another node or tries again. The URL may carry a key, so it is not repeated.
        raise FetchError(f"The node did not answer getAccountInfo of {address} ({type(error).__name__}).") from error
    except (ValueError, KeyError, TypeError, IndexError, binascii.Error) as error:
        # Stops: that is not a Solana node.
        raise FetchError(f"The node's answer to getAccountInfo of {address} is not one ({error}).") from error
