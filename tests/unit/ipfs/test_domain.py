"""Decisions about a chunk: each item ends in exactly one place, whatever was said before."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from chassis.images import ImageProblem, ImageRefused
from chassis.log import InvalidEvent
from contracts.collection import CollectionFailed, CollectionPinned
from contracts.mint import FailureCode, ItemFailure, PinFailed, Pinned
from services.ipfs.domain import (
    UPLOAD_MISSING,
    ChunkState,
    Outcome,
    Placed,
    Refusal,
    conclude,
    conclude_collection,
    not_before,
    refuse_image,
    refuse_metadata,
)
from services.ipfs.ports import ContentMismatch, PinRefused
from tests.support.content import OPERATION, collection_requested, mint_request, nft
from tests.support.samples import TIME, event
from unixfs import import_bytes

REFUSED = Refusal(FailureCode.IMAGE_REFUSED, "no", "yes")
placed = st.integers(0, 99).map(lambda number: Placed(f"n{number}", "S", f"ipfs://{number}", f"ipfs://i{number}"))
outcomes = st.one_of(placed, st.just(UPLOAD_MISSING), st.just(REFUSED))


@given(st.lists(st.tuples(outcomes, st.integers(1, 4)), min_size=1, max_size=8), st.integers(1, 12), st.data())
def test_every_open_item_ends_once(nfts: list[tuple[Outcome, int]], batch_size: int, draw: st.DataObject) -> None:
    request = mint_request(*(nft(i, copies=copies) for i, (_, copies) in enumerate(nfts)), batch_size=batch_size)
    verdicts = {position: outcome for position, (outcome, _) in enumerate(nfts)}
    for chunk, items in enumerate(request.chunks()):
        failed = draw.draw(st.lists(st.sampled_from([item.index for item in items]), unique=True))
        before = tuple(ItemFailure(items=(i,), code=FailureCode.UPLOAD_MISSING, reason="") for i in failed)
        state = ChunkState(sequence=7 if failed else 0, failures=before)
        todo = state.open_items(items)
        facts = conclude(event(request), chunk, todo, verdicts, state)
        assert [type(fact) for fact in facts] in ([], [Pinned], [PinFailed], [PinFailed, Pinned])
        assert all(fact.subject().endswith(f".{OPERATION}.{chunk}") for fact in facts)
        refused = [fact for fact in facts if isinstance(fact, PinFailed)]
        pinned = [item.index for fact in facts if isinstance(fact, Pinned) for item in fact.items]
        final = refused[0].failures if refused else before
        assert final[: len(before)] == before
        ended = sorted([*pinned, *(index for failure in final for index in failure.items)])
        assert ended == [item.index for item in items]


def test_items_with_one_cause_are_told_together() -> None:
    request = mint_request(nft(0, copies=2), nft(1), nft(2), nft(3))
    verdicts: dict[int, Outcome] = {
        0: REFUSED,
        1: Placed("n", "S", "ipfs://n", "ipfs://i"),
        2: UPLOAD_MISSING,
        3: REFUSED,
    }
    failed, pinned = conclude(event(request), 0, request.chunks()[0], verdicts, ChunkState())
    assert isinstance(failed, PinFailed)
    assert [failure.items for failure in failed.failures] == [(0, 1, 4), (3,)]
    assert isinstance(pinned, Pinned)
    assert [item.index for item in pinned.items] == [2]


def test_the_newest_fact_is_the_state() -> None:
    items = mint_request(nft(0), nft(1)).chunks()[0]
    assert ChunkState.of(None, 0).open_items(items) == items
    pinned, failed = (
        Pinned(operation=OPERATION, chunk=0, collection=OPERATION, recipient="1" * 32, items=()),
        PinFailed(
            operation=OPERATION,
            chunk=0,
            failures=(ItemFailure(items=(0,), code=FailureCode.IMAGE_REFUSED, reason=""),),
        ),
    )
    assert ChunkState.of(pinned, 5) == ChunkState(5, pinned=True)
    assert ChunkState.of(pinned, 5).open_items(items) == []
    assert [item.index for item in ChunkState.of(failed, 6).open_items(items)] == [1]
    with pytest.raises(InvalidEvent):
        ChunkState.of(collection_requested(), 7)


def test_refusals_speak_in_codes_and_sentences() -> None:
    cid = import_bytes(b"").cid
    cases = [
        (refuse_image(ImageRefused(ImageProblem.EMPTY, "the file is empty")), FailureCode.IMAGE_REFUSED),
        (refuse_image(PinRefused("it is too large")), FailureCode.IMAGE_REFUSED),
        (refuse_image(ContentMismatch(cid, "Qm")), FailureCode.CONTENT_MISMATCH),
        (refuse_metadata(PinRefused("it is too large")), FailureCode.METADATA_REFUSED),
        (refuse_metadata(ContentMismatch(cid, "Qm")), FailureCode.CONTENT_MISMATCH),
    ]
    for refusal, code in cases:
        assert refusal.code == code
        assert refusal.reason.endswith(".")
        assert refusal.cure.endswith(".")


def test_collections_end_in_one_fact() -> None:
    request = collection_requested()
    pinned = conclude_collection(request, Placed("Booths", "BTH", "ipfs://m", "ipfs://i"), "ipfs://i")
    assert pinned == CollectionPinned(collection=request.collection, uri="ipfs://m", image_uri="ipfs://i")
    failed = conclude_collection(request, UPLOAD_MISSING, None)
    assert isinstance(failed, CollectionFailed)
    assert failed.code == "upload_missing"


def test_chunks_are_spaced_by_the_delay_that_the_request_asks_for() -> None:
    request = structs.replace(mint_request(nft(0)), delay_between_batches_ms=1500)
    assert [not_before(request, TIME, chunk) for chunk in (0, 2)] == [TIME, TIME + timedelta(seconds=3)]
    assert not_before(mint_request(nft(0)), TIME, 2) is None
