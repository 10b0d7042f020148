"""Every kind of change is decoded from the transaction's own events, and from nothing else."""

from dataclasses import replace

import pytest
from solders.pubkey import Pubkey

from bubblegum import hashing, pda
from bubblegum.decode import (
    Administered,
    Burned,
    Decompressed,
    LeafUpdated,
    Minted,
    Redeemed,
    Transferred,
    TreeCreated,
    Unknown,
    decode,
)
from bubblegum.instructions import BubblegumInstruction, create_tree_config, create_tree_config_v2
from bubblegum.leaf import LeafSchemaEvent, application_data
from bubblegum.programs import BUBBLEGUM, SPL_NOOP
from bubblegum.transaction import ExecutedInstruction
from bubblegum.types import Collection, MetadataArgs, MetadataArgsV2
from tests.support.leaves import PAYER, ModelTree, executed, key, metadata_v1, metadata_v2, transaction

TREE, OWNER, BUYER, COLLECTION = key(2), key(3), key(6), key(4)
VERSIONS = pytest.mark.parametrize("version", [1, 2])


def _metadata(version: int, collection: Pubkey | None = None) -> MetadataArgs | MetadataArgsV2:
    return metadata_v1(collection=collection) if version == 1 else metadata_v2(collection=collection)


@VERSIONS
def test_a_tree(version: int) -> None:
    (change,) = decode(transaction(ModelTree(TREE, version).create()))
    assert change == TreeCreated(TREE, PAYER, 5, 8, False, version)


@VERSIONS
def test_a_public_tree_of_another_creator(version: int) -> None:
    model, creator = ModelTree(TREE, version), key(80)
    build = create_tree_config if version == 1 else create_tree_config_v2
    built = build(payer=PAYER, tree=TREE, tree_creator=creator, max_depth=5, max_buffer_size=8, public=True)
    (change,) = decode(transaction(executed(built, *model.create().inner)))
    assert change == TreeCreated(TREE, creator, 5, 8, True, version)


@VERSIONS
@pytest.mark.parametrize("collection", [None, COLLECTION])
def test_a_mint(version: int, collection: Pubkey | None) -> None:
    model = ModelTree(TREE, version)
    metadata = _metadata(version, collection)
    first, second = decode(
        transaction(model.mint(OWNER, metadata, collection), model.mint(BUYER, metadata, collection))
    )
    assert isinstance(first, Minted)
    assert isinstance(second, Minted)
    assert (first.leaf_index, second.leaf_index) == (first.nonce, second.nonce) == (0, 1)
    assert (first.owner, second.owner) == (OWNER, BUYER)
    assert second.asset_id == pda.asset_id(TREE, 1)
    assert second.leaf.schema == model.leaves[1]
    assert (second.tree, second.version, second.collection) == (TREE, version, collection)
    assert second.change_log.root == model.tree.root
    assert (first.change_log.seq, second.change_log.seq) == (1, 2)
    assert first.metadata_matches
    if isinstance(metadata, MetadataArgs) and collection:
        assert first.metadata == replace(metadata, collection=Collection(True, COLLECTION))
    else:
        assert first.metadata == metadata


@VERSIONS
def test_a_transfer_and_a_burn(version: int) -> None:
    model = ModelTree(TREE, version)
    model.mint(OWNER, _metadata(version))
    model.mint(OWNER, _metadata(version))
    transferred, burned = decode(transaction(model.transfer(1, BUYER), model.burn(1)))
    assert isinstance(transferred, Transferred)
    assert (transferred.previous_owner, transferred.owner, transferred.leaf_index) == (OWNER, BUYER, 1)
    assert isinstance(burned, Burned)
    assert burned == Burned(pda.asset_id(TREE, 1), BUYER, 1, version, burned.change_log)
    assert (burned.tree, burned.leaf_index, burned.change_log.root) == (TREE, 1, model.tree.root)


def test_any_other_change_of_a_leaf() -> None:
    model = ModelTree(TREE)
    model.mint(OWNER, metadata_v1())
    calls = model.rewrite(0, replace(model.leaves[0], delegate=BUYER))
    (change,) = decode(transaction(model.other(BubblegumInstruction.DELEGATE, *calls)))
    assert isinstance(change, LeafUpdated)
    assert change.instruction is BubblegumInstruction.DELEGATE
    assert change.leaf.schema.delegate == BUYER


def test_a_mint_that_another_program_calls() -> None:
    model = ModelTree(TREE)
    shop = ExecutedInstruction(
        key(50), (), b"buy", (ExecutedInstruction(key(51), (), b"", (model.mint(OWNER, metadata_v1()),)),)
    )
    (change,) = decode(transaction(shop))
    assert isinstance(change, Minted)


def test_a_failed_transaction_did_nothing() -> None:
    assert decode(transaction(ModelTree(TREE).mint(OWNER, metadata_v1()), err={"InstructionError": [0, "x"]})) == []


def test_events_outside_bubblegum_say_nothing_of_assets() -> None:
    minted = ModelTree(TREE).mint(OWNER, metadata_v1())
    forged = ExecutedInstruction(key(50), minted.accounts, minted.data, minted.inner)
    event, compressed = minted.inner
    for changes in (decode(transaction(event)), decode(transaction(compressed)), decode(transaction(forged))):
        assert all(isinstance(change, Unknown) and "not called by Bubblegum" in change.reason for change in changes)
    assert decode(transaction(event)) == []
    (told,) = decode(transaction(compressed))
    assert isinstance(told, Unknown)
    assert [log.seq for log in told.change_logs] == [1]


def test_a_changelog_of_another_tree_than_the_one_it_was_told_for() -> None:
    minted = ModelTree(TREE).mint(OWNER, metadata_v1())
    event, compressed = minted.inner
    forged = replace(minted, inner=(event, replace(compressed, accounts=(key(70),))))
    assert _unknown(forged, "0 changelog events").change_logs == ()


def test_a_redeeming_and_its_way_back() -> None:
    model = ModelTree(TREE)
    model.mint(OWNER, metadata_v1())
    schema = model.leaves[0]
    redeem = model.redeem(0)
    (redeemed,) = decode(transaction(redeem))
    assert isinstance(redeemed, Redeemed)
    assert (redeemed.asset_id, redeemed.owner, redeemed.leaf_index) == (pda.asset_id(TREE, 0), OWNER, 0)
    (back,) = decode(transaction(model.other(BubblegumInstruction.CANCEL_REDEEM, *model.rewrite(0, schema))))
    assert isinstance(back, LeafUpdated)
    assert back.owner == OWNER
    decompress = replace(model.other(BubblegumInstruction.DECOMPRESS_V1), accounts=(key(1), OWNER, key(2), key(3)))
    assert decode(transaction(decompress)) == [Decompressed(key(3), OWNER)]


@pytest.mark.parametrize(
    "kind",
    [
        BubblegumInstruction.SET_TREE_DELEGATE,
        BubblegumInstruction.SET_DECOMPRESSIBLE_STATE,
        BubblegumInstruction.CLOSE_TREE_V2,
        BubblegumInstruction.COLLECT_V2,
    ],
)
def test_what_changes_no_leaf(kind: BubblegumInstruction) -> None:
    model = ModelTree(TREE)
    assert decode(transaction(model.other(kind))) == [Administered(kind, (TREE,))]
    model.mint(OWNER, metadata_v1())
    _unknown(model.other(kind, *model.rewrite(0, model.leaves[0])), f"{kind.value} changed a tree")


@pytest.mark.parametrize(
    ("kind", "account", "collection"),
    [
        (BubblegumInstruction.SET_AND_VERIFY_COLLECTION, COLLECTION, COLLECTION),
        (BubblegumInstruction.VERIFY_COLLECTION, COLLECTION, COLLECTION),
        (BubblegumInstruction.SET_COLLECTION_V2, COLLECTION, COLLECTION),
        (BubblegumInstruction.SET_COLLECTION_V2, BUBBLEGUM, None),
        (BubblegumInstruction.UNVERIFY_COLLECTION, COLLECTION, None),
    ],
)
def test_a_change_of_the_collection(kind: BubblegumInstruction, account: Pubkey, collection: Pubkey | None) -> None:
    model = ModelTree(TREE)
    model.mint(OWNER, metadata_v1())
    instruction = model.other(kind, *model.rewrite(0, model.leaves[0]))
    (change,) = decode(transaction(replace(instruction, accounts=(*[key(9)] * 8, account))))
    assert isinstance(change, LeafUpdated)
    assert (change.collection_changed, change.collection) == (True, collection)


def _unknown(instruction: ExecutedInstruction, reason: str) -> Unknown:
    (change,) = decode(transaction(instruction))
    assert isinstance(change, Unknown)
    assert reason in change.reason
    assert change.instruction == instruction
    return change


def test_a_leaf_is_taken_only_from_bubblegums_own_call() -> None:
    minted = ModelTree(TREE).mint(OWNER, metadata_v1())
    event, compressed = minted.inner
    for told in (replace(event, program_id=key(60)), ExecutedInstruction(key(60), (), b"", (event,))):
        _unknown(replace(minted, inner=(told, compressed)), "0 leaf events")
    _unknown(replace(minted, inner=(event, event, compressed)), "2 leaf events")


def test_a_change_is_taken_only_from_compressions_own_call() -> None:
    minted = ModelTree(TREE).mint(OWNER, metadata_v1())
    event, compressed = minted.inner
    for inner in ((event, *compressed.inner), (event, replace(compressed, program_id=key(60)))):
        _unknown(replace(minted, inner=inner), "0 changelog events")


def test_events_that_contradict_each_other() -> None:
    model, other = ModelTree(TREE), ModelTree(key(70))
    minted = model.mint(OWNER, metadata_v1())
    elsewhere = other.mint(OWNER, metadata_v1())
    event, compressed = minted.inner
    assert _unknown(replace(minted, inner=(event, elsewhere.inner[1])), "the changelog is of").change_logs
    _unknown(replace(minted, inner=(elsewhere.inner[0], compressed)), "took another leaf")
    lie = LeafSchemaEvent(replace(model.leaves[0], owner=BUYER), model.leaves[0].hash())
    forged = ExecutedInstruction(SPL_NOOP, (), application_data(lie.to_bytes()))
    _unknown(replace(minted, inner=(forged, compressed)), "not the hash")


def test_a_burn_that_did_not_empty_the_leaf() -> None:
    model = ModelTree(TREE)
    model.mint(OWNER, metadata_v1())
    model.mint(OWNER, metadata_v1())
    burn = model.burn(0)
    untouched = model._compressed(0, b"\x01" * 32)  # pyright: ignore[reportPrivateUsage] # the model's own event
    _unknown(replace(burn, inner=(untouched,)), "did not empty leaf 0")
    elsewhere = model._compressed(1, hashing.EMPTY_NODE)  # pyright: ignore[reportPrivateUsage] # the model's own event
    _unknown(replace(burn, inner=(elsewhere,)), "did not empty leaf 0")


@pytest.mark.parametrize("accounts", [(), (TREE,), (OWNER, TREE)])
def test_a_burn_of_a_tree_that_it_does_not_name(accounts: tuple[Pubkey, ...]) -> None:
    model = ModelTree(TREE)
    model.mint(OWNER, metadata_v1())
    _unknown(replace(model.burn(0), accounts=accounts), "which the instruction does not name")


def test_metadata_that_is_not_the_leafs_is_marked() -> None:
    model = ModelTree(TREE)
    minted = model.mint(OWNER, metadata_v1())
    other = BubblegumInstruction.MINT_V1.discriminator + metadata_v1("Other").to_bytes()
    (change,) = decode(transaction(replace(minted, data=other)))
    assert isinstance(change, Minted)
    assert not change.metadata_matches
    assert change.leaf.schema.data_hash == hashing.data_hash(metadata_v1())
    creators = model.rewrite(0, replace(model.leaves[0], creator_hash=bytes(32)))
    (change,) = decode(transaction(replace(minted, inner=creators)))
    assert isinstance(change, Minted)
    assert not change.metadata_matches, "the creators are hashed by themselves as well"


@pytest.mark.parametrize("data", [b"", b"\x01\x02\x03", bytes(8), BubblegumInstruction.MINT_V1.discriminator])
def test_an_instruction_that_cannot_be_read(data: bytes) -> None:
    model = ModelTree(TREE)
    compressed = model.mint(OWNER, metadata_v1()).inner[1]
    (change,) = decode(transaction(ExecutedInstruction(BUBBLEGUM, (), data, (compressed,))))
    assert isinstance(change, Unknown)
    assert change.change_logs[0].root == model.tree.root


def test_an_unreadable_changelog_is_unknown_too() -> None:
    minted = ModelTree(TREE).mint(OWNER, metadata_v1())
    broken = ExecutedInstruction(SPL_NOOP, (), minted.inner[1].inner[0].data[:-1])
    change = _unknown(replace(minted, inner=(minted.inner[0], replace(minted.inner[1], inner=(broken,)))), "wanted")
    assert change.change_logs == ()


def test_one_bad_instruction_does_not_hide_the_next() -> None:
    model = ModelTree(TREE)
    bad = ExecutedInstruction(BUBBLEGUM, (), b"")
    changes = decode(transaction(bad, model.mint(OWNER, metadata_v1()), bad))
    assert [type(change) for change in changes] == [Unknown, Minted, Unknown]


def test_an_instruction_without_a_leaf() -> None:
    _unknown(ModelTree(TREE).other(BubblegumInstruction.VERIFY_CREATOR), "verify_creator tells of no leaf")
