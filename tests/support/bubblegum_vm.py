"""Bubblegum on a virtual machine: trees and collections made by its own instructions, each with its plain twin.

`BubblegumTree` sends instructions built by `bubblegum.instructions` and holds what the programs did against a plain
Merkle tree of the leaf hashes that `bubblegum.hashing` computes; the official client's vectors hold that in turn.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import collections, hashing, instructions, pda
from bubblegum.decode import Burned, Change, LeafWritten, Minted, Transferred, TreeCreated, decode
from bubblegum.instructions import LeafProof
from bubblegum.leaf import LeafSchemaV1, LeafSchemaV2
from bubblegum.merkle import ConcurrentMerkleTree, MerkleTree, TreeConfig, tree_account_size
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, MPL_CORE, SPL_ACCOUNT_COMPRESSION, SYSTEM
from bubblegum.types import Collection, Creator, MetadataArgs, MetadataArgsV2
from programs.manifest import load_manifest
from tests.support.vm import Outcome, Vm

LEAF_NOT_IN_TREE = 6001
"""What account compression answers to a leaf that is not where its proof says (ConcurrentMerkleTreeError)."""

SHAPE = (3, 8, 0)
"""Depth, buffer size and canopy depth of a tree that a test can fill."""


def bubblegum_vm() -> Vm:
    """A virtual machine with every program of the manifest."""
    return Vm(*load_manifest())


def replaced(
    instruction: Instruction,
    index: int,
    key: Pubkey | None = None,
    *,
    signer: bool | None = None,
    writable: bool | None = None,
) -> Instruction:
    """The instruction with one account changed."""
    accounts = list(instruction.accounts)
    old = accounts[index]
    accounts[index] = AccountMeta(
        old.pubkey if key is None else key,
        old.is_signer if signer is None else signer,
        old.is_writable if writable is None else writable,
    )
    return Instruction(instruction.program_id, bytes(instruction.data), accounts)


def extended(instruction: Instruction, *accounts: AccountMeta) -> Instruction:
    """The instruction with remaining accounts behind its own."""
    return Instruction(instruction.program_id, bytes(instruction.data), [*instruction.accounts, *accounts])


def with_data(instruction: Instruction, data: bytes) -> Instruction:
    """The instruction with other data."""
    return Instruction(instruction.program_id, data, list(instruction.accounts))


def metadata_v1(creators: tuple[Creator, ...] = (), collection: Pubkey | None = None) -> MetadataArgs:
    """Valid metadata, unverified in `collection`."""
    reference = None if collection is None else Collection(verified=False, key=collection)
    return MetadataArgs(
        "Bücherstand #1", "BTH", "https://example.com/m/1.json", 500, creators=creators, collection=reference
    )


def metadata_v2(creators: tuple[Creator, ...] = (), collection: Pubkey | None = None) -> MetadataArgsV2:
    """Valid metadata, in `collection`."""
    return MetadataArgsV2(
        "Bücherstand #1", "BTH", "https://example.com/m/1.json", 500, creators=creators, collection=collection
    )


class BubblegumTree:
    """A tree created on `vm` by its payer, with the plain tree of the leaves that it must hold."""

    def __init__(
        self, vm: Vm, version: int, shape: tuple[int, int, int] = SHAPE, *, public: bool | None = None
    ) -> None:
        self.vm, self.version, self.shape = vm, version, shape
        self.keypair = Keypair()
        self.address = self.keypair.pubkey()
        self.payer = vm.payer.pubkey()
        self.plain = MerkleTree(shape[0])
        self.leaves: dict[int, LeafSchemaV1 | LeafSchemaV2] = {}
        created = self.accept(
            vm.send(self.account_instruction(), self.config_instruction(public), signers=(self.keypair,))
        )
        assert isinstance(created, TreeCreated)
        assert created.tree == self.address

    @property
    def compression(self) -> Pubkey:
        return SPL_ACCOUNT_COMPRESSION if self.version == 1 else MPL_ACCOUNT_COMPRESSION

    def account_instruction(self) -> Instruction:
        depth, buffer_size, canopy = self.shape
        return instructions.create_tree_account(
            payer=self.payer,
            tree=self.address,
            lamports=self.vm.svm.minimum_balance_for_rent_exemption(tree_account_size(depth, buffer_size, canopy)),
            max_depth=depth,
            max_buffer_size=buffer_size,
            canopy_depth=canopy,
            compression_program=self.compression,
        )

    def config_instruction(self, public: bool | None = None) -> Instruction:
        depth, buffer_size, _ = self.shape
        if self.version == 1:
            return instructions.create_tree_config(
                payer=self.payer,
                tree=self.address,
                tree_creator=self.payer,
                max_depth=depth,
                max_buffer_size=buffer_size,
                public=public,
            )
        return instructions.create_tree_config_v2(
            payer=self.payer, tree=self.address, max_depth=depth, max_buffer_size=buffer_size, public=public
        )

    def config(self) -> TreeConfig:
        return TreeConfig.parse(self.vm.data(pda.tree_config(self.address)))

    def account(self) -> ConcurrentMerkleTree:
        return ConcurrentMerkleTree.parse(self.vm.data(self.address))

    # ---- instructions ----

    def mint(self, owner: Pubkey, metadata: MetadataArgs | MetadataArgsV2 | None = None) -> Instruction:
        """Mint without a collection, signed by the payer."""
        if self.version == 1:
            assert not isinstance(metadata, MetadataArgsV2)
            return instructions.mint_v1(
                tree=self.address,
                payer=self.payer,
                tree_creator_or_delegate=self.payer,
                leaf_owner=owner,
                metadata=metadata or metadata_v1(),
            )
        assert not isinstance(metadata, MetadataArgs)
        return instructions.mint_v2(
            tree=self.address, payer=self.payer, leaf_owner=owner, metadata=metadata or metadata_v2()
        )

    def minted(self, owner: Pubkey) -> int:
        """Mint one NFT to `owner` and give its leaf index."""
        change = self.accept(self.vm.send(self.mint(owner)))
        assert isinstance(change, Minted)
        return change.leaf_index

    def mint_into(
        self, collection: CoreCollection, owner: Pubkey, metadata: MetadataArgsV2 | None = None
    ) -> Instruction:
        """MintV2 into a collection; payer and collection authority sign."""
        return instructions.mint_v2(
            tree=self.address,
            payer=self.payer,
            leaf_owner=owner,
            metadata=metadata or metadata_v2(collection=collection.address),
            collection_authority=collection.authority.pubkey(),
            core_collection=collection.address,
        )

    def minted_into(self, collection: CoreCollection, owner: Pubkey) -> int:
        """Mint one V2 NFT into a collection and give its leaf index."""
        change = self.accept(self.vm.send(self.mint_into(collection, owner), signers=(collection.authority,)))
        assert isinstance(change, Minted)
        return change.leaf_index

    def proof(self, index: int) -> LeafProof:
        """What an indexer would say of the leaf now."""
        schema = self.leaves[index]
        nodes = [Pubkey.from_bytes(node) for node in self.plain.proof(index)]
        return LeafProof(
            self.plain.root,
            schema.data_hash,
            schema.creator_hash,
            schema.nonce,
            index,
            nodes,
            flags=schema.flags if isinstance(schema, LeafSchemaV2) and schema.flags else None,
        )

    def plant(self, schema: LeafSchemaV1 | LeafSchemaV2) -> int:
        """Make `schema` the leaf at its nonce, where one stands already, as instructions beyond the stand-in do.

        The tree is the compression program's and its authority is Bubblegum's PDA, so the account is rewritten for a
        moment.
        """
        index = schema.nonce
        proof = self.proof(index)
        account = self.vm.svm.get_account(self.address)
        assert account is not None
        data, own = bytearray(account.data), bytes(account.data[10:42])
        data[10:42] = bytes(self.payer)
        self.vm.set_account(self.address, bytes(data), self.compression)
        arguments = proof.root + self.leaves[index].hash() + schema.hash() + struct.pack("<I", index)
        noop = load_manifest()["spl_noop" if self.version == 1 else "mpl_noop"].address
        metas = [AccountMeta(self.address, False, True), AccountMeta(self.payer, True, False)]
        metas += [AccountMeta(key, False, False) for key in (noop, *proof.proof)]
        replace_leaf = bytes([204, 165, 76, 100, 73, 147, 0, 128])
        outcome = self.vm.send(Instruction(self.compression, replace_leaf + arguments, metas))
        assert outcome.error is None, outcome.logs
        data = bytearray(self.vm.data(self.address))
        data[10:42] = own
        self.vm.set_account(self.address, bytes(data), self.compression)
        self.leaves[index] = schema
        self.plain.set_leaf(index, schema.hash())
        assert self.account().root == self.plain.root
        return index

    # ---- what happened ----

    def accept(self, outcome: Outcome) -> Change:
        """The one change that a successful transaction made, after holding the chain against the plain tree."""
        assert outcome.error is None, outcome.logs
        (change,) = decode(outcome.executed)
        if isinstance(change, LeafWritten):
            schema = change.leaf.schema
            assert schema.hash() == change.leaf.leaf_hash
            assert schema.id == pda.asset_id(self.address, schema.nonce)
            self.leaves[change.leaf_index] = schema
        if isinstance(change, Minted):
            assert change.metadata_matches
            assert change.nonce == len(self.plain)
            assert self.plain.append(change.leaf.leaf_hash) == change.leaf_index
        if isinstance(change, Transferred):
            self.plain.set_leaf(change.leaf_index, change.leaf.leaf_hash)
        if isinstance(change, Burned):
            self.plain.set_leaf(change.leaf_index, hashing.EMPTY_NODE)
            del self.leaves[change.leaf_index]
        assert self.account().root == self.plain.root
        assert self.account().num_leaves == len(self.plain)
        assert self.config().num_minted == len(self.plain)
        return change

    def refuse(self, error: int | str, *sent: Instruction, signers: tuple[Keypair, ...] = ()) -> Outcome:
        """Send what must fail with `error`, and see that the tree did not change."""
        before = self.vm.data(self.address), self.vm.data(pda.tree_config(self.address))
        outcome = self.vm.send(*sent, signers=signers)
        assert outcome.error == error, outcome.logs
        assert (self.vm.data(self.address), self.vm.data(pda.tree_config(self.address))) == before
        return outcome


@dataclass(frozen=True, slots=True)
class TokenMetadataCollection:
    """A collection NFT of token metadata and the key that may add to it."""

    mint: Pubkey
    authority: Keypair

    @classmethod
    def create(cls, vm: Vm, authority: Keypair | None = None) -> TokenMetadataCollection:
        mint, authority = Keypair(), authority or vm.wallet()
        built = collections.create_token_metadata_collection(
            payer=vm.payer.pubkey(),
            mint=mint.pubkey(),
            authority=authority.pubkey(),
            mint_lamports=vm.svm.minimum_balance_for_rent_exemption(collections.MINT_ACCOUNT_BYTES),
            name="Bücher",
            symbol="B",
            uri="https://example.com/c.json",
            seller_fee_basis_points=500,
            creators=(Creator(authority.pubkey(), verified=True, share=100),),
        )
        outcome = vm.send(*built, signers=(mint,) if authority == vm.payer else (mint, authority))
        assert outcome.error is None, outcome.logs
        return cls(mint.pubkey(), authority)


def core_collection_instruction(
    vm: Vm, collection: Pubkey, plugins: tuple[bytes, ...] = (b"\x0f\0",), authority: Pubkey | None = None
) -> Instruction:
    """CreateCollectionV2 with these plugins, each as Borsh of (plugin, Option of authority); by default BubblegumV2."""
    text = b"".join(struct.pack("<I", len(part)) + part for part in (b"Coll", b"https://example.com/c.json"))
    data = b"\x15" + text + b"\1" + struct.pack("<I", len(plugins)) + b"".join(plugins) + b"\0"
    return Instruction(
        MPL_CORE,
        data,
        [
            AccountMeta(collection, is_signer=True, is_writable=True),
            AccountMeta(authority or MPL_CORE, is_signer=False, is_writable=False),
            AccountMeta(vm.payer.pubkey(), is_signer=True, is_writable=True),
            AccountMeta(SYSTEM, is_signer=False, is_writable=False),
        ],
    )


@dataclass(frozen=True, slots=True)
class CoreCollection:
    """An MPL-Core collection and the key that may add to it."""

    address: Pubkey
    authority: Keypair

    @classmethod
    def create(cls, vm: Vm, plugins: tuple[bytes, ...] = (b"\x0f\0",)) -> CoreCollection:
        collection, authority = Keypair(), vm.wallet()
        built = core_collection_instruction(vm, collection.pubkey(), plugins, authority.pubkey())
        outcome = vm.send(built, signers=(collection,))
        assert outcome.error is None, outcome.logs
        return cls(collection.pubkey(), authority)

    def counts(self, vm: Vm) -> tuple[int, int]:
        """num_minted and current_size."""
        data = vm.data(self.address)
        at = 33
        for _ in range(2):  # name and uri
            (length,) = struct.unpack_from("<I", data, at)
            at += 4 + length
        minted, size = struct.unpack_from("<II", data, at)
        return minted, size


def flagged(schema: LeafSchemaV1 | LeafSchemaV2, flags: int) -> LeafSchemaV2:
    """The leaf with other flags."""
    assert isinstance(schema, LeafSchemaV2)
    return replace(schema, flags=flags)
