"""The gateway's settings, in the source document's names (section 3). Values come from the environment."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from chassis.sealing import Sealer
from chassis.settings import Secret, ServiceSettings, SettingsError
from contracts.mint import DEFAULT_BATCH_SIZE
from services.gateway.limiting import LimitClass, Quota
from services.gateway.requests import MAX_BATCH_SIZE

DEFAULT_GATEWAY = "https://gateway.pinata.cloud"
"""The source document's (section 8)."""
DEFAULT_EXPLORER = "https://explorer.solana.com/{kind}/{id}"
WALLET = r"^[1-9A-HJ-NP-Za-km-z]{32,44}$"
Requests = Annotated[int, Meta(ge=1, le=1_000_000)]
Window = Annotated[int, Meta(ge=1, le=86_400)]


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """What the gateway needs beyond what every service has. It serves its probes on its own port."""

    database_url: Annotated[
        Secret,
        Meta(
            description="Postgres as the indexer's read-only role.",
            pattern=r"^postgres(ql)?://",
            examples=["postgresql://mintstream_reader@127.0.0.1:5432/mintstream"],
        ),
    ]
    api_key: Annotated[
        Secret | None,
        Meta(
            description="A key that may do everything, sent as X-API-Key; `mintstream keys` makes others.",
            min_length=16,
        ),
    ] = None
    jwt_secret: Annotated[
        Secret | None,
        Meta(
            description="Signs and checks bearer tokens, the same on all replicas; without it none is taken.",
            min_length=64,
        ),
    ] = None
    jwt_audience: Annotated[str, Meta(description="What a bearer token's `aud` must say.", min_length=1)] = "mintstream"
    jwt_lifetime: Annotated[
        int, Meta(description="Seconds for which a token of a sign-in is good.", ge=60, le=86_400)
    ] = 3600
    login_domains: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$")], ...],
        Meta(
            description="Domains whose pages may ask wallets to sign in; those of CORS_ORIGINS when absent.",
            examples=["app.example.org"],
        ),
    ] = ()
    admin_wallets: Annotated[
        tuple[Annotated[str, Meta(pattern=WALLET)], ...],
        Meta(description="Wallets that may do everything once they have signed in.", examples=["<address>"]),
    ] = ()
    wallet_scopes: Annotated[
        tuple[Literal["read", "mint"], ...],
        Meta(description="What every other wallet may do; with `mint`, anybody mints at your cost."),
    ] = ("read",)
    host: Annotated[str, Meta(description="Address to listen on.", min_length=1)] = "0.0.0.0"  # noqa: S104 (a public API)
    port: Annotated[int, Meta(description="Port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8080
    max_in_flight: Annotated[
        int,
        Meta(
            description="Requests that are worked on at once; more are refused with 503 `overloaded`.", ge=1, le=10_000
        ),
    ] = 128
    cors_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^/*\s]+$")], ...],
        Meta(
            description="Origins whose pages may call the API, comma separated; none when absent.",
            examples=["https://app.example.org"],
        ),
    ] = ()
    trusted_proxies: Annotated[
        int,
        Meta(
            description="Proxies before this service that append to X-Forwarded-For: 0 believes no header.", ge=0, le=10
        ),
    ] = 0
    redis_url: Annotated[
        Secret | None,
        Meta(
            description="Redis that all replicas count requests in; without it each counts for itself.",
            pattern=r"^(rediss?|redis\+unix)://",
            examples=["redis://127.0.0.1:6379/0"],
        ),
    ] = None
    rate_limits: Annotated[bool, Meta(description="false: count no requests and refuse none as too many.")] = True
    rate_limit_window: Annotated[Window, Meta(description="Seconds in which RATE_LIMIT_MAX requests are allowed.")] = (
        900
    )
    rate_limit_max: Annotated[Requests, Meta(description="Requests of a caller beside those counted below.")] = 100
    rate_limit_mint_window: Annotated[Window, Meta(description="Seconds for RATE_LIMIT_MINT_MAX.")] = 900
    rate_limit_mint_max: Annotated[Requests, Meta(description="Requests that mint.")] = 10
    rate_limit_upload_window: Annotated[Window, Meta(description="Seconds for RATE_LIMIT_UPLOAD_MAX.")] = 300
    rate_limit_upload_max: Annotated[Requests, Meta(description="Requests that upload.")] = 50
    rate_limit_status_window: Annotated[Window, Meta(description="Seconds for RATE_LIMIT_STATUS_MAX.")] = 900
    rate_limit_status_max: Annotated[Requests, Meta(description="Looks at the status of operations.")] = 1800
    rate_limit_login_window: Annotated[Window, Meta(description="Seconds for RATE_LIMIT_LOGIN_MAX.")] = 300
    rate_limit_login_max: Annotated[Requests, Meta(description="Steps of signing in, by address.")] = 30
    rpc_url: Annotated[
        Secret | None,
        Meta(
            description="The node that is asked for the wallet's balance, and by audits; without it neither is told.",
            pattern=r"^https?://",
            examples=["http://127.0.0.1:8899"],
        ),
    ] = None
    backup_rpc_urls: Annotated[
        Secret | None,
        Meta(
            description="Further endpoints for audits, comma separated: asked when others are away, and two answers "
            "compared."
        ),
    ] = None
    archive_url: Annotated[
        Annotated[str, Meta(pattern=r"^(file|s3)://")] | None,
        Meta(
            description="Where the indexer archives old messages, as its ARCHIVE_URL, for audits of what has left the "
            "log. It is only read: give this service credentials that cannot write there.",
            examples=["s3://mintstream-archive/log"],
        ),
    ] = None
    backup_ipfs_gateways: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^\s?#]+$")], ...],
        Meta(description="Further IPFS gateways for audits, comma separated, asked in their order."),
    ] = ()
    wallet_address: Annotated[
        Annotated[str, Meta(pattern=WALLET)] | None,
        Meta(
            description="The wallet whose balance is told, in base58; without it the payer of the newest collection.",
            examples=["<address>"],
        ),
    ] = None
    cache_ttl: Annotated[int, Meta(description="Seconds for which the wallet's balance is kept.", ge=0, le=86_400)] = (
        300
    )
    pinata_gateway: Annotated[
        str,
        Meta(
            description="The IPFS gateway that answers to uploads point at.",
            pattern=r"^https?://[^\s?#]+$",
            examples=["https://example.mypinata.cloud"],
        ),
    ] = DEFAULT_GATEWAY
    explorer_url: Annotated[
        str,
        Meta(
            description="The console's links: {kind} is tx or address, {id} what to look at. Of a cluster other than "
            "mainnet-beta it ends in ?cluster=devnet, for example.",
            pattern=r"^https?://[^\s]*\{kind\}[^\s]*\{id\}[^\s]*$",
        ),
    ] = DEFAULT_EXPLORER
    cid_profile: Annotated[
        Literal["v1", "v0", "unixfs-v1-2025"],
        Meta(description="How files are cut into blocks, which decides their CIDs; must be the ipfs service's."),
    ] = "v1"
    image_strip_location: Annotated[
        bool,
        Meta(description="Take the place where it was taken off an image that is uploaded by itself; as ipfs does."),
    ] = False
    queue_batch_size: Annotated[
        int,
        Meta(description="Items of a chunk when a request names no batchSize.", ge=1, le=MAX_BATCH_SIZE),
    ] = DEFAULT_BATCH_SIZE
    webhook_sealing_keys: Annotated[
        Secret | None,
        Meta(
            description="Seals the secrets of webhooks: keys of 32 bytes in URL-safe base64, comma separated, the "
            "newest first; the same as the notifier's. Without it there is no /api/webhooks."
        ),
    ] = None
    database_pool_size: Annotated[int, Meta(description="Most connections to Postgres.", ge=1, le=100)] = 8

    def __post_init__(self) -> None:
        try:
            _ = self.sealer
        except ValueError as error:  # stop: the operator has to correct it
            raise SettingsError(type(self).__name__, {"WEBHOOK_SEALING_KEYS": str(error)}) from None

    @property
    def sealer(self) -> Sealer | None:
        """What seals the secrets of webhooks."""
        return None if self.webhook_sealing_keys is None else Sealer(self.webhook_sealing_keys)

    def quotas(self) -> dict[LimitClass, Quota]:
        """Return what a caller may ask for, by class of endpoint; nothing is limited when it is empty."""
        if not self.rate_limits:
            return {}
        return {
            "general": Quota(most=self.rate_limit_max, window=self.rate_limit_window),
            "mint": Quota(most=self.rate_limit_mint_max, window=self.rate_limit_mint_window),
            "upload": Quota(most=self.rate_limit_upload_max, window=self.rate_limit_upload_window),
            "status": Quota(most=self.rate_limit_status_max, window=self.rate_limit_status_window),
            "login": Quota(most=self.rate_limit_login_max, window=self.rate_limit_login_window),
        }

    def sign_in_domains(self) -> tuple[str, ...]:
        """Return the domains that wallets may sign in for."""
        return self.login_domains or tuple(urlsplit(origin).netloc for origin in self.cors_origins)
