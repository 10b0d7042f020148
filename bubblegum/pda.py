"""Program-derived addresses: where a program keeps what it knows about a tree, a mint or a leaf.

Used by the instruction encoders and by whoever has to read such an account. Seeds are those of the programs' public
interface descriptions. An address derived here proves nothing about the account: it may not exist.
"""

from functools import lru_cache

from solders.pubkey import Pubkey

from bubblegum.programs import ASSOCIATED_TOKEN, BUBBLEGUM, TOKEN, TOKEN_METADATA


def _find(program: Pubkey, *seeds: bytes) -> Pubkey:
    return Pubkey.find_program_address(list(seeds), program)[0]


@lru_cache(maxsize=1024)
def tree_config(tree: Pubkey) -> Pubkey:
    """Bubblegum's own account of a tree: creator, delegate, capacity, number minted (seeds: the tree)."""
    return _find(BUBBLEGUM, bytes(tree))


def asset_id(tree: Pubkey, nonce: int) -> Pubkey:
    """The id of the asset whose leaf was minted with `nonce` (seeds: "asset", the tree, the nonce as u64)."""
    return _find(BUBBLEGUM, b"asset", bytes(tree), nonce.to_bytes(8, "little"))


@lru_cache(maxsize=1)
def bubblegum_signer() -> Pubkey:
    """The address with which Bubblegum signs its calls into token metadata (seeds: "collection_cpi")."""
    return _find(BUBBLEGUM, b"collection_cpi")


@lru_cache(maxsize=1)
def mpl_core_cpi_signer() -> Pubkey:
    """The address with which Bubblegum signs its calls into MPL-Core (seeds: "mpl_core_cpi_signer")."""
    return _find(BUBBLEGUM, b"mpl_core_cpi_signer")


@lru_cache(maxsize=1024)
def metadata(mint: Pubkey) -> Pubkey:
    """Token metadata's account of a mint (seeds: "metadata", the program, the mint)."""
    return _find(TOKEN_METADATA, b"metadata", bytes(TOKEN_METADATA), bytes(mint))


@lru_cache(maxsize=1024)
def master_edition(mint: Pubkey) -> Pubkey:
    """Token metadata's master edition of a mint (seeds: "metadata", the program, the mint, "edition")."""
    return _find(TOKEN_METADATA, b"metadata", bytes(TOKEN_METADATA), bytes(mint), b"edition")


def collection_authority_record(mint: Pubkey, authority: Pubkey) -> Pubkey:
    """Token metadata's record that `authority` may act for the collection `mint`."""
    return _find(
        TOKEN_METADATA,
        b"metadata",
        bytes(TOKEN_METADATA),
        bytes(mint),
        b"collection_authority",
        bytes(authority),
    )


def associated_token(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """The token account that the associated-token program keeps for `owner` and `mint`."""
    return _find(ASSOCIATED_TOKEN, bytes(owner), bytes(TOKEN), bytes(mint))
