"""docs/errors.md against the code: every code is in it with its status, and nothing else is."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema

from contracts.collection import ImportFault
from contracts.mint import FailureCode
from services.gateway import errors
from services.gateway.api import documentation, examples, failures
from services.gateway.errors import ApiError
from tests.support.gateway import COLLECTION, Gateway

DOCUMENT = Path(__file__).parents[3] / "docs" / "errors.md"
_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|$", re.MULTILINE)


def rows(section: str) -> dict[str, list[str]]:
    """The other cells of a section's table by code."""
    text = DOCUMENT.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return {code: rest.split(" | ") for code, rest in _ROW.findall(text)}


def every(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("services.gateway"):
            yield each
            yield from every(each)


def test_every_answer_is_in_the_catalogue_with_its_status() -> None:
    found = {each.code: str(each.status) for each in every(errors.ApiError)}
    found |= {code: str(status) for status, (_, code, _) in failures.PLAIN.items()}
    found |= {"internal_error": "500", failures.REFUSED: "4xx"}
    assert {code: cells[0] for code, cells in rows("Answers to a request").items()} == found


def test_every_failure_of_an_item_is_in_the_catalogue() -> None:
    assert set(rows("Why an item failed")) == {code.value for code in FailureCode}


def test_every_refusal_of_an_import_is_in_the_catalogue() -> None:
    assert set(rows("Why a collection was not imported")) == {code.value for code in ImportFault}


def test_everything_has_a_meaning_and_a_cure() -> None:
    for section, columns in (
        ("Answers to a request", 3),
        ("Why an item failed", 2),
        ("Why a collection was not imported", 2),
    ):
        for code, cells in rows(section).items():
            assert len(cells) == columns, code
            assert all(cell.endswith(".") for cell in cells[-2:]), code


async def test_no_two_answers_share_a_code() -> None:
    codes = [each.code for each in every(errors.ApiError)]
    assert len(codes) == len(set(codes))


async def test_unknown_routes_are_answered_in_the_same_shape(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for method, path, code in (
        ("GET", "/nowhere", "not_found"),
        ("GET", "/api/mint/nowhere/at/all", "not_found"),
        ("POST", "/api/stats/overview", "method_not_allowed"),
        ("PUT", "/api/collections", "method_not_allowed"),
    ):
        answer = await client.request(method, path)
        body = answer.json()
        assert set(body) == {"success", "error", "details", "code", "requestId"}
        assert (body["success"], body["code"]) == (False, code)
        assert str(answer.status_code) == rows("Answers to a request")[code][0]


def test_every_error_has_an_example() -> None:
    shown = {type(error) for error in examples.ERRORS}
    assert shown == {each for each in every(ApiError) if not each.__subclasses__()}


async def test_the_openapi_document_shows_an_example_of_every_error_and_each_fits_its_schema(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    schema = {"$ref": "#/components/schemas/Failure", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    shown: set[str] = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                if status < "400" or path.startswith("/health"):
                    continue
                found = answer["content"]["application/json"]["examples"]
                assert found, (method, path, status)
                for code, example in found.items():
                    assert example == {"$ref": f"#/components/examples/{code}"}
                    body = document["components"]["examples"][code]["value"]
                    assert body["code"] == code
                    validator.validate(body)  # pyright: ignore[reportUnknownMemberType]
                    shown.add(code)
    assert shown == {error.code for error in examples.ERRORS} | {"internal_error", "not_found"}
    assert shown == set(document["components"]["examples"])


async def test_a_request_is_shown_the_errors_that_it_can_have(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    names = {operation["operationId"] for methods in paths.values() for operation in methods.values()}
    assert {name for only in documentation.ONLY_OF.values() for name in only} <= names

    def told(method: str, path: str, status: str) -> set[str]:
        return set(paths[path][method]["responses"][status]["content"]["application/json"]["examples"])

    assert told("post", "/api/mint/single", "404") == {"collection_not_found", "not_found"}
    assert told("post", "/api/mint/single", "409") == {"idempotency_key_reused"}
    assert told("delete", "/api/mint/cancel/{transactionId}", "409") == {"operation_ended"}
    assert told("post", "/api/auth/login", "404") == {"sign_in_not_offered", "not_found"}


async def test_a_wrong_method_is_told_every_right_one(client: httpx.AsyncClient) -> None:
    for path, methods in (
        ("/api/collections", "GET, POST"),
        (f"/api/collections/{COLLECTION}", "GET, PATCH"),
        ("/api/collections/import", "POST"),
    ):
        answer = await client.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
