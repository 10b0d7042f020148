"""An audit finds whatever was minted twice, by the log's word or by the chain's, and takes nothing else for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from solders.pubkey import Pubkey

from audit.doubles import QUESTION, check_doubles
from audit.evidence import Evidence
from audit.gathering import logged_event
from audit.report import Verdict
from audit.standing import attempted
from bubblegum.transaction import ExecutedTransaction
from contracts.fact import Fact
from contracts.mint import Pinned, transaction_label
from tests.support import indexing
from tests.support.indexing import History, address, confirmed, finalized, requested, signed, uid
from tests.support.leaves import ModelTree, metadata_v2, transaction

OPERATION = uid("operation")
RECIPIENT = Pubkey.from_string(address("recipient"))
COLLECTION, OTHER = (Pubkey.from_string(address(name)) for name in ("on chain", "another"))
PROVEN, BROKEN, UNKNOWN = Verdict.PROVEN, Verdict.BROKEN, Verdict.UNKNOWN


@dataclass
class World:
    """A chunk of four items, the last two of one content; a log, a tree, and what a node tells of both."""

    script: History = field(default_factory=History)
    tree: ModelTree = field(default_factory=lambda: ModelTree(Pubkey.from_string(address("tree")), version=2))
    transactions: dict[str, ExecutedTransaction | None] = field(default_factory=dict[str, ExecutedTransaction | None])
    marked: dict[tuple[int, int], list[str]] = field(default_factory=dict[tuple[int, int], list[str]])
    pinned: Pinned = field(init=False)

    def __post_init__(self) -> None:
        pinned = indexing.pinned(OPERATION, 0, range(4))
        last = msgspec.structs.replace(pinned.items[2], index=3)
        self.pinned = msgspec.structs.replace(pinned, items=(*pinned.items[:3], last))
        self.say(requested(OPERATION, 4, batch_size=4), self.pinned)

    def say(self, *facts: Fact) -> None:
        for fact in facts:
            self.script.say(fact)

    def lands(
        self, tx: int, items: Sequence[int], attempt: int = 1, *, collection: Pubkey = COLLECTION, err: object = None
    ) -> str:
        """An attempt lands, with an error or with a leaf of each item; returns its signature."""
        signature = indexing.signature(OPERATION, 0, tx, attempt)
        by_index = {item.index: item for item in self.pinned.items}
        metadata = (replace(metadata_v2(by_index[i].name, collection), uri=by_index[i].uri, symbol="N") for i in items)
        minted = [] if err else [self.tree.mint(RECIPIENT, each, collection) for each in metadata]
        self.transactions[signature] = replace(transaction(*minted, err=err), signature=signature)
        if err is None:
            self.marked.setdefault((0, tx), []).append(signature)
        return signature

    def minted(self, tx: int, items: Sequence[int], attempt: int = 1) -> None:
        """As it should be: intended, landed, told, final."""
        self.say(signed(OPERATION, 0, tx, items, attempt))
        self.lands(tx, items, attempt)
        self.say(confirmed(OPERATION, 0, tx, items, attempt))

    def evidence(self) -> Evidence:
        events = [logged_event(raw) for raw in self.script.messages]
        evidence = Evidence(operation=OPERATION, events=events, collection_address=str(COLLECTION))
        places = attempted(evidence)
        signatures = {signature for each in places.values() for signature in each}
        return replace(
            evidence,
            transactions={**dict.fromkeys(signatures), **self.transactions},
            marked={transaction_label(OPERATION, *place): tuple(self.marked.get(place, ())) for place in places},
        )

    def found(self) -> dict[str, tuple[Verdict, str]]:
        return found(self.evidence())


def found(evidence: Evidence) -> dict[str, tuple[Verdict, str]]:
    findings = list(check_doubles(evidence))
    assert {each.question for each in findings} <= {QUESTION}
    return {each.about: (each.verdict, each.reason) for each in findings}


def broken(told: Mapping[str, tuple[Verdict, str]]) -> dict[str, str]:
    return {about: reason for about, (verdict, reason) in told.items() if verdict is BROKEN}


def test_each_item_in_one_transaction_is_proven() -> None:
    world = World()
    world.minted(0, [0, 1])
    world.minted(1, [2, 3])
    assert world.found() == {f"item {index}": (PROVEN, "") for index in range(4)}


def test_what_is_not_minted_yet_or_not_told_yet_is_no_double() -> None:
    world = World()
    world.minted(0, [0, 1])
    world.say(signed(OPERATION, 0, 1, [2, 3]))
    assert broken(world.found()) == {}
    world.lands(1, [2, 3])
    assert {verdict for verdict, _ in world.found().values()} == {PROVEN}


def test_two_intents_of_one_transaction_that_both_landed_are_found() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0, 1]))
    first = world.lands(0, [0, 1])
    world.minted(0, [0, 1], attempt=2)
    told = broken(world.found())
    assert told.keys() == {"item 0", "item 1"}
    assert first in told["item 0"]
    assert indexing.signature(OPERATION, 0, 0, 2) in told["item 0"]


def test_an_item_in_two_transactions_is_found() -> None:
    world = World()
    world.minted(0, [0, 1])
    world.minted(1, [1, 2])
    assert broken(world.found()).keys() == {"item 1"}


def test_two_confirmations_that_both_count_are_found_without_the_chain() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0]))
    world.say(signed(OPERATION, 0, 1, [0]), confirmed(OPERATION, 0, 1, [0]))
    told = found(replace(world.evidence(), transactions={}, marked={}))
    assert broken(told).keys() == {"item 0"}
    assert told["item 1"] == (UNKNOWN, "there was no answer")


def test_a_confirmation_after_what_is_final_is_found_without_the_chain() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0]), finalized(OPERATION, 0, 0))
    world.say(signed(OPERATION, 0, 0, [0], 2), confirmed(OPERATION, 0, 0, [0], 2))
    assert broken(found(replace(world.evidence(), transactions={}, marked={}))).keys() == {"item 0"}


def test_a_mint_that_a_fork_dropped_is_no_double() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0, 1]), confirmed(OPERATION, 0, 0, [0, 1]))
    world.minted(0, [0, 1], attempt=2)
    world.say(finalized(OPERATION, 0, 0, 2))
    assert broken(world.found()) == {}
    world.lands(0, [0, 1])  # and then it was not dropped at all
    assert broken(world.found()).keys() == {"item 0", "item 1"}


def test_an_attempt_that_ran_into_an_error_is_no_double() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0, 1]))
    world.lands(0, [0, 1], err={"InstructionError": [0, "Custom"]})
    world.minted(0, [0, 1], attempt=2)
    assert broken(world.found()) == {}


def test_what_the_log_has_forgotten_is_found_by_its_mark() -> None:
    world = World()
    world.minted(0, [0, 1])
    lost = world.lands(3, [1])
    told = broken(world.found())
    assert told.keys() == {"item 1"}
    assert lost in told["item 1"]


def test_items_of_equal_content_are_counted_and_not_taken_for_one_another() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [3]))
    world.lands(0, [3])
    world.lands(1, [2])
    assert broken(world.found()) == {}, "two alike were asked for"
    lost = world.lands(2, [2])
    assert [lost in reason for reason in broken(world.found()).values()] == [True]


def test_the_chain_decides_which_item_it_was() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0]))
    world.lands(0, [1])  # whatever the log says
    world.minted(1, [1])
    assert broken(world.found()).keys() == {"item 1"}


def test_a_leaf_of_the_collection_that_no_item_is_like_is_found() -> None:
    world = World()
    by_index = world.pinned.items[0]
    world.pinned = msgspec.structs.replace(
        world.pinned, items=(msgspec.structs.replace(by_index, name="Another"), *world.pinned.items[1:])
    )
    signature = world.lands(0, [0])
    (reason,) = broken(world.found()).values()
    assert signature in reason


def test_what_others_put_a_mark_on_is_nothing_to_us() -> None:
    world = World()
    world.minted(0, [0, 1])
    world.lands(2, [0, 1], collection=OTHER)
    assert world.found() == {f"item {index}": (PROVEN, "") for index in range(4)}


def test_what_failed_by_the_log_and_landed_is_found() -> None:
    world = World()
    world.say(indexing.failed(OPERATION, 0, 0, [0, 1]))
    assert broken(world.found()) == {}
    signature = world.lands(0, [0, 1])
    assert broken(world.found()) == {
        f"item {index}": f"the log says that it failed, and {signature} minted it" for index in (0, 1)
    }


def test_what_the_log_calls_minted_and_nothing_minted_is_found() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0]))
    assert broken(world.found()) == {"item 0": "no transaction that landed has minted it"}
    other = world.lands(0, [0], attempt=2)
    assert other in broken(world.found())["item 0"]


def unread(transaction: ExecutedTransaction | None) -> ExecutedTransaction:
    """The transaction with an instruction of which only the change of the tree can be read."""
    assert transaction is not None
    (mint,) = transaction.instructions
    return replace(transaction, instructions=(replace(mint, data=b"a newer instruction"),))


def test_what_landed_and_cannot_be_read_leaves_the_answer_open() -> None:
    world = World()
    world.say(signed(OPERATION, 0, 0, [0]))
    first = world.lands(0, [0])
    world.minted(0, [0], attempt=2)
    world.transactions[first] = unread(world.transactions[first])
    assert set(world.found().values()) == {(UNKNOWN, f"what {first} did cannot be read")}


@pytest.mark.parametrize("tree", ["ours", "another"])
def test_what_others_did_and_cannot_be_read_matters_in_our_trees(tree: str) -> None:
    world = World()
    world.minted(0, [0])
    if tree == "another":
        world.tree = ModelTree(OTHER, version=2)
    stranger = world.lands(1, [1])
    world.transactions[stranger] = unread(world.transactions[stranger])
    expected = (PROVEN, "") if tree == "another" else (UNKNOWN, f"what {stranger} did cannot be read")
    assert set(world.found().values()) == {expected}


def test_a_chunk_without_items_is_no_question() -> None:
    world = World()
    world.say(msgspec.structs.replace(indexing.pinned(OPERATION, 1, [0]), items=()))
    assert len(world.found()) == len(world.pinned.items)


def test_nothing_is_proven_while_not_all_could_be_looked_at() -> None:
    world = World()
    world.minted(0, [0, 1])
    evidence = world.evidence()
    silent = transaction_label(OPERATION, 0, 3)
    signature = indexing.signature(OPERATION, 0, 0, 1)
    marks = {label: marked for label, marked in evidence.marked.items() if label != silent}
    for less, reason in (
        (replace(evidence, marked=marks, silences={silent: "away"}), "away"),
        (replace(evidence, transactions={}, silences={signature: "away"}), "away"),
        (replace(evidence, collection_address=None), "the log does not tell the collection's address"),
        (
            replace(evidence, marked=dict.fromkeys(evidence.marked, ())),
            f"the node knows {signature} and does not find it by its mark",
        ),
        (
            replace(
                evidence, marked={**evidence.marked, silent: ("x",)}, transactions={**evidence.transactions, "x": None}
            ),
            "the node lists x and does not show it",
        ),
    ):
        assert set(found(less).values()) == {(UNKNOWN, reason)}


def test_every_signature_and_every_place_of_a_chunk_is_asked_for() -> None:
    world = World()
    second = msgspec.structs.replace(signed(OPERATION, 0, 5, [0], 2), earlier=(signed(OPERATION, 0, 5, [0]).attempt,))
    world.say(second, confirmed(OPERATION, 0, 0, [0]))
    places = attempted(world.evidence())
    assert places.keys() == {(0, tx) for tx in (0, 1, 2, 3, 5)}
    assert places[0, 5] == {indexing.signature(OPERATION, 0, 5, attempt) for attempt in (1, 2)}
    assert places[0, 0] == {indexing.signature(OPERATION, 0, 0, 1)}
