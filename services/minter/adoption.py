"""Whether a collection that was made elsewhere can be minted into, judged by its accounts as they are on chain. Pure.

Called by `importing`. An address that was given may hold anything: whose account it is counts before what is in it. The
accounts that are found by derivation (metadata, tree configs) can be nobody else's than their program's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from solders.pubkey import Pubkey

from bubblegum.collection_accounts import CoreCollection, MetadataAccount
from bubblegum.errors import DecodeError
from bubblegum.merkle import ConcurrentMerkleTree, TreeConfig
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, MPL_CORE, SPL_ACCOUNT_COMPRESSION, TOKEN
from contracts.collection import ImportFault, Standard, TreePlace, TreeShape
from services.minter.growing import unmovable
from services.minter.ports import OwnedAccount

_COMPRESSION: Final = {Standard.V1: SPL_ACCOUNT_COMPRESSION, Standard.V2: MPL_ACCOUNT_COMPRESSION}


@dataclass(frozen=True, slots=True)
class NotImported:
    """Why the collection is not taken over, for a person and for a program."""

    code: ImportFault
    reason: str
    cure: str


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A collection that the wallet may add to, as its account says."""

    standard: Standard
    name: str
    symbol: str
    uri: str
    seller_fee_basis_points: int


@dataclass(frozen=True, slots=True)
class AdoptableTree:
    """A tree that the wallet may mint into, and the leaves it has."""

    place: TreePlace
    minted: int


def judge_collection(
    address: str, asset: OwnedAccount | None, metadata: bytes | None, wallet: Pubkey
) -> Adoptable | NotImported:
    """Return what the collection is, or why it is not taken over.

    `asset` is the account at `address`, `metadata` the data of token metadata's account of a mint at that address.
    """
    owner = None if asset is None else asset.owner
    try:
        if asset is not None and owner == MPL_CORE:
            return _judge_core(CoreCollection.parse(asset.data), wallet)
        if owner == TOKEN and metadata is not None:
            return _judge_token_metadata(MetadataAccount.parse(metadata), wallet)
    except (DecodeError, ValueError):  # stop: another kind of account of that program, or damaged text
        pass
    return NotImported(
        ImportFault.NOT_A_COLLECTION,
        f"{address} is neither an MPL-Core collection nor the mint of a token-metadata collection.",
        "Give the address of the collection itself: not that of an NFT, a tree or a wallet.",
    )


def _judge_core(collection: CoreCollection, wallet: Pubkey) -> Adoptable | NotImported:
    if not collection.takes_compressed:
        return NotImported(
            ImportFault.PLUGIN_MISSING,
            "The collection has no BubblegumV2 plugin, so no compressed NFT can be in it.",
            "Make a collection with the plugin: MPL-Core takes it at the collection's creation only.",
        )
    if collection.update_authority != wallet:
        return _foreign(collection.update_authority, wallet)
    return Adoptable(Standard.V2, collection.name, "", collection.uri, collection.basis_points)


def _judge_token_metadata(metadata: MetadataAccount, wallet: Pubkey) -> Adoptable | NotImported:
    if not metadata.is_sized:
        return NotImported(
            ImportFault.NOT_SIZED,
            "The NFT has no collection details, without which Bubblegum mints nothing into it.",
            "Give it collection details (token metadata's SetCollectionSize), or make a sized collection.",
        )
    if metadata.update_authority != wallet:
        return _foreign(metadata.update_authority, wallet)
    return Adoptable(Standard.V1, metadata.name, metadata.symbol, metadata.uri, metadata.seller_fee_basis_points)


def _foreign(authority: Pubkey, wallet: Pubkey) -> NotImported:
    return NotImported(
        ImportFault.NOT_OUR_AUTHORITY,
        f"The collection's update authority is {authority}; the minter's wallet is {wallet}.",
        f"Make {wallet} the collection's update authority, then import it again.",
    )


def judge_tree(
    address: str, standard: Standard, config: bytes | None, tree: OwnedAccount | None, wallet: Pubkey
) -> AdoptableTree | str:
    """Return the tree, or why nothing can be minted into it.

    `config` is the data of Bubblegum's account of the tree, `tree` the account at `address`.
    """
    if config is None or tree is None or tree.owner != _COMPRESSION[standard]:
        return f"it is no tree of Bubblegum {standard.value}"
    try:
        rights, account = TreeConfig.parse(config), ConcurrentMerkleTree.parse(tree.data)
    except DecodeError as error:  # stop: the same account will say the same
        return str(error)
    if rights.version != (2 if standard is Standard.V2 else 1):
        return f"it is a tree of Bubblegum V{rights.version}"
    if wallet not in (rights.tree_creator, rights.tree_delegate) and not rights.is_public:
        return f"only {rights.tree_creator} and {rights.tree_delegate} may mint into it, not {wallet}"
    shape = TreeShape(
        max_depth=account.max_depth, max_buffer_size=account.max_buffer_size, canopy_depth=account.canopy_depth
    )
    if refusal := unmovable(standard, shape):
        return refusal.reason
    return AdoptableTree(TreePlace(tree_address=address, tree=shape), rights.num_minted)


def choose_trees(
    judged: Sequence[tuple[str, AdoptableTree | str]], *, named: bool
) -> Sequence[AdoptableTree] | NotImported:
    """Return the trees to mint into, those with most room first; of trees that were `named` each one has to do."""
    usable = [tree for _, tree in judged if isinstance(tree, AdoptableTree)]
    refused = [f"{address}: {tree}" for address, tree in judged if isinstance(tree, str)]
    if named and refused:
        return NotImported(
            ImportFault.TREE_REFUSED,
            f"The wallet cannot mint into every tree that was named. {'; '.join(refused)}.",
            "Name only trees that the wallet made or is the delegate of, or name none.",
        )
    if not usable:
        return NotImported(
            ImportFault.NO_TREES,
            f"No tree was found that the wallet may mint into. {'; '.join(refused)}".rstrip(". ") + ".",
            "Name the collection's trees in treeAddresses, or make the wallet their delegate.",
        )
    return sorted(usable, key=lambda tree: tree.minted - tree.place.tree.capacity)


def with_symbol(collection: Adoptable, *symbols: str | None) -> Adoptable:
    """Return the collection with the first symbol that there is, its own coming first."""
    return replace(collection, symbol=next(filter(None, (collection.symbol, *symbols)), ""))
