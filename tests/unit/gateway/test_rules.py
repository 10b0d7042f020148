"""The gateway's pure rules: ids, meanings, pairing, limits, estimates, and the reading of whatever is sent."""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bubblegum.merkle import VALID_DEPTH_BUFFER_PAIRS, tree_account_size
from bubblegum.reach import least_canopy
from contracts.mint import MAX_ITEMS, Requested, UploadedImage
from services.gateway import domain
from services.gateway.errors import BodyTooLarge, Problem, ValidationFailed
from services.gateway.identity import derived_id, new_id
from services.gateway.meaning import differences, digest, meaning_of
from services.gateway.ports import Operation
from services.gateway.requests import (
    MAX_BATCH_SIZE,
    MAX_PROBLEMS,
    CollectionBody,
    MintBatchBody,
    MintSingleBody,
    path_of,
    read_body,
)
from services.gateway.status import percentage, seconds_left
from tests.support.gateway import COLLECTION, RECIPIENT, URI

Json = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
known_names = st.sampled_from(
    ["collectionId", "recipient", "metadata", "nfts", "copies", "batchSize", "name", "image", "attributes", "tree"]
)
bodies = st.dictionaries(known_names | st.text(), json_values, max_size=8)

printable = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"))
names = st.text(printable, min_size=1, max_size=32).filter(lambda name: len(name.encode()) <= 32 and name.strip() != "")
recipients = st.binary(min_size=32, max_size=32).filter(any).map(lambda key: str(Pubkey.from_bytes(key)))
nfts = st.fixed_dictionaries(
    {"name": names},
    optional={
        "image": st.just(URI),
        "copies": st.integers(1, 30) | st.integers(1, 30).map(str),
        "description": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40),
        "attributes": st.lists(
            st.fixed_dictionaries({"trait_type": names, "value": st.text(printable, max_size=9)}), max_size=3
        ),
    },
)
batches = st.fixed_dictionaries(
    {
        "collectionId": st.uuids().map(str),
        "recipient": recipients,
        "nfts": st.lists(nfts, min_size=1, max_size=20),
    },
    optional={"batchSize": st.integers(1, MAX_BATCH_SIZE), "delayBetweenBatches": st.integers(0, 1000)},
)


def uploads_for(count: int) -> tuple[UploadedImage, ...]:
    """That many different images."""
    return tuple(
        UploadedImage(sha256=hashlib.sha256(bytes([n])).hexdigest(), content_type="image/png", size=1)
        for n in range(count)
    )


def problems_of(attempt: Callable[[], object]) -> tuple[Problem, ...]:
    """What is refused, or nothing."""
    try:
        attempt()
    except ValidationFailed as refused:
        return refused.problems
    return ()


def asked(body: Mapping[str, object], operation: UUID = COLLECTION) -> Requested:
    """The message for a batch, with as many files as it needs."""
    batch = read_body(MintBatchBody, body)
    files = sum(nft.image is None for nft in batch.nfts)
    return domain.batch_requested(
        batch, domain.pair_batch(batch.nfts, files), uploads_for(files), operation, 10, "app:shop"
    )


@given(st.sampled_from([MintSingleBody, MintBatchBody, CollectionBody]), bodies)
def test_whatever_is_sent_is_read_or_refused_with_a_place(model: type[MintSingleBody], body: Json) -> None:
    found = problems_of(lambda: read_body(model, body))
    assert len(found) <= MAX_PROBLEMS
    assert all(problem.message for problem in found)


@given(batches)
def test_a_batch_that_is_fine_becomes_a_message_with_every_item(body: Json) -> None:
    requested = asked(body)
    assert requested.total == sum(int(nft.get("copies", 1)) for nft in body["nfts"])
    assert [nft.name for nft in requested.nfts] == [nft["name"] for nft in body["nfts"]]
    assert requested.recipient == body["recipient"]
    assert msgspec.json.decode(msgspec.json.encode(requested), type=Requested) == requested
    assert sum(len(chunk) for chunk in requested.chunks()) == requested.total
    assert len(requested.chunks()) == requested.chunk_count


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 60))
def test_files_go_in_order_to_the_nfts_without_uri_or_not_at_all(published: list[bool], files: int) -> None:
    nfts = [{"name": "x", "image": URI} if has_uri else {"name": "x"} for has_uri in published]
    body = read_body(MintBatchBody, {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "nfts": nfts})
    wanted = published.count(False)
    assert len(problems_of(lambda: domain.pair_batch(body.nfts, files))) == abs(files - wanted)
    if files == wanted:
        pairing = domain.pair_batch(body.nfts, files)
        assert [file is None for file in pairing] == published
        assert [file for file in pairing if file is not None] == list(range(files))


@given(st.lists(st.integers(1, MAX_ITEMS), min_size=1, max_size=8))
def test_the_total_of_items_is_bounded(copies: list[int]) -> None:
    nfts = [{"name": "x", "image": URI, "copies": number} for number in copies]
    body = read_body(MintBatchBody, {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "nfts": nfts})
    if sum(copies) <= MAX_ITEMS:
        domain.check_total(body)
    else:
        with pytest.raises(ValidationFailed, match="Too many NFTs"):
            domain.check_total(body)


@given(st.text(min_size=1, max_size=40))
def test_a_name_is_taken_exactly_when_the_chain_would_take_it(name: str) -> None:
    body = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "metadata": {"name": name, "image": URI}}
    kinds = {unicodedata.category(character) for character in name}
    seen = kinds - {"Cf", "Zs"}
    fits = len(name.encode()) <= 32 and seen != set() and kinds.isdisjoint({"Cc", "Zl", "Zp"})
    found = problems_of(lambda: read_body(MintSingleBody, body))
    assert [problem.field for problem in found] == ([] if fits else ["metadata.name"])


def test_what_a_body_leaves_to_the_service_is_what_it_does_not_name() -> None:
    tree = {"maxDepth": 14, "maxBufferSize": 64}
    named = read_body(CollectionBody, {"name": "Camp", "symbol": "CAMP", "tree": tree})
    assert domain.unsaid(named) == {"tree.canopyDepth"}
    left_out = read_body(CollectionBody, {"name": "Camp", "symbol": "CAMP"})
    assert domain.unsaid(left_out) == {"tree.maxBufferSize", "tree.canopyDepth"}
    batch = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "nfts": [{"name": "a", "image": URI}]}
    assert domain.unsaid(read_body(MintBatchBody, batch)) == {"batchSize"}
    assert domain.unsaid(read_body(MintBatchBody, batch | {"batchSize": "5"})) == set()


@given(st.binary(min_size=0, max_size=64))
def test_a_recipient_is_32_bytes_on_or_off_the_curve_that_are_not_all_zero(key: bytes) -> None:
    alphabet, number, text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", int.from_bytes(key), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    text = "1" * (len(key) - len(key.lstrip(b"\x00"))) + text
    body = {"collectionId": str(COLLECTION), "recipient": text, "metadata": {"name": "x", "image": URI}}
    if len(key) == 32 and any(key):
        assert read_body(MintSingleBody, body).recipient == text
    else:
        with pytest.raises(ValidationFailed):
            read_body(MintSingleBody, body)


def test_an_off_curve_recipient_is_taken() -> None:
    address, _ = Pubkey.find_program_address([b"vault"], Pubkey.from_string(RECIPIENT))
    assert not address.is_on_curve()
    body = {"collectionId": str(COLLECTION), "recipient": str(address), "metadata": {"name": "x", "image": URI}}
    assert read_body(MintSingleBody, body).recipient == str(address)


@given(batches, batches)
def test_meanings_differ_exactly_when_digests_do(first: Json, second: Json) -> None:
    one, other = asked(first), asked(second)
    differing = differences(meaning_of(one), meaning_of(other))
    assert bool(differing) == (one.request_sha256 != other.request_sha256)
    assert differences(meaning_of(one), meaning_of(asked(first, operation=new_id()))) == []


@given(batches, st.data())
def test_a_change_is_named_by_its_place(body: Json, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body["nfts"]) - 1))
    name = data.draw(names.filter(lambda name: name != body["nfts"][place]["name"]))
    changed = body | {"nfts": [nft | {"name": name} if n == place else nft for n, nft in enumerate(body["nfts"])]}
    assert differences(meaning_of(asked(body)), meaning_of(asked(changed))) == [f"nfts[{place}].name"]


@given(batches, st.data())
def test_a_change_of_copies_is_a_change(body: Json, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body["nfts"]) - 1))
    copies = data.draw(st.integers(1, 30).filter(lambda copies: copies != int(body["nfts"][place].get("copies", 1))))
    changed = body | {"nfts": [nft | {"copies": copies} if n == place else nft for n, nft in enumerate(body["nfts"])]}
    assert differences(meaning_of(asked(body)), meaning_of(asked(changed))) == [f"nfts[{place}].copies"]


def test_an_image_means_its_bytes_not_its_file_name() -> None:
    body = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "nfts": [{"name": "x"}]}
    requested = asked(body)
    image = requested.nfts[0].image
    assert isinstance(image, UploadedImage)
    renamed = msgspec.structs.replace(
        requested,
        nfts=(msgspec.structs.replace(requested.nfts[0], image=msgspec.structs.replace(image, filename="y")),),
    )
    assert digest(renamed) == requested.request_sha256


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_derived_ids_are_stable_and_apart(caller: str, key: str, other: str) -> None:
    identity = derived_id("mint", caller, key)
    assert identity == derived_id("mint", caller, key)
    assert (identity.version, identity.variant) == (8, "specified in RFC 4122")
    assert identity != derived_id("collection", caller, key)
    assert (identity == derived_id("mint", caller, other)) == (key == other)
    assert derived_id("mint", caller + other, key) != derived_id("mint", caller, other + key)


def test_a_derived_id_never_changes() -> None:
    """Keys are remembered for ever: another way of deriving would mint again what was minted under the old one."""
    assert str(derived_id("mint", "api-key", "order-17")) == "483f527d-50ee-8373-8f44-941218994855"


@given(st.integers(1, 1000), st.data())
def test_progress_is_that_of_the_source_document(total: int, data: st.DataObject) -> None:
    completed = data.draw(st.integers(0, total))
    failed = data.draw(st.integers(0, total - completed))
    elapsed = data.draw(st.integers(0, 100_000))
    operation = Operation(
        id=COLLECTION, status="processing", total=total, completed=completed, failed=failed, start_time=START
    )
    assert 0 <= percentage(operation) <= 100
    assert (percentage(operation) == 100) >= (completed == total)
    assert abs(percentage(operation) - completed * 100 / total) <= 0.5
    left = seconds_left(operation, START + timedelta(seconds=elapsed))
    assert (left is None) == (completed == 0)
    if left is not None:
        exact = elapsed / (completed + failed) * (total - completed - failed)
        assert exact - 1e-6 <= left < exact + 1 + 1e-6


def test_a_clock_that_jumps_back_gives_no_negative_estimate() -> None:
    operation = Operation(id=COLLECTION, status="processing", total=4, completed=1, failed=0, start_time=START)
    assert seconds_left(operation, START - timedelta(hours=1)) == 0


@pytest.mark.parametrize(("depth", "buffer"), VALID_DEPTH_BUFFER_PAIRS)
def test_every_tree_of_the_program_can_be_asked_for_and_fits_an_account(depth: int, buffer: int) -> None:
    deepest = min(depth, domain.MAX_CANOPY_DEPTH)
    for standard, version in (("v1", 1), ("v2", 2)):
        for canopy in (least_canopy(depth, version), deepest):
            wanted = {"maxDepth": depth, "maxBufferSize": buffer, "canopyDepth": canopy}
            body = {"name": "x", "symbol": "x", "standard": standard, "tree": wanted}
            tree = domain.check_tree(read_body(CollectionBody, body))
            assert (tree.max_depth, tree.max_buffer_size, tree.canopy_depth) == (depth, buffer, canopy)
            assert tree_account_size(depth, buffer, canopy) <= 10 * 1024 * 1024


@pytest.mark.parametrize(("standard", "version"), [("v1", 1), ("v2", 2)])
@pytest.mark.parametrize("depth", [20, 24, 26, 30])
def test_a_tree_whose_leaves_could_never_be_moved_is_refused(standard: str, version: int, depth: int) -> None:
    least = least_canopy(depth, version)
    named = {"name": "x", "symbol": "x", "standard": standard}
    left_out = domain.check_tree(read_body(CollectionBody, named | {"tree": {"maxDepth": depth}}))
    assert left_out.canopy_depth == max(least, 8)
    for canopy in range(least):
        with pytest.raises(ValidationFailed) as refused:
            domain.check_tree(read_body(CollectionBody, named | {"tree": {"maxDepth": depth, "canopyDepth": canopy}}))
        (problem,) = refused.value.problems
        assert problem.field == "tree.canopyDepth"
        assert f"at least {least}" in problem.message


@given(st.integers(-2, 40), st.integers(-2, 3000))
def test_no_other_tree_can(depth: int, buffer: int) -> None:
    body = {"name": "x", "symbol": "x", "tree": {"maxDepth": depth, "maxBufferSize": buffer, "canopyDepth": 0}}
    if (depth, buffer) not in VALID_DEPTH_BUFFER_PAIRS:
        with pytest.raises(ValidationFailed):
            domain.check_tree(read_body(CollectionBody, body))


def test_a_trees_depth_is_enough_to_ask_for_it() -> None:
    small = domain.check_tree(read_body(CollectionBody, {"name": "x", "symbol": "x", "tree": {"maxDepth": 3}}))
    assert (small.max_buffer_size, small.canopy_depth) == (8, 3)
    usual = domain.check_tree(read_body(CollectionBody, {"name": "x", "symbol": "x"}))
    assert (usual.max_depth, usual.max_buffer_size, usual.canopy_depth) == (14, 64, 8)


def test_the_largest_request_fits_one_message() -> None:
    """A batch that is let through must never be refused by the log for its size."""
    for length in range(900, 1100, 20):
        nfts = [{"name": "x" * 32, "image": URI, "description": "é" * (length // 2)}] * 1000
        body = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "nfts": nfts}
        try:
            requested = asked(body)
        except BodyTooLarge:
            return
        assert len(msgspec.json.encode(requested)) <= domain.MAX_REQUEST_BYTES + 100
    raise AssertionError("the limit was never reached")


@pytest.mark.parametrize("copies", [True, 1.0, "1.0", "+1", " 1", "1_000", "", None, [1]])
def test_numbers_are_whole_and_plainly_written(copies: object) -> None:
    body = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "metadata": {"name": "x", "image": URI}}
    [problem] = problems_of(lambda: read_body(MintSingleBody, body | {"copies": copies}))
    assert (problem.field, problem.message) == ("copies", "must be a whole number")


def test_places_are_written_as_callers_write_them() -> None:
    assert path_of(("nfts", 3, "attributes", 0, "value")) == "nfts[3].attributes[0].value"
    assert path_of(()) == ""
