"""The same instructions on our cluster and on Surfpool: the same logs, calls, changes, costs, errors, and roots.

Both run the same bytecode, so this holds our cluster's runtime, and what it tells of a transaction, to
another's; that the programs behave as the deployed ones do is not the question here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import collections, instructions, pda
from bubblegum.decode import Burned, Change, Minted, Transferred, TreeCreated
from bubblegum.instructions import LeafProof
from bubblegum.leaf import LeafSchema
from bubblegum.merkle import ConcurrentMerkleTree, MerkleTree, tree_account_size
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, SPL_ACCOUNT_COMPRESSION
from bubblegum.types import Collection, Creator, MetadataArgs, MetadataArgsV2
from tests.support.surfpool import NEEDS_SURFPOOL
from tests.support.two_clusters import Pair, Told, keypair

pytestmark = [*NEEDS_SURFPOOL, pytest.mark.asyncio(loop_scope="module")]

DEPTH, BUFFER, CANOPY = 5, 8, 2


@dataclass
class Tree:
    """A tree of `payer` on both clusters, and the plain tree that it should be."""

    pair: Pair
    payer: Keypair
    version: int
    key: Keypair
    collection: Pubkey | None
    plain: MerkleTree
    leaves: dict[int, LeafSchema]

    @property
    def address(self) -> Pubkey:
        return self.key.pubkey()

    async def creation(self) -> list[Instruction]:
        payer, size = self.payer.pubkey(), tree_account_size(DEPTH, BUFFER, CANOPY)
        account = instructions.create_tree_account(
            payer=payer,
            tree=self.address,
            lamports=await self.pair.rent(size),
            max_depth=DEPTH,
            max_buffer_size=BUFFER,
            canopy_depth=CANOPY,
            compression_program=SPL_ACCOUNT_COMPRESSION if self.version == 1 else MPL_ACCOUNT_COMPRESSION,
        )
        shape: dict[str, Any] = {"tree": self.address, "max_depth": DEPTH, "max_buffer_size": BUFFER}
        if self.version == 1:
            return [account, instructions.create_tree_config(payer=payer, tree_creator=payer, **shape)]
        return [account, instructions.create_tree_config_v2(payer=payer, **shape)]

    def minting(self, owner: Pubkey, name: str, authority: Pubkey | None = None) -> Instruction:
        """Mint as `authority`, by default the tree's creator."""
        payer, uri = authority or self.payer.pubkey(), f"https://example.com/{name}.json"
        creators = (Creator(payer, True, 60), Creator(owner, False, 40))
        if self.version == 2:
            v2 = MetadataArgsV2(name, "É", uri, 500, creators=creators, collection=self.collection)
            return instructions.mint_v2(
                tree=self.address, payer=payer, leaf_owner=owner, metadata=v2, core_collection=self.collection
            )
        v1 = MetadataArgs(name, "É", uri, 500, creators=creators)
        if self.collection is None:
            return instructions.mint_v1(
                tree=self.address, payer=payer, tree_creator_or_delegate=payer, leaf_owner=owner, metadata=v1
            )
        return instructions.mint_to_collection_v1(
            tree=self.address,
            payer=payer,
            tree_creator_or_delegate=payer,
            collection_authority=payer,
            collection_mint=self.collection,
            leaf_owner=owner,
            metadata=replace(v1, collection=Collection(verified=False, key=self.collection)),
        )

    def proof(self, index: int) -> LeafProof:
        leaf = self.leaves[index]
        nodes = [Pubkey(node) for node in self.plain.proof(index)[: DEPTH - CANOPY]]
        return LeafProof(self.plain.root, leaf.data_hash, leaf.creator_hash, leaf.nonce, index, nodes)

    def transferring(self, index: int, owner: Pubkey, new_owner: Pubkey) -> Instruction:
        leaf = self.proof(index)
        if self.version == 1:
            return instructions.transfer(tree=self.address, leaf_owner=owner, new_leaf_owner=new_owner, leaf=leaf)
        return instructions.transfer_v2(
            tree=self.address,
            payer=self.payer.pubkey(),
            authority=owner,
            leaf_owner=owner,
            new_leaf_owner=new_owner,
            leaf=leaf,
            core_collection=self.collection,
        )

    def burning(self, index: int, owner: Pubkey) -> Instruction:
        leaf = self.proof(index)
        if self.version == 1:
            return instructions.burn(tree=self.address, leaf_owner=owner, leaf=leaf)
        return instructions.burn_v2(
            tree=self.address,
            payer=self.payer.pubkey(),
            authority=owner,
            leaf_owner=owner,
            leaf=leaf,
            core_collection=self.collection,
        )

    def take(self, *changes: Change) -> None:
        """Do to the plain tree what the program said that it did."""
        for change in changes:
            assert isinstance(change, Minted | Transferred | Burned)
            if isinstance(change, Minted):
                assert self.plain.append(change.change_log.leaf) == change.leaf_index
            else:
                self.plain.set_leaf(change.leaf_index, change.change_log.leaf)
            if isinstance(change, Burned):
                del self.leaves[change.leaf_index]
            else:
                self.leaves[change.leaf_index] = change.leaf.schema

    async def land(self, *asked: Instruction, signers: tuple[Keypair, ...] = ()) -> Told:
        return await self.pair.land(self.payer, *asked, signers=signers)

    async def check(self) -> None:
        """Both trees' accounts are the same, and are the plain tree's."""
        ours, theirs = [ConcurrentMerkleTree.parse(data) for data in await self.pair.account(self.address)]
        assert replace(ours, creation_slot=0) == replace(theirs, creation_slot=0)
        assert theirs.root == self.plain.root
        config, their_config = await self.pair.account(pda.tree_config(self.address))
        assert config == their_config


async def make_collection(pair: Pair, payer: Keypair, kind: str, seed: str) -> Pubkey | None:
    """A collection of the kind on both clusters, whose account is the same on both."""
    if kind == "none":
        return None
    key = keypair(f"{seed} collection")
    made: list[Instruction] = (
        collections.create_token_metadata_collection(
            payer=payer.pubkey(),
            mint=key.pubkey(),
            authority=payer.pubkey(),
            mint_lamports=await pair.rent(collections.MINT_ACCOUNT_BYTES),
            name="Café",
            symbol="C",
            uri="https://example.com/c.json",
            seller_fee_basis_points=500,
        )
        if kind == "token metadata"
        else [
            collections.create_core_collection(
                payer=payer.pubkey(), collection=key.pubkey(), name="Café", uri="https://example.com/c.json"
            )
        ]
    )
    told = await pair.land(payer, *made, signers=[key])
    assert told.err is None
    ours, theirs = await pair.account(key.pubkey())
    assert ours == theirs
    return key.pubkey()


@pytest.mark.parametrize(
    ("version", "kind"), [(1, "none"), (1, "token metadata"), (2, "none"), (2, "core")], ids=lambda part: f"{part}"
)
async def test_the_life_of_leaves_is_the_same_on_both(pair: Pair, version: int, kind: str) -> None:
    seed = f"{version} {kind}"
    payer, owner = await pair.wallet(f"{seed} payer"), await pair.wallet(f"{seed} owner")
    buyer = keypair(f"{seed} buyer").pubkey()
    collection = await make_collection(pair, payer, kind, seed)
    tree = Tree(pair, payer, version, keypair(f"{seed} tree"), collection, MerkleTree(DEPTH), {})

    created = await tree.land(*await tree.creation(), signers=(tree.key,))
    assert created.changes == (TreeCreated(tree.address, payer.pubkey(), DEPTH, BUFFER, False, version),)
    await tree.check()

    mints = await tree.land(tree.minting(owner.pubkey(), "Booth #1"), tree.minting(buyer, "展位 2"))
    more = await tree.land(tree.minting(owner.pubkey(), "Booth #3"))
    tree.take(*mints.changes, *more.changes)
    assert [type(change) for change in (*mints.changes, *more.changes)] == [Minted] * 3
    await tree.check()

    moved = await tree.land(tree.transferring(0, owner.pubkey(), buyer), signers=(owner,))
    tree.take(*moved.changes)
    gone = await tree.land(tree.burning(2, owner.pubkey()), signers=(owner,))
    tree.take(*gone.changes)
    assert [type(change) for change in (*moved.changes, *gone.changes)] == [Transferred, Burned]
    await tree.check()


@pytest.mark.parametrize("version", [1, 2])
async def test_refusals_are_the_same_on_both(pair: Pair, version: int) -> None:
    seed = f"refusals {version}"
    payer, stranger = await pair.wallet(f"{seed} payer"), await pair.wallet(f"{seed} stranger")
    owner = keypair(f"{seed} owner").pubkey()
    tree = Tree(pair, payer, version, keypair(f"{seed} tree"), None, MerkleTree(DEPTH), {})
    assert (await tree.land(*await tree.creation(), signers=(tree.key,))).err is None
    (minted,) = (await tree.land(tree.minting(owner, "Booth"))).changes
    tree.take(minted)

    attempts = {
        "a stranger mints": tree.minting(owner, "Booth", authority=stranger.pubkey()),
        "a name is too long": tree.minting(owner, "x" * 33),
        "a stranger burns": tree.burning(0, stranger.pubkey()),
    }
    refusals: dict[str, object] = {}
    for what, attempt in attempts.items():
        signers = (stranger,) if stranger.pubkey() in {meta.pubkey for meta in attempt.accounts} else ()
        refusals[what] = (await tree.land(attempt, signers=signers)).err
        assert refusals[what] is not None, what
    assert len({str(each) for each in refusals.values()}) == len(refusals), refusals
    await tree.check()
