"""What must exist on the NATS side: streams, object-store buckets and durable consumers.

The one list that the services, the embedded stack and the Kubernetes resources are made from.
"""

import msgspec

from contracts.collection import (
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
    CollectionPinned,
    CollectionRequested,
)
from contracts.dead import DeadLetterReplayRequested
from contracts.guard import Challenged
from contracts.mint import Cancelled, Completed, Confirmed, Failed, Finalized, PinFailed, Pinned, Requested
from contracts.observation import CollectionDrift
from contracts.upload import UploadRequested
from contracts.wallet import Paused, Resumed
from contracts.webhook import ReplayRequested

DAY = 86_400.0
HOUR = 3_600.0
DUPLICATE_WINDOW = 120.0
"""Seconds for which every stream refuses a second message with the same id."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream on file storage; without `max_age` (seconds) the server never removes its messages.

    With `max_bytes` it refuses what does not fit any more.
    """

    name: str
    subjects: tuple[str, ...]
    description: str
    max_message_bytes: int = 1_048_576
    max_age: float | None = None
    max_bytes: int | None = None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream object store; objects are removed after `ttl` seconds."""

    name: str
    description: str
    ttl: float
    max_bytes: int

    @property
    def stream(self) -> str:
        """Name of the stream that holds the objects."""
        return f"OBJ_{self.name}"


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer.

    `ack_wait` is in seconds: how long the messages of a worker that died wait for another. A handler that works longer
    sends progress. `max_deliveries` bounds how often a message
    that fails for unknown reasons is tried before it is dead-lettered.
    """

    name: str
    stream: str
    filters: tuple[str, ...]
    description: str
    ack_wait: float = 6.0
    max_ack_pending: int = 256
    max_deliveries: int = 8


MINT = Stream(
    name="MINT",
    subjects=("mint.>",),
    description="Every command and fact of every mint operation.",
)
COLLECTION = Stream(
    name="COLLECTION",
    subjects=("collection.>",),
    description="Every command and fact of every collection.",
)
CONTENT = Stream(
    name="CONTENT",
    subjects=("upload.>", "content.>"),
    description="Every command and fact of files uploaded by themselves, and of the audits of what was pinned.",
)
DEAD = Stream(
    name="DEAD",
    subjects=("dead.>",),
    description="Messages that a consumer gave up on, with the reason.",
    max_message_bytes=2_097_152,
)
GUARD = Stream(
    name="GUARD",
    subjects=("guard.>",),
    description="Questions and answers about the log itself: has it kept what it acknowledged?",
)
ACCESS = Stream(
    name="ACCESS",
    subjects=("access.>",),
    description="Every API key that was made or revoked, by digest.",
)
LOGIN = Stream(
    name="LOGIN",
    subjects=("login.>",),
    description="Sign-ins by their nonce, for longer than a nonce is good for.",
    # Anybody with a wallet can write here: a flood of sign-ins must not take the disk from the mints.
    max_age=HOUR,
    max_bytes=64 * 1024**2,
)
WEBHOOK = Stream(
    name="WEBHOOK",
    subjects=("webhook.>",),
    description="Every webhook as its owner configured it, and what is to be sent to it once more.",
)
DELIVERY = Stream(
    name="DELIVERY",
    subjects=("delivery.>",),
    description="Every event on its way to a webhook, and how each attempt ended.",
)
HEALTH = Stream(
    name="HEALTH",
    subjects=("health.>",),
    description="How every running process is, by its own word, for two minutes.",
    # No shorter than the duplicate window: nats-server refuses that.
    max_age=DUPLICATE_WINDOW,
    max_bytes=64 * 1024**2,
)
STREAMS: tuple[Stream, ...] = (MINT, COLLECTION, CONTENT, DEAD, GUARD, ACCESS, LOGIN, WEBHOOK, DELIVERY, HEALTH)

UPLOADS = Bucket(
    name="UPLOADS",
    description="Uploaded image bytes by SHA-256, until they are pinned.",
    ttl=7 * DAY,
    max_bytes=8 * 1024**3,
)
BUCKETS: tuple[Bucket, ...] = (UPLOADS,)

IPFS_MINT = Consumer(
    name="ipfs-mint",
    stream="MINT",
    filters=(Requested.pattern(),),
    description="ipfs pins the content of every requested operation.",
    max_ack_pending=1024,
)
IPFS_COLLECTION = Consumer(
    name="ipfs-collection",
    stream="COLLECTION",
    filters=(CollectionRequested.pattern(),),
    description="ipfs pins the metadata of every requested collection.",
    max_ack_pending=256,
)
IPFS_UPLOAD = Consumer(
    name="ipfs-upload",
    stream="CONTENT",
    filters=(UploadRequested.pattern(),),
    description="ipfs pins every file that is uploaded by itself.",
    max_ack_pending=1024,
)
# Two ways into the minter: in order of arrival, one NFT would wait for all of a drop that was asked for before it.
MINTER_FIRST = Consumer(
    name="minter-first",
    stream="MINT",
    filters=(Pinned.pattern(chunk=0),),
    description="minter lands the transactions of every operation's first pinned chunk.",
)
MINTER_MINT = Consumer(
    name="minter-mint",
    stream="MINT",
    filters=(Pinned.pattern(),),
    description="minter lands the transactions of every other pinned chunk; of the first ones it does nothing.",
)
MINTER_CANCELLED = Consumer(
    name="minter-cancelled",
    stream="MINT",
    filters=(Cancelled.pattern(),),
    description="minter ends what it has not signed of every cancelled operation.",
    max_ack_pending=16,
)
MINTER_FINALITY = Consumer(
    name="minter-finality",
    stream="MINT",
    filters=(Confirmed.pattern(),),
    description="minter watches every confirmed transaction to finality.",
    max_ack_pending=4096,
)
MINTER_COLLECTION = Consumer(
    name="minter-collection",
    stream="COLLECTION",
    filters=(CollectionPinned.pattern(),),
    description="minter makes every pinned collection and its tree.",
    max_ack_pending=16,
)
MINTER_IMPORT = Consumer(
    name="minter-import",
    stream="COLLECTION",
    filters=(CollectionImportRequested.pattern(),),
    description="minter takes over collections that were made elsewhere.",
    max_ack_pending=16,
)
INDEXER_GUARD = Consumer(
    name="indexer-guard",
    stream="GUARD",
    filters=(Challenged.pattern(),),
    description="indexer compares the log with its second copy for every minter that was cut off.",
    max_ack_pending=64,
)
INDEXER_DEAD = Consumer(
    name="indexer-dead",
    stream="DEAD",
    filters=(DeadLetterReplayRequested.pattern(),),
    description="indexer says the messages of dead letters again that callers want replayed.",
    max_ack_pending=16,
)
# One message at a time: what is queued for webhooks keeps the order of the log.
NOTIFIER_MINT = Consumer(
    name="notifier-mint",
    stream="MINT",
    filters=tuple(fact.pattern() for fact in (Confirmed, Finalized, PinFailed, Failed, Completed, Paused, Resumed)),
    description="notifier queues what happens to operations and wallets for the webhooks that want it.",
    max_ack_pending=1,
)
NOTIFIER_COLLECTION = Consumer(
    name="notifier-collection",
    stream="COLLECTION",
    filters=(CollectionCreated.pattern(), CollectionFailed.pattern(), CollectionDrift.pattern()),
    description="notifier queues what happens to collections for the webhooks that want it.",
    max_ack_pending=1,
)
NOTIFIER_REPLAY = Consumer(
    name="notifier-replay",
    stream="WEBHOOK",
    filters=(ReplayRequested.pattern(),),
    description="notifier queues past events for a webhook once more.",
    max_ack_pending=1000,
)
CONSUMERS: tuple[Consumer, ...] = (
    IPFS_MINT,
    IPFS_COLLECTION,
    IPFS_UPLOAD,
    MINTER_FIRST,
    MINTER_MINT,
    MINTER_CANCELLED,
    MINTER_FINALITY,
    MINTER_COLLECTION,
    MINTER_IMPORT,
    INDEXER_GUARD,
    INDEXER_DEAD,
    NOTIFIER_MINT,
    NOTIFIER_COLLECTION,
    NOTIFIER_REPLAY,
)
