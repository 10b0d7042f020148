"""The ipfs service's settings."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from chassis.settings import Secret, ServiceSettings, SettingsError

HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]


class IpfsSettings(ServiceSettings, frozen=True, kw_only=True):
    """What the ipfs service reads from its environment; names as in the source document where it has one."""

    pinning_provider: Annotated[
        Literal["kubo", "pinata"],
        Meta(description="kubo: a node's RPC API, or the embedded endpoint; pinata: Pinata's cloud."),
    ] = "kubo"
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
    pin_timeout_seconds: Annotated[
        float, Meta(description="Seconds to wait for the provider at any one step of a request.", ge=1, le=600)
    ] = 60.0
    pin_concurrency: Annotated[
        int, Meta(description="Files that are fetched, checked and pinned at once, each in memory.", ge=1, le=256)
    ] = 8
    ipfs_concurrency: Annotated[int, Meta(description="Operations that are worked on at once.", ge=1, le=64)] = 8

    def __post_init__(self) -> None:
        problems = dict(self._problems())
        if problems:
            raise SettingsError(type(self).__name__, problems)

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yield what the chosen provider needs and was not given, by variable."""
        if self.pinning_provider == "kubo":
            if self.kubo_url is None:
                yield "KUBO_URL", "needed for PINNING_PROVIDER=kubo; example: KUBO_URL=http://127.0.0.1:5001"
            return
        if self.pinata_jwt is not None:
            return
        if self.pinata_api_key is None or self.pinata_secret_key is None:
            yield "PINATA_JWT", "needed for PINNING_PROVIDER=pinata, or else PINATA_API_KEY and PINATA_SECRET_KEY"
        elif self.cid_profile == "unixfs-v1-2025":
            yield "PINATA_JWT", "needed for CID_PROFILE=unixfs-v1-2025, which Pinata's legacy API does not know"
