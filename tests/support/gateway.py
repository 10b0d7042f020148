"""The gateway's application on twins in memory, and the requests that its tests begin with."""

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from cryptography.fernet import Fernet
from fastapi import FastAPI
from PIL import Image

from chassis.api_keys import ApiKey
from chassis.clock import ManualClock
from chassis.health import Health
from chassis.key_book import KeyBook, KnownKey
from chassis.sealing import Sealer
from chassis.settings import Secret
from contracts.access import KeyCreated, Scope
from contracts.collection import CollectionCreated, Standard, TreeShape
from contracts.fact import Fact
from services.gateway.api.app import Parts, create_app
from services.gateway.api.auth import Access, Authenticator
from services.gateway.auditing import Auditing, Witness
from services.gateway.curating import Curating
from services.gateway.dead_letters import DeadLetters
from services.gateway.following import Following
from services.gateway.handlers import Asking, Collections, Minting, Statuses
from services.gateway.images import Images
from services.gateway.importing import Importing
from services.gateway.limiting import LimitClass, Limiter, Quota
from services.gateway.main import media_type
from services.gateway.operations import Operations
from services.gateway.ports import (
    Collection,
    CollectionPage,
    CollectionQuery,
    Drift,
    FailedItem,
    History,
    Interval,
    LoggedEvent,
    Operation,
    OperationQuery,
    OperationSummary,
    Overview,
    ProjectionUnavailable,
    Result,
    Wallet,
)
from services.gateway.results import Results
from services.gateway.signing_in import Grants, SignIn
from services.gateway.stats import Stats
from services.gateway.system import System
from services.gateway.tokens import Tokens
from services.gateway.uploading import Uploading
from services.gateway.wallets import Wallets
from services.gateway.webhooks import Webhooks
from tests.support.memory_log import MemoryLog, MemoryUploads
from unixfs import V1

SEALER = Sealer(Secret(Fernet.generate_key().decode()))
API_KEY = "the-key-of-the-tests"
JWT_SECRET = Secret("the-secret-of-the-tests-" * 3)
LOGIN_DOMAIN = "app.example.org"
COLLECTION = UUID("0199b0a0-0000-7000-8000-000000000001")
CLOSED_COLLECTION = UUID("0199b0a0-0000-7000-8000-000000000002")
RECIPIENT = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
ORIGIN = "https://app.example.org"
URI = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"

Json = dict[str, Any]


class MemoryProjection:
    """The indexer's tables as dictionaries; `down` makes every read fail."""

    def __init__(self, log: MemoryLog) -> None:
        self.operations_by_id: dict[UUID, Operation] = {}
        self.summaries: list[OperationSummary] = []
        self.failed: dict[UUID, list[FailedItem]] = {}
        self.totals = Overview(
            collections=0,
            minted=0,
            capacity=0,
            active_operations=0,
            recent_minted=0,
            recent_failed=0,
            recent_operations=0,
        )
        self.since: datetime | None = None
        self.rows: dict[UUID, Collection] = {}
        self.compared: dict[UUID, list[Drift]] = {}
        self.position: int | None = None
        """MINT sequence up to which the log is copied; None for all of it."""
        self.step: timedelta | None = None
        self.intervals: list[Interval] = []
        self.read_to: dict[str, int] = {}
        self.down = False
        self._log = log

    async def operations(self, query: OperationQuery) -> Sequence[OperationSummary]:
        await self.check()
        found = [
            one
            for one in sorted(self.summaries, key=lambda one: (one.start_time, one.id), reverse=True)
            if query.caller in (None, one.caller)
            and query.status in (None, one.status)
            and query.collection in (None, one.collection)
            and query.recipient in (None, one.recipient)
            and query.asset in (None, *(result.asset_id for result in self._results(one)))
            and query.signature in (None, *(result.signature for result in self._results(one)))
            and (query.before is None or (one.start_time, one.id) < query.before)
        ]
        return found[: query.limit]

    async def history(self, operation: UUID, after: int, limit: int) -> History:
        await self.check()
        copied = self._log.streams["MINT"][: self.position]
        events = [
            LoggedEvent(sequence=raw.sequence, subject=raw.subject, payload=raw.payload)
            for raw in copied
            if raw.sequence > after and raw.subject.split(".")[3] == str(operation)
        ]
        return History(events=tuple(events[:limit]), position=len(copied))

    async def failed_items(self, operation: UUID) -> Sequence[FailedItem]:
        await self.check()
        return self.failed.get(operation, [])

    async def overview(self, since: datetime) -> Overview:
        await self.check()
        self.since = since
        return self.totals

    async def series(self, since: datetime, step: timedelta) -> Sequence[Interval]:
        await self.check()
        self.since, self.step = since, step
        return self.intervals

    async def watermarks(self) -> Mapping[str, int]:
        await self.check()
        return self.read_to

    async def operation(self, operation: UUID) -> Operation | None:
        await self.check()
        return self.operations_by_id.get(operation)

    async def collection(self, collection: UUID) -> Collection | None:
        await self.check()
        return self.rows.get(collection)

    async def drifts(self, collection: UUID, limit: int) -> Sequence[Drift]:
        await self.check()
        return self.compared.get(collection, [])[:limit]

    async def collection_at(self, address: str) -> UUID | None:
        await self.check()
        return next((row.id for row in self.rows.values() if row.collection_address == address), None)

    async def collections(self, query: CollectionQuery) -> CollectionPage:
        await self.check()
        rows = [
            row
            for row in self.rows.values()
            if row.stage == "created"
            and query.status in (None, row.status)
            and query.allow_minting in (None, row.allow_minting)
        ]
        start = (query.page - 1) * query.limit
        return CollectionPage(collections=rows[start : start + query.limit], total=len(rows))

    async def check(self) -> None:
        if self.down:
            raise ProjectionUnavailable("down")

    def _results(self, one: OperationSummary) -> Sequence[Result]:
        found = self.operations_by_id.get(one.id)
        return found.results if found else ()


@dataclass
class Gateway:
    """The application with everything it stands on."""

    log: MemoryLog = field(default_factory=MemoryLog)
    uploads: MemoryUploads = field(default_factory=MemoryUploads)
    clock: ManualClock = field(default_factory=ManualClock)
    batch_size: int = 10
    wallet: Wallet | None = None
    witness: Witness | None = None
    keys: KeyBook = field(default_factory=KeyBook)
    quotas: dict[LimitClass, Quota] = field(default_factory=dict[LimitClass, Quota])
    admin_wallets: frozenset[str] = frozenset()
    trusted_proxies: int = 0
    max_in_flight: int = 128
    probes: Health = field(default_factory=lambda: Health(cache_seconds=0))

    def __post_init__(self) -> None:
        self.projection = MemoryProjection(self.log)
        self.following = Following(self.log, self.projection, self.clock)
        self.stopping = asyncio.Event()

    def app(self) -> FastAPI:
        images = Images(self.uploads, media_type)
        asking = Asking(self.log, images)
        tokens = self.tokens()
        grants = Grants(admins=self.admin_wallets, others=frozenset({Scope.READ}))
        everything = Health(self.clock, cache_seconds=0)
        everything.add("database", self.projection.check)
        wallets = Wallets(self.log, self.clock)
        everything.add("wallet", wallets.check)
        return create_app(
            Parts(
                minting=Minting(asking, self.batch_size),
                statuses=Statuses(self.log, self.projection),
                operations=Operations(asking, self.projection),
                results=Results(self.log, self.projection, self.following),
                following=self.following,
                collections=Collections(asking, self.projection),
                curating=Curating(self.log, self.clock),
                importing=Importing(self.log, self.projection),
                wallets=wallets,
                auditing=Auditing(self.witness),
                dead_letters=DeadLetters(self.log, self.clock),
                system=System(self.log, self.projection, self.clock),
                stats=Stats(self.projection, self.wallet, self.clock, ttl=300),
                uploading=Uploading(self.log, images, self.clock, V1),
                access=Access(
                    Authenticator(Secret(API_KEY), self.keys, tokens, self.clock),
                    Limiter(self.quotas, None, self.clock),
                ),
                webhooks=Webhooks(self.log, SEALER, self.clock),
                sign_in=SignIn(self.log, tokens, JWT_SECRET, (LOGIN_DOMAIN,), grants, self.clock),
                probes=self.probes,
                everything=everything,
                clock=self.clock,
                version="test",
                cors_origins=(ORIGIN,),
                trusted_proxies=self.trusted_proxies,
                max_in_flight=self.max_in_flight,
            )
        )

    def tokens(self) -> Tokens:
        return Tokens(JWT_SECRET, "mintstream", timedelta(hours=1), self.clock)

    def key(self, caller: str, *scopes: Scope) -> str:
        """An API key of the caller, known to the application."""
        key = ApiKey.new()
        fact = KeyCreated(key=key.id, caller=caller, scopes=scopes, sha256=key.sha256)
        self.keys.keys[key.id] = KnownKey(fact=fact, created_at=self.clock.now())
        return key.text

    @asynccontextmanager
    async def client(
        self, api_key: str | None = API_KEY, *, token: str | None = None
    ) -> AsyncGenerator[httpx.AsyncClient]:
        """A client of the application, with the key unless told otherwise."""
        headers = {} if api_key is None else {"X-API-Key": api_key}
        headers |= {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(app=self.app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            yield client

    async def with_collections(self) -> "Gateway":
        """Put an open and a closed collection on the log."""
        await self.log.publish(created(COLLECTION), cause=None)
        await self.log.publish(created(CLOSED_COLLECTION, allow_minting=False), cause=None)
        return self

    def requests(self) -> list[str]:
        """Subjects of everything on the log that a caller asked for."""
        return [message.subject for message in self.log.messages(Fact) if ".requested." in message.subject]


def created(collection: UUID, *, allow_minting: bool = True) -> CollectionCreated:
    """A collection that is on chain."""
    return CollectionCreated(
        collection=collection,
        name="Camp",
        symbol="CAMP",
        standard=Standard.V2,
        uri=URI,
        collection_address=RECIPIENT,
        tree_address=RECIPIENT,
        creator_address=RECIPIENT,
        tree=TreeShape(),
        signatures=(),
        slot=1,
        fee=5000,
        allow_minting=allow_minting,
    )


def collection_row(number: int, **changes: Any) -> Collection:
    """A created collection as the projection has it."""
    values: Json = {
        "id": UUID(int=number),
        "name": f"Camp {number}",
        "description": "Tents",
        "symbol": "CAMP",
        "standard": "v2",
        "capacity": 16384,
        "minted": number,
        "has_valid_tree": True,
        "supports_das": True,
        "status": "active",
        "stage": "created",
        "is_public": True,
        "allow_minting": True,
        "created_at": datetime(2026, 1, number, tzinfo=UTC),
        "updated_at": datetime(2026, 2, number, tzinfo=UTC),
        "tree_address": RECIPIENT,
        "collection_address": RECIPIENT,
        "creator_address": RECIPIENT,
    }
    return Collection(**(values | changes))


def png(shade: int = 0, size: int = 2) -> bytes:
    """A small PNG image, another one for every shade."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (shade % 256, shade // 256 % 256, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def single(**changes: Any) -> Json:
    """The JSON body of a single mint that is fine, with changes at its top level."""
    body: Json = {
        "collectionId": str(COLLECTION),
        "recipient": RECIPIENT,
        "metadata": {"name": "Tent 1", "description": "A tent", "image": URI, "attributes": []},
        "copies": 1,
    }
    return body | changes


def batch(nfts: list[Json] | None = None, **changes: Any) -> Json:
    """The JSON body of a batch that is fine, with changes at its top level."""
    default: list[Json] = [{"name": f"Tent {number}", "image": URI} for number in range(3)]
    body: Json = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "nfts": default if nfts is None else nfts}
    return body | changes
