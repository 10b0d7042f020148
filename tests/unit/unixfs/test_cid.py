"""CIDs: one text per value and base, and nothing but CIDs accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unixfs import Cid, CidError, Codec
from unixfs.cid import SHA2_256
from unixfs.multibase import (
    decode_base32,
    decode_base58,
    decode_varint,
    encode_base32,
    encode_base58,
    encode_varint,
)

digests = st.binary(min_size=32, max_size=32)
cids = st.one_of(
    st.builds(Cid, st.just(0), st.just(Codec.DAG_PB), st.just(SHA2_256), digests),
    st.builds(Cid, st.just(1), st.integers(0, 2**40), st.just(SHA2_256), digests),
    # blake2b-256 and sha2-512: foreign CIDs that users may bring.
    st.builds(Cid, st.just(1), st.just(Codec.RAW), st.just(0xB220), digests),
    st.builds(Cid, st.just(1), st.just(Codec.RAW), st.just(0x13), st.binary(min_size=64, max_size=64)),
)


@given(cids)
def test_text_and_bytes_round_trip(cid: Cid) -> None:
    assert Cid.parse(str(cid)) == cid
    assert Cid.from_bytes(bytes(cid)) == cid
    assert cid.uri == f"ipfs://{cid}"


@given(cids)
def test_base58_form_of_version_1_is_read(cid: Cid) -> None:
    assert Cid.parse("z" + encode_base58(bytes(cid.as_v1()))) == cid.as_v1()


@given(cids, st.data())
def test_a_changed_character_never_gives_the_same_cid(cid: Cid, data: st.DataObject) -> None:
    text = str(cid)
    index = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = text[:index] + character + text[index + 1 :]
    try:
        parsed = Cid.parse(changed)
    except CidError:
        return
    assert (parsed == cid) == (changed == text)


@given(st.text(max_size=300))
def test_any_text_is_a_cid_or_a_cid_error(text: str) -> None:
    try:
        cid = Cid.parse(text)
    except CidError:
        return
    assert Cid.parse(str(cid)) == cid


@given(st.binary(max_size=80))
def test_any_bytes_are_a_cid_or_a_cid_error(data: bytes) -> None:
    try:
        cid = Cid.from_bytes(data)
    except CidError:
        return
    assert bytes(cid) == data


V1_TEXT = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "Qm",
        V1_TEXT.upper(),
        V1_TEXT[:-1],
        V1_TEXT + "=",
        V1_TEXT + "a",
        V1_TEXT[:-1] + "v",  # stray trailing bits: the same bytes in another text
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQ0",  # 0 is not base58
        "zQmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
        "z" + encode_base58(bytes(Cid.parse("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"))),
        "../" + V1_TEXT,
        "b" + "a" * 300,
        "bafkqaaa",  # identity hash of nothing
    ],
)
def test_refused_texts(text: str) -> None:
    with pytest.raises(CidError):
        Cid.parse(text)


@pytest.mark.parametrize(
    ("version", "codec", "hash_code", "digest"),
    [
        (2, Codec.RAW, SHA2_256, bytes(32)),
        (0, Codec.RAW, SHA2_256, bytes(32)),
        (0, Codec.DAG_PB, 0x13, bytes(64)),
        (1, Codec.RAW, SHA2_256, bytes(31)),
        (1, Codec.RAW, 0xB220, bytes(65)),
    ],
)
def test_impossible_values_are_refused(version: int, codec: int, hash_code: int, digest: bytes) -> None:
    with pytest.raises(CidError):
        Cid(version, codec, hash_code, digest)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_cid_verifies_its_own_block_alone(block: bytes, other: bytes) -> None:
    assert Cid.of_block(block, Codec.RAW).verifies(other) == (block == other)


@given(st.binary(max_size=64))
def test_bases_round_trip(data: bytes) -> None:
    assert decode_base58(encode_base58(data)) == data
    assert decode_base32(encode_base32(data)) == data


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3))
def test_varints_round_trip(value: int, tail: bytes) -> None:
    encoded = encode_varint(value)
    assert decode_varint(encoded + tail) == (value, len(encoded))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 10])
def test_malformed_varints_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="varint"):
        decode_varint(data)
