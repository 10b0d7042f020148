"""Which trees' leaves can still be moved: how long a proof may be for a transfer or a burn to fit its transaction.

Used wherever a tree's shape is chosen. A proof node costs a transaction an account of 32 bytes and its index; the nodes
of the canopy need not be sent. A tree whose proofs do not fit takes mints and never gives them back.
"""

from functools import lru_cache
from typing import Final

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey

from bubblegum.hashing import keccak
from bubblegum.instructions import LeafProof, burn, burn_v2, transfer, transfer_v2
from bubblegum.merkle import MAX_DEPTH

MAX_TRANSACTION_BYTES: Final = 1232
"""Most bytes of a transaction on the wire: IPv6's least MTU of 1280 without 48 bytes of headers (Solana)."""
SIGNATURE_BYTES: Final = 64


@lru_cache(maxsize=2)
def max_proof_nodes(version: int) -> int:
    """Return the most nodes of a proof with which a leaf of `version` 1 or 2 can be both transferred and burned.

    Found by compiling: a transaction of the kind that wallets send (no lookup table, a compute limit and a priority
    fee), whose owner pays and has a delegate set, so that both are named.
    """
    nodes = 0
    while nodes < MAX_DEPTH and all(_size(work) <= MAX_TRANSACTION_BYTES for work in _moves(version, nodes + 1)):
        nodes += 1
    return nodes


def least_canopy(max_depth: int, version: int) -> int:
    """Return the smallest canopy depth with which the leaves of such a tree can be moved."""
    return max(0, max_depth - max_proof_nodes(version))


def _moves(version: int, nodes: int) -> list[Instruction]:
    tree, owner, delegate, receiver, collection = (_address(name) for name in ("t", "o", "d", "r", "c"))
    proof = LeafProof(
        root=bytes(32),
        data_hash=bytes(32),
        creator_hash=bytes(32),
        nonce=0,
        index=0,
        proof=[_address(f"node {number}") for number in range(nodes)],
        asset_data_hash=bytes(32) if version == 2 else None,
        flags=0 if version == 2 else None,
    )
    if version == 1:
        return [
            transfer(tree=tree, leaf_owner=owner, new_leaf_owner=receiver, leaf=proof, leaf_delegate=delegate),
            burn(tree=tree, leaf_owner=owner, leaf=proof, leaf_delegate=delegate),
        ]
    return [
        transfer_v2(
            tree=tree,
            payer=owner,
            leaf_owner=owner,
            new_leaf_owner=receiver,
            leaf=proof,
            leaf_delegate=delegate,
            core_collection=collection,
        ),
        burn_v2(
            tree=tree, payer=owner, leaf_owner=owner, leaf=proof, leaf_delegate=delegate, core_collection=collection
        ),
    ]


def _size(work: Instruction) -> int:
    message = Message.new_with_blockhash(
        [set_compute_unit_limit(1_000_000), set_compute_unit_price(1), work], _address("o"), Hash.default()
    )
    return 1 + SIGNATURE_BYTES * message.header.num_required_signatures + len(bytes(message))


def _address(name: str) -> Pubkey:
    return Pubkey(keccak(name.encode()))
