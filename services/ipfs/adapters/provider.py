"""Which pinning services the settings ask for. Used by `main` alone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import httpx

from chassis.clock import Clock
from chassis.images import MAX_IMAGE_BYTES, ImageLimits
from chassis.names import name_service
from chassis.outside import NoCookies, outside_client
from services.ipfs.adapters.gateway import HttpGateway
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.outside import OutsideFetcher
from services.ipfs.adapters.pinata import KeyPair, PinataLegacyPinning, PinataPinning
from services.ipfs.adapters.pinning_api import PinningApi
from services.ipfs.outside_turns import OutsideTurns
from services.ipfs.pictures import ImageRules
from services.ipfs.ports import IpfsGateway, PinningService
from services.ipfs.quorum import Guarded
from services.ipfs.settings import IpfsSettings, Provider
from unixfs import UNIXFS_V1_2025, V0, V1, ImportProfile

PROFILES: Final[dict[str, ImportProfile]] = {"v1": V1, "v0": V0, "unixfs-v1-2025": UNIXFS_V1_2025}
"""By the values of CID_PROFILE, which are Pinata's names of them."""

CONNECT_SECONDS: Final = 10.0


@asynccontextmanager
async def http_client(settings: IpfsSettings) -> AsyncGenerator[httpx.AsyncClient]:
    """Open the client for the provider: as many connections as pins at once, no redirects, no cookies."""
    timeout = httpx.Timeout(settings.pin_timeout_seconds, connect=CONNECT_SECONDS)
    limits = httpx.Limits(max_connections=(settings.pin_concurrency + 1) * len(settings.pinning_provider))
    async with httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False, cookies=NoCookies()) as client:
        yield client


def guarded_services(settings: IpfsSettings, client: httpx.AsyncClient, clock: Clock) -> list[Guarded]:
    """Return each adapter that the settings ask for behind its circuit."""
    failures, pause = settings.circuit_failures, settings.circuit_seconds
    return [
        Guarded(adapter(name, settings, client, clock), clock, failures=failures, pause=pause)
        for name in settings.pinning_provider
    ]


def adapter(name: Provider, settings: IpfsSettings, client: httpx.AsyncClient, clock: Clock) -> PinningService:
    """Return the adapter of one provider."""
    match name:
        case "kubo":
            assert settings.kubo_url is not None, "the settings have checked it"
            profile = PROFILES[settings.cid_profile]
            return KuboPinning(client, settings.kubo_url, profile, clock, settings.kubo_authorization)
        case "pinata":
            return _pinata(settings, client, clock)
        case "pinning-api":
            assert settings.pinning_service_url is not None, "the settings have checked it"
            assert settings.pinning_service_token is not None, "the settings have checked it"
            return PinningApi(
                client,
                settings.pinning_service_url,
                settings.pinning_service_token,
                clock,
                origins=settings.pinning_service_origins,
                patience=settings.pin_timeout_seconds,
            )


def _pinata(settings: IpfsSettings, client: httpx.AsyncClient, clock: Clock) -> PinningService:
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


def ipfs_gateway(settings: IpfsSettings, client: httpx.AsyncClient, clock: Clock) -> IpfsGateway | None:
    """Return the gateway that the settings name, if they do."""
    if settings.ipfs_gateway_url is None:
        return None
    return HttpGateway(client, settings.ipfs_gateway_url, PROFILES[settings.cid_profile], clock)


def image_rules(settings: IpfsSettings) -> ImageRules:
    """Return what the settings ask of images."""
    limits = ImageLimits(max_frames=settings.image_max_frames, allow_markup=settings.image_allow_markup)
    return ImageRules(limits, settings.image_strip_location, settings.image_preview_pixels)


@asynccontextmanager
async def outside_images(settings: IpfsSettings, clock: Clock) -> AsyncGenerator[OutsideTurns | None]:
    """Open what fetches callers' `https://` images, if the settings ask for it."""
    if not settings.image_fetch_outside:
        yield None
        return
    timeout = httpx.Timeout(settings.pin_timeout_seconds, connect=CONNECT_SECONDS)
    seconds = settings.pin_timeout_seconds
    async with outside_client(timeout) as client, name_service() as resolve:
        fetcher = OutsideFetcher(client, clock, max_bytes=MAX_IMAGE_BYTES, seconds=seconds, resolve=resolve)
        yield OutsideTurns(fetcher, clock)
