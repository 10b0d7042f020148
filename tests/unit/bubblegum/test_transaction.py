"""getTransaction's JSON, in each encoding and version, becomes the tree of instructions that ran."""

import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.message import MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from bubblegum import base58
from bubblegum.errors import DecodeError
from bubblegum.transaction import MAX_STACK_HEIGHT, ExecutedInstruction, from_rpc, nest
from tests.support.leaves import key

STATIC = [key(1), key(2), key(3)]
WRITABLE, READONLY = key(4), key(5)
SIGNATURE = Signature(b"\x07" * 64)


def _inner(program: int, accounts: list[int], data: bytes, height: int | None) -> dict[str, Any]:
    return {"programIdIndex": program, "accounts": accounts, "data": base58.encode(data), "stackHeight": height}


def _result(encoding: str) -> dict[str, Any]:
    """Two top-level instructions; the first calls A (which calls B) and C; keys 3 and 4 come from a lookup table."""
    top = [CompiledInstruction(1, b"\x01top", bytes([0, 3, 4])), CompiledInstruction(2, b"", b"")]
    if encoding == "json":
        instructions = [
            {"programIdIndex": each.program_id_index, "accounts": list(each.accounts), "data": base58.encode(each.data)}
            for each in top
        ]
        message = {"accountKeys": [str(each) for each in STATIC], "instructions": instructions}
        transaction: Any = {"signatures": [str(SIGNATURE)], "message": message}
    else:
        lookup = MessageAddressTableLookup(key(9), bytes([0]), bytes([1]))
        compiled = MessageV0(MessageHeader(1, 0, 2), STATIC, Hash.default(), top, [lookup])
        wire = bytes(VersionedTransaction.populate(compiled, [SIGNATURE]))
        text = base64.b64encode(wire).decode() if encoding == "base64" else base58.encode(wire)
        transaction = [text, encoding]
    called = [_inner(2, [3], b"A", 2), _inner(4, [], b"B", 3), _inner(2, [], b"\0C", 2)]
    return {
        "slot": 77,
        "blockTime": 1_700_000_000,
        "version": 0,
        "transaction": transaction,
        "meta": {
            "err": None,
            "innerInstructions": [{"index": 0, "instructions": called}],
            "loadedAddresses": {"writable": [str(WRITABLE)], "readonly": [str(READONLY)]},
        },
    }


@pytest.mark.parametrize("encoding", ["base64", "base58", "json"])
def test_a_result_becomes_a_tree(encoding: str) -> None:
    tx = from_rpc(_result(encoding))
    b = ExecutedInstruction(READONLY, (), b"B")
    a = ExecutedInstruction(key(3), (WRITABLE,), b"A", (b,))
    c = ExecutedInstruction(key(3), (), b"\0C")
    first = ExecutedInstruction(key(2), (key(1), WRITABLE, READONLY), b"\x01top", (a, c))
    second = ExecutedInstruction(key(3), (), b"")
    assert tx.instructions == (first, second)
    assert (tx.signature, tx.slot, tx.err, tx.block_time) == (str(SIGNATURE), 77, None, 1_700_000_000)
    assert list(tx.walk()) == [first, a, b, c, second]


def test_a_node_that_tells_no_heights_and_no_inner_instructions() -> None:
    result = _result("json")
    for inner in result["meta"]["innerInstructions"][0]["instructions"]:
        inner["stackHeight"] = None
    assert [each.data for each in from_rpc(result).instructions[0].inner] == [b"A", b"B", b"\0C"]
    del result["meta"]["innerInstructions"], result["blockTime"]
    assert from_rpc(result).instructions[0].inner == ()
    assert from_rpc(result).block_time is None


def test_an_error_is_kept() -> None:
    result = _result("base64")
    result["meta"]["err"] = {"InstructionError": [0, {"Custom": 6016}]}
    assert from_rpc(result).err == {"InstructionError": [0, {"Custom": 6016}]}


def _change(path: str, value: Any) -> dict[str, Any]:
    result: Any = copy.deepcopy(_result("json"))
    at = result
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        at = at[step]
    at[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta", None),
        ("meta", {}),
        ("slot", "soon"),
        ("transaction", None),
        ("transaction", ["AAAA", "base64"]),
        ("transaction", ["*", "base64"]),
        ("transaction", ["AAAA", "jsonParsed"]),
        ("transaction.signatures", []),
        ("transaction.message.accountKeys.0", "not an address"),
        ("transaction.message.instructions.0.programIdIndex", 9),
        ("transaction.message.instructions.0.accounts", [-1]),
        ("transaction.message.instructions.0", {"parsed": {}, "program": "system"}),
        ("meta.innerInstructions.0.index", 2),
        ("meta.innerInstructions.0.instructions.0.stackHeight", 3),
        ("meta.innerInstructions.0.instructions.0.stackHeight", 1),
        ("meta.innerInstructions.0.instructions.0.data", "0OIl"),
        ("meta.loadedAddresses", {"writable": [7]}),
    ],
)
def test_an_answer_of_another_shape_is_refused(path: str, value: Any) -> None:
    with pytest.raises(DecodeError):
        from_rpc(_change(path, value))


def _flatten(instruction: ExecutedInstruction, height: int = 1) -> list[tuple[int, ExecutedInstruction]]:
    flat: list[tuple[int, ExecutedInstruction]] = []
    for child in instruction.inner:
        flat.append((height + 1, ExecutedInstruction(child.program_id, child.accounts, child.data)))
        flat += _flatten(child, height + 1)
    return flat


leaves = st.builds(ExecutedInstruction, st.integers(0, 9).map(key), st.just(()), st.binary(max_size=3))


def _with_children(children: st.SearchStrategy[ExecutedInstruction]) -> st.SearchStrategy[ExecutedInstruction]:
    program: st.SearchStrategy[Pubkey] = st.integers(0, 9).map(key)
    return st.builds(
        ExecutedInstruction, program, st.just(()), st.binary(max_size=3), st.lists(children, max_size=4).map(tuple)
    )


@given(st.recursive(leaves, _with_children, max_leaves=20))
def test_nesting_undoes_flattening(tree: ExecutedInstruction) -> None:
    top = ExecutedInstruction(tree.program_id, tree.accounts, tree.data)
    assert nest(top, _flatten(tree)) == tree
    assert next(tree.walk()) == tree
    assert len(list(tree.walk())) == 1 + len(_flatten(tree))


def test_calls_without_end_are_refused() -> None:
    top = ExecutedInstruction(key(1), (), b"")
    with pytest.raises(DecodeError, match="stack height"):
        nest(top, [(height, top) for height in range(2, MAX_STACK_HEIGHT + 2)])
    assert len(list(nest(top, [(height, top) for height in range(2, MAX_STACK_HEIGHT + 1)]).walk())) == MAX_STACK_HEIGHT
