"""Settings say what is missing by its variable, and choose the adapter."""

import httpx
import pytest

from chassis.clock import ManualClock
from chassis.settings import SettingsError, load
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.pinata import PinataLegacyPinning, PinataPinning
from services.ipfs.adapters.pinning_api import PinningApi
from services.ipfs.adapters.provider import adapter, guarded_services
from services.ipfs.settings import IpfsSettings

NATS = {"NATS_URL": "nats://127.0.0.1:4222"}
KEYS = {"PINATA_API_KEY": "key", "PINATA_SECRET_KEY": "hidden"}
SEVERAL = {
    "PINNING_PROVIDER": "kubo,pinata,pinning-api",
    "KUBO_URL": "http://127.0.0.1:5001",
    "PINATA_JWT": "hidden",
    "PINNING_SERVICE_URL": "https://pins.test/psa",
    "PINNING_SERVICE_TOKEN": "hidden",
}
PINATA = {"PINNING_PROVIDER": "pinata"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"KUBO_URL": "http://127.0.0.1:5001"}, KuboPinning),
        ({**PINATA, "PINATA_JWT": "hidden"}, PinataPinning),
        ({**PINATA, **KEYS, "PINATA_JWT": "hidden"}, PinataPinning),
        ({**PINATA, **KEYS}, PinataLegacyPinning),
        ({**PINATA, "PINATA_JWT": "hidden", "CID_PROFILE": "unixfs-v1-2025"}, PinataPinning),
        ({**SEVERAL, "PINNING_PROVIDER": "pinning-api,kubo"}, PinningApi),
    ],
)
async def test_the_adapter_that_is_asked_for(environ: dict[str, str], wanted: type) -> None:
    settings = load(IpfsSettings, {**NATS, **environ})
    assert "hidden" not in repr(settings)
    async with httpx.AsyncClient() as client:
        assert isinstance(adapter(settings.pinning_provider[0], settings, client, ManualClock()), wanted)


async def test_several_providers_are_one_service_with_a_quorum() -> None:
    settings = load(IpfsSettings, {**NATS, **SEVERAL, "PINNING_QUORUM": "2"})
    assert settings.quorum == 2
    assert load(IpfsSettings, {**NATS, **SEVERAL}).quorum == 3
    async with httpx.AsyncClient() as client:
        services = guarded_services(settings, client, ManualClock())
    assert [(each.name, each.takes_bytes) for each in services] == [
        ("kubo", True),
        ("pinata", True),
        ("pinning-api", False),
    ]


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, "KUBO_URL"),
        ({"KUBO_URL": "http://hidden:hidden@127.0.0.1:5001"}, "KUBO_URL"),
        ({"KUBO_URL": "http://127.0.0.1:5001", "IPFS_GATEWAY_URL": "https://hidden@gateway.test"}, "IPFS_GATEWAY_URL"),
        ({"KUBO_URL": "127.0.0.1:5001"}, "KUBO_URL"),
        (PINATA, "PINATA_JWT"),
        ({**PINATA, "PINATA_API_KEY": "key"}, "PINATA_JWT"),
        ({**PINATA, **KEYS, "CID_PROFILE": "unixfs-v1-2025"}, "PINATA_JWT"),
        ({"KUBO_URL": "http://x", "CID_PROFILE": "v2"}, "CID_PROFILE"),
        ({"KUBO_URL": "http://x", "PINNING_PROVIDER": "kubo,kubo"}, "PINNING_PROVIDER"),
        ({"KUBO_URL": "http://x", "PINNING_PROVIDER": "filecoin"}, "PINNING_PROVIDER"),
        ({**SEVERAL, "PINNING_PROVIDER": "pinning-api"}, "PINNING_PROVIDER"),
        ({**SEVERAL, "PINNING_SERVICE_TOKEN": ""}, "PINNING_SERVICE_TOKEN"),
        ({**SEVERAL, "PINNING_SERVICE_URL": ""}, "PINNING_SERVICE_URL"),
        ({"KUBO_URL": "http://x", "PINNING_QUORUM": "2"}, "PINNING_QUORUM"),
        ({"KUBO_URL": "http://x", "RETRIEVAL_CHECK": "true"}, "IPFS_GATEWAY_URL"),
        ({"KUBO_URL": "http://x", "PIN_CONCURRENCY": "0"}, "PIN_CONCURRENCY"),
    ],
)
def test_what_is_wrong_is_named(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(IpfsSettings, {**NATS, **environ})
    assert set(caught.value.problems) == {variable}
    assert "hidden" not in str(caught.value)
