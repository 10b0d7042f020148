"""The ipfs service's settings."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from chassis.settings import Secret, ServiceSettings, SettingsError

Provider = Literal["kubo", "pinata", "pinning-api"]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]


class IpfsSettings(ServiceSettings, frozen=True, kw_only=True):
    """What the ipfs service reads from its environment; names as in the source document where it has one."""

    pinning_provider: Annotated[
        tuple[Provider, ...],
        Meta(
            description="Where content is pinned, all at once. kubo: a node's RPC API, or the embedded endpoint; "
            "pinata: Pinata's cloud; pinning-api: a service that fetches by CID from the others.",
            examples=["kubo,pinata"],
            min_length=1,
        ),
    ] = ("kubo",)
    pinning_quorum: Annotated[
        Annotated[int, Meta(ge=1, le=8)] | None,
        Meta(description="Providers that must have the content; absent: all of them."),
    ] = None
    pinning_service_url: Annotated[
        HttpUrl | None, Meta(description="Base URL of the IPFS Pinning Service API, for pinning-api.")
    ] = None
    pinning_service_token: Annotated[Secret | None, Meta(description="Its access token.")] = None
    pinning_service_origins: Annotated[
        tuple[str, ...], Meta(description="Multiaddresses from which the service can fetch the content.", max_length=20)
    ] = ()
    circuit_failures: Annotated[
        int, Meta(description="Failures in a row after which a provider is left alone.", ge=1, le=1000)
    ] = 5
    circuit_seconds: Annotated[
        float, Meta(description="Seconds for which it is left alone before it is tried again.", ge=0.1, le=3600)
    ] = 30.0
    kubo_url: Annotated[
        HttpUrl | None,
        Meta(
            description="Base URL of the RPC API; needed for PINNING_PROVIDER=kubo.",
            examples=["http://127.0.0.1:5001"],
        ),
    ] = None
    kubo_authorization: Annotated[
        Secret | None,
        Meta(description="Value of the Authorization header, where the node has API.Authorizations set."),
    ] = None
    pinata_jwt: Annotated[
        Secret | None, Meta(description="Pinata JWT; for PINNING_PROVIDER=pinata, preferred to the key pair.")
    ] = None
    pinata_api_key: Annotated[
        Secret | None, Meta(description="Pinata API key of the legacy API, together with PINATA_SECRET_KEY.")
    ] = None
    pinata_secret_key: Annotated[Secret | None, Meta(description="Secret of PINATA_API_KEY.")] = None
    pinata_uploads_url: Annotated[HttpUrl, Meta(description="Base URL of Pinata's upload API.")] = (
        "https://uploads.pinata.cloud"
    )
    pinata_api_url: Annotated[HttpUrl, Meta(description="Base URL of Pinata's API.")] = "https://api.pinata.cloud"
    cid_profile: Annotated[
        Literal["v1", "v0", "unixfs-v1-2025"],
        Meta(description="How files are cut into blocks, which decides their CIDs; must be the provider's."),
    ] = "v1"
    metadata_layout: Annotated[
        Literal["file", "chunk", "operation"],
        Meta(
            description="Metadata as a file for each NFT, or in one directory for each chunk or operation "
            "(`ipfs://<dir>/<n>.json`)."
        ),
    ] = "file"
    ipfs_gateway_url: Annotated[
        HttpUrl | None,
        Meta(
            description="Base URL of an IPFS gateway, for RETRIEVAL_CHECK and for audits.",
            examples=["https://example.mypinata.cloud"],
        ),
    ] = None
    retrieval_check: Annotated[
        bool, Meta(description="Content counts as pinned once IPFS_GATEWAY_URL has given it back whole.")
    ] = False
    audit_hours: Annotated[
        float, Meta(description="Hours between audits of what was pinned; 0: none.", ge=0, le=24 * 366)
    ] = 24.0
    image_strip_location: Annotated[
        bool, Meta(description="Take the place where it was taken off an image before it is pinned.")
    ] = False
    image_preview_pixels: Annotated[
        Annotated[int, Meta(ge=16, le=4096)] | None,
        Meta(description="Longest edge of a WebP preview that is pinned beside larger images; absent: none."),
    ] = None
    image_max_frames: Annotated[int, Meta(description="Most frames of an animation.", ge=1, le=100_000)] = 1_000
    image_allow_markup: Annotated[bool, Meta(description="Take SVG and HTML, which can hold script, for images.")] = (
        False
    )
    image_fetch_outside: Annotated[
        bool, Meta(description="Fetch and pin images that callers name by https:// addresses, instead of linking them.")
    ] = False
    pin_timeout_seconds: Annotated[
        float, Meta(description="Seconds to wait for the provider at any one step of a request.", ge=1, le=600)
    ] = 60.0
    pin_concurrency: Annotated[
        int, Meta(description="Files that are fetched, checked and pinned at once, each in memory.", ge=1, le=256)
    ] = 8
    ipfs_concurrency: Annotated[
        int, Meta(description="Chunks that are worked on at once, and as many uploads.", ge=1, le=64)
    ] = 8

    def __post_init__(self) -> None:
        problems = dict(self._problems())
        if problems:
            raise SettingsError(type(self).__name__, problems)

    @property
    def quorum(self) -> int:
        """How many providers must have the content."""
        return self.pinning_quorum or len(self.pinning_provider)

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yield what the chosen providers need and were not given, by variable."""
        if len(set(self.pinning_provider)) < len(self.pinning_provider):
            yield "PINNING_PROVIDER", "names a provider twice"
        elif set(self.pinning_provider) == {"pinning-api"}:
            yield "PINNING_PROVIDER", "pinning-api fetches from another provider; example: kubo,pinning-api"
        if self.quorum > len(self.pinning_provider):
            yield "PINNING_QUORUM", f"is above the number of providers, {len(self.pinning_provider)}"
        if self.retrieval_check and self.ipfs_gateway_url is None:
            yield "IPFS_GATEWAY_URL", "needed for RETRIEVAL_CHECK=true; example: https://example.mypinata.cloud"
        yield from self._urls_with_credentials()
        if "kubo" in self.pinning_provider and self.kubo_url is None:
            yield "KUBO_URL", "needed for PINNING_PROVIDER=kubo; example: KUBO_URL=http://127.0.0.1:5001"
        if "pinning-api" in self.pinning_provider:
            if self.pinning_service_url is None:
                yield (
                    "PINNING_SERVICE_URL",
                    "needed for PINNING_PROVIDER=pinning-api; example: https://api.example.com/psa",
                )
            if self.pinning_service_token is None:
                yield "PINNING_SERVICE_TOKEN", "needed for PINNING_PROVIDER=pinning-api"
        if "pinata" in self.pinning_provider:
            yield from self._pinata_problems()

    def _urls_with_credentials(self) -> Iterator[tuple[str, str]]:
        """Yield the URLs that hold a user or a password: they are logged, and the gateway's is told in facts."""
        for name in ("kubo_url", "pinata_uploads_url", "pinata_api_url", "ipfs_gateway_url", "pinning_service_url"):
            url: str | None = getattr(self, name)
            if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
                yield (
                    name.upper(),
                    "holds a user or a password, which would be logged; use the variables for credentials",
                )

    def _pinata_problems(self) -> Iterator[tuple[str, str]]:
        if self.pinata_jwt is not None:
            return
        if self.pinata_api_key is None or self.pinata_secret_key is None:
            yield "PINATA_JWT", "needed for PINNING_PROVIDER=pinata, or else PINATA_API_KEY and PINATA_SECRET_KEY"
        elif self.cid_profile == "unixfs-v1-2025":
            yield "PINATA_JWT", "needed for CID_PROFILE=unixfs-v1-2025, which Pinata's legacy API does not know"
