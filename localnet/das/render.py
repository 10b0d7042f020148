"""Assets and proofs as the JSON of the DAS specification.

Used by the methods. Field names, and which of them may be null or left out, are those of the specification's schemas
`Asset` and `AssetProof`. Hashes are written in base58, as addresses are.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.leaf import LeafSchemaV2
from bubblegum.merkle import MerkleTree
from bubblegum.types import INHERIT_BASIS_POINTS, MAX_BASIS_POINTS, MetadataArgs, UseMethod
from localnet.das.assets import Asset, AssetTable, CollectionAsset, CompressedAsset
from localnet.das.offchain import Offchain

Json: TypeAlias = dict[str, object]

SCHEMA: Final = "https://schema.metaplex.com/nft1.0.json"

# Bits of a V2 leaf's flags (the official client's LeafSchemaV2Flags).
FROZEN_BY_OWNER: Final = 1
FROZEN_BY_PERMANENT_DELEGATE: Final = 2
NON_TRANSFERABLE: Final = 4

_USE_METHODS: Final = {UseMethod.BURN: "Burn", UseMethod.MULTIPLE: "Multiple", UseMethod.SINGLE: "Single"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a request wants to see besides the usual."""

    show_unverified_collections: bool = False
    show_collection_metadata: bool = False


def base58(node: bytes) -> str:
    """32 bytes as an address is written."""
    return str(Pubkey.from_bytes(node))


def interface_of(asset: Asset) -> str:
    """The `interface` of an asset."""
    if isinstance(asset, CollectionAsset):
        return "MplCoreCollection" if asset.core else "V1_NFT"
    return "MplBubblegumV2" if isinstance(asset.leaf, LeafSchemaV2) else "V1_NFT"


def is_frozen(asset: Asset) -> bool:
    """Whether the asset cannot be moved for now."""
    if isinstance(asset, CollectionAsset) or not isinstance(asset.leaf, LeafSchemaV2):
        return False
    return bool(asset.leaf.flags & (FROZEN_BY_OWNER | FROZEN_BY_PERMANENT_DELEGATE))


def delegate_of(asset: Asset) -> Pubkey | None:
    """Who may act for the owner, unless that is the owner."""
    if isinstance(asset, CollectionAsset) or asset.leaf.delegate == asset.owner:
        return None
    return asset.leaf.delegate


def basis_points_of(asset: Asset) -> int:
    """The royalty in force, in basis points. An inherited one is 0: the collections made here carry no royalty."""
    if isinstance(asset, CollectionAsset):
        return asset.seller_fee_basis_points
    stated = asset.metadata.seller_fee_basis_points
    return 0 if stated == INHERIT_BASIS_POINTS else stated


def authority_of(asset: Asset) -> Pubkey:
    """Who may change the asset: the tree's config for a leaf, as the reference implementation has it."""
    return asset.owner if isinstance(asset, CollectionAsset) else pda.tree_config(asset.tree)


def proof(asset: CompressedAsset, tree: MerkleTree) -> Json:
    """The proof of a leaf, from the leaf upwards; `node_index` counts the tree's nodes from 1, the root."""
    return {
        "root": base58(tree.root),
        "proof": [base58(node) for node in tree.proof(asset.leaf_index)],
        "node_index": tree.capacity + asset.leaf_index,
        "leaf": base58(tree.leaf(asset.leaf_index)),
        "tree_id": str(asset.tree),
    }


def asset_json(asset: Asset, assets: AssetTable, offchain: Offchain, options: Options) -> Json:
    """An asset."""
    shown: Json = {
        "interface": interface_of(asset),
        "id": str(asset.id),
        "content": _content(asset, offchain),
        "authorities": [{"address": str(authority_of(asset)), "scopes": ["full"]}],
        "compression": _compression(asset),
        "grouping": _grouping(asset, assets, options),
        "royalty": _royalty(asset),
        "creators": [
            {"address": str(each.address), "share": each.share, "verified": each.verified} for each in asset.creators
        ],
        "ownership": _ownership(asset),
        "supply": _supply(asset),
        "mutable": True if isinstance(asset, CollectionAsset) else asset.metadata.is_mutable,
        "burnt": asset.burnt,
    }
    uses = _uses(asset)
    if uses is not None:
        shown["uses"] = uses
    if isinstance(asset, CollectionAsset) and asset.core:
        members = [each for each in assets.of_collection(asset.id) if each.collection == asset.id]
        living = sum(not each.burnt for each in members)
        shown["mpl_core_info"] = {"num_minted": len(members), "current_size": living, "plugins_json_version": 1}
    return shown


def _content(asset: Asset, offchain: Offchain) -> Json:
    metadata = dict(offchain.at(asset.uri))
    # Only what describes the asset belongs here, and the chain's word on its name stands.
    shown: Json = {key: metadata[key] for key in ("attributes", "description") if key in metadata}
    symbol = asset.symbol if isinstance(asset, CollectionAsset) else asset.metadata.symbol
    shown |= {"name": asset.name, "symbol": symbol, "token_standard": "NonFungible"}
    links: Json = {key: metadata[key] for key in ("image", "animation_url", "external_url") if key in metadata}
    files = [{"uri": links["image"]}] if "image" in links else []
    return {"$schema": SCHEMA, "json_uri": asset.uri, "files": files, "metadata": shown, "links": links}


def _compression(asset: Asset) -> Json:
    if isinstance(asset, CollectionAsset):
        hashes: Json = dict.fromkeys(("data_hash", "creator_hash", "asset_hash", "tree"), "")
        return {"eligible": False, "compressed": False, **hashes, "seq": 0, "leaf_id": 0}
    leaf = asset.leaf
    shown: Json = {
        "eligible": False,
        "compressed": True,
        "data_hash": base58(leaf.data_hash),
        "creator_hash": base58(leaf.creator_hash),
        "asset_hash": "" if asset.burnt else base58(leaf.hash()),
        "tree": str(asset.tree),
        "seq": asset.seq,
        "leaf_id": leaf.nonce,
    }
    if isinstance(leaf, LeafSchemaV2):
        shown["collection_hash"] = base58(leaf.collection_hash)
        shown["asset_data_hash"] = base58(leaf.asset_data_hash)
        shown["flags"] = leaf.flags
    return shown


def _grouping(asset: Asset, assets: AssetTable, options: Options) -> list[Json]:
    verified = asset.collection is not None
    key = asset.collection or (asset.unverified_collection if options.show_unverified_collections else None)
    if key is None:
        return []
    group: Json = {"group_key": "collection", "group_value": str(key)}
    if options.show_unverified_collections:
        group["verified"] = verified
    collection = assets.get(key)
    if options.show_collection_metadata and isinstance(collection, CollectionAsset):
        group["collection_metadata"] = {"name": collection.name, "symbol": collection.symbol}
    return [group]


def _royalty(asset: Asset) -> Json:
    basis_points = basis_points_of(asset)
    primary_sale = False if isinstance(asset, CollectionAsset) else asset.metadata.primary_sale_happened
    shown: Json = {
        "royalty_model": "creators",
        "target": None,
        "percent": basis_points / MAX_BASIS_POINTS,
        "basis_points": basis_points,
        "primary_sale_happened": primary_sale,
        "locked": False,
    }
    if isinstance(asset, CompressedAsset) and asset.metadata.seller_fee_basis_points == INHERIT_BASIS_POINTS:
        shown |= {"basis_points_raw": INHERIT_BASIS_POINTS, "sfbp_inherited": True}
    return shown


def _ownership(asset: Asset) -> Json:
    delegate = delegate_of(asset)
    shown: Json = {
        "frozen": is_frozen(asset),
        "delegated": delegate is not None,
        "delegate": None if delegate is None else str(delegate),
        "ownership_model": "single",
        "owner": str(asset.owner),
    }
    if isinstance(asset, CompressedAsset) and isinstance(asset.leaf, LeafSchemaV2):
        shown["non_transferable"] = bool(asset.leaf.flags & NON_TRANSFERABLE)
    return shown


def _v1_metadata(asset: Asset) -> MetadataArgs | None:
    if isinstance(asset, CollectionAsset) or not isinstance(asset.metadata, MetadataArgs):
        return None
    return asset.metadata


def _supply(asset: Asset) -> Json:
    metadata = _v1_metadata(asset)
    nonce = None if metadata is None else metadata.edition_nonce
    return {"print_max_supply": 0, "print_current_supply": 0, "edition_nonce": nonce}


def _uses(asset: Asset) -> Json | None:
    metadata = _v1_metadata(asset)
    if metadata is None or metadata.uses is None:
        return None
    uses = metadata.uses
    return {"use_method": _USE_METHODS[uses.use_method], "remaining": uses.remaining, "total": uses.total}
