"""The OpenAPI document: every operation says what it does and shows a request and an answer that fit its schemas."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from services.gateway.api.documentation import BODIES
from services.gateway.requests import read_body
from tests.support.gateway import Gateway

Json = dict[str, Any]
DOCUMENT: Json = Gateway().app().openapi()
OPERATIONS: list[Json] = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
EXAMPLES: Json = DOCUMENT["components"]["examples"]

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation["operationId"])


def contents(operation: Json) -> Iterator[tuple[str, Json]]:
    """Every body of a request as JSON and every body of an answer, by where it stands."""
    request = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if request:
        yield "request", request
    for status, answer in operation["responses"].items():
        for content in answer.get("content", {}).values():
            yield status, content


@each_operation
def test_every_example_fits_its_schema(operation: Json) -> None:
    for where, content in contents(operation):
        assert content.get("examples"), f"{where} has no example: add it to services/gateway/api/examples.json"
        validator = jsonschema.Draft202012Validator(content["schema"] | {"components": DOCUMENT["components"]})
        for name, shown in content["examples"].items():
            example = EXAMPLES[shown["$ref"].rsplit("/", 1)[-1]] if "$ref" in shown else shown
            errors = [error.message for error in validator.iter_errors(example["value"])]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            assert errors == [], (where, name)


@each_operation
def test_every_operation_and_parameter_is_described(operation: Json) -> None:
    assert operation["description"].endswith(".")
    for parameter in operation.get("parameters", []):
        assert parameter.get("description"), parameter["name"]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


def test_every_request_that_is_shown_is_one_that_is_taken() -> None:
    """More than its schema asks for: addresses, lengths in bytes, identifiers."""
    for operation in OPERATIONS:
        for where, content in contents(operation):
            if where == "request":
                name = content["schema"]["$ref"].rsplit("/", 1)[-1]
                (body,) = [each for each in BODIES if each.__name__ == name]
                for example in content["examples"].values():
                    read_body(body, example["value"])
