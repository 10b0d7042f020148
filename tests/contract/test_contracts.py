"""The messages as others see them: golden bytes, JSON Schemas, the AsyncAPI document."""

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from contracts import generate, registry
from contracts.fact import Fact
from contracts.permissions import ROLES
from contracts.streams import CONSUMERS, STREAMS
from tests.support.memory_log import matches
from tests.support.samples import SAMPLES, event

GOLDEN = Path(__file__).parent / "golden"
JS = Path(__file__).parents[1] / "js"


def golden(fact: Fact) -> Path:
    return GOLDEN / f"{fact.type()}.json"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda fact: fact.type())
def test_golden_bytes_are_written_and_read(sample: Fact) -> None:
    """Bytes once released are read for ever, and what is written today is what is on record."""
    recorded = golden(sample).read_bytes().rstrip(b"\n")
    assert registry.decode(sample.subject(), recorded) == event(sample)
    assert registry.encode(event(sample)) == recorded


@pytest.mark.parametrize("earlier", sorted((GOLDEN / "earlier").glob("*.json")), ids=lambda path: path.stem)
def test_bytes_written_before_a_field_was_added_are_read(earlier: Path) -> None:
    sample = next(each for each in SAMPLES if earlier.stem.startswith(each.type()))
    read = registry.decode(sample.subject(), earlier.read_bytes())
    assert holds(json.loads(registry.encode(read)), json.loads(earlier.read_bytes()))


def holds(newer: Any, older: Any) -> bool:
    """Return whether everything that the older JSON says is in the newer."""
    match newer, older:
        case dict(), dict():
            said = cast("dict[str, Any]", older)
            return all(key in newer and holds(newer[key], value) for key, value in said.items())
        case list(), list():
            pairs = zip(cast("list[Any]", newer), cast("list[Any]", older), strict=True)
            return all(holds(one, other) for one, other in pairs)
        case _:
            return newer == older


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda fact: fact.type())
def test_golden_bytes_fit_the_committed_schema(sample: Fact) -> None:
    schema = json.loads((generate.SCHEMAS / f"{sample.type()}.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(golden(sample).read_bytes()), schema, jsonschema.Draft202012Validator)


def test_every_released_message_has_a_class() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {fact.type() for fact in registry.FACTS}


def test_generated_files_are_current() -> None:
    assert generate.main(["--check"]) == 0


def test_a_field_of_a_newer_producer_is_ignored() -> None:
    sample = SAMPLES[0]
    newer = json.loads(golden(sample).read_bytes())
    newer["data"]["fieldOfTomorrow"] = newer["fieldOfTomorrow"] = {"a": [1]}
    assert registry.decode(sample.subject(), json.dumps(newer).encode()) == event(sample)


def test_a_body_under_another_subject_is_refused() -> None:
    sample = next(each for each in SAMPLES if each.type() == "mint.completed.v1")
    other = sample.subject()[:-1] + "9"
    with pytest.raises(registry.UndecodableMessage):
        registry.decode(other, golden(sample).read_bytes())


def test_every_subject_belongs_to_exactly_one_stream() -> None:
    for fact in registry.FACTS:
        homes = [s for s in STREAMS if any(matches(pattern, fact.pattern()) for pattern in s.subjects)]
        assert homes == [registry.stream_of(fact)]


def test_every_consumer_filters_facts_of_its_stream() -> None:
    for consumer in CONSUMERS:
        for each in consumer.filters:
            (fact,) = (fact for fact in registry.FACTS if matches(fact.pattern(), each))
            assert registry.stream_of(fact).name == consumer.stream


def test_whatever_a_consumer_gives_up_on_can_be_said_again_by_the_indexer() -> None:
    (indexer,) = (role for role in ROLES if role.name == "indexer")
    mended = {stream.name for stream in indexer.mends}
    repeated = {fact.pattern() for fact in indexer.repeats}
    assert {each for consumer in CONSUMERS if consumer.stream not in mended for each in consumer.filters} <= repeated


@pytest.mark.node
def test_the_asyncapi_document_satisfies_its_own_parser() -> None:
    if not (JS / "node_modules").exists():
        pytest.skip("the npm packages of tests/js are not installed (make test installs them)")
    command = ["node", "validate_asyncapi.mjs", str(generate.ASYNCAPI)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
