"""A model of Bubblegum on plain trees: it makes the executed transactions that the real programs would leave behind.

Used by the tests of decoding and of DAS. Instructions come from `bubblegum.instructions`, the events from the model's
own tree, so a test can say what happened and compare it with what was decoded. The programs themselves are tested
elsewhere; a model that drifts from them is caught where both meet, in the cluster's own tests.
"""

from dataclasses import dataclass, field, replace
from itertools import count

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.signature import Signature

from bubblegum import hashing, instructions, pda
from bubblegum.instructions import LeafProof
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, LeafSchemaV1, LeafSchemaV2, PathNode, application_data
from bubblegum.merkle import ChangeLog, ConcurrentMerkleTree, MerkleTree, empty_node
from bubblegum.merkle.account import RightmostProof
from bubblegum.programs import (
    BUBBLEGUM,
    MPL_ACCOUNT_COMPRESSION,
    MPL_CORE,
    MPL_NOOP,
    SPL_ACCOUNT_COMPRESSION,
    SPL_NOOP,
)
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction, nest
from bubblegum.types import Collection, MetadataArgs, MetadataArgsV2

PAYER = Pubkey(bytes([1]) * 32)

_signatures = count(1)


def key(number: int) -> Pubkey:
    """A fixed address for a number."""
    return Pubkey(number.to_bytes(4, "big") * 8)


def metadata_v1(name: str = "Booth", collection: Pubkey | None = None) -> MetadataArgs:
    reference = None if collection is None else Collection(verified=False, key=collection)
    return MetadataArgs(name, "BTH", f"https://example.com/{name}.json", 500, collection=reference)


def metadata_v2(name: str = "Booth", collection: Pubkey | None = None) -> MetadataArgsV2:
    return MetadataArgsV2(name, "BTH", f"https://example.com/{name}.json", 500, collection=collection)


def executed(instruction: Instruction, *inner: ExecutedInstruction) -> ExecutedInstruction:
    """An encoded instruction as if it had run."""
    accounts = tuple(account.pubkey for account in instruction.accounts)
    return ExecutedInstruction(instruction.program_id, accounts, bytes(instruction.data), inner)


def without_heights(top: ExecutedInstruction) -> ExecutedInstruction:
    """What a node that tells no stack heights would have told of the instruction, read."""
    called = [replace(each, inner=()) for each in list(top.walk())[1:]]
    return nest(replace(top, inner=()), [(None, each) for each in called])


def transaction(*ran: ExecutedInstruction, slot: int = 1, err: object = None) -> ExecutedTransaction:
    """A transaction of these instructions, with a signature that no other has."""
    signature = str(Signature(next(_signatures).to_bytes(64, "big")))
    return ExecutedTransaction(signature, slot, err, ran, block_time=1_700_000_000 + slot)


@dataclass
class ModelTree:
    """One tree with Bubblegum in front of it. Every method changes the tree and returns the instruction that did it."""

    address: Pubkey
    version: int = 1
    depth: int = 5
    buffer_size: int = 8
    seq: int = 0
    tree: MerkleTree = field(init=False)
    leaves: dict[int, LeafSchemaV1 | LeafSchemaV2] = field(init=False)

    def __post_init__(self) -> None:
        self.tree = MerkleTree(self.depth)
        self.leaves = {}

    @property
    def noop(self) -> Pubkey:
        return SPL_NOOP if self.version == 1 else MPL_NOOP

    @property
    def compression(self) -> Pubkey:
        return SPL_ACCOUNT_COMPRESSION if self.version == 1 else MPL_ACCOUNT_COMPRESSION

    def account(self) -> ConcurrentMerkleTree:
        """The tree's account, which accepts proofs of the newest root alone."""
        return ConcurrentMerkleTree(
            max_depth=self.depth,
            max_buffer_size=1,
            authority=PAYER,
            creation_slot=1,
            is_batch_initialized=False,
            sequence_number=self.seq,
            active_index=0,
            buffer_size=1,
            change_logs=(ChangeLog(self.tree.root, (), len(self.tree) - 1),),
            rightmost_proof=RightmostProof((), bytes(32), len(self.tree)),
            canopy=(),
        )

    def create(self) -> ExecutedInstruction:
        depth, size = self.depth, self.buffer_size
        if self.version == 1:
            built = instructions.create_tree_config(
                payer=PAYER, tree=self.address, tree_creator=PAYER, max_depth=depth, max_buffer_size=size
            )
        else:
            built = instructions.create_tree_config_v2(
                payer=PAYER, tree=self.address, max_depth=depth, max_buffer_size=size
            )
        return executed(built, self._compressed(0, hashing.EMPTY_NODE))

    def mint(
        self, owner: Pubkey, metadata: MetadataArgs | MetadataArgsV2, collection: Pubkey | None = None
    ) -> ExecutedInstruction:
        """Mint the next leaf; V1 with a `collection` is mint_to_collection_v1."""
        nonce = len(self.tree)
        hashed = metadata
        before: list[ExecutedInstruction] = []
        if isinstance(metadata, MetadataArgsV2):
            built = instructions.mint_v2(
                tree=self.address, payer=PAYER, leaf_owner=owner, metadata=metadata, core_collection=collection
            )
            if collection is not None:
                before = [ExecutedInstruction(MPL_CORE, (collection,), b"\x20")]
        elif collection is None:
            built = instructions.mint_v1(
                tree=self.address, payer=PAYER, leaf_owner=owner, metadata=metadata, tree_creator_or_delegate=PAYER
            )
        else:
            hashed = replace(metadata, collection=Collection(verified=True, key=collection))
            built = instructions.mint_to_collection_v1(
                tree=self.address,
                payer=PAYER,
                leaf_owner=owner,
                metadata=metadata,
                tree_creator_or_delegate=PAYER,
                collection_authority=PAYER,
                collection_mint=collection,
            )
        schema = self._schema(owner, nonce, hashed)
        self.tree.append(schema.hash())
        self.leaves[nonce] = schema
        return executed(built, *before, *self._events(nonce, schema))

    def transfer(self, index: int, new_owner: Pubkey) -> ExecutedInstruction:
        old, leaf = self.leaves[index], self.proof(index)
        if self.version == 1:
            built = instructions.transfer(tree=self.address, leaf_owner=old.owner, new_leaf_owner=new_owner, leaf=leaf)
        else:
            built = instructions.transfer_v2(
                tree=self.address, payer=PAYER, leaf_owner=old.owner, new_leaf_owner=new_owner, leaf=leaf
            )
        return executed(built, *self.rewrite(index, replace(old, owner=new_owner, delegate=new_owner)))

    def burn(self, index: int) -> ExecutedInstruction:
        old = self.leaves.pop(index)
        leaf = self.proof(index, old)
        if self.version == 1:
            built = instructions.burn(tree=self.address, leaf_owner=old.owner, leaf=leaf)
        else:
            built = instructions.burn_v2(tree=self.address, payer=PAYER, leaf_owner=old.owner, leaf=leaf)
        self.tree.set_leaf(index, hashing.EMPTY_NODE)
        return executed(built, self._compressed(index, hashing.EMPTY_NODE))

    def redeem(self, index: int) -> ExecutedInstruction:
        """Put a V1 leaf into a voucher. The official interface: config, owner, delegate, tree; arguments as of burn."""
        old = self.leaves.pop(index)
        data = instructions.BubblegumInstruction.REDEEM.discriminator + self.proof(index, old).arguments_v1()
        self.tree.set_leaf(index, hashing.EMPTY_NODE)
        accounts = (pda.tree_config(self.address), old.owner, old.delegate, self.address)
        return ExecutedInstruction(BUBBLEGUM, accounts, data, (self._compressed(index, hashing.EMPTY_NODE),))

    def other(self, kind: instructions.BubblegumInstruction, *inner: ExecutedInstruction) -> ExecutedInstruction:
        """An instruction that this package does not encode."""
        return ExecutedInstruction(BUBBLEGUM, (self.address,), kind.discriminator, inner)

    def rewrite(self, index: int, schema: LeafSchemaV1 | LeafSchemaV2) -> tuple[ExecutedInstruction, ...]:
        """Put another leaf at `index`; the two calls that Bubblegum makes for it."""
        self.leaves[index] = schema
        self.tree.set_leaf(index, schema.hash())
        return self._events(index, schema)

    def proof(self, index: int, schema: LeafSchemaV1 | LeafSchemaV2 | None = None) -> LeafProof:
        leaf = schema or self.leaves[index]
        nodes = [Pubkey.from_bytes(node) for node in self.tree.proof(index)]
        return LeafProof(self.tree.root, leaf.data_hash, leaf.creator_hash, leaf.nonce, index, nodes)

    def _schema(
        self, owner: Pubkey, nonce: int, metadata: MetadataArgs | MetadataArgsV2
    ) -> LeafSchemaV1 | LeafSchemaV2:
        common = (pda.asset_id(self.address, nonce), owner, owner, nonce)
        hashes = (hashing.data_hash(metadata), hashing.creator_hash(metadata.creators))
        if isinstance(metadata, MetadataArgs):
            return LeafSchemaV1(*common, *hashes)
        collection = hashing.collection_hash(metadata.collection)
        return LeafSchemaV2(*common, *hashes, collection, hashing.asset_data_hash(None), 0)

    def _events(self, index: int, schema: LeafSchemaV1 | LeafSchemaV2) -> tuple[ExecutedInstruction, ...]:
        event = LeafSchemaEvent(schema, schema.hash())
        told = ExecutedInstruction(self.noop, (), application_data(event.to_bytes()))
        return told, self._compressed(index, schema.hash())

    def _compressed(self, index: int, leaf: bytes) -> ExecutedInstruction:
        """Account compression's instruction with its changelog event; the tree already holds the leaf."""
        told = ExecutedInstruction(self.noop, (), self.change_log(index, leaf).to_noop_data())
        return ExecutedInstruction(self.compression, (self.address,), b"", (told,))

    def change_log(self, index: int, leaf: bytes) -> ChangeLogEvent:
        if len(self.tree):
            self.seq += 1
        nodes, node = [leaf], leaf
        siblings = self.tree.proof(index) if len(self.tree) else [empty_node(level) for level in range(self.depth)]
        for level, sibling in enumerate(siblings):
            node = hashing.keccak(sibling, node) if index >> level & 1 else hashing.keccak(node, sibling)
            nodes.append(node)
        path = tuple(PathNode(n, (1 << (self.depth - level)) + (index >> level)) for level, n in enumerate(nodes))
        return ChangeLogEvent(self.address, path, self.seq, index)
