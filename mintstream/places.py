"""Where the log, the tables and the archive are, for commands that work on them directly.

NATS_URL, DATABASE_URL and ARCHIVE_URL say so, as for the indexer; what is missing is the embedded stack's of the data
directory. Not done here: the API, which has a client of its own (`api`).
"""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, TypeVar

from msgspec import Meta

from archive.object_store import ObjectStore
from archive.reading import Archive
from chassis import postgres
from chassis.database import Pool
from chassis.logs import configure_logs
from chassis.messaging import Connection, Log
from chassis.redaction import Secret
from chassis.settings import ServiceSettings, load
from chassis.version import VERSION
from contracts.fact import Producer
from localnet.addresses import DATABASE, OWNER
from localnet.postgres import PostgresRole, dsn
from mintstream.embedded import OWN_VARIABLES, embedded
from services.indexer.settings import ArchiveUrl, DatabaseUrl

NAME: Final = "mintstream"
CONNECT_SECONDS: Final = 5.0
"""How long a command waits for the log and for Postgres: it is somebody who waits, and nothing is just starting."""

S = TypeVar("S", bound=ServiceSettings)


class Places(ServiceSettings, frozen=True, kw_only=True):
    """What a command reads from its environment."""

    database_url: DatabaseUrl
    archive_url: ArchiveUrl = None


class AuditPlaces(Places, frozen=True, kw_only=True):
    """What an audit reads from its environment as well."""

    rpc_url: Annotated[
        Secret, Meta(description="Solana JSON-RPC endpoint with DAS; secret because providers put the key into it.")
    ]
    backup_rpc_urls: Annotated[
        Secret | None,
        Meta(description="Further endpoints, comma separated: asked when others are away, and two answers compared."),
    ] = None
    ipfs_gateway_url: Annotated[str, Meta(description="An IPFS gateway, without `/ipfs`.")]
    backup_ipfs_gateways: Annotated[
        tuple[str, ...],
        Meta(description="Further IPFS gateways, comma separated, asked in their order."),
    ] = ()


def places(data: Path) -> Places:
    """Return the settings; raises SettingsError when one is wrong or missing."""
    return _loaded(Places, _embedded(data))


def audit_places(data: Path) -> AuditPlaces:
    """Return the settings of an audit; as `places`."""
    return _loaded(AuditPlaces, _embedded(data))


def _loaded(kind: type[S], default: Mapping[str, str]) -> S:
    settings = load(kind, {**default, **os.environ}, also_known=OWN_VARIABLES)
    # What services tell of their work is none of a command's; what went wrong it says itself.
    configure_logs(NAME, VERSION, "error", settings.log_format)
    return settings


@asynccontextmanager
async def opened_log(settings: Places) -> AsyncGenerator[Log]:
    """A connection to the log; raises LogUnavailable."""
    async with Log.session(_connection(settings)) as log:
        yield log


@asynccontextmanager
async def opened_tables(settings: Places, connections: int = 1) -> AsyncGenerator[Pool]:
    """A pool of so many connections to Postgres; raises DatabaseUnavailable."""
    async with postgres.pool(
        settings.database_url, application_name=NAME, max_size=connections, wait_seconds=CONNECT_SECONDS
    ) as pool:
        yield pool


@asynccontextmanager
async def log_alone(data: Path) -> AsyncGenerator[Log]:
    """A connection to the log for commands that need nothing else; raises LogUnavailable and SettingsError."""
    settings = _loaded(ServiceSettings, {"NATS_URL": embedded(data).nats})
    async with Log.session(_connection(settings)) as log:
        yield log


def _connection(settings: ServiceSettings) -> Connection:
    return replace(Connection.of(settings, Producer(name=NAME, version=VERSION)), connect_seconds=CONNECT_SECONDS)


def opened_archive(settings: Places, log: Log | None) -> Archive | None:
    """Return the archive that the settings name, held to what the log says of it; raises ArchiveUnavailable.

    Without the log it is held to itself alone.
    """
    return Archive(ObjectStore(settings.archive_url), log) if settings.archive_url else None


def _embedded(data: Path) -> Mapping[str, str]:
    stack = embedded(data)
    found = {"NATS_URL": stack.nats, "RPC_URL": stack.rpc, "IPFS_GATEWAY_URL": stack.ipfs}
    if stack.owner_password is not None:
        role = PostgresRole(OWNER, stack.owner_password)
        found["DATABASE_URL"] = dsn({"host": "127.0.0.1", "port": str(stack.postgres_port)}, DATABASE, role)
    return found
