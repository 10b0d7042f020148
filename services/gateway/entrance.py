"""Builds what decides who may call: a part of the composition root (`main.py`) of its own."""

from datetime import timedelta

from chassis.key_book import read_key_book
from chassis.lifecycle import Lifecycle
from chassis.messaging import Log
from contracts.access import Scope
from services.gateway.adapters.counting import shared_counters
from services.gateway.api.auth import Access, Authenticator
from services.gateway.knowing import KeyReader
from services.gateway.limiting import Limiter
from services.gateway.settings import GatewaySettings
from services.gateway.signing_in import Grants, SignIn
from services.gateway.tokens import Tokens


async def entrance(life: Lifecycle, settings: GatewaySettings, log: Log) -> tuple[Access, SignIn | None]:
    """Return the gate before the routes, and the sign-in when it is set up. Raises LogUnavailable.

    Every key that the log has by now is known when this returns, so that no good key is refused after a start.
    """
    keys = await read_key_book(log)
    life.spawn("api keys", KeyReader(log, keys, life.clock).run(), background=True)
    tokens = None
    if settings.jwt_secret is not None:
        lifetime = timedelta(seconds=settings.jwt_lifetime)
        tokens = Tokens(settings.jwt_secret, settings.jwt_audience, lifetime, life.clock)
    shared = await life.enter(shared_counters(settings.redis_url)) if settings.redis_url is not None else None
    limiter = Limiter(settings.quotas(), shared, life.clock)
    access = Access(Authenticator(settings.api_key, keys, tokens, life.clock), limiter)
    return access, _sign_in(life, settings, log, tokens)


def _sign_in(life: Lifecycle, settings: GatewaySettings, log: Log, tokens: Tokens | None) -> SignIn | None:
    domains = settings.sign_in_domains()
    if tokens is None or settings.jwt_secret is None or not domains:
        return None
    grants = Grants(
        admins=frozenset(settings.admin_wallets), others=frozenset(Scope(each) for each in settings.wallet_scopes)
    )
    return SignIn(log, tokens, settings.jwt_secret, domains, grants, life.clock)
