"""One sample of every fact, with fixed values: what the golden bytes hold, and what other tests start from."""

from datetime import UTC, datetime
from uuid import UUID

from contracts import access, collection, content, dead, guard, health, mint, observation, upload, wallet, webhook
from contracts.fact import Event, F, Fact, Producer

OPERATION = UUID("0199d1a0-0000-7000-8000-000000000001")
COLLECTION = UUID("0199d1a0-0000-7000-8000-000000000002")
EVENT_ID = UUID("0199d1a0-0000-7000-8000-000000000003")
CAUSE_ID = UUID("0199d1a0-0000-7000-8000-000000000004")
WEBHOOK = UUID("0199d1a0-0000-7000-8000-000000000005")
TIME = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
WALLET = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
RECIPIENT = "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8"
TREE = "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR"
ASSET = "GgBaCs3NCBuZN12kCJgAW63ydqohFkHEdfdEXBPzLHq"
BLOCKHASH = "LbUiWL3xVV8hTFYBVdbTNrpDo41NKS6o3LHHuDzjfcY"
SIGNATURE = "2" * 88
EARLIER_SIGNATURE = "3" * 88
DIGEST = "ab" * 32
CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

FIRST = mint.Attempt(number=1, signature=EARLIER_SIGNATURE, blockhash=BLOCKHASH, last_valid_block_height=150)
SECOND = mint.Attempt(number=2, signature=SIGNATURE, blockhash=BLOCKHASH, last_valid_block_height=310)
UPLOAD = mint.UploadedImage(sha256=DIGEST, content_type="image/png", size=1234, filename="köln 🌇.png")
FAILURE = mint.ItemFailure(
    items=(1, 2), code=mint.FailureCode.TREE_FULL, reason="The tree is full.", cure="Make another."
)

REQUESTED = mint.Requested(
    operation=OPERATION,
    operation_type="batch_mint",
    collection=COLLECTION,
    recipient=RECIPIENT,
    nfts=(
        mint.Nft(
            name="Köln #1",
            image=UPLOAD,
            description="Am Rhein",
            symbol="KLN",
            attributes=(mint.Attribute(trait_type="river", value="Rhein"),),
            external_url="https://example.com/1",
            copies=2,
        ),
        mint.Nft(name="Köln #2", image=mint.ImageUri(uri="ipfs://bafkreia")),
    ),
    batch_size=2,
    delay_between_batches_ms=250,
    request_sha256=DIGEST,
    caller="app:shop",
    retry_of=CAUSE_ID,
)
PINNED = mint.Pinned(
    operation=OPERATION,
    chunk=0,
    collection=COLLECTION,
    recipient=RECIPIENT,
    items=(
        mint.PinnedItem(index=0, name="Köln #1", symbol="KLN", uri="ipfs://bafkreib", image_uri="ipfs://bafkreia"),
        mint.PinnedItem(index=1, name="Köln #1", symbol="KLN", uri="ipfs://bafkreib", image_uri="ipfs://bafkreia"),
    ),
    not_before=TIME,
)
PLANNED = mint.Planned(
    operation=OPERATION,
    chunk=0,
    collection=COLLECTION,
    transactions=(
        mint.PlannedTransaction(tx=0, tree=TREE, items=(0,), lookup_table=ASSET),
        mint.PlannedTransaction(tx=1, tree=TREE, items=(1,), doubtful=True),
    ),
)
SIGNED = mint.Signed(
    operation=OPERATION,
    chunk=0,
    tx=1,
    collection=COLLECTION,
    tree=TREE,
    items=(1,),
    attempt=SECOND,
    transaction="AQID",
    fee_payer=WALLET,
    earlier=(FIRST,),
)
CONFIRMED = mint.Confirmed(
    operation=OPERATION,
    chunk=0,
    tx=1,
    collection=COLLECTION,
    tree=TREE,
    signature=SIGNATURE,
    slot=204,
    leaves=(mint.MintedLeaf(item=1, asset_id=ASSET, leaf_index=7, nonce=7, owner=RECIPIENT, leaf_hash=DIGEST),),
    fee=5000,
    attempt=2,
)
COLLECTION_REQUESTED = collection.CollectionRequested(
    collection=COLLECTION,
    name="Rivers",
    symbol="RVR",
    standard=collection.Standard.V1,
    tree=collection.TreeShape(max_depth=14, max_buffer_size=64, canopy_depth=8),
    description="Of Europe",
    image=UPLOAD,
    external_url="https://example.com",
    seller_fee_basis_points=250,
    is_public=True,
    trees=2,
)
COLLECTION_CREATED = collection.CollectionCreated(
    collection=COLLECTION,
    name="Rivers",
    symbol="RVR",
    standard=collection.Standard.V2,
    uri="ipfs://bafkreic",
    collection_address=ASSET,
    tree_address=TREE,
    creator_address=WALLET,
    tree=collection.TreeShape(),
    signatures=(SIGNATURE, EARLIER_SIGNATURE),
    slot=100,
    fee=10_000,
    image_uri="ipfs://bafkreia",
)

SAMPLES: tuple[Fact, ...] = (
    REQUESTED,
    PINNED,
    mint.Cancelled(operation=OPERATION),
    mint.PinFailed(operation=OPERATION, chunk=1, failures=(FAILURE,)),
    PLANNED,
    SIGNED,
    CONFIRMED,
    mint.Finalized(operation=OPERATION, chunk=0, tx=1, signature=SIGNATURE, slot=204),
    mint.Failed(operation=OPERATION, chunk=0, tx=0, failure=FAILURE),
    mint.Completed(operation=OPERATION, total=3, minted=1, failed=2, cancelled=0),
    wallet.Paused(wallet=WALLET, balance=900_000, needed=50_000_000),
    wallet.Resumed(wallet=WALLET, balance=1_000_000_000),
    COLLECTION_REQUESTED,
    collection.CollectionImportRequested(
        collection=COLLECTION,
        collection_address=ASSET,
        tree_addresses=(TREE,),
        symbol="CAMP",
        is_public=True,
        allow_minting=False,
    ),
    collection.CollectionPinned(collection=COLLECTION, uri="ipfs://bafkreic", image_uri="ipfs://bafkreia"),
    collection.CollectionSigned(
        collection=COLLECTION, tx=0, attempt=FIRST, transaction="AQID", fee_payer=WALLET, earlier=()
    ),
    collection.CollectionTableCreated(
        collection=COLLECTION,
        number=0,
        tree_address=TREE,
        table_address=ASSET,
        addresses=(TREE, WALLET),
        signature=SIGNATURE,
        slot=101,
    ),
    collection.CollectionTreeAdded(
        collection=COLLECTION,
        number=1,
        tree_address=TREE,
        tree=collection.TreeShape(max_depth=14, max_buffer_size=64, canopy_depth=8),
        signature=SIGNATURE,
        slot=102,
    ),
    COLLECTION_CREATED,
    collection.CollectionFailed(collection=COLLECTION, code="program_refused", reason="No.", cure="Ask again."),
    collection.CollectionCounted(
        collection=COLLECTION,
        minted=8,
        capacity=16384,
        has_valid_tree=True,
        supports_das=True,
        slot=300,
        trees=(collection.CountedTree(tree_address=TREE, minted=8, valid=True),),
    ),
    collection.CollectionUpdated(collection=COLLECTION, is_public=True, allow_minting=False),
    collection.CollectionSyncRequested(collection=COLLECTION),
    observation.CollectionObserved(
        collection=COLLECTION,
        tree=TREE,
        after=6,
        leaves=(
            observation.ObservedLeaf(
                index=3,
                asset_id=ASSET,
                leaf_hash=DIGEST,
                fate=observation.LeafFate.LIVING,
                signature=SIGNATURE,
                slot=310,
                owner=RECIPIENT,
                delegate=WALLET,
                flags=1,
                minted=True,
                collection_address=WALLET,
                collection_changed=True,
            ),
        ),
        root="cd" * 32,
        signature=EARLIER_SIGNATURE,
    ),
    observation.CollectionDrift(
        collection=COLLECTION,
        slot=312,
        log=7,
        projection=7,
        chain=8,
        observed=8,
        living=7,
        das=6,
        differences=(
            observation.Difference(
                kind=observation.DriftKind.DAS_BEHIND,
                count=1,
                alarm=False,
                explanation="In their trees, and DAS does not show them.",
                examples=(ASSET,),
            ),
        ),
    ),
    upload.UploadRequested(sha256=DIGEST, cid=CID, content_type="image/png", size=1234, filename="köln 🌇.png"),
    upload.UploadPinned(
        sha256=DIGEST,
        cid=CID,
        uri=f"ipfs://{CID}",
        size=1234,
        content_type="image/png",
        retrieved_from="https://gateway.example.com",
    ),
    upload.UploadFailed(
        sha256=DIGEST, code=mint.FailureCode.CONTENT_MISMATCH, reason="Another CID.", cure="Correct CID_PROFILE."
    ),
    content.AuditStarted(audit=20447),
    content.AuditEnded(audit=20447, checked=1000, vanished=2, restored=1),
    content.Vanished(cid=CID, audit=20447, providers=("kubo", "pinata")),
    content.Restored(cid=CID, audit=20447, providers=("pinata",), source="kubo"),
    guard.Challenged(challenge=CAUSE_ID, witnesses=(guard.Witness(stream="MINT", sequence=41, event=EVENT_ID),)),
    guard.Verified(challenge=CAUSE_ID, truncation=EVENT_ID),
    guard.Truncated(
        truncation=EVENT_ID,
        stream="MINT",
        last=38,
        expected=41,
        restorable=2,
        replaced=True,
        holes=(guard.Hole(first=36, last=37),),
    ),
    guard.Bounded(truncation=EVENT_ID, block_height=312_000_123),
    guard.Archived(stream="MINT", number=3, first=20_001, last=30_000, manifest="ab" * 32),
    access.KeyCreated(
        key="Ab3dEf6hIj9l",
        caller="app:shop",
        scopes=(access.Scope.MINT, access.Scope.READ),
        sha256=DIGEST,
        expires_at=TIME,
        replaces="Zy3xWv6uTs9r",
    ),
    access.KeyRevoked(key="Ab3dEf6hIj9l", at=TIME),
    access.LoginRedeemed(nonce="0a" * 36, wallet=RECIPIENT),
    webhook.WebhookConfigured(
        webhook=WEBHOOK,
        caller="app:shop",
        url="https://shop.example.com/hooks?kind=nft",
        events=("mint.*", "collection.created"),
        secrets=(
            webhook.SealedSecret(sealed="gAAAAABsealed"),
            webhook.SealedSecret(sealed="gAAAAABearlier", expires_at=TIME),
        ),
        state=webhook.WebhookState.DISABLED,
        all_callers=True,
        description="Köln",
        created_at=TIME,
        disabled_reason="The endpoint answered 410 Gone.",
    ),
    webhook.ReplayRequested(webhook=WEBHOOK, replay=CAUSE_ID, operation=OPERATION, since=TIME, until=TIME),
    webhook.DeliveryQueued(
        webhook=WEBHOOK,
        about=str(OPERATION),
        delivery=EVENT_ID,
        event=EVENT_ID,
        event_type="mint.confirmed",
        source=webhook.EventSource(stream="MINT", sequence=7),
        previous=CAUSE_ID,
        replay=CAUSE_ID,
    ),
    webhook.DeliveryAttempted(
        webhook=WEBHOOK,
        about=str(OPERATION),
        delivery=EVENT_ID,
        state=webhook.DeliveryState.RETRYING,
        attempts=2,
        first_attempt_at=TIME,
        status=503,
        reason="The endpoint answered 503.",
        next_attempt_at=TIME,
        carrier=CAUSE_ID,
    ),
    webhook.DeliveryParked(webhook=WEBHOOK, about=str(OPERATION), delivery=EVENT_ID),
    webhook.ParkedTold(through=7),
    dead.DeadLetter(
        stream="MINT",
        consumer="minter-mint",
        subject_name="mint.pinned.v1.x.0",
        stream_sequence=9,
        reason="bad",
        deliveries=8,
        payload="{}",
        headers={"Nats-Msg-Id": "1"},
    ),
    dead.DeadLetterReplayRequested(letter=7, caller="app:shop"),
    dead.DeadLetterReplayRefused(letter=7, request=8, reason="Something else was said since."),
    dead.DeadLetterSettled(letter=7, outcome="replayed", said_at=12, caller="app:shop"),
    health.ServiceReported(
        service="minter",
        instance=EVENT_ID,
        host="minter-0",
        ready=False,
        checks=(
            health.CheckReported(name="nats", ok=True, latency_ms=0.8),
            health.CheckReported(name="solana", ok=False, latency_ms=3000.0, error="no answer in 3 s"),
        ),
        nodes=(
            health.NodeReported(name="1 rpc.example.com", slot=312, lag_slots=0, circuit="closed"),
            health.NodeReported(
                name="2 node.example.org:8899",
                slot=None,
                lag_slots=None,
                circuit="opened",
                rests_for_seconds=4.5,
                excluded="of another cluster",
            ),
        ),
    ),
)


def event(fact: F) -> Event[F]:
    """Return `fact` in an envelope with fixed values."""
    return Event(
        id=EVENT_ID,
        type=fact.type(),
        time=TIME,
        producer=Producer(name="golden", version="0.1.0"),
        data=fact,
        causation_id=CAUSE_ID,
    )
