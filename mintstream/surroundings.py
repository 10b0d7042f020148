"""What the services stand on, looked at for `mintstream doctor`: log, tables, node, IPFS gateway, pinning.

Nothing is changed, and nothing is paid for. Not done here: what is advised (`doctor`).
"""

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from chassis.clock import SystemClock
from chassis.database import connect
from chassis.messaging import Log
from chassis.redaction import scrub
from chassis.settings import load
from contracts.streams import CONSUMERS, MINT
from mintstream.embedded import OWN_VARIABLES, embedded
from mintstream.places import AuditPlaces, opened_log
from services.ipfs.adapters.provider import adapter
from services.ipfs.ports import PinningService
from services.ipfs.settings import IpfsSettings

LOOK_SECONDS: Final = 10.0
MAX_APART_SECONDS: Final = 1.0
"""Beyond the time that the answer took."""
SYSTEM_PROGRAM: Final = "11111111111111111111111111111111"


class Wrong(Exception):
    """A look found something wrong; the text says what. `advice` is for this alone, in place of the look's own."""

    def __init__(self, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.advice = advice


def pinning_providers(data: Path, client: httpx.AsyncClient) -> list[PinningService]:
    """Return the providers that the ipfs service pins with, as its variables say; raises SettingsError.

    Without variables it is the embedded stack's endpoint.
    """
    stack = embedded(data)
    settings = load(
        IpfsSettings, {"NATS_URL": stack.nats, "KUBO_URL": stack.ipfs} | os.environ, also_known=OWN_VARIABLES
    )
    return [adapter(name, settings, client, SystemClock()) for name in settings.pinning_provider]


def looked_at(provider: PinningService) -> Callable[[], Awaitable[str]]:
    """Return a look at a provider: whether it answers and takes the credentials. It raises PinUnavailable."""

    async def look() -> str:
        await provider.check()
        return "answers, and takes the credentials"

    return look


def apart(told: datetime, began: datetime, ended: datetime, whose: str) -> str:
    """Judge a clock that was read between two moments of this machine's clock."""
    apart = max((began - told).total_seconds(), (told - ended).total_seconds(), 0.0)
    if apart > MAX_APART_SECONDS:
        raise Wrong(f"{apart:.1f} s apart from {whose}")
    return f"no skew beyond the {(ended - began).total_seconds() * 1000:.0f} ms of the look"


class Surroundings:
    """Looks at what the services stand on; each returns what is well, or raises `Wrong` or what its client raises."""

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
        position: Any = await self._asked("SELECT sequence FROM watermarks WHERE stream = 'MINT'")
        return f"tables are at message {position:,} of MINT"

    async def postgres_clock(self) -> str:
        """How far this machine's clock and Postgres's are apart, to the time that an answer takes."""
        began = datetime.now(UTC)
        try:
            told: datetime = await self._asked("SELECT clock_timestamp()")
        except (OSError, TimeoutError):  # stop: the look at Postgres itself says what is wrong
            raise Wrong("could not be looked at", "First see to `postgres`.") from None
        return apart(told, began, datetime.now(UTC), "Postgres's: times in the tables and expiries go wrong")

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

    async def ipfs_gateway(self) -> str:
        """Whether the IPFS gateway answers; which content it has is for audits."""
        answer = await self._client.get(self._settings.ipfs_gateway_url)
        if answer.is_server_error:
            raise Wrong(f"the gateway answers {answer.status_code}")
        return f"{self._settings.ipfs_gateway_url} answers"

    async def _asked(self, query: str) -> Any:
        connection = await connect(self._settings.database_url.reveal(), timeout=LOOK_SECONDS)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def _call(self, method: str, params: object = ()) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await self._client.post(self._settings.rpc_url.reveal(), json=request)
        body: dict[str, Any] = answer.json()
        if "error" in body:
            raise Wrong(f"{method}: {scrub(str(body['error'].get('message', body['error'])))}")
        return body["result"]
