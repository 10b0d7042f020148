"""Signing in with a wallet, and the tokens that come of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from solders.keypair import Keypair

from chassis.clock import ManualClock
from chassis.log import LogUnavailable
from chassis.settings import Secret
from contracts.access import LoginRedeemed, Scope
from services.gateway.callers import BOOTSTRAP, Caller
from services.gateway.errors import LogSilent, SignInRefused, ValidationFailed
from services.gateway.limiting import Quota
from services.gateway.signing_in import NONCE_LIFETIME, STATEMENT, Grants, SignIn
from services.gateway.tokens import MAX_LIFETIME, Tokens
from tests.support.gateway import JWT_SECRET, LOGIN_DOMAIN, Gateway
from tests.support.memory_log import MemoryLog

ADMIN, WALLET = Keypair(), Keypair()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Claims = dict[str, Any]


class Party:
    """A sign-in with everything it stands on."""

    def __init__(self, log: MemoryLog | None = None, secret: Secret = JWT_SECRET) -> None:
        self.clock = ManualClock(NOW)
        self.log = log or MemoryLog()
        self.tokens = Tokens(secret, "mintstream", timedelta(hours=1), self.clock)
        grants = Grants(admins=frozenset({str(ADMIN.pubkey())}), others=frozenset({Scope.READ}))
        self.sign_in = SignIn(self.log, self.tokens, secret, (LOGIN_DOMAIN, "localhost:3000"), grants, self.clock)

    def message(self, wallet: Keypair = WALLET, domain: str | None = None) -> str:
        return self.sign_in.challenge(str(wallet.pubkey()), domain).message

    async def refusal(self, message: str, signature: str) -> str:
        with pytest.raises(SignInRefused) as refused:
            await self.sign_in.token(message, signature)
        return refused.value.problems[0].message


def signed(message: str, wallet: Keypair = WALLET) -> str:
    return str(wallet.sign_message(message.encode()))


def test_the_message_is_sign_in_with_solanas() -> None:
    party = Party()
    lines = party.message().split("\n")
    assert lines[:7] == [
        f"{LOGIN_DOMAIN} wants you to sign in with your Solana account:",
        str(WALLET.pubkey()),
        "",
        STATEMENT,
        "",
        f"URI: https://{LOGIN_DOMAIN}",
        "Version: 1",
    ]
    assert [line.split(": ")[0] for line in lines[7:]] == ["Nonce", "Issued At", "Expiration Time"]
    assert lines[8:] == ["Issued At: 2026-03-01T12:00:00Z", "Expiration Time: 2026-03-01T12:05:00Z"]
    assert "URI: http://localhost:3000\n" in party.message(domain="localhost:3000")
    with pytest.raises(ValidationFailed):
        party.message(domain="evil.example")


@pytest.mark.parametrize(("wallet", "scopes"), [(WALLET, {Scope.READ}), (ADMIN, set(Scope))])
async def test_a_signature_is_worth_a_token_of_its_wallet(wallet: Keypair, scopes: set[Scope]) -> None:
    party = Party()
    message = party.message(wallet)
    token = await party.sign_in.token(message, signed(message, wallet))
    assert party.tokens.read(token.text) == Caller(name=f"wallet:{wallet.pubkey()}", scopes=frozenset(scopes))
    assert token.text not in repr(token)


async def test_a_nonce_works_once_also_on_another_replica() -> None:
    first = Party()
    second = Party(first.log)
    message = first.message()
    await second.sign_in.token(message, signed(message))
    for party in (first, second):
        assert "used before" in await party.refusal(message, signed(message))
    assert len(first.log.facts(LoginRedeemed)) == 1


async def test_a_nonce_ends_after_its_time() -> None:
    party = Party()
    message = party.message()
    await party.clock.advance(NONCE_LIFETIME.total_seconds())
    assert "expired" in await party.refusal(message, signed(message))


CHANGES: dict[str, Callable[[str], str]] = {
    "domain": lambda text: text.replace(LOGIN_DOMAIN, "evil.example"),
    "another of ours": lambda text: text.replace(LOGIN_DOMAIN, "localhost:3000", 1),
    "statement": lambda text: text.replace(STATEMENT, "Send everything."),
    "time": lambda text: text.replace("12:05:00Z", "23:05:00Z"),
    "address": lambda text: text.replace(str(WALLET.pubkey()), str(ADMIN.pubkey())),
    "nonce": lambda text: text.replace("Nonce: ", "Nonce: 0"),
    "nonce's time": lambda text: text.replace("Nonce: 6", "Nonce: 7"),
    "more": lambda text: text + "\nResources:\n- https://evil.example",
    "before": lambda text: "\n" + text,
    "all": lambda text: "Nonce: " + "0" * 72,
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_message_that_was_changed_is_refused_though_it_is_well_signed(change: Callable[[str], str]) -> None:
    party = Party()
    message = change(party.message())
    await party.refusal(message, signed(message))
    assert party.log.facts() == []


async def test_only_the_accounts_own_signature_counts() -> None:
    party = Party()
    message = party.message()
    for signature in (signed(message, ADMIN), signed(message + " "), "", "1" * 64, "no base58 0OIl"):
        assert "signature" in await party.refusal(message, signature)
    elsewhere = Party(secret=Secret("another-secret-of-the-tests-" * 3))
    assert "not one of this service's" in await elsewhere.refusal(message, signed(message))
    # None of these has used the nonce up.
    await party.sign_in.token(message, signed(message))


async def test_without_the_log_nobody_signs_in() -> None:
    party = Party()
    message = party.message()
    party.log.fail_publishes = [LogUnavailable("no answer")]
    with pytest.raises(LogSilent):
        await party.sign_in.token(message, signed(message))


def claims(**changes: object) -> Claims:
    now = int(NOW.timestamp())
    fine: Claims = {"sub": "user:7", "scope": "read mint", "aud": "mintstream", "iat": now, "exp": now + 600}
    return {name: value for name, value in (fine | changes).items() if value is not None}


def encoded(given: Claims, *, secret: str = JWT_SECRET.reveal(), algorithm: str | None = "HS256") -> str:
    return jwt.encode(given, secret, algorithm=algorithm)  # pyright: ignore[reportUnknownMemberType]  (see tokens.py)


def test_a_token_of_whoever_else_holds_the_secret_is_read() -> None:
    caller = Party().tokens.read(encoded(claims(scope="read mint fly", extra=1)))
    assert caller == Caller(name="user:7", scopes=frozenset({Scope.READ, Scope.MINT}))
    ahead = int(NOW.timestamp()) + 30  # by a clock that is half a minute ahead
    assert Party().tokens.read(encoded(claims(iat=ahead, nbf=ahead))) is not None


@pytest.mark.parametrize(
    "token",
    [
        encoded(claims(), secret="another-secret-of-the-tests-" * 3),
        encoded(claims(), algorithm="HS512"),
        encoded(claims(), secret="", algorithm=None),
        encoded(claims(aud="somebody-else")),
        encoded(claims(aud=None)),
        encoded(claims(exp=None)),
        encoded(claims(iat=None)),
        encoded(claims(sub=None)),
        encoded(claims(sub="")),
        encoded(claims(sub="two words")),
        encoded(claims(sub=BOOTSTRAP)),
        encoded(claims(exp=int(NOW.timestamp()))),
        encoded(claims(iat=int(NOW.timestamp()) + 3600, exp=int(NOW.timestamp()) + 7200)),
        encoded(claims(exp=int((NOW + MAX_LIFETIME).timestamp()) + 1)),
        encoded(claims(scope=["admin"])),
        encoded(claims(nbf=int(NOW.timestamp()) + 90)),
        encoded(claims(nbf="soon")),
        "",
        "a.b.c",
        encoded(claims())[:-1],
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    assert Party().tokens.read(token) is None


async def test_the_endpoints_sign_in(gateway: Gateway) -> None:
    gateway.admin_wallets = frozenset({str(ADMIN.pubkey())})
    async with gateway.client(api_key=None) as client:
        asked = await client.post("/api/auth/challenge", json={"address": str(ADMIN.pubkey())})
        challenge = asked.json()["data"]
        assert challenge["message"].startswith(f"{challenge['domain']} wants you")
        body = {"message": challenge["message"], "signature": signed(challenge["message"], ADMIN)}
        given = (await client.post("/api/auth/login", json=body)).json()["data"]
        assert (given["tokenType"], given["scopes"]) == ("Bearer", ["admin", "mint", "read"])
        me = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {given['token']}"})
        assert me.json()["data"]["caller"] == f"wallet:{ADMIN.pubkey()}"
        again = await client.post("/api/auth/login", json=body)
        assert (again.status_code, again.json()["code"]) == (401, "sign_in_refused")
        huge = await client.post("/api/auth/login", json={"message": "x" * 10_000, "signature": "1"})
        assert huge.status_code == 413


async def test_strangers_are_counted_by_the_address_that_the_proxy_saw(gateway: Gateway) -> None:
    gateway.quotas = {"login": Quota(most=1, window=60)}
    gateway.trusted_proxies = 1
    body = {"address": str(WALLET.pubkey())}
    async with gateway.client(api_key=None) as client:
        statuses = [
            (await client.post("/api/auth/challenge", json=body, headers={"X-Forwarded-For": chain})).status_code
            for chain in ("203.0.113.7", "1.2.3.4, 203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8::2")
        ]
    assert statuses == [200, 429, 200, 200, 429]
