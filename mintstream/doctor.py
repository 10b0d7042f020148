"""`mintstream doctor`: everything that minting needs, looked at once, and what to do about what is wrong.

Each look is on its own: one that fails says nothing about the others. Nothing is changed, and no key is read: the
wallet's balance is asked of the API. Not done here: what the services stand on (`surroundings`), and looking
continuously, which is what metrics and alerts are for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import typer

from bubblegum.rents import MINT_FEES, SIGNATURE_FEE
from chassis.log import LogUnavailable
from chassis.redaction import scrub
from chassis.settings import SettingsError
from mintstream.ending import Exit
from mintstream.errors import ApiError
from mintstream.options import DATA, AsJson, DataDir
from mintstream.places import audit_places
from mintstream.printing import people, print_json
from mintstream.reach import Target, gateway
from mintstream.surroundings import LOOK_SECONDS, Surroundings, Wrong, looked_at, pinning_providers
from services.ipfs.ports import PinUnavailable
from services.minter.costs import LAMPORTS_PER_SOL

MAX_SKEW_SECONDS: Final = 5.0
"""The header Date has whole seconds, and the answer takes a moment."""
LOW_MINTS: Final = 1000
"""Below so many NFTs that the balance pays for, the wallet is worth a look."""
WIDTH: Final = 18
"""Of the names of looks."""
UNSEEN: Final = ("could not be looked at", "First see to `api`.")
"""What a look finds, and advises, when the API does not answer."""
FAILURES: Final = (
    ApiError,
    LogUnavailable,
    PinUnavailable,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    httpx.HTTPError,
    httpx.InvalidURL,
    # An answer of another shape than that of what should be there.
    KeyError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    """What to do; empty when all is well."""


Look = Callable[[], Awaitable[str]]
"""Returns what is well; raises Wrong, or any of FAILURES."""


def doctor(context: typer.Context, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Look at everything that minting needs, and say what to do about what is wrong.

    That is settings, API, key, wallet, clocks, NATS, Postgres, RPC, DAS, the IPFS gateway and every pinning provider.
    Settings are read as the services read them; nothing is changed.

    Example: mintstream doctor

    Example: NATS_URL=nats://nats:4222 RPC_URL=https://rpc.example mintstream doctor --json
    """
    with people(stderr=True).status("Looking"):
        findings = asyncio.run(_examined(context, data))
    if as_json:
        print_json([asdict(each) for each in findings])
    else:
        for each in findings:
            typer.echo(f"{'ok   ' if each.ok else 'WRONG'}  {each.name:<{WIDTH}} {each.found}")
            if each.advice:
                typer.echo(f"       {'':<{WIDTH}} -> {each.advice}")
    if not all(each.ok for each in findings):
        raise typer.Exit(Exit.WRONG)


async def _examined(context: typer.Context, data: Path) -> list[Finding]:
    found: list[Finding] = []
    async with AsyncExitStack() as resources:
        transport = context.find_object(httpx.AsyncBaseTransport)
        outside = await resources.enter_async_context(httpx.AsyncClient(timeout=LOOK_SECONDS, transport=transport))
        looks = _of_api(Api(context, data))
        try:
            settings = audit_places(data)
        except SettingsError as error:  # go on: the API can be looked at without them
            found.append(_unset("settings", error))
        else:
            found.append(Finding("settings", True, "complete"))
            looks += _of_surroundings(Surroundings(settings, outside))
        try:
            providers = pinning_providers(data, outside)
        except SettingsError as error:  # go on: everything else can be looked at without them
            found.append(_unset("pinning", error))
        else:
            advice = "Is it up, and are its address and credentials right? Nothing is minted before it has the content."
            looks += [_look(f"pinning {each.name}", looked_at(each), advice) for each in providers]
        return [*found, *await asyncio.gather(*looks)]


def _of_api(api: "Api") -> list[Coroutine[Any, Any, Finding]]:
    return [
        _look("api", api.health, "Start it with `mintstream up`, or name it in MINTSTREAM_URL; else see its log."),
        _look("key", api.key, "Set MINTSTREAM_API_KEY; `mintstream keys create` makes a key."),
        _look("wallet", api.wallet, "Send SOL to the minting wallet; minting goes on by itself."),
        _look("clock of gateway", api.clock, "Have NTP set this machine's clock (`timedatectl`), or the gateway's."),
    ]


def _of_surroundings(around: Surroundings) -> list[Coroutine[Any, Any, Finding]]:
    return [
        _look("clock of postgres", around.postgres_clock, "Have NTP set this machine's clock, or the database's."),
        _look("nats", around.nats, "Is nats-server up, NATS_URL right, and were its streams made?"),
        _look("postgres", around.postgres, "Is Postgres up, and DATABASE_URL right? The indexer makes tables."),
        _look("rpc", around.rpc, "Look at RPC_URL and its provider; docs/runbooks/rpc-provider.md."),
        _look("das", around.das, "The endpoint must answer the Digital Asset Standard API: another RPC_URL."),
        _look("ipfs gateway", around.ipfs_gateway, "Look at IPFS_GATEWAY_URL; audits and RETRIEVAL_CHECK ask it."),
    ]


def _unset(name: str, error: SettingsError) -> Finding:
    problems = "; ".join(f"{variable} {problem}" for variable, problem in error.problems.items())
    return Finding(name, False, problems, "Correct these variables; docs/configuration.md lists all of them.")


async def _look(name: str, look: Look, advice: str) -> Finding:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return Finding(name, True, await look())
    except Wrong as wrong:
        return Finding(name, False, str(wrong), wrong.advice or advice)
    except FAILURES as error:
        # Stop: this is what was to be found out. The others are looked at all the same.
        silent = isinstance(error, TimeoutError) and not str(error)
        text = f"no answer in {LOOK_SECONDS:g} s" if silent else scrub(f"{type(error).__name__}: {error}".strip(": "))
        return Finding(name, False, text.splitlines()[0], advice)


class Api:
    """Looks through the gateway."""

    def __init__(self, context: typer.Context, data: Path) -> None:
        self._context = context
        self._data = data

    async def health(self) -> str:
        """What the gateway's own checks say."""
        try:
            body = (await self._get("/health")).json()
        except httpx.TransportError as error:  # stop: this is what was to be found out
            raise Wrong(f"no answer from {Target.find(self._data).url}: {type(error).__name__}") from None
        failing = [name for name, check in body["checks"].items() if not check["ok"]]
        if failing:
            raise Wrong(f"{body['status']}: {', '.join(sorted(failing))}")
        return f"{Target.find(self._data).url} is {body['status']}"

    async def key(self) -> str:
        """Whose the key is."""
        me = await self._asked("/api/auth/me")
        return ", ".join(f"{name} {value}" for name, value in me.items() if isinstance(value, str))

    async def clock(self) -> str:
        """How far this machine's clock and the gateway's are apart."""
        try:
            answer = await self._get("/health/live")
        except httpx.TransportError:  # stop: `api` says what is wrong
            raise Wrong(*UNSEEN) from None
        told = parsedate_to_datetime(answer.headers["Date"])
        skew = abs((datetime.now(UTC) - told).total_seconds())
        if skew > MAX_SKEW_SECONDS:
            raise Wrong(f"{skew:.0f} s apart from the gateway's: sign-ins and expiries go wrong")
        return "no skew against the gateway's that could be seen"

    async def wallet(self) -> str:
        """What the wallet holds, and how many NFTs that pays for."""
        try:
            sol = (await self._asked("/api/stats/overview")).get("walletBalance")
        except ApiError as error:
            if error.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
            raise Wrong(UNSEEN[0], "First see to `key`.") from None  # stop: `key` says what is wrong
        if sol is None:
            raise Wrong("no node tells its balance", "Look again in a moment; else see `rpc` below, and the gateway's.")
        mints = int(sol * LAMPORTS_PER_SOL / (SIGNATURE_FEE + MINT_FEES[2]))
        if mints < LOW_MINTS:
            raise Wrong(f"{sol} SOL: pays for about {mints} NFTs")
        return f"{sol} SOL: pays for about {mints:,} V2 NFTs, one a transaction, without priority fees and trees"

    async def _asked(self, path: str) -> dict[str, Any]:
        try:
            async with gateway(self._context, self._data) as api:
                return await api.call("GET", path)
        except ApiError as error:
            if error.status:
                raise
            raise Wrong(*UNSEEN) from None  # stop: `api` says what is wrong

    async def _get(self, path: str) -> httpx.Response:
        transport = self._context.find_object(httpx.AsyncBaseTransport)
        async with httpx.AsyncClient(timeout=LOOK_SECONDS, transport=transport) as client:
            return await client.get(Target.find(self._data).url + path)
