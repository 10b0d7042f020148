"""Account compression's instructions and one tree driven through them, for tests.

Encoded here from the published IDL and on purpose not with `bubblegum`, so that the two are held against each other.
"""

from __future__ import annotations

import copy
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.hashing import EMPTY_NODE
from bubblegum.merkle import ConcurrentMerkleTree, MerkleTree, tree_account_size
from programs.manifest import load_manifest
from tests.support.vm import Outcome, Vm


def discriminator(instruction: str) -> bytes:
    """Anchor's eight bytes for an instruction in snake_case."""
    return hashlib.sha256(f"global:{instruction}".encode()).digest()[:8]


@dataclass(frozen=True, slots=True)
class Family:
    """The addresses of one generation: SPL's (V1) or Metaplex's (V2)."""

    name: str

    @property
    def compression(self) -> Pubkey:
        return load_manifest()[f"{self.name}_account_compression"].address

    @property
    def noop(self) -> Pubkey:
        return load_manifest()[f"{self.name}_noop"].address

    def vm(self) -> Vm:
        """A virtual machine with this generation's programs."""
        return Vm(f"{self.name}_account_compression", f"{self.name}_noop")


SPL = Family("spl")
MPL = Family("mpl")


@dataclass(frozen=True, slots=True)
class Proof:
    """What an indexer hands out: the root it knows, the leaf and its siblings from the leaf up."""

    root: bytes
    leaf: bytes
    index: int
    nodes: tuple[bytes, ...]


class TreeAccount:
    """A tree account on a virtual machine; each method sends one transaction."""

    def __init__(self, family: Family, vm: Vm, shape: tuple[int, int, int]) -> None:
        """Allocate an account for `shape`: depth, buffer size, canopy depth. `initialize` makes it a tree."""
        self.family, self.vm = family, vm
        self.depth, self.buffer_size, canopy = shape
        self.address = Keypair().pubkey()
        self.authority = vm.payer
        vm.set_account(self.address, bytes(tree_account_size(*shape[:2], canopy)), family.compression)

    def state(self) -> ConcurrentMerkleTree:
        return ConcurrentMerkleTree.parse(self.vm.data(self.address))

    def instruction(
        self,
        name: str,
        arguments: bytes,
        *,
        proof: Sequence[bytes] = (),
        authority: Keypair | None = None,
        authority_signs: bool = True,
        third: AccountMeta | None = None,
    ) -> Instruction:
        """Any instruction of the three-account form, the third being noop unless told."""
        signer = (authority or self.authority).pubkey()
        accounts = [
            AccountMeta(self.address, is_signer=False, is_writable=True),
            AccountMeta(signer, is_signer=authority_signs, is_writable=False),
            third or AccountMeta(self.family.noop, is_signer=False, is_writable=False),
            *(AccountMeta(Pubkey.from_bytes(node), is_signer=False, is_writable=False) for node in proof),
        ]
        return Instruction(self.family.compression, discriminator(name) + arguments, accounts)

    def initialize(self) -> Outcome:
        arguments = struct.pack("<II", self.depth, self.buffer_size)
        return self.vm.send(self.instruction("init_empty_merkle_tree", arguments))

    def append(self, leaf: bytes) -> Outcome:
        return self.vm.send(self.instruction("append", leaf))

    def replace(self, proof: Proof, leaf: bytes) -> Outcome:
        arguments = proof.root + proof.leaf + leaf + struct.pack("<I", proof.index)
        return self.vm.send(self.instruction("replace_leaf", arguments, proof=proof.nodes))

    def insert_or_append(self, proof: Proof, leaf: bytes) -> Outcome:
        arguments = proof.root + leaf + struct.pack("<I", proof.index)
        return self.vm.send(self.instruction("insert_or_append", arguments, proof=proof.nodes))

    def verify(self, proof: Proof) -> Outcome:
        accounts = [
            AccountMeta(self.address, is_signer=False, is_writable=False),
            *(AccountMeta(Pubkey.from_bytes(node), is_signer=False, is_writable=False) for node in proof.nodes),
        ]
        arguments = proof.root + proof.leaf + struct.pack("<I", proof.index)
        data = discriminator("verify_leaf") + arguments
        return self.vm.send(Instruction(self.family.compression, data, accounts))

    def close(self, recipient: Pubkey) -> Outcome:
        third = AccountMeta(recipient, is_signer=False, is_writable=True)
        return self.vm.send(self.instruction("close_empty_tree", b"", third=third))


TREE_ERROR = 6001
"""ConcurrentMerkleTreeError: the tree's own errors; the log line says which."""


def leaf(number: int) -> bytes:
    """A leaf that is easy to tell from others."""
    return number.to_bytes(32, "little")


def proof_of(plain: MerkleTree, index: int) -> Proof:
    """The whole proof of a leaf."""
    return Proof(plain.root, plain.leaf(index), index, tuple(plain.proof(index)))


def free_place(plain: MerkleTree) -> Proof:
    """A proof that the leaf after the last one is empty."""
    grown = copy.deepcopy(plain)
    index = grown.append(leaf(1))
    return Proof(plain.root, EMPTY_NODE, index, tuple(grown.proof(index)))


def grown(count: int, shape: tuple[int, int, int] = (5, 8, 0), family: Family = SPL) -> tuple[TreeAccount, MerkleTree]:
    """A tree with leaves 1 … count, and its plain twin."""
    chain, plain = TreeAccount(family, family.vm(), shape), MerkleTree(shape[0])
    assert chain.initialize().error is None
    for number in range(1, count + 1):
        outcome = chain.append(leaf(number))
        assert outcome.error is None, outcome.logs
        plain.append(leaf(number))
    return chain, plain


def replace(chain: TreeAccount, plain: MerkleTree, index: int, new: bytes) -> None:
    """Replace a leaf on chain and in the plain twin."""
    outcome = chain.replace(proof_of(plain, index), new)
    assert outcome.error is None, outcome.logs
    plain.set_leaf(index, new)


def says(outcome: Outcome, text: str) -> bool:
    """Is `text` in a log line?"""
    return any(text in line for line in outcome.logs)
