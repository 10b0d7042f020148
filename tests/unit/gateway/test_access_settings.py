"""What the environment can say of who may call."""

import pytest
from solders.keypair import Keypair

from chassis.settings import SettingsError, load
from services.gateway.limiting import Quota
from services.gateway.settings import GatewaySettings

NEEDED = {"NATS_URL": "nats://127.0.0.1:4222", "DATABASE_URL": "postgresql://reader@127.0.0.1/mintstream"}


def settings(**environ: str) -> GatewaySettings:
    return load(GatewaySettings, NEEDED | environ)


def test_the_limits_are_the_source_documents_unless_told_otherwise() -> None:
    quotas = settings().quotas()
    assert quotas["mint"] == Quota(most=10, window=900)
    assert quotas["upload"] == Quota(most=50, window=300)
    assert quotas["general"] == Quota(most=100, window=900)
    changed = settings(RATE_LIMIT_MAX="7", RATE_LIMIT_WINDOW="60", RATE_LIMIT_MINT_MAX="3").quotas()
    assert (changed["general"], changed["mint"]) == (Quota(most=7, window=60), Quota(most=3, window=900))
    assert settings(RATE_LIMITS="false").quotas() == {}


def test_pages_that_may_call_may_ask_wallets_to_sign_in() -> None:
    origins = settings(CORS_ORIGINS="https://app.example.org,http://localhost:3000")
    assert origins.sign_in_domains() == ("app.example.org", "localhost:3000")
    assert settings(CORS_ORIGINS="https://a.example", LOGIN_DOMAINS="b.example").sign_in_domains() == ("b.example",)
    assert settings().sign_in_domains() == ()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "null"),
        ("JWT_SECRET", "short"),
        ("API_KEY", "short"),
        ("LOGIN_DOMAINS", "https://app.example.org"),
        ("WALLET_SCOPES", "admin"),
        ("ADMIN_WALLETS", "not-an-address"),
        ("TRUSTED_PROXIES", "-1"),
        ("RATE_LIMIT_MAX", "0"),
        ("REDIS_URL", "http://127.0.0.1"),
    ],
)
def test_what_would_open_too_much_is_refused_at_the_start(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(**{variable: value})
    assert set(refused.value.problems) == {variable}


@pytest.mark.parametrize("variable", ["WALLET_ADDRESS", "ADMIN_WALLETS"])
def test_a_keypair_in_the_place_of_an_address_is_not_told(variable: str) -> None:
    keypair = str(Keypair())
    with pytest.raises(SettingsError) as refused:
        settings(**{variable: keypair})
    assert f"got '{keypair[:16]}...'" in str(refused.value)
    assert keypair[:17] not in str(refused.value)
