"""The stage of a soak: a stack with a fault proxy, a clock or a stand-in at every place where something can go wrong.

Used by `soak.py`. Services get secrets of this run in their settings, so that the logs can be searched for them.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from solders.keypair import Keypair
from standardwebhooks import WebhookVerificationError
from starlette.responses import Response

from chassis.api_keys import ApiKey
from contracts.access import KeyCreated, Scope
from tests.bench.fault_run import PATIENT
from tests.chaos.soak_faults import Receiving
from tests.support.bad_pinning import BadPinning, bad_pinning
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.jumping_clock import JumpingClock
from tests.support.small_disk import SmallDisk, allowed, small_disk
from tests.support.stack import Json, LiveStack, eventually, live_stack, stack_settings
from tests.support.webhooks import Received, Receiver, receiver

LINKS: Final = {
    "gateway": ("NATS_URL", "DATABASE_URL", "RPC_URL"),
    "ipfs": ("NATS_URL",),
    "minter": ("NATS_URL", "RPC_URL"),
    "indexer": ("NATS_URL", "DATABASE_URL", "RPC_URL"),
    "notifier": ("NATS_URL",),
}
"""What each service needs, by the variable that says where it is; the pinning service has a stand-in of its own."""
PACE: Final = {"WEBHOOK_FIRST_RETRY_SECONDS": "0.5", "WEBHOOK_LONGEST_RETRY_SECONDS": "5"}
"""The notifier tries again after hours otherwise, which no soak waits for."""


@dataclass(frozen=True)
class Hook:
    """A webhook of the stack, its receiver in this process, and what that one has taken."""

    receiving: Receiving
    taken: list[tuple[str, str]]
    """Operation and event id, as they came."""


@dataclass(frozen=True)
class Scene:
    """Everything around the stack that faults and witnesses need."""

    links: dict[tuple[str, str], FaultProxy]
    clocks: dict[str, JumpingClock]
    pinning: BadPinning
    hook: Hook
    keys: tuple[str, ...]
    secrets: dict[str, str]
    """Made for this run, beside those of the stack."""


@asynccontextmanager
async def soak_stack(directory: Path) -> AsyncGenerator[tuple[LiveStack, dict[str, SmallDisk]]]:
    """A stack as durable as in production, whose supervisor does not give up on what is killed on purpose; NATS and
    Postgres have disks of their own where disks can be mounted, or else none that can be filled.
    """
    settings = replace(stack_settings(directory, slot_ms=100), restarts=PATIENT)
    async with AsyncExitStack() as resources:
        disks: dict[str, SmallDisk] = {}
        if allowed():
            places = {"nats": directory / "nats" / "jetstream", "postgres": directory / "postgres"}
            disks = {name: resources.enter_context(small_disk(place)) for name, place in places.items()}
            settings = replace(settings, sync_interval="always", fast_postgres=False)
        yield await resources.enter_async_context(live_stack(settings)), disks


@asynccontextmanager
async def scene(live: LiveStack) -> AsyncGenerator[Scene]:
    """Put a proxy into every way that a service has, a clock of its own into each, a stand-in before the pinning
    service; start the services anew; make keys and a webhook.
    """
    node, kubo = secrets.token_hex(16), secrets.token_hex(16)
    made = {"the node's API key": node, "Kubo's authorization": kubo}
    async with AsyncExitStack() as resources:
        pinning = await resources.enter_async_context(bad_pinning(live.stack.ipfs_url))
        links: dict[tuple[str, str], FaultProxy] = {}
        clocks: dict[str, JumpingClock] = {}
        for service, variables in LINKS.items():
            environ: dict[str, str] = {}
            for variable in variables:
                port, url = _address(live, service, variable)
                links[service, variable] = proxy = await resources.enter_async_context(fault_proxy(port))
                environ[variable] = url.replace(f":{port}", f":{proxy.port}")
            if "RPC_URL" in environ:
                environ["RPC_URL"] += f"/?api-key={node}"
            if service == "ipfs":
                environ |= {"KUBO_URL": pinning.url, "KUBO_AUTHORIZATION": f"Bearer {kubo}"}
            if service == "notifier":
                environ |= PACE
            clocks[service] = clock = JumpingClock(live.stack.data_dir / f"{service}.clock")
            live.stack.reconfigure(service, **environ, **clock.environ)
            live.stack.kill(service)
        await asyncio.gather(*map(live.stack.wait, LINKS))
        made["an API key"] = await _issue_key(live)
        made["a wallet's token"] = await _sign_in(live)
        hook, made["a webhook's secret"] = await _hook(live, await resources.enter_async_context(receiver()))
        yield Scene(links, clocks, pinning, hook, (live.stack.api_key, made["an API key"]), made)


def _address(live: LiveStack, service: str, variable: str) -> tuple[int, str]:
    stack = live.stack
    database = stack.reader_database_url if service == "gateway" else stack.database_url
    url = {"NATS_URL": stack.nats_url, "RPC_URL": stack.rpc_url, "DATABASE_URL": database}[variable]
    port = urlsplit(url).port
    assert port is not None
    return port, url


async def _issue_key(live: LiveStack) -> str:
    key = ApiKey.new()
    await live.log.publish(
        KeyCreated(key=key.id, caller="soak", scopes=(Scope.READ, Scope.MINT), sha256=key.sha256), cause=None
    )

    async def known() -> bool:
        return (await live.http.get("/api/auth/me", headers={"X-API-Key": key.text})).status_code == 200

    await eventually(known, "the gateway knows the new key")
    return key.text


async def _sign_in(live: LiveStack) -> str:
    wallet = Keypair()
    asked = await live.http.post("/api/auth/challenge", json={"address": str(wallet.pubkey())})
    message: str = asked.json()["data"]["message"]
    body = {"message": message, "signature": str(wallet.sign_message(message.encode()))}
    answer = await live.http.post("/api/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["token"]


async def _hook(live: LiveStack, receiver: Receiver) -> tuple[Hook, str]:
    hook = Hook(Receiving(), [])
    body = {"url": receiver.url, "events": ["mint.*"], "allCallers": True}
    made: Json = (await live.http.post("/api/webhooks", json=body)).json()["data"]
    secret: str = made["secret"]

    async def answer(received: Received) -> Response:
        if not hook.receiving.takes:
            return Response(status_code=503)
        try:
            event = received.verified(secret)
        except WebhookVerificationError:  # stop: its clock is wrong by more than five minutes, as any receiver says
            return Response(status_code=400)
        hook.taken.append((event["transactionId"], event["id"]))
        return Response(status_code=204)

    await live.http.post(f"/api/webhooks/{made['webhook']['id']}/test")
    await receiver.until(lambda requests: bool(requests))  # from now on the notifier knows of it
    receiver.answer = answer
    return hook, secret
