"""Founding: asset first, then trees and tables; what the log says of a collection's end stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from solders.keypair import Keypair

from bubblegum.transaction import ExecutedTransaction
from chassis.log import MissingFact, RetryLater
from contracts.collection import CollectionCreated, CollectionFailed, CollectionPinned, CollectionUpdated, TreeShape
from contracts.fact import Fact
from contracts.mint import Attempt, FailureCode
from services.minter.founding import Founding
from services.minter.growing import TreeMaker
from services.minter.lander import Lander, OnChain, Transaction
from services.minter.landing import Commitment, SignatureState
from services.minter.ports import Chain, ConfirmedTransaction
from services.minter.refusals import Refusal
from services.minter.signer import Signer
from tests.support import samples
from tests.support.memory_log import MemoryLog

REFUSAL = Refusal(FailureCode.PROGRAM_REFUSED, "Not now.", "Wait.")
FEE = 5_000
SIGNER = Signer(Keypair.from_seed(bytes(32)))
PINNED = CollectionPinned(collection=samples.COLLECTION, uri="ipfs://bafkreic", image_uri="ipfs://bafkreia")
FAILED = CollectionFailed(collection=samples.COLLECTION, code="program_refused", reason="No.", cure="Ask again.")
ASSET, FIRST_TREE, SECOND_TREE = (f"{samples.COLLECTION}.{tx}" for tx in (0, 1, 3))


def signature(label: str) -> str:
    """A transaction's signature, another one for each number."""
    return str(int(label.rsplit(".", 1)[1]) + 2) * 88


class Ledger:
    """A chain of which only rents and what transactions cost are asked."""

    async def minimum_rent(self, size: int) -> int:
        return 1_000 * size

    async def transaction(self, signature: str) -> ConfirmedTransaction:
        return ConfirmedTransaction(ExecutedTransaction(signature, 1, None, ()), FEE)


@dataclass
class Landing:
    """Lands every transaction but those in `outcomes`, each of which is refused, or raised."""

    outcomes: dict[str, Refusal | Exception] = field(default_factory=dict[str, Refusal | Exception])
    labels: list[str] = field(default_factory=list[str])

    async def land(self, transaction: Transaction) -> OnChain | Refusal:
        await transaction.instructions(SIGNER.pubkey)
        outcome = self.outcomes.get(transaction.label)
        self.labels.append(transaction.label)
        if isinstance(outcome, Exception):
            raise outcome
        attempt = Attempt(
            number=1, signature=signature(transaction.label), blockhash=samples.BLOCKHASH, last_valid_block_height=1
        )
        return outcome or OnChain(attempt, SignatureState(100 + len(self.labels), Commitment.CONFIRMED))


async def deliver(log: MemoryLog, **outcomes: Refusal | Exception) -> Sequence[str]:
    """Hand the pinned collection to the handler; what was landed."""
    lander, chain = Landing(outcomes), cast("Chain", Ledger())
    maker = TreeMaker(log, chain, cast("Lander", lander), SIGNER, lookup_tables=False)
    founding = Founding(log, chain, cast("Lander", lander), SIGNER, maker)
    (message,) = log.messages(CollectionPinned)
    await founding.on_pinned(message)
    return lander.labels


@pytest.fixture
async def log() -> MemoryLog:
    log = MemoryLog()
    for fact in (samples.COLLECTION_REQUESTED, PINNED):
        await log.publish(fact, cause=None)
    return log


async def test_the_asset_comes_first_then_every_tree_that_was_asked_for(log: MemoryLog) -> None:
    assert samples.COLLECTION_REQUESTED.trees == 2
    assert await deliver(log) == [ASSET, FIRST_TREE, SECOND_TREE]
    (created,) = log.facts(CollectionCreated)
    assert created.signatures == tuple(map(signature, (ASSET, FIRST_TREE, SECOND_TREE)))
    assert (created.slot, created.fee) == (103, 3 * FEE)
    assert created.tree_address != created.collection_address
    assert created.creator_address == str(SIGNER.pubkey)
    assert (created.uri, created.image_uri) == (PINNED.uri, PINNED.image_uri)


async def test_addresses_do_not_depend_on_who_makes_it_when(log: MemoryLog) -> None:
    await deliver(log)
    other = MemoryLog()
    for fact in (samples.COLLECTION_REQUESTED, PINNED):
        await other.publish(fact, cause=None)
    await deliver(other)
    assert log.facts(CollectionCreated) == other.facts(CollectionCreated)


async def test_a_refused_asset_costs_no_tree_and_the_failure_stays(log: MemoryLog) -> None:
    assert await deliver(log, **{ASSET: REFUSAL}) == [ASSET]
    (failed,) = log.facts(CollectionFailed)
    assert (failed.code, failed.reason, failed.cure) == (REFUSAL.code, REFUSAL.reason, REFUSAL.cure)
    assert await deliver(log) == [], "nothing is signed for it when its message comes again"
    assert log.facts(CollectionFailed) == [failed]


async def test_a_refused_tree_fails_the_collection(log: MemoryLog) -> None:
    await deliver(log, **{SECOND_TREE: REFUSAL})
    assert len(log.facts(CollectionFailed)) == 1
    assert log.facts(CollectionCreated) == []


async def test_trouble_with_one_tree_decides_nothing(log: MemoryLog) -> None:
    with pytest.raises(RetryLater):
        await deliver(log, **{FIRST_TREE: RetryLater("not now", after=1.0)})
    assert log.facts(CollectionCreated) == log.facts(CollectionFailed) == []
    await deliver(log)
    assert len(log.facts(CollectionCreated)) == 1


@pytest.mark.parametrize("end", [samples.COLLECTION_CREATED, FAILED])
async def test_a_collection_that_has_ended_is_left_alone(log: MemoryLog, end: Fact) -> None:
    await log.publish(end, cause=None)
    assert await deliver(log) == []
    assert len(log.facts(CollectionCreated)) + len(log.facts(CollectionFailed)) == 1


async def test_other_facts_of_the_collection_do_not_keep_its_end_from_the_log(log: MemoryLog) -> None:
    await log.publish(CollectionUpdated(collection=samples.COLLECTION, is_public=True, allow_minting=True), cause=None)
    await deliver(log)
    assert len(log.facts(CollectionCreated)) == 1


async def test_an_end_that_another_worker_tells_meanwhile_stands(log: MemoryLog) -> None:
    class Overtaken(MemoryLog):
        async def last_matching(self, stream: object, pattern: str) -> object:  # pyright: ignore[reportIncompatibleMethodOverride] - the same, with a side effect
            found = await log.last_matching(stream, pattern)  # pyright: ignore[reportArgumentType]
            if not log.facts(CollectionFailed):
                await log.publish(FAILED, cause=None)
            return found

    overtaken = Overtaken()
    overtaken.streams = log.streams
    await deliver(overtaken)
    assert log.facts(CollectionFailed) == [FAILED]
    assert log.facts(CollectionCreated) == []


async def test_a_tree_whose_leaves_could_never_move_is_refused_before_anything_is_signed() -> None:
    log = MemoryLog()
    requested = samples.COLLECTION_REQUESTED
    shape = TreeShape(max_depth=30, max_buffer_size=512, canopy_depth=0)
    unmovable = type(requested)(
        collection=requested.collection,
        name=requested.name,
        symbol=requested.symbol,
        standard=requested.standard,
        tree=shape,
    )
    for fact in (unmovable, PINNED):
        await log.publish(fact, cause=None)
    assert await deliver(log) == []
    (failed,) = log.facts(CollectionFailed)
    assert failed.code == FailureCode.TREE_UNMOVABLE


async def test_what_was_never_asked_for_is_no_collection() -> None:
    log = MemoryLog()
    await log.publish(PINNED, cause=None)
    with pytest.raises(MissingFact):
        await deliver(log)
