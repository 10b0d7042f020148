"""Proofs that somebody else made, held against the tree's own account: pure.

Used before any DAS proof is believed. The account holds the roots of its last changes, so a proof of a moment ago is
right as well; it does not hold the canopy's nodes in the proof's place, because DAS gives whole proofs.
"""

from dataclasses import dataclass

from bubblegum.merkle import ConcurrentMerkleTree, verify_proof


@dataclass(frozen=True, slots=True)
class AssetProof:
    """What a provider says of a leaf: siblings from the leaf upwards, 32 bytes each, and the leaf's index."""

    tree: str
    root: bytes
    leaf: bytes
    proof: tuple[bytes, ...]
    index: int


def holds(proof: AssetProof, account: ConcurrentMerkleTree, leaf: bytes) -> bool:
    """Whether the proof leads from `leaf`, which was observed on chain, to a root that the tree still accepts."""
    return (
        proof.leaf == leaf
        and len(proof.proof) == account.max_depth
        and proof.root in account.recent_roots()
        and verify_proof(proof.root, leaf, proof.proof, proof.index)
    )
