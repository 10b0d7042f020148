"""The facts of one mint operation, in the order in which a reader of the log meets them.

`requested` (gateway) -> `pinned` or `pin_failed` (ipfs, one a chunk) -> `planned` (minter, one a chunk) -> `signed`
(minter, one a transaction attempt) -> `confirmed` -> `finalized`, or `failed` -> `completed` (indexer, once every item
is settled). `cancelled` (gateway) may come at any time: what is not pinned yet ends as `pin_failed`, what is not signed
yet as `failed`, both with the code `cancelled`; what is signed is followed to its end.

An operation mints *items*: the request's NFTs with their copies expanded, numbered from 0 in request order. A *chunk*
is `batch_size` consecutive items. A *tx* is one transaction's place within its chunk.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec

from contracts.access import CallerName
from contracts.fact import Address, Count, Fact, Hash32, Index, Lamports, Signature, Slot

MAX_ITEMS = 1000
"""Most items in one operation, copies counted (source document, POST /api/mint/batch)."""
DEFAULT_BATCH_SIZE = 10


class FailureCode(StrEnum):
    """Why items can never be minted by this operation. Stable: clients branch on it."""

    COLLECTION_NOT_FOUND = "collection_not_found"
    UPLOAD_MISSING = "upload_missing"
    IMAGE_REFUSED = "image_refused"
    CONTENT_MISMATCH = "content_mismatch"
    METADATA_REFUSED = "metadata_refused"
    TREE_FULL = "tree_full"
    TREE_UNMOVABLE = "tree_unmovable"
    TREE_AUTHORITY_MISSING = "tree_authority_missing"
    COLLECTION_AUTHORITY_MISSING = "collection_authority_missing"
    PROGRAM_REFUSED = "program_refused"
    SIGNER_REFUSED = "signer_refused"
    CANCELLED = "cancelled"


class Attribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trait of an NFT, in the field names of the Metaplex JSON standard."""

    trait_type: str
    value: str


class UploadedImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="upload", tag_field="kind"):
    """Image bytes that the gateway put in the object store UPLOADS under their SHA-256."""

    sha256: Hash32
    content_type: str
    size: Count
    filename: str | None = None


class ImageUri(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="uri", tag_field="kind"):
    """An image that is already published (`ipfs://`, `ar://` or `https://`)."""

    uri: Annotated[str, msgspec.Meta(max_length=2048)]


Image = UploadedImage | ImageUri


class Nft(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One NFT as the caller described it; `copies` of it are minted."""

    name: str
    image: Image
    description: str = ""
    symbol: str | None = None
    attributes: tuple[Attribute, ...] = ()
    external_url: str | None = None
    copies: Annotated[int, msgspec.Meta(ge=1)] = 1


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One NFT to mint: its number in the operation and the position of its description in `Requested.nfts`."""

    index: Index
    nft: Index


class Requested(Fact, frozen=True, kw_only=True):
    """A caller asked for a mint. The whole request; its image bytes are in the object store."""

    SUBJECT: ClassVar[str] = "mint.requested.v1.{operation}"

    operation: UUID
    operation_type: Literal["mint", "batch_mint"]
    collection: UUID
    recipient: Address
    nfts: Annotated[tuple[Nft, ...], msgspec.Meta(min_length=1)]
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = DEFAULT_BATCH_SIZE
    delay_between_batches_ms: Count = 0
    request_sha256: Hash32 | None = None
    """Digest of the request's meaning, by which a repeated idempotency key is told from a misused one."""
    caller: CallerName = ""
    """Who asked: only this caller and admins see the operation. Empty, from before callers were kept: admins only."""
    retry_of: UUID | None = None
    """The operation whose failed items this one mints anew; its id is derived from that one's."""

    @property
    def total(self) -> int:
        """How many items the operation mints, copies counted."""
        return sum(nft.copies for nft in self.nfts)

    @property
    def chunk_count(self) -> int:
        """How many chunks the items make."""
        return -(-self.total // self.batch_size)

    def items(self) -> Iterator[Item]:
        """Yield every item, copies expanded, in request order."""
        index = 0
        for position, nft in enumerate(self.nfts):
            for _ in range(nft.copies):
                yield Item(index=index, nft=position)
                index += 1

    def chunks(self) -> list[list[Item]]:
        """Return the items cut into chunks of `batch_size`, in order."""
        items = list(self.items())
        return [items[start : start + self.batch_size] for start in range(0, len(items), self.batch_size)]


class Cancelled(Fact, frozen=True, kw_only=True):
    """A caller wants no more items of the operation minted. Said once; what was signed before may still land."""

    SUBJECT: ClassVar[str] = "mint.cancelled.v1.{operation}"

    operation: UUID


class PinnedItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An item whose metadata is on IPFS: all that the minter needs to write its leaf."""

    index: Index
    name: str
    symbol: str
    uri: str
    """`ipfs://` URI of the metadata JSON."""
    image_uri: str


class Pinned(Fact, frozen=True, kw_only=True):
    """The content of a chunk's items is pinned. Items missing here are in the chunk's `pin_failed`."""

    SUBJECT: ClassVar[str] = "mint.pinned.v1.{operation}.{chunk}"

    operation: UUID
    chunk: Index
    collection: UUID
    recipient: Address
    items: tuple[PinnedItem, ...]
    not_before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """The chunk is not minted earlier: the request's time and `delay_between_batches_ms` for every chunk before it."""
    retrieved_from: str | None = None
    """The IPFS gateway through which the content was fetched and verified after pinning; None: not checked."""


class ItemFailure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Items that ended without an asset, with one cause."""

    items: tuple[Index, ...]
    code: FailureCode
    reason: str
    """One sentence for a person."""
    cure: str = ""
    """What to do about it."""


class PinFailed(Fact, frozen=True, kw_only=True):
    """Items of a chunk whose content can never be pinned."""

    SUBJECT: ClassVar[str] = "mint.pin_failed.v1.{operation}.{chunk}"

    operation: UUID
    chunk: Index
    failures: Annotated[tuple[ItemFailure, ...], msgspec.Meta(min_length=1)]


class PlannedTransaction(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Items of a chunk that one transaction mints, in this order, into `tree`."""

    tx: Index
    tree: Address
    items: Annotated[tuple[Index, ...], msgspec.Meta(min_length=1)]
    lookup_table: Address | None = None
    """The address lookup table that the transaction needs to fit into its bytes."""
    doubtful: bool = False
    """Simulated for itself before it is signed: its tree is nearly full, or one of its items may be refused."""


class Planned(Fact, frozen=True, kw_only=True):
    """How a chunk's pinned items are packed into transactions: said once, before any of them is signed.

    Published under the chunk's fence, so that there is one plan however many minters there are and however they are
    set: whoever comes later follows it.
    """

    SUBJECT: ClassVar[str] = "mint.planned.v1.{operation}.{chunk}"

    operation: UUID
    chunk: Index
    collection: UUID
    transactions: tuple[PlannedTransaction, ...]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What identifies one signed transaction and bounds the time in which it can land."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    signature: Signature
    blockhash: Address
    last_valid_block_height: Count


def chunk_fence(operation: UUID, chunk: int) -> str:
    """Return the pattern of every fact about a chunk as a whole: pinned, pin_failed, planned."""
    return f"mint.*.v1.{operation}.{chunk}"


def transaction_fence(operation: UUID, chunk: int, tx: int) -> str:
    """Return the pattern of every fact about one transaction: signed, confirmed, finalized, failed.

    Whoever says anything about the transaction expects the last sequence of this pattern to be the one it read, so
    that no one declares it failed while another signs it.
    """
    return f"mint.*.v1.{operation}.{chunk}.{tx}"


def transaction_label(operation: UUID, chunk: int, tx: int) -> str:
    """Return the name of one transaction, by which every attempt of it is marked on chain."""
    return f"{operation}.{chunk}.{tx}"


class Signed(Fact, frozen=True, kw_only=True):
    """The minter intends to send this transaction. On the log before any node sees it.

    A later attempt for the same transaction is published on the same subject, expecting the sequence of the one
    before: whoever is refused follows the attempt that is there. `earlier` holds all attempts before this one, so the
    last message of the subject tells every signature that could have landed.
    """

    SUBJECT: ClassVar[str] = "mint.signed.v1.{operation}.{chunk}.{tx}"

    operation: UUID
    chunk: Index
    tx: Index
    collection: UUID
    tree: Address
    items: tuple[Index, ...]
    attempt: Attempt
    transaction: str
    """The signed wire transaction in base64."""
    fee_payer: Address
    earlier: tuple[Attempt, ...] = ()


class MintedLeaf(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One asset on chain, decoded from the transaction's own inner instructions."""

    item: Index
    asset_id: Address
    leaf_index: Index
    nonce: Count
    owner: Address
    leaf_hash: Hash32


class Confirmed(Fact, frozen=True, kw_only=True):
    """The transaction is on chain at commitment `confirmed`: these leaves exist."""

    SUBJECT: ClassVar[str] = "mint.confirmed.v1.{operation}.{chunk}.{tx}"

    operation: UUID
    chunk: Index
    tx: Index
    collection: UUID
    tree: Address
    signature: Signature
    slot: Slot
    leaves: tuple[MintedLeaf, ...]
    fee: Lamports
    attempt: Annotated[int, msgspec.Meta(ge=1)]


class Finalized(Fact, frozen=True, kw_only=True):
    """The confirmed transaction is final: no fork can drop it."""

    SUBJECT: ClassVar[str] = "mint.finalized.v1.{operation}.{chunk}.{tx}"

    operation: UUID
    chunk: Index
    tx: Index
    signature: Signature
    slot: Slot


class Failed(Fact, frozen=True, kw_only=True):
    """The items of one transaction can never be minted by this operation, and none of its attempts landed."""

    SUBJECT: ClassVar[str] = "mint.failed.v1.{operation}.{chunk}.{tx}"

    operation: UUID
    chunk: Index
    tx: Index
    failure: ItemFailure
    dropped: Signature | None = None
    """The confirmation that this takes back: a fork dropped that transaction, and no attempt can land any more."""


class Completed(Fact, frozen=True, kw_only=True):
    """Every item of the operation is settled; the closing totals."""

    SUBJECT: ClassVar[str] = "mint.completed.v1.{operation}"

    operation: UUID
    total: Count
    minted: Count
    failed: Count
    cancelled: Count = 0
    """Items that ended with the code `cancelled`; not among `failed`."""
