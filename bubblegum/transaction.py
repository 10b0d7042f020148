"""An executed transaction as a tree of instructions, and how JSON-RPC's flat telling of it becomes that tree.

Used by `bubblegum.decode`, by whoever asks a node with `getTransaction`, and by the local cluster, which builds the
same tree from its own runtime. Nothing here fetches; the JSON comes from outside and is trusted in nothing.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum import base58
from bubblegum.callers import infer_heights
from bubblegum.errors import DecodeError

TOP_LEVEL_STACK_HEIGHT: Final = 1
MAX_STACK_HEIGHT: Final = 64
"""Far above the runtime's own limit (5, or 9 with SIMD-0268): what is deeper is no transaction."""


@dataclass(frozen=True, slots=True)
class ExecutedInstruction:
    """One instruction as it ran, with the instructions that it called, in order."""

    program_id: Pubkey
    accounts: tuple[Pubkey, ...]
    data: bytes
    inner: tuple["ExecutedInstruction", ...] = ()

    def walk(self) -> Iterator["ExecutedInstruction"]:
        """This instruction and everything below it, in the order of execution."""
        pending: list[ExecutedInstruction] = [self]
        while pending:
            instruction = pending.pop()
            yield instruction
            pending.extend(reversed(instruction.inner))


@dataclass(frozen=True, slots=True)
class ExecutedTransaction:
    """A transaction that a cluster has processed. `err` is the RPC's error value, None when it succeeded.

    `block_time` is in seconds since 1970, None when the node does not know it.
    """

    signature: str
    slot: int
    err: object
    instructions: tuple[ExecutedInstruction, ...]
    block_time: int | None = None

    def walk(self) -> Iterator[ExecutedInstruction]:
        """Every instruction, called ones after their callers, in the order of execution."""
        for instruction in self.instructions:
            yield from instruction.walk()


def nest(top: ExecutedInstruction, called: Sequence[tuple[int | None, ExecutedInstruction]]) -> ExecutedInstruction:
    """`top` with the instructions that it called, given flat as (stack height, instruction) in order of execution.

    The height of `top` is 1. Where a node tells none, all heights are inferred (see `bubblegum.callers`). DecodeError
    when a height has no caller, or is beyond MAX_STACK_HEIGHT.
    """
    heights: Iterable[int | None] = (stated for stated, _ in called)
    if any(stated is None for stated, _ in called):
        heights = infer_heights(top.program_id, [(each.program_id, each.accounts, each.data) for _, each in called])
    # Each open call, outermost first, with the children gathered so far; closed from the inside out.
    open_calls: list[tuple[ExecutedInstruction, list[ExecutedInstruction]]] = [(top, [])]
    for height, (_, instruction) in zip(heights, called, strict=True):
        highest = min(len(open_calls) + TOP_LEVEL_STACK_HEIGHT, MAX_STACK_HEIGHT)
        if height is None or not TOP_LEVEL_STACK_HEIGHT < height <= highest:
            raise DecodeError(f"an inner instruction at stack height {height} has no caller")
        while len(open_calls) >= height:
            _close_innermost(open_calls)
        open_calls.append((instruction, []))
    while len(open_calls) > 1:
        _close_innermost(open_calls)
    return _with_inner(top, open_calls[0][1])


def _close_innermost(open_calls: list[tuple[ExecutedInstruction, list[ExecutedInstruction]]]) -> None:
    instruction, children = open_calls.pop()
    open_calls[-1][1].append(_with_inner(instruction, children))


def _with_inner(instruction: ExecutedInstruction, children: Sequence[ExecutedInstruction]) -> ExecutedInstruction:
    return ExecutedInstruction(instruction.program_id, instruction.accounts, instruction.data, tuple(children))


def from_rpc(result: Mapping[str, Any]) -> ExecutedTransaction:
    """Read the `result` of `getTransaction` with encoding base64, base58 or json (not jsonParsed).

    Raises DecodeError when a field is missing or is not what the RPC specification says.
    """
    try:
        return _from_rpc(result)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        # All of these mean one thing here: the node's answer has not the specified shape, and will not get it.
        raise DecodeError(f"not a getTransaction result: {type(error).__name__}: {error}") from error


def _from_rpc(result: Mapping[str, Any]) -> ExecutedTransaction:
    meta = cast("Mapping[str, Any] | None", result["meta"])
    if meta is None:
        raise DecodeError("the node has no metadata of this transaction")
    signature, keys, flat = _read_message(result["transaction"])
    loaded = cast("Mapping[str, list[str]]", meta.get("loadedAddresses") or {})
    keys += [Pubkey.from_string(key) for kind in ("writable", "readonly") for key in loaded.get(kind, [])]
    top = [_resolve(program, accounts, data, keys) for program, accounts, data in flat]
    called: dict[int, list[tuple[int | None, ExecutedInstruction]]] = {}
    groups = cast("list[Mapping[str, Any]] | None", meta.get("innerInstructions"))
    for group in groups or []:
        called.setdefault(int(group["index"]), []).extend(_read_inner(group["instructions"], keys))
    if any(index not in range(len(top)) for index in called):
        raise DecodeError("inner instructions of an instruction that is not there")
    return ExecutedTransaction(
        signature=signature,
        slot=int(result["slot"]),
        err=meta["err"],
        instructions=tuple(nest(instruction, called.get(i, ())) for i, instruction in enumerate(top)),
        block_time=cast("int | None", result.get("blockTime")),
    )


FlatInstruction = tuple[int, Sequence[int], bytes]
"""Program index, account indexes, data: an instruction as a message holds it."""


def _read_message(transaction: Any) -> tuple[str, list[Pubkey], list[FlatInstruction]]:
    """Signature, static account keys and instructions, from either form of the `transaction` field."""
    if isinstance(transaction, Mapping):
        body = cast("Mapping[str, Any]", transaction)
        message = cast("Mapping[str, Any]", body["message"])
        keys = [Pubkey.from_string(key) for key in message["accountKeys"]]
        instructions = cast("list[Mapping[str, Any]]", message["instructions"])
        return str(body["signatures"][0]), keys, [_read_compiled(each) for each in instructions]
    text, encoding = cast("tuple[str, str]", transaction)
    parsed = VersionedTransaction.from_bytes(_decode_wire(text, encoding))
    compiled = parsed.message.instructions
    flat: list[FlatInstruction] = [(each.program_id_index, list(each.accounts), bytes(each.data)) for each in compiled]
    return str(parsed.signatures[0]), list(parsed.message.account_keys), flat


def _decode_wire(text: str, encoding: str) -> bytes:
    if encoding == "base58":
        return base58.decode(text)
    if encoding != "base64":
        raise DecodeError(f"a transaction in {encoding!r}: ask for base64 or json")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        # The same text will never become bytes.
        raise DecodeError("the transaction is no base64") from error


def _read_compiled(each: Mapping[str, Any]) -> FlatInstruction:
    if "programIdIndex" not in each:
        raise DecodeError("a parsed instruction: ask for base64 or json, not jsonParsed")
    accounts = cast("list[int]", each["accounts"])
    return int(each["programIdIndex"]), accounts, base58.decode(each["data"])


def _read_inner(
    instructions: Sequence[Mapping[str, Any]], keys: Sequence[Pubkey]
) -> Iterator[tuple[int | None, ExecutedInstruction]]:
    for each in instructions:
        yield cast("int | None", each.get("stackHeight")), _resolve(*_read_compiled(each), keys)


def _resolve(program: int, accounts: Sequence[int], data: bytes, keys: Sequence[Pubkey]) -> ExecutedInstruction:
    if min((program, *accounts)) < 0:
        # A negative index would silently count from the end of the keys.
        raise DecodeError("a negative account index")
    return ExecutedInstruction(keys[program], tuple(keys[index] for index in accounts), data)
