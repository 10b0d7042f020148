"""Borsh round trips, and a reader that hostile bytes cannot lead astray."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bubblegum.borsh import Reader, Writer
from bubblegum.errors import DecodeError
from bubblegum.types import (
    Collection,
    Creator,
    MetadataArgs,
    MetadataArgsV2,
    TokenProgramVersion,
    TokenStandard,
    UseMethod,
    Uses,
)

pubkeys = st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
u16 = st.integers(0, 2**16 - 1)
u64 = st.integers(0, 2**64 - 1)
creators = st.lists(st.builds(Creator, pubkeys, st.booleans(), st.integers(0, 255)), max_size=5).map(tuple)
standards = st.none() | st.sampled_from(TokenStandard)

metadata_v1 = st.builds(
    MetadataArgs,
    texts,
    texts,
    texts,
    u16,
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 255),
    standards,
    st.none() | st.builds(Collection, st.booleans(), pubkeys),
    st.none() | st.builds(Uses, st.sampled_from(UseMethod), u64, u64),
    st.sampled_from(TokenProgramVersion),
    creators,
)
metadata_v2 = st.builds(
    MetadataArgsV2, texts, texts, texts, u16, st.booleans(), st.booleans(), standards, creators, st.none() | pubkeys
)


@given(u64, texts, st.binary(max_size=50), st.lists(u16, max_size=10), st.none() | st.booleans(), pubkeys)
def test_values_come_back(
    number: int, text: str, data: bytes, numbers: list[int], flag: bool | None, key: Pubkey
) -> None:
    out = Writer().u64(number).string(text).sized(data).pubkey(key)
    out.vector(numbers, out.u16).option(flag, out.boolean)
    source = Reader(out.done())
    assert (source.u64(), source.string(), source.sized(), source.pubkey()) == (number, text, data, key)
    assert source.vector(source.u16) == tuple(numbers)
    assert source.option(source.boolean) is flag
    source.finish()


@given(metadata_v1)
def test_metadata_v1_comes_back(metadata: MetadataArgs) -> None:
    source = Reader(metadata.to_bytes())
    assert MetadataArgs.read(source) == metadata
    source.finish()


@given(metadata_v2)
def test_metadata_v2_comes_back(metadata: MetadataArgsV2) -> None:
    source = Reader(metadata.to_bytes())
    assert MetadataArgsV2.read(source) == metadata
    source.finish()


@given(metadata_v1, st.data())
def test_cut_metadata_is_refused(metadata: MetadataArgs, data: st.DataObject) -> None:
    whole = metadata.to_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DecodeError):
        MetadataArgs.read(Reader(whole[:cut]))


@given(st.binary(max_size=300))
def test_noise_is_decoded_or_refused(noise: bytes) -> None:
    for kind in (MetadataArgs, MetadataArgsV2):
        try:
            metadata = kind.read(source := Reader(noise))
        except DecodeError:
            continue
        assert metadata.to_bytes() == noise[: source.offset]


def _read_bytes_one_by_one(source: Reader) -> tuple[int, ...]:
    return source.vector(source.u8)


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"\x02", Reader.boolean),
        (b"\xff\xff\xff\xff", Reader.sized),
        (b"\x01\0\0\0\xff", Reader.string),
        (b"\xff\xff\xff\xff\0", _read_bytes_one_by_one),
        (b"\0" * 31, Reader.pubkey),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, read: Any) -> None:
    with pytest.raises(DecodeError):
        read(Reader(data))


def test_left_over_bytes_are_refused() -> None:
    source = Reader(b"\0\0")
    source.u8()
    with pytest.raises(DecodeError, match="1 bytes left over"):
        source.finish()


def test_an_integer_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(OverflowError):
        Writer().u8(256)
