"""Accounts and transactions in the shapes of Solana's JSON-RPC.

Used by the RPC methods and the WebSocket hub. Pure. Field names and encodings are those of the RPC documentation
(`getAccountInfo`, `getTransaction`); parsing of program data (`jsonParsed`) is not done: as a real node does for
programs it does not know, accounts fall back to base64 and instructions are only partially decoded.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TypeAlias

from solders.account import Account
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum import base58
from localnet.cluster.model import Block, ExecutedTransaction, InnerInstruction, Json
from localnet.cluster.params import UNSUPPORTED_TRANSACTION_VERSION, Config, RpcError, invalid
from localnet.cluster.wire import parsed

InnerCalls: TypeAlias = Sequence[tuple[int, Sequence[InnerInstruction]]]
"""Inner instructions with the index of the outer instruction that made them."""

# Agave: `MAX_BASE58_BYTES` of the account decoder.
MAX_BASE58_ACCOUNT_BYTES = 128


def account_json(account: Account, config: Config) -> Json:
    """One account with the encoding and slice that the request asks for. Raises RpcError."""
    data = account.data
    space = len(data)
    part = config.section("dataSlice")
    if part is not None:
        offset, length = part.natural("offset") or 0, part.natural("length") or 0
        data = data[offset : offset + length]
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": space,
        "data": _account_data(data, config.text("encoding")),
    }


def _account_data(data: bytes, encoding: str | None) -> Json:
    if encoding in ("base64", "jsonParsed"):
        return [base64.b64encode(data).decode("ascii"), "base64"]
    if encoding in ("base58", "binary", None):
        if len(data) > MAX_BASE58_ACCOUNT_BYTES:
            raise invalid("Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.")
        text = base58.encode(data)
        return [text, "base58"] if encoding == "base58" else text
    raise invalid(f"unsupported account encoding {encoding!r}; use base64 or base58")


def blockhash_json(block: Block) -> Json:
    """A block's hash and the last block height that a transaction with it is promised."""
    return {"blockhash": str(block.hash), "lastValidBlockHeight": block.last_valid_height}


def transaction_json(tx: ExecutedTransaction, block: Block, config: Config) -> dict[str, Json]:
    """One landed transaction as `getTransaction` tells it. Raises RpcError for a version the client cannot read."""
    body: dict[str, Json] = {"slot": tx.slot, "blockTime": block.time}
    body.update(block_entry(tx, config))
    return body


def block_entry(tx: ExecutedTransaction, config: Config) -> dict[str, Json]:
    """The `transaction`, `meta` and `version` of a landed transaction, as inside `getBlock`."""
    transaction = VersionedTransaction.from_bytes(tx.wire)
    versioned = isinstance(transaction.message, MessageV0)
    supported = config.natural("maxSupportedTransactionVersion")
    if versioned and supported is None:
        raise RpcError(
            UNSUPPORTED_TRANSACTION_VERSION,
            "Transaction version (0) is not supported by the requesting client. Please try the request again with "
            'the following configuration parameter: "maxSupportedTransactionVersion": 0',
        )
    encoding = config.text("encoding", "json") or "json"
    entry: dict[str, Json] = {
        "transaction": _transaction(transaction, tx, encoding),
        "meta": meta_json(tx, written_out=encoding == "jsonParsed"),
    }
    if supported is not None:
        entry["version"] = 0 if versioned else "legacy"
    return entry


def _transaction(transaction: VersionedTransaction, tx: ExecutedTransaction, encoding: str) -> Json:
    match encoding:
        case "base64":
            return [base64.b64encode(tx.wire).decode("ascii"), "base64"]
        case "base58":
            return [base58.encode(tx.wire), "base58"]
        case "json":
            return {"signatures": _signatures(transaction), "message": _message(transaction.message)}
        case "jsonParsed":
            return {"signatures": _signatures(transaction), "message": _parsed_message(transaction, tx)}
        case _:
            raise invalid(f"unsupported transaction encoding {encoding!r}")


def _signatures(transaction: VersionedTransaction) -> Json:
    return [str(signature) for signature in transaction.signatures]


def _message(message: object) -> Json:
    if not isinstance(message, Message | MessageV0):
        raise invalid("unsupported message version")
    header = message.header
    body: dict[str, Json] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            _compiled(ix.program_id_index, bytes(ix.accounts), bytes(ix.data), None) for ix in message.instructions
        ],
    }
    if isinstance(message, MessageV0):
        body["addressTableLookups"] = _table_lookups(message)
    return body


def _table_lookups(message: MessageV0) -> Json:
    return [
        {
            "accountKey": str(lookup.account_key),
            "writableIndexes": list(bytes(lookup.writable_indexes)),
            "readonlyIndexes": list(bytes(lookup.readonly_indexes)),
        }
        for lookup in message.address_table_lookups
    ]


def _compiled(program: int, accounts: bytes, data: bytes, stack_height: int | None) -> Json:
    return {
        "programIdIndex": program,
        "accounts": list(accounts),
        "data": base58.encode(data),
        "stackHeight": stack_height,
    }


def _parsed_message(transaction: VersionedTransaction, tx: ExecutedTransaction) -> Json:
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        raise invalid("unsupported message version")
    writable = parsed(transaction, tx.wire).static_writable
    keys = [str(Pubkey(key)) for key in tx.account_keys]
    static = len(message.account_keys)
    instructions: list[Json] = [
        _partial(ix.program_id_index, bytes(ix.accounts), bytes(ix.data), None, keys) for ix in message.instructions
    ]
    accounts: list[Json] = [
        {
            "pubkey": key,
            "signer": index < message.header.num_required_signatures,
            "writable": writable[index] if index < static else index < static + tx.loaded_writable,
            "source": "transaction" if index < static else "lookupTable",
        }
        for index, key in enumerate(keys)
    ]
    body: dict[str, Json] = {
        "accountKeys": accounts,
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": instructions,
    }
    if isinstance(message, MessageV0):
        body["addressTableLookups"] = _table_lookups(message)
    return body


def _partial(program: int, accounts: bytes, data: bytes, stack_height: int | None, keys: Sequence[str]) -> Json:
    return {
        "programId": keys[program],
        "accounts": [keys[index] for index in accounts],
        "data": base58.encode(data),
        "stackHeight": stack_height,
    }


def inner_json(
    inner: Sequence[tuple[int, Sequence[InnerInstruction]]], keys: Sequence[str], *, written_out: bool
) -> Json:
    """Inner instructions grouped by outer instruction; with indexes, or with the keys written out."""
    return [
        {
            "index": index,
            "instructions": [
                _partial(ix.program_id_index, ix.accounts, ix.data, ix.stack_height, keys)
                if written_out
                else _compiled(ix.program_id_index, ix.accounts, ix.data, ix.stack_height)
                for ix in calls
            ],
        }
        for index, calls in inner
    ]


def meta_json(tx: ExecutedTransaction, *, written_out: bool) -> Json:
    """What happened when it ran. Token balances are not tracked and always empty."""
    keys = [str(Pubkey(key)) for key in tx.account_keys]
    static = len(keys) - tx.loaded_writable - tx.loaded_readonly
    meta: dict[str, Json] = {
        "err": tx.err,
        "status": {"Ok": None} if tx.err is None else {"Err": tx.err},
        "fee": tx.fee,
        "preBalances": list(tx.pre_balances),
        "postBalances": list(tx.post_balances),
        "innerInstructions": inner_json(tx.inner, keys, written_out=written_out),
        "logMessages": list(tx.logs),
        "preTokenBalances": [],
        "postTokenBalances": [],
        "rewards": [],
        "loadedAddresses": {
            "writable": list(keys[static : static + tx.loaded_writable]),
            "readonly": list(keys[static + tx.loaded_writable :]),
        },
        "computeUnitsConsumed": tx.compute_units,
    }
    if tx.return_data is not None:
        data = base64.b64encode(tx.return_data.data).decode("ascii")
        meta["returnData"] = {"programId": str(Pubkey(tx.return_data.program_id)), "data": [data, "base64"]}
    return meta
