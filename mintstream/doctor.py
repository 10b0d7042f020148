"""`mintstream doctor`: everything that minting needs, looked at once, and what to do about what is wrong.

Each look is on its own: one that fails says nothing about the others. Nothing is changed, and no key is read: the
wallet's balance is asked of the API. Not done here: looking continuously, which is what metrics and alerts are for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import typer

from chassis.database import connect
from chassis.log import LogUnavailable
from chassis.messaging import Log
from chassis.redaction import scrub
from chassis.settings import SettingsError
from contracts.collection import Standard
from contracts.streams import CONSUMERS, MINT
from mintstream.api import ApiError
from mintstream.places import AuditPlaces, audit_settings, opened_log
from mintstream.reach import DATA, AsJson, DataDir, Exit, Target, gateway, print_json
from services.minter.costs import LAMPORTS_PER_SOL, shape_for, tree_cost

LOOK_SECONDS: Final = 10.0
MAX_SKEW_SECONDS: Final = 5.0
"""The header Date has whole seconds, and the answer takes a moment."""
LOW_MINTS: Final = 1000
"""Below so many NFTs that the balance pays for, the wallet is worth a look."""
SYSTEM_PROGRAM: Final = "11111111111111111111111111111111"
FAILURES: Final = (
    ApiError,
    LogUnavailable,
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


class Wrong(Exception):
    """A look found something wrong; the text says what."""


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
    """Look at settings, API, NATS, Postgres, RPC, DAS, pinning, clock and wallet, and say what to do.

    Exit status 1 when anything is wrong. Settings are read as the services read them.

    Example: mintstream doctor

    Example: NATS_URL=nats://nats:4222 RPC_URL=https://rpc.example mintstream doctor --json
    """
    findings = asyncio.run(_examined(context, data))
    if as_json:
        print_json([asdict(each) for each in findings])
    else:
        for each in findings:
            typer.echo(f"{'ok   ' if each.ok else 'WRONG'}  {each.name:<9} {each.found}")
            if each.advice:
                typer.echo(f"       {'':<9} -> {each.advice}")
    if not all(each.ok for each in findings):
        raise typer.Exit(Exit.FAILED)


async def _examined(context: typer.Context, data: Path) -> list[Finding]:
    try:
        settings = audit_settings(data)
    except SettingsError as error:
        # Go on: the API can be looked at without them.
        advice = "Correct these variables; docs/configuration.md lists all of them."
        settings, first = None, Finding("settings", False, "; ".join(_problems(error)), advice)
    else:
        first = Finding("settings", True, "complete")
    async with AsyncExitStack() as resources:
        api = Api(context, data)
        outside = await resources.enter_async_context(
            httpx.AsyncClient(timeout=LOOK_SECONDS, transport=context.find_object(httpx.AsyncBaseTransport))
        )
        looks = [
            _look("api", api.health, "Start it with `mintstream up`, or name it in MINTSTREAM_URL; else see its log."),
            _look("key", api.key, "Set MINTSTREAM_API_KEY; `mintstream keys create` makes a key."),
            _look("clock", api.clock, "Have NTP set this machine's clock (`timedatectl`), or the gateway's."),
            _look("wallet", api.wallet, "Send SOL to the minting wallet; minting goes on by itself."),
        ]
        if settings is not None:
            rest = Surroundings(settings, outside)
            looks += [
                _look("nats", rest.nats, "Is nats-server up, NATS_URL right, and were its streams made?"),
                _look("postgres", rest.postgres, "Is Postgres up, and DATABASE_URL right? The indexer makes tables."),
                _look("rpc", rest.rpc, "Look at RPC_URL and its provider; docs/runbooks/rpc-provider.md."),
                _look("das", rest.das, "The endpoint must answer the Digital Asset Standard API: another RPC_URL."),
                _look("pinning", rest.pinning, "Look at IPFS_GATEWAY_URL, and at the ipfs service's /health/ready."),
            ]
        return [first, *await asyncio.gather(*looks)]


async def _look(name: str, look: Look, advice: str) -> Finding:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return Finding(name, True, await look())
    except Wrong as wrong:
        return Finding(name, False, str(wrong), advice)
    except FAILURES as error:
        # Stop: this is what was to be found out. The others are looked at all the same.
        text = scrub(f"{type(error).__name__}: {error}".strip(": "))
        return Finding(name, False, text.splitlines()[0], advice)


def _problems(error: SettingsError) -> list[str]:
    return [f"{name} {problem}" for name, problem in error.problems.items()]


class Api:
    """Looks through the gateway."""

    def __init__(self, context: typer.Context, data: Path) -> None:
        self._context = context
        self._data = data

    async def health(self) -> str:
        """What the gateway's own checks say."""
        body = (await self._get("/health")).json()
        failing = [name for name, check in body["checks"].items() if not check["ok"]]
        if failing:
            raise Wrong(f"{body['status']}: {', '.join(sorted(failing))}")
        return f"{Target.find(self._data).url} is {body['status']}"

    async def key(self) -> str:
        """Whose the key is."""
        async with gateway(self._context, self._data) as api:
            me = await api.call("GET", "/api/auth/me")
        return ", ".join(f"{name} {value}" for name, value in me.items() if isinstance(value, str))

    async def clock(self) -> str:
        """How far this machine's clock and the gateway's are apart."""
        told = parsedate_to_datetime((await self._get("/health/live")).headers["Date"])
        skew = abs((datetime.now(UTC) - told).total_seconds())
        if skew > MAX_SKEW_SECONDS:
            raise Wrong(f"{skew:.0f} s apart from the gateway's: sign-ins and expiries go wrong")
        return "no skew against the gateway's that could be seen"

    async def wallet(self) -> str:
        """What the wallet holds, and how many NFTs that pays for."""
        async with gateway(self._context, self._data) as api:
            sol = (await api.call("GET", "/api/stats/overview")).get("walletBalance")
        if sol is None:
            raise Wrong("no node tells its balance")
        cost = tree_cost(10_000, shape_for(10_000, Standard.V2), Standard.V2)
        mints = int(sol * LAMPORTS_PER_SOL / (cost.fee_per_nft + cost.rent_per_nft))
        if mints < LOW_MINTS:
            raise Wrong(f"{sol} SOL: pays for about {mints} NFTs")
        return f"{sol} SOL: pays for about {mints:,} V2 NFTs, without priority fees and new trees"

    async def _get(self, path: str) -> httpx.Response:
        transport = self._context.find_object(httpx.AsyncBaseTransport)
        async with httpx.AsyncClient(timeout=LOOK_SECONDS, transport=transport) as client:
            return await client.get(Target.find(self._data).url + path)


class Surroundings:
    """Looks at what the services stand on."""

    def __init__(self, settings: AuditPlaces, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client

    async def nats(self) -> str:
        """Whether the log answers and has its streams."""
        log: Log
        async with opened_log(self._settings) as log:
            await log.ping()
            return f"{await log.last_sequence(MINT):,} messages in MINT; {len(CONSUMERS)} consumers are known"

    async def postgres(self) -> str:
        """Whether the tables are there, and up to where they are."""
        connection = await connect(self._settings.database_url.reveal(), timeout=LOOK_SECONDS)
        try:
            position: Any = await connection.fetchval("SELECT sequence FROM watermarks WHERE stream = 'MINT'")
        finally:
            await connection.close()
        return f"tables are at message {position:,} of MINT"

    async def rpc(self) -> str:
        """Whether the node is healthy."""
        health, version = await self._call("getHealth"), await self._call("getVersion")
        slot = await self._call("getSlot", [{"commitment": "finalized"}])
        if health != "ok":
            raise Wrong(f"the node says {health}")
        return f"solana-core {version.get('solana-core', '?')}, finalized slot {slot:,}"

    async def das(self) -> str:
        """Whether the endpoint knows the Digital Asset Standard API."""
        await self._call("getAssetsByOwner", {"ownerAddress": SYSTEM_PROGRAM, "limit": 1, "page": 1})
        return "answers getAssetsByOwner"

    async def pinning(self) -> str:
        """Whether the IPFS gateway answers; which content it has is for audits."""
        answer = await self._client.get(self._settings.ipfs_gateway_url)
        if answer.is_server_error:
            raise Wrong(f"the gateway answers {answer.status_code}")
        return f"{self._settings.ipfs_gateway_url} answers"

    async def _call(self, method: str, params: object = ()) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await self._client.post(self._settings.rpc_url.reveal(), json=request)
        body: dict[str, Any] = answer.json()
        if "error" in body:
            raise Wrong(f"{method}: {scrub(str(body['error'].get('message', body['error'])))}")
        return body["result"]
