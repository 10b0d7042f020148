"""Who may call, on two gateways at once: keys made by the command line, sign-ins, and limits shared through Redis."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from solders.keypair import Keypair
from typer.testing import CliRunner

from chassis.messaging import Log
from contracts.mint import Requested
from contracts.streams import LOGIN
from localnet.child import Child, running
from mintstream import keys
from tests.integration.gateway.conftest import NO_DATABASE, StartGateway, spec
from tests.support.gateway import JWT_SECRET, LOGIN_DOMAIN, single
from tests.support.redis import redis_server

PATIENCE = 60.0


@asynccontextmanager
async def two_gateways(nats_url: str, directory: Path, **environ: str) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Clients without a key, one of each."""
    async with AsyncExitStack() as opened:
        clients: list[httpx.AsyncClient] = []
        for name in ("one", "two"):
            (directory / name).mkdir()
            started = running(spec(directory / name, nats_url, NO_DATABASE, **environ))
            child: Child = await opened.enter_async_context(started)
            client = httpx.AsyncClient(base_url=child.addresses["api"], timeout=PATIENCE)
            clients.append(await opened.enter_async_context(client))
        yield clients


async def mintstream_keys(nats_url: str, *arguments: str) -> str:
    """What `mintstream keys ...` prints."""
    nats = urlsplit(nats_url)
    environ = {"NATS_URL": f"nats://{nats.hostname}:{nats.port}"}
    environ |= {"NATS_USER": nats.username or "", "NATS_PASSWORD": nats.password or ""}
    # In a thread: the command has an event loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, keys.app, arguments, env=environ)
    assert result.exit_code == 0, result.output
    return result.stdout


async def until(client: httpx.AsyncClient, key: str, status: int) -> None:
    """Wait until the gateway answers the key with `status`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.get("/api/auth/me", headers={"X-API-Key": key})
            if answer.status_code == status:
                return
            await asyncio.sleep(0.02)


async def test_keys_of_the_command_line_work_at_once_everywhere_until_they_are_revoked(
    nats_url: str, log: Log, start_gateway: StartGateway, tmp_path: Path
) -> None:
    shop = json.loads(
        await mintstream_keys(nats_url, "create", "--caller", "shop", "--scope", "mint", "--scope", "read", "--json")
    )
    async with two_gateways(nats_url, tmp_path) as (one, two):
        # Known from the first answer on, because it was made before the start.
        me = await one.get("/api/auth/me", headers={"X-API-Key": shop["key"]})
        assert me.json()["data"] == {"caller": "app:shop", "scopes": ["mint", "read"]}
        minted = await two.post("/api/mint/single", json=single(), headers={"X-API-Key": shop["key"]})
        operation = UUID(minted.json()["data"]["transactionId"])
        found = await log.last(Requested, operation=operation)
        assert found is not None
        assert found.data.caller == "app:shop"

        other = (await mintstream_keys(nats_url, "create", "--caller", "other", "--scope", "read")).strip()
        for gateway in (one, two):
            await until(gateway, other, 200)
        hidden = await one.get(f"/api/mint/status/{operation}", headers={"X-API-Key": other})
        never = await one.get(f"/api/mint/status/{UUID(int=7)}", headers={"X-API-Key": other})
        assert (hidden.status_code, hidden.json()["error"]) == (404, never.json()["error"])

        fresh = json.loads(await mintstream_keys(nats_url, "rotate", shop["id"], "--overlap-hours", "1", "--json"))
        for gateway in (one, two):
            await until(gateway, fresh["key"], 200)
        # The old one goes on for the overlap, and what it made is the new one's too.
        assert (await one.get("/api/auth/me", headers={"X-API-Key": shop["key"]})).status_code == 200
        seen = await two.get(f"/api/mint/status/{operation}", headers={"X-API-Key": fresh["key"]})
        assert seen.json()["data"]["status"] == "pending"

        await mintstream_keys(nats_url, "revoke", shop["id"])
        for gateway in (one, two):
            await until(gateway, shop["key"], 401)
    listed = {row["id"]: row for row in json.loads(await mintstream_keys(nats_url, "list", "--json"))}
    assert (listed[shop["id"]]["state"], listed[fresh["id"]]["state"]) == ("revoked", "active")
    assert fresh["key"] not in json.dumps(listed)


async def test_a_sign_in_works_once_and_its_token_everywhere_and_limits_are_shared(
    nats_url: str, log: Log, tmp_path: Path
) -> None:
    wallet = Keypair()
    async with (
        redis_server() as redis,
        two_gateways(
            nats_url,
            tmp_path,
            JWT_SECRET=JWT_SECRET.reveal(),
            LOGIN_DOMAINS=LOGIN_DOMAIN,
            WALLET_SCOPES="read,mint",
            REDIS_URL=redis.addresses["redis"],
            RATE_LIMITS="true",
            RATE_LIMIT_MINT_MAX="3",
        ) as (one, two),
    ):
        challenge = (await one.post("/api/auth/challenge", json={"address": str(wallet.pubkey())})).json()["data"]
        signature = wallet.sign_message(challenge["message"].encode())
        body = {"message": challenge["message"], "signature": str(signature)}
        answers = await asyncio.gather(*(gateway.post("/api/auth/login", json=body) for gateway in (one, two) * 3))
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]
        assert await log.last_sequence(LOGIN) == 1
        (token,) = (answer.json()["data"]["token"] for answer in answers if answer.status_code == 200)
        bearer = {"Authorization": f"Bearer {token}"}

        statuses: list[int] = []
        for gateway in (one, two, one, two):
            answer = await gateway.post("/api/mint/single", json=single(), headers=bearer)
            statuses.append(answer.status_code)
            assert answer.headers["RateLimit-Policy"] == '"mint";q=3;w=900'
        assert statuses == [200, 200, 200, 429]
        assert 0 < int(answer.headers["Retry-After"]) <= 900
        assert (answer.json()["code"], answer.json()["error"]) == ("rate_limited", "Too many mint requests")

        redis.kill()
        await redis.wait()
        # Nobody is shut out: each replica counts for itself from here on.
        answer = await one.post("/api/mint/single", json=single(), headers=bearer)
        assert answer.status_code == 200, answer.text
        assert answer.headers["RateLimit"].startswith('"mint";r=2;')
    logged = (tmp_path / "one" / "gateway.log").read_text()
    assert "rate limits are counted by this replica alone" in logged
    assert token not in logged
    assert JWT_SECRET.reveal() not in logged
