"""The gateway's settings, in the source document's names (section 3). Values come from the environment."""

from typing import Annotated, Literal

from msgspec import Meta

from chassis.settings import Secret, ServiceSettings
from contracts.mint import DEFAULT_BATCH_SIZE
from services.gateway.requests import MAX_BATCH_SIZE

DEFAULT_GATEWAY = "https://gateway.pinata.cloud"
"""The source document's (section 8)."""


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """What the gateway needs beyond what every service has. It serves its probes on its own port."""

    api_key: Annotated[Secret, Meta(description="The key that callers send as X-API-Key.")]
    database_url: Annotated[
        Secret,
        Meta(
            description="Postgres as the indexer's read-only role.",
            examples=["postgresql://mintstream_reader@127.0.0.1:5432/mintstream"],
        ),
    ]
    host: Annotated[str, Meta(description="Address to listen on.", min_length=1)] = "0.0.0.0"  # noqa: S104 (a public API)
    port: Annotated[int, Meta(description="Port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8080
    cors_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^/*\s]+$")], ...],
        Meta(
            description="Origins whose pages may call the API, comma separated; none when absent.",
            examples=["https://app.example.org"],
        ),
    ] = ()
    rpc_url: Annotated[
        Secret | None,
        Meta(description="The node that is asked for the wallet's balance; without it the balance is not told."),
    ] = None
    wallet_address: Annotated[
        str | None,
        Meta(
            description="The wallet whose balance is told, in base58; without it the payer of the newest collection.",
            pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}$",
        ),
    ] = None
    cache_ttl: Annotated[int, Meta(description="Seconds for which the wallet's balance is kept.", ge=0, le=86_400)] = (
        300
    )
    pinata_gateway: Annotated[
        str,
        Meta(description="The IPFS gateway that answers to uploads point at.", pattern=r"^https?://[^\s?#]+$"),
    ] = DEFAULT_GATEWAY
    cid_profile: Annotated[
        Literal["v1", "v0", "unixfs-v1-2025"],
        Meta(description="How files are cut into blocks, which decides their CIDs; must be the ipfs service's."),
    ] = "v1"
    queue_batch_size: Annotated[
        int,
        Meta(description="Items of a chunk when a request names no batchSize.", ge=1, le=MAX_BATCH_SIZE),
    ] = DEFAULT_BATCH_SIZE
    database_pool_size: Annotated[int, Meta(description="Most connections to Postgres.", ge=1, le=100)] = 8
