"""The blocks of the current fork, the commitment each has reached, and which blockhashes are still accepted.

Used by the ledger. Slots may be skipped and, after a fork, block heights are used again; slots never are. Holds a
window of recent blocks; older ones are in the store.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence

from solders.hash import Hash

from localnet.cluster.model import (
    MAX_PROCESSING_AGE,
    SLOT_HASHES_ENTRIES,
    Block,
    Commitment,
    LedgerLimits,
)


class Chain:
    """The recent blocks in order of height, without gaps in height. Index 0 is the oldest in the window."""

    def __init__(self, blocks: Sequence[Block], limits: LedgerLimits, last_slot: int | None = None) -> None:
        if not blocks:
            raise ValueError("a chain needs at least its genesis block")
        self._limits = limits
        self._window = max(SLOT_HASHES_ENTRIES, limits.status_cache_roots + limits.finalized_after) + 1
        self._blocks: list[Block] = []
        self._by_slot: dict[int, Block] = {}
        self._height_of: dict[bytes, int] = {}
        for block in blocks:
            self._append(block)
        self._root_height = max(self.head.height - limits.finalized_after, self._blocks[0].height)
        self._confirmed_height = max(self.head.height - limits.confirmed_after, self._root_height)
        self.last_slot = max(self.head.slot, last_slot or 0)
        """The highest slot number ever used, on this fork or a dropped one."""

    @property
    def head(self) -> Block:
        """The newest published block: what `processed` means here."""
        return self._blocks[-1]

    @property
    def root(self) -> Block:
        """The newest finalized block; never goes back."""
        return self._at_height(self._root_height)

    @property
    def oldest(self) -> Block:
        """The oldest block still in the window."""
        return self._blocks[0]

    def blocks(self) -> Iterable[Block]:
        """The window's blocks, oldest first."""
        return tuple(self._blocks)

    def at(self, commitment: Commitment, lag: int = 0) -> Block:
        """The newest block of a commitment level, as a node `lag` blocks behind would see it."""
        if commitment is Commitment.PROCESSED:
            height = self.head.height
        elif commitment is Commitment.CONFIRMED:
            height = self._confirmed_height
        else:
            height = self._root_height
        return self._at_height(height - lag)

    def _at_height(self, height: int) -> Block:
        index = height - self._blocks[0].height
        return self._blocks[min(max(index, 0), len(self._blocks) - 1)]

    def newer_than(self, slot: int) -> tuple[Block, ...]:
        """The published blocks of slots after `slot`, oldest first."""
        newer = list(itertools.takewhile(lambda block: block.slot > slot, reversed(self._blocks)))
        return tuple(reversed(newer))

    def block(self, slot: int) -> Block | None:
        """The block of a slot in the window; None for a skipped, dropped, future or forgotten one."""
        return self._by_slot.get(slot)

    def commitment_of(self, slot: int, lag: int = 0) -> Commitment | None:
        """How settled the block of `slot` is; None when a node `lag` blocks behind has not seen it."""
        for commitment in (Commitment.FINALIZED, Commitment.CONFIRMED, Commitment.PROCESSED):
            if slot <= self.at(commitment, lag).slot:
                return commitment
        return None

    def blockhash_age(self, blockhash: bytes, tip: Block) -> int | None:
        """Blocks between the one that has `blockhash` and `tip`; None when it is not an ancestor of `tip`.

        Agave counts age in its blockhash queue the same way: 0 for the newest hash registered.
        """
        height = self._height_of.get(blockhash)
        if height is None or height > tip.height:
            return None
        return tip.height - height

    def accepts_blockhash(self, blockhash: bytes, tip: Block) -> bool:
        """Whether a transaction with `blockhash` may land in a block on top of `tip` (151 hashes are accepted)."""
        age = self.blockhash_age(blockhash, tip)
        return age is not None and age <= MAX_PROCESSING_AGE

    def slot_hashes(self) -> list[tuple[int, Hash]]:
        """The SlotHashes sysvar for a block on top of the head: newest first."""
        return [(block.slot, block.hash) for block in reversed(self._blocks[-SLOT_HASHES_ENTRIES:])]

    def append(self, block: Block) -> None:
        """Add the next block. Raises ValueError when it does not follow from the head."""
        if block.parent_slot != self.head.slot or block.height != self.head.height + 1:
            raise ValueError(f"slot {block.slot} does not follow slot {self.head.slot}")
        self._append(block)
        self.last_slot = max(self.last_slot, block.slot)
        self._root_height = max(self._root_height, block.height - self._limits.finalized_after)
        self._confirmed_height = max(self._confirmed_height, block.height - self._limits.confirmed_after)
        while len(self._blocks) > self._window:
            oldest = self._blocks.pop(0)
            del self._by_slot[oldest.slot], self._height_of[oldest.blockhash]

    def skip(self) -> None:
        """Let one slot pass without a block, as when its leader is down."""
        self.last_slot += 1

    def _append(self, block: Block) -> None:
        self._blocks.append(block)
        self._by_slot[block.slot] = block
        self._height_of[block.blockhash] = block.height

    def rollback(self, depth: int) -> tuple[Block, ...]:
        """Drop the newest `depth` blocks, never a finalized one; returns them, oldest first."""
        depth = min(depth, self.head.height - self._root_height)
        if depth <= 0:
            return ()
        dropped = tuple(self._blocks[-depth:])
        del self._blocks[-depth:]
        # What stays and was confirmed is confirmed still.
        self._confirmed_height = min(self._confirmed_height, self.head.height)
        for block in dropped:
            del self._by_slot[block.slot], self._height_of[block.blockhash]
        return dropped


def next_blockhash(parent: Block, slot: int, signatures: Iterable[str]) -> bytes:
    """A deterministic block hash: of the parent's hash, the slot and the signatures, as proof of history mixes them."""
    digest = hashlib.sha256(parent.blockhash)
    digest.update(slot.to_bytes(8, "little"))
    for signature in signatures:
        digest.update(signature.encode("ascii"))
    return digest.digest()


def genesis_block(seed: bytes, time: int) -> Block:
    """Block 0: its hash is the cluster's genesis hash."""
    blockhash = hashlib.sha256(b"mintstream local cluster" + seed).digest()
    return Block(0, 0, 0, blockhash, time)
