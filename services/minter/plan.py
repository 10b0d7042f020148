"""From facts to instructions, from instructions to a message, and from what landed back to leaves. Pure.

Used by everything that signs. Which items share a transaction is decided in `packing.py`.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum import collections as onchain_collections
from bubblegum import instructions
from bubblegum.changes import Minted
from bubblegum.decode import decode
from bubblegum.errors import MetadataError
from bubblegum.programs import BUBBLEGUM, MPL_ACCOUNT_COMPRESSION, SPL_ACCOUNT_COMPRESSION
from bubblegum.reach import SIGNATURE_BYTES
from bubblegum.reference import reference
from bubblegum.transaction import ExecutedTransaction
from bubblegum.types import Collection, Creator, MetadataArgs, MetadataArgsV2
from contracts.collection import CollectionCreated, CollectionRequested, Standard, TreeShape
from contracts.mint import MintedLeaf, PinnedItem
from services.minter.ports import RecentBlockhash

MAX_COMPUTE_UNITS: Final = 1_400_000
"""Most compute units that a transaction may ask for (Solana runtime)."""
COMPUTE_MARGIN: Final = 1.1
"""What is asked for beyond the simulated units: a tree's changelog can cost a little more when it has moved on."""
COMPUTE_RESERVE: Final = 24_000
"""Units asked for beyond that for each mint. Its asset id is searched for at 1,500 units a try (Solana's cost of
create_program_address), and how many tries it takes depends on the leaf's number, which the simulation cannot know.
One try is enough in half of all cases, and 16 are not in one of 65,000."""


class LeavesMismatch(Exception):
    """A landed transaction did not mint what was asked of it. Never expected; a person must look."""


@dataclass(frozen=True, slots=True)
class LookupTable:
    """An address lookup table on chain, and what it holds in its order."""

    address: Pubkey
    addresses: tuple[Pubkey, ...]


def mint_instructions(
    collection: CollectionCreated,
    recipient: str,
    items: Sequence[PinnedItem],
    wallet: Pubkey,
    tree: str,
    payer: Pubkey | None = None,
) -> list[Instruction]:
    """Return one mint instruction an item; `wallet` is tree creator and collection authority, and pays without `payer`.

    Also for what the program would refuse: see `metadata_fault`.
    """
    owner, address = Pubkey.from_string(recipient), Pubkey.from_string(collection.collection_address)
    into = Pubkey.from_string(tree)
    return [_mint(address, into, owner, _metadata(collection, item, wallet), wallet, payer or wallet) for item in items]


def _metadata(collection: CollectionCreated, item: PinnedItem, wallet: Pubkey) -> MetadataArgs | MetadataArgsV2:
    creators = (Creator(wallet, verified=False, share=100),)
    address = Pubkey.from_string(collection.collection_address)
    if collection.standard is Standard.V2:
        return MetadataArgsV2(
            name=item.name,
            symbol=item.symbol,
            uri=item.uri,
            seller_fee_basis_points=collection.seller_fee_basis_points,
            creators=creators,
            collection=address,
        )
    return MetadataArgs(
        name=item.name,
        symbol=item.symbol,
        uri=item.uri,
        seller_fee_basis_points=collection.seller_fee_basis_points,
        creators=creators,
        collection=Collection(verified=False, key=address),
    )


def _mint(
    collection: Pubkey,
    tree: Pubkey,
    owner: Pubkey,
    metadata: MetadataArgs | MetadataArgsV2,
    wallet: Pubkey,
    payer: Pubkey,
) -> Instruction:
    if isinstance(metadata, MetadataArgsV2):
        return instructions.mint_v2(
            tree=tree,
            payer=payer,
            leaf_owner=owner,
            metadata=metadata,
            tree_creator_or_delegate=None if payer == wallet else wallet,
            core_collection=collection,
        )
    return instructions.mint_to_collection_v1(
        tree=tree,
        payer=payer,
        tree_creator_or_delegate=wallet,
        collection_authority=wallet,
        collection_mint=collection,
        leaf_owner=owner,
        metadata=metadata,
    )


def metadata_fault(collection: CollectionCreated, item: PinnedItem, wallet: Pubkey) -> str | None:
    """Return why the program would refuse the item's metadata; None when it would not."""
    try:
        _metadata(collection, item, wallet).validate()
    except MetadataError as error:
        # Stop: the same metadata would be refused by every attempt.
        return str(error)
    return None


def table_addresses(standard: Standard, collection: Pubkey, tree: Pubkey, wallet: Pubkey) -> tuple[Pubkey, ...]:
    """Return what every mint of the collection into `tree` names, in a fixed order: what a lookup table is to hold.

    Without the wallet, which signs, and Bubblegum, which is called: both must stand in the transaction itself.
    """
    owner = reference("any owner")
    metadata = MetadataArgsV2("", "", "", 0) if standard is Standard.V2 else MetadataArgs("", "", "", 0)
    named = _mint(collection, tree, owner, metadata, wallet, wallet).accounts
    left_out = {wallet, owner, BUBBLEGUM}
    return tuple(dict.fromkeys(each.pubkey for each in named if each.pubkey not in left_out))


def collection_instructions(
    requested: CollectionRequested, uri: str, address: Pubkey, wallet: Pubkey, mint_rent: int
) -> list[Instruction]:
    """Return the instructions of the transaction that makes the collection asset; `address` and `wallet` sign.

    `mint_rent` is the rent exemption in lamports of an SPL mint account; V2 does not use it.
    """
    if requested.standard is Standard.V2:
        return [
            onchain_collections.create_core_collection(
                payer=wallet, collection=address, name=requested.name, uri=uri, update_authority=wallet
            )
        ]
    return onchain_collections.create_token_metadata_collection(
        payer=wallet,
        mint=address,
        authority=wallet,
        mint_lamports=mint_rent,
        name=requested.name,
        symbol=requested.symbol,
        uri=uri,
        seller_fee_basis_points=requested.seller_fee_basis_points,
    )


def tree_instructions(
    standard: Standard, shape: TreeShape, tree: Pubkey, wallet: Pubkey, rent: int
) -> list[Instruction]:
    """Return the instructions of the transaction that makes the tree; `tree` and `wallet` sign, `rent` in lamports."""
    account = instructions.create_tree_account(
        payer=wallet,
        tree=tree,
        lamports=rent,
        max_depth=shape.max_depth,
        max_buffer_size=shape.max_buffer_size,
        canopy_depth=shape.canopy_depth,
        compression_program=MPL_ACCOUNT_COMPRESSION if standard is Standard.V2 else SPL_ACCOUNT_COMPRESSION,
    )
    if standard is Standard.V2:
        config = instructions.create_tree_config_v2(
            payer=wallet, tree=tree, max_depth=shape.max_depth, max_buffer_size=shape.max_buffer_size, public=False
        )
    else:
        config = instructions.create_tree_config(
            payer=wallet,
            tree=tree,
            tree_creator=wallet,
            max_depth=shape.max_depth,
            max_buffer_size=shape.max_buffer_size,
            public=False,
        )
    return [account, config]


def compose(
    work: Sequence[Instruction],
    payer: Pubkey,
    blockhash: RecentBlockhash,
    *,
    mark: Pubkey,
    compute_units: int,
    micro_lamports: int,
    tables: Sequence[LookupTable] = (),
) -> MessageV0:
    """Return a v0 message with its compute budget; `micro_lamports` is the priority fee of `payer` a compute unit.

    Accounts that a table of `tables` holds, and that neither sign nor are called, are named by their place in it.

    `mark` is the transaction's `reference`. It goes with the compute limit, whose processing looks at no accounts.
    """
    limit = set_compute_unit_limit(compute_units)
    budget = [Instruction(limit.program_id, limit.data, [AccountMeta(mark, is_signer=False, is_writable=False)])]
    if micro_lamports:
        budget.append(set_compute_unit_price(micro_lamports))
    lookups = [AddressLookupTableAccount(table.address, list(table.addresses)) for table in tables]
    return MessageV0.try_compile(payer, [*budget, *work], lookups, blockhash.blockhash)


def compute_limit(units_consumed: int, instructions: int) -> int:
    """Return the compute units to ask for, given what a simulation of that many instructions used."""
    return min(MAX_COMPUTE_UNITS, int(units_consumed * COMPUTE_MARGIN) + instructions * COMPUTE_RESERVE)


def wire_size(message: MessageV0) -> int:
    """Return the bytes of the signed transaction: a count of one byte, the signatures, the message with its version."""
    return 1 + SIGNATURE_BYTES * message.header.num_required_signatures + len(to_bytes_versioned(message))


def fee_payer(wire: bytes) -> str:
    """Return the address that pays for a signed transaction: the first of its message's accounts."""
    return str(VersionedTransaction.from_bytes(wire).message.account_keys[0])


def wire_text(transaction: VersionedTransaction) -> str:
    """Return the signed transaction's wire bytes in base64, as they stand on the log."""
    return base64.b64encode(bytes(transaction)).decode()


def minted_leaves(transaction: ExecutedTransaction, tree: str, items: Sequence[PinnedItem]) -> tuple[MintedLeaf, ...]:
    """Return the leaves that the transaction wrote into `tree`, one an item, in the items' order.

    Decoded from the transaction's own inner instructions; raises LeavesMismatch when they are not what was asked for.
    """
    minted = [change for change in decode(transaction) if isinstance(change, Minted) and str(change.tree) == tree]
    if [change.metadata.uri for change in minted] != [item.uri for item in items]:
        raise LeavesMismatch(
            f"transaction {transaction.signature} minted {len(minted)} leaves, not the {len(items)} it was signed for"
        )
    return tuple(
        MintedLeaf(
            item=item.index,
            asset_id=str(change.asset_id),
            leaf_index=change.leaf_index,
            nonce=change.nonce,
            owner=str(change.owner),
            leaf_hash=change.leaf.leaf_hash.hex(),
        )
        for item, change in zip(items, minted, strict=True)
    )
