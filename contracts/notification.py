"""What webhooks are sent: the body of every event type, in the names of the API.

Made by the notifier from facts, described by the gateway's OpenAPI document. Receivers may branch on `type`; within
these types fields are only ever added. Not done here: signatures and delivery (`docs/webhooks.md`).
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from contracts.collection import Standard
from contracts.fact import Address, Count, Index, Lamports, Signature, Slot
from contracts.mint import FailureCode
from contracts.observation import DriftKind
from contracts.webhook import Time


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The base of all parts."""


class MintedItem(Body, frozen=True, kw_only=True):
    """One NFT on chain. `index` is its number in the operation, copies counted."""

    index: Index
    asset_id: Address
    leaf_index: Index
    owner: Address


class MintConfirmed(Body, frozen=True, kw_only=True):
    """A transaction is on chain, and these items with it. A fork can still drop it; then they are confirmed anew."""

    collection_id: UUID
    tree_address: Address
    signature: Signature
    slot: Slot
    items: tuple[MintedItem, ...]


class MintFinalized(Body, frozen=True, kw_only=True):
    """A confirmed transaction is final. `items` are the numbers of those that it minted."""

    signature: Signature
    slot: Slot
    items: tuple[Index, ...] = ()


class ItemsFailed(Body, frozen=True, kw_only=True):
    """Items that are not on chain and never will be by this operation, with one cause."""

    items: tuple[Index, ...]
    code: FailureCode
    reason: str
    cure: str = ""


class MintFailed(Body, frozen=True, kw_only=True):
    """Items failed."""

    failures: tuple[ItemsFailed, ...]


class MintCompleted(Body, frozen=True, kw_only=True):
    """Every item of the operation is settled. `failed` counts no cancelled ones."""

    total: Count
    minted: Count
    failed: Count
    cancelled: Count


class WalletPaused(Body, frozen=True, kw_only=True):
    """The paying wallet is short of SOL: work waits, nothing has failed. For admins."""

    wallet: Address
    balance: Lamports
    needed: Lamports


class WalletResumed(Body, frozen=True, kw_only=True):
    """The paying wallet can pay again. For admins."""

    wallet: Address
    balance: Lamports


class CollectionCreated(Body, frozen=True, kw_only=True):
    """A collection and its tree are on chain: it can be minted into."""

    collection_id: UUID
    name: str
    symbol: str
    standard: Standard
    collection_address: Address
    tree_address: Address
    capacity: Count
    uri: str
    slot: Slot


class CollectionFailed(Body, frozen=True, kw_only=True):
    """A collection can never be made as it was asked for."""

    collection_id: UUID
    code: str
    reason: str
    cure: str = ""


class DriftDifference(Body, frozen=True, kw_only=True):
    """One way in which the counts differ. With `alarm` it must never be; else it is somebody's doing, or passes."""

    kind: DriftKind
    count: Count
    alarm: bool
    explanation: str
    examples: tuple[str, ...] = ()
    """Some of the assets or trees that it is about."""


class CollectionDrift(Body, frozen=True, kw_only=True):
    """Log, tables, chain and DAS differ otherwise than before; without `differences` they agree again. For admins."""

    collection_id: UUID
    slot: Slot
    log: Count
    projection: Count
    chain: Count
    observed: Count
    living: Count
    das: Count | None = None
    differences: tuple[DriftDifference, ...] = ()


class WebhookTest(Body, frozen=True, kw_only=True):
    """Somebody asked for a test of this webhook."""

    message: str


Data = (
    MintConfirmed
    | MintFinalized
    | MintFailed
    | MintCompleted
    | WalletPaused
    | WalletResumed
    | CollectionCreated
    | CollectionFailed
    | CollectionDrift
    | WebhookTest
)
EVENT_TYPES: Final[Mapping[str, type[Body]]] = {
    "mint.confirmed": MintConfirmed,
    "mint.finalized": MintFinalized,
    "mint.failed": MintFailed,
    "mint.completed": MintCompleted,
    "mint.paused": WalletPaused,
    "mint.resumed": WalletResumed,
    "collection.created": CollectionCreated,
    "collection.failed": CollectionFailed,
    "collection.drift": CollectionDrift,
    "webhook.test": WebhookTest,
}
"""What a webhook can be sent; the names are those of the facts on the log."""
TEST_EVENT: Final = "webhook.test"


class Notification(Body, frozen=True, kw_only=True):
    """The body of a webhook request: what happened, when, and the particulars in `data`."""

    id: UUID
    """The event's id, the same in every attempt and replay; also in the header `webhook-id`."""
    type: str
    timestamp: Time
    """When it happened, not when it was sent."""
    transaction_id: UUID | None = None
    """The operation's id, for events of an operation: what the answer to the mint called `transactionId`."""
    data: Data


def json_schemas(ref_template: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the JSON Schema of the whole body by event type, and the components that they refer to.

    `ref_template` says where those will stand, such as `#/components/schemas/{name}`.
    """
    references, components = msgspec.json.schema_components(EVENT_TYPES.values(), ref_template=ref_template)
    schemas = {
        name: {
            "title": name,
            "description": (EVENT_TYPES[name].__doc__ or "").strip(),
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "type": {"const": name},
                "timestamp": {"type": "string", "format": "date-time"},
                **({"transactionId": {"type": "string", "format": "uuid"}} if about_operation(name) else {}),
                "data": reference,
            },
            "required": ["id", "type", "timestamp", *(["transactionId"] if about_operation(name) else []), "data"],
        }
        for name, reference in zip(EVENT_TYPES, references, strict=True)
    }
    return schemas, components


def about_operation(event_type: str) -> bool:
    """Return whether events of this type belong to an operation."""
    return event_type in ("mint.confirmed", "mint.finalized", "mint.failed", "mint.completed")
