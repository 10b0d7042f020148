"""Which pinning service the settings ask for. Used by `main` alone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import httpx

from chassis.clock import Clock
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.pinata import KeyPair, PinataLegacyPinning, PinataPinning
from services.ipfs.ports import PinningService
from services.ipfs.settings import IpfsSettings
from unixfs import UNIXFS_V1_2025, V0, V1, ImportProfile

PROFILES: Final[dict[str, ImportProfile]] = {"v1": V1, "v0": V0, "unixfs-v1-2025": UNIXFS_V1_2025}
"""By the values of CID_PROFILE, which are Pinata's names of them."""

CONNECT_SECONDS: Final = 10.0


@asynccontextmanager
async def http_client(settings: IpfsSettings) -> AsyncGenerator[httpx.AsyncClient]:
    """Open the client for the provider: as many connections as pins at once, no redirects."""
    timeout = httpx.Timeout(settings.pin_timeout_seconds, connect=CONNECT_SECONDS)
    limits = httpx.Limits(max_connections=settings.pin_concurrency + 1)
    async with httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False) as client:
        yield client


def pinning_service(settings: IpfsSettings, client: httpx.AsyncClient, clock: Clock) -> PinningService:
    """Return the adapter that the settings, which have checked themselves, ask for."""
    profile = PROFILES[settings.cid_profile]
    if settings.pinning_provider == "kubo":
        assert settings.kubo_url is not None, "the settings have checked it"
        return KuboPinning(client, settings.kubo_url, profile, clock, settings.kubo_authorization)
    if settings.pinata_jwt is not None:
        return PinataPinning(
            client,
            settings.pinata_jwt,
            settings.cid_profile,
            clock,
            uploads_url=settings.pinata_uploads_url,
            api_url=settings.pinata_api_url,
        )
    assert settings.pinata_api_key is not None, "the settings have checked it"
    assert settings.pinata_secret_key is not None, "the settings have checked it"
    assert settings.cid_profile != "unixfs-v1-2025", "the settings have checked it"
    keys = KeyPair(settings.pinata_api_key, settings.pinata_secret_key)
    return PinataLegacyPinning(client, keys, settings.cid_profile, clock, api_url=settings.pinata_api_url)
