"""Events in noop data: read when they are whole, refused when they lie, left alone when they are someone else's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bubblegum.errors import DecodeError
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, LeafSchemaV1, LeafSchemaV2, application_data, decode_noop
from tests.support.leaves import ModelTree, key

V1 = LeafSchemaV1(key(1), key(2), key(3), 7, b"\x08" * 32, b"\x09" * 32)
V2 = LeafSchemaV2(key(1), key(2), key(3), 7, b"\x08" * 32, b"\x09" * 32, b"\x0a" * 32, b"\x0b" * 32, 4)


@pytest.mark.parametrize("schema", [V1, V2])
def test_a_leaf_event_comes_back(schema: LeafSchemaV1 | LeafSchemaV2) -> None:
    event = LeafSchemaEvent(schema, schema.hash())
    assert decode_noop(application_data(event.to_bytes())) == event


@pytest.mark.parametrize("schema", [V1, V2])
def test_a_leaf_event_whose_hash_lies_is_refused(schema: LeafSchemaV1 | LeafSchemaV2) -> None:
    lie = LeafSchemaEvent(replace(schema, owner=key(99)), schema.hash())
    with pytest.raises(DecodeError, match="not the hash"):
        decode_noop(application_data(lie.to_bytes()))


def test_a_leaf_event_of_another_version_is_refused() -> None:
    payload = bytearray(LeafSchemaEvent(V1, V1.hash()).to_bytes())
    payload[1] = 1
    with pytest.raises(DecodeError, match="version 1 carries a V1"):
        decode_noop(application_data(bytes(payload)))


@pytest.mark.parametrize("data", [b"", b"hello", b"\0", application_data(b"memo"), application_data(b""), b"\x02\0"])
def test_data_of_other_applications_is_left_alone(data: bytes) -> None:
    assert decode_noop(data) is None


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_cut_event_is_refused(cut: int) -> None:
    tree = ModelTree(key(5))
    tree.tree.append(V1.hash())
    for data in (
        application_data(LeafSchemaEvent(V1, V1.hash()).to_bytes()),
        tree.change_log(0, V1.hash()).to_noop_data(),
    ):
        with pytest.raises(DecodeError):
            decode_noop(data[:-cut])
        with pytest.raises(DecodeError):
            decode_noop(data + b"\0")


@given(st.binary(max_size=400))
def test_noise_never_breaks_the_reader(noise: bytes) -> None:
    try:
        event = decode_noop(noise)
    except DecodeError:
        return
    assert event is None or isinstance(event, LeafSchemaEvent | ChangeLogEvent)
