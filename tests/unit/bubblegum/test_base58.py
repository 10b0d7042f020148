"""Base58 against solders' own for the lengths that it knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from bubblegum import base58
from bubblegum.errors import DecodeError


@given(st.binary(max_size=300))
def test_bytes_come_back(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_equal_to_solders(key: bytes, signature: bytes) -> None:
    assert base58.encode(key) == str(Pubkey.from_bytes(key))
    assert base58.encode(signature) == str(Signature.from_bytes(signature))


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "abc def", "é"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="base58"):
        base58.decode(text)


def test_endless_text_is_refused() -> None:
    with pytest.raises(DecodeError, match="limit"):
        base58.decode("1" * (base58.MAX_CHARACTERS + 1))
