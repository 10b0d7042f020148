"""What counts as a difference between two JSON-RPC answers."""

from typing import Any

import pytest

from tests.support.rpc_shapes import differences, shape


def answer(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def test_a_shape_names_every_field_and_the_values_that_mean_something() -> None:
    assert shape(answer({"slot": 7, "err": {"Custom": 1}, "logs": ["a", None], "none": []})) == {
        "result": "object",
        "result.slot": "int",
        "result.err": "{'Custom': 1}",
        "result.logs": "list",
        "result.logs.[]": "null | str",
        "result.none": "list",
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ({"slot": 1}, {"slot": 2}, {}),
        ({"slot": 1}, {"slot": "1"}, {"result.slot": ("int", "str")}),
        ({"err": None}, {"err": "AccountNotFound"}, {"result.err": ("None", "'AccountNotFound'")}),
        ({"meta": {"fee": 1}}, {}, {"result.meta": ("object", "absent")}),
        (None, {"meta": {"fee": 1}}, {"result": ("null", "object")}),
        ([{"a": 1}], [{"a": 1}, {"a": 1, "b": 1}], {"result.[].b": ("absent", "int")}),
    ],
)
def test_differences(ours: Any, theirs: Any, told: dict[str, tuple[str, str]]) -> None:
    assert differences(shape(answer(ours)), shape(answer(theirs))) == told


def test_an_error_is_not_a_result() -> None:
    refused = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}}
    assert differences(shape(answer(1)), shape(refused)) == {"error": ("absent", "object"), "result": ("int", "absent")}
    assert differences(shape(refused), shape(refused | {"error": {"code": -32602, "message": ""}})) == {
        "error.code": ("-32601", "-32602")
    }
