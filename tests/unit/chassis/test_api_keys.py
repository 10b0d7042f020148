"""The text of API keys, and the book of those that were given out."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chassis.api_keys import ALPHABET, PREFIX, ApiKey
from chassis.key_book import KeyBook, read_key_book
from chassis.log import RawMessage
from contracts.access import KeyCreated, KeyRevoked, Scope
from tests.support.memory_log import MemoryLog

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ApiKey.new()
POSITIONS = st.integers(len(PREFIX), len(KEY.text) - 1)


def created(key: ApiKey, /, **changes: object) -> KeyCreated:
    fine = KeyCreated(key=key.id, caller="app:shop", scopes=(Scope.READ,), sha256=key.sha256)
    return msgspec.structs.replace(fine, **changes)


async def book_of(*facts: KeyCreated | KeyRevoked) -> KeyBook:
    log = MemoryLog()
    for fact in facts:
        await log.publish(fact, cause=None)
    return await read_key_book(log)


def test_a_key_is_read_back_and_shows_nothing_of_itself() -> None:
    assert ApiKey.read(KEY.text) == KEY
    assert KEY.text.startswith(PREFIX)
    assert KEY.text not in repr(KEY)
    assert len({ApiKey.new().text for _ in range(100)}) == 100


@given(POSITIONS, st.sampled_from(ALPHABET))
def test_a_mistyped_key_is_told_by_its_checksum(position: int, character: str) -> None:
    typed = KEY.text[:position] + character + KEY.text[position + 1 :]
    assert (ApiKey.read(typed) is not None) == (typed == KEY.text)


@given(st.text(max_size=80))
def test_what_is_no_key_is_none(text: str) -> None:
    assert ApiKey.read(text) is None


async def test_a_key_is_good_from_its_making_to_its_end() -> None:
    end = NOW + timedelta(days=1)
    book = await book_of(created(KEY, expires_at=end))
    found = book.find(KEY.text, NOW)
    assert found is not None
    assert found.caller == "app:shop"
    assert book.find(KEY.text, end) is None
    assert book.find(ApiKey.new().text, NOW) is None
    assert book.find("", NOW) is None


async def test_another_secret_under_the_same_id_is_refused() -> None:
    other = ApiKey.new()
    book = await book_of(created(other, key=KEY.id), created(KEY, key=other.id))
    assert book.find(KEY.text, NOW) is None
    assert book.find(other.text, NOW) is None


async def test_the_earliest_revocation_counts_and_the_first_key_of_an_id() -> None:
    later, sooner = KeyRevoked(key=KEY.id, at=NOW + timedelta(hours=1)), KeyRevoked(key=KEY.id, at=NOW)
    just_before = NOW - timedelta(seconds=1)
    for order in ((later, sooner), (sooner, later)):
        book = await book_of(created(KEY), *order, created(KEY, caller="app:other"))
        assert book.find(KEY.text, NOW) is None
        found = book.find(KEY.text, just_before)
        assert found is not None
        assert found.caller == "app:shop"


async def test_what_cannot_be_read_is_passed_over() -> None:
    book = KeyBook()
    noise = (("access.key_created.v1.x", b"{}"), ("access.key_created.v9.x", b"{}"), ("access.noise", b"\xff"))
    for sequence, (subject, payload) in enumerate(noise, start=1):
        book.see(RawMessage(subject, sequence, NOW, payload, {}))
    assert (book.keys, book.position) == ({}, 3)
