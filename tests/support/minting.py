"""Compressed NFTs on a local cluster: a tree and mints into it, sent as transactions."""

from __future__ import annotations

from dataclasses import dataclass

from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import instructions, pda
from bubblegum.merkle import tree_account_size
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION
from bubblegum.types import MetadataArgsV2
from localnet.cluster.model import Block
from localnet.cluster.svm import Svm
from localnet.cluster.wire import ParsedTransaction, parsed
from tests.support.cluster import signed

DEPTH, BUFFER = 14, 64


@dataclass(frozen=True, slots=True)
class LocalTree:
    """A V2 tree of `payer` on a cluster."""

    payer: Keypair
    key: Keypair

    @property
    def address(self) -> Pubkey:
        return self.key.pubkey()

    @classmethod
    def planned(cls, payer: Keypair) -> LocalTree:
        return cls(payer, Keypair())

    def creation(self, svm: Svm, recent: Hash | Block) -> ParsedTransaction:
        """The transaction that creates the tree."""
        payer = self.payer.pubkey()
        account = instructions.create_tree_account(
            payer=payer,
            tree=self.address,
            lamports=svm.rent_exempt_minimum(tree_account_size(DEPTH, BUFFER, 0)),
            max_depth=DEPTH,
            max_buffer_size=BUFFER,
            canopy_depth=0,
            compression_program=MPL_ACCOUNT_COMPRESSION,
        )
        config = instructions.create_tree_config_v2(
            payer=payer, tree=self.address, max_depth=DEPTH, max_buffer_size=BUFFER, public=False
        )
        return parsed(signed(self.payer, [account, config], recent, signers=[self.key]))

    def mint(self, recent: Hash | Block, number: int, owner: Pubkey | None = None) -> ParsedTransaction:
        """The transaction that mints one NFT; `number` makes it unlike others."""
        metadata = MetadataArgsV2(f"Item #{number}", "ITM", f"https://example.com/{number}.json", 500)
        minted = instructions.mint_v2(
            tree=self.address,
            payer=self.payer.pubkey(),
            leaf_owner=owner or self.payer.pubkey(),
            metadata=metadata,
        )
        return parsed(signed(self.payer, [minted], recent, units=120_000))

    def asset_id(self, index: int) -> Pubkey:
        """The id of the asset at a leaf index (they are the same until something is burnt and minted again)."""
        return pda.asset_id(self.address, index)
