"""RPC methods that read accounts, each at the commitment level asked for."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TypeAlias

from solders.account import Account
from solders.pubkey import Pubkey

from bubblegum import base58
from bubblegum.errors import DecodeError
from localnet.cluster.context import Context, Methods, answer
from localnet.cluster.encoding import account_json
from localnet.cluster.model import Block, Json
from localnet.cluster.params import Config, Params, invalid, natural

# Agave: `MAX_MULTIPLE_ACCOUNTS`, `MAX_GET_PROGRAM_ACCOUNT_FILTERS`, `MAX_DATA_SIZE` of a memcmp filter.
MAX_MULTIPLE_ACCOUNTS = 100
MAX_FILTERS = 4
MAX_MEMCMP_BYTES = 128
# SPL Token's account layouts: amount and mint of an account, supply and decimals of a mint.
TOKEN_ACCOUNT_BYTES = 165
TOKEN_MINT_BYTES = 82
TOKEN_PROGRAMS = frozenset(
    Pubkey.from_string(key)
    for key in ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
)

Filter: TypeAlias = Callable[[bytes], bool]


async def get_account_info(context: Context, params: Params) -> Json:
    """`getAccountInfo`."""
    key, config = params.pubkey(0), params.config(1)
    block = context.bank(config)
    account = context.node.ledger.account(key, block)
    return answer(block, None if account is None else account_json(account, config))


async def get_multiple_accounts(context: Context, params: Params) -> Json:
    """`getMultipleAccounts`."""
    keys = [Params([text]).pubkey(0) for text in params.texts(0, "pubkeys", MAX_MULTIPLE_ACCOUNTS)]
    config = params.config(1)
    block = context.bank(config)
    accounts = [context.node.ledger.account(key, block) for key in keys]
    return answer(block, [None if account is None else account_json(account, config) for account in accounts])


async def get_balance(context: Context, params: Params) -> Json:
    """`getBalance`, in lamports."""
    key, config = params.pubkey(0), params.config(1)
    block = context.bank(config)
    account = context.node.ledger.account(key, block)
    return answer(block, 0 if account is None else account.lamports)


async def get_program_accounts(context: Context, params: Params) -> Json:
    """`getProgramAccounts` with `memcmp` and `dataSize` filters."""
    owner, config = params.pubkey(0), params.config(1)
    filters = _filters(config)
    block = context.bank(config)
    found: list[Json] = []
    for key, account in sorted(context.node.ledger.program_accounts(owner, block), key=lambda pair: bytes(pair[0])):
        data = account.data
        if all(matches(data) for matches in filters):
            found.append({"pubkey": str(key), "account": account_json(account, config)})
    return answer(block, found) if config.flag("withContext") else found


def _filters(config: Config) -> list[Filter]:
    raw = config.raw("filters")
    if raw is None:
        return []
    if not isinstance(raw, list) or len(raw) > MAX_FILTERS:
        raise invalid(f"filters must be an array; max {MAX_FILTERS}")
    return [_filter(item) for item in raw]


def _filter(item: Json) -> Filter:
    if isinstance(item, dict) and "dataSize" in item:
        size = natural(item["dataSize"], "dataSize", 2**32)
        return lambda data: len(data) == size
    if isinstance(item, dict) and isinstance(item.get("memcmp"), dict):
        return _memcmp(Params([item["memcmp"]]).config(0))
    raise invalid("a filter must have dataSize or memcmp")


def _memcmp(config: Config) -> Filter:
    offset = config.natural("offset") or 0
    text = config.text("bytes") or ""
    try:
        expected = _decode_memcmp(text, config.text("encoding"))
    except (DecodeError, ValueError) as error:
        raise invalid(f"memcmp bytes: {error}") from error
    if len(expected) > MAX_MEMCMP_BYTES:
        raise invalid(f"memcmp bytes: more than {MAX_MEMCMP_BYTES}")
    return lambda data: data[offset : offset + len(expected)] == expected


def _decode_memcmp(text: str, encoding: str | None) -> bytes:
    if encoding == "base64":
        return base64.b64decode(text, validate=True)
    return base58.decode(text)


def _token_account(context: Context, key: Pubkey, block: Block, size: int, kind: str) -> Account:
    account = context.node.ledger.account(key, block)
    if account is None:
        raise invalid("Invalid param: could not find account")
    if account.owner not in TOKEN_PROGRAMS or len(account.data) < size:
        raise invalid(f"Invalid param: not a {kind}")
    return account


def _amount(raw: int, decimals: int) -> Json:
    text = str(raw).rjust(decimals + 1, "0")
    ui = text if decimals == 0 else f"{text[:-decimals]}.{text[-decimals:]}".rstrip("0").rstrip(".")
    return {"amount": str(raw), "decimals": decimals, "uiAmount": raw / 10**decimals, "uiAmountString": ui}


async def get_token_account_balance(context: Context, params: Params) -> Json:
    """`getTokenAccountBalance`."""
    block = context.bank(params.config(1))
    data = _token_account(context, params.pubkey(0), block, TOKEN_ACCOUNT_BYTES, "Token account").data
    mint = _token_account(context, Pubkey(data[:32]), block, TOKEN_MINT_BYTES, "Token mint").data
    return answer(block, _amount(int.from_bytes(data[64:72], "little"), mint[44]))


async def get_token_supply(context: Context, params: Params) -> Json:
    """`getTokenSupply`."""
    block = context.bank(params.config(1))
    mint = _token_account(context, params.pubkey(0), block, TOKEN_MINT_BYTES, "Token mint").data
    return answer(block, _amount(int.from_bytes(mint[36:44], "little"), mint[44]))


METHODS: Methods = {
    "getAccountInfo": get_account_info,
    "getMultipleAccounts": get_multiple_accounts,
    "getBalance": get_balance,
    "getProgramAccounts": get_program_accounts,
    "getTokenAccountBalance": get_token_account_balance,
    "getTokenSupply": get_token_supply,
}
