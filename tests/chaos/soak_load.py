"""What callers ask for during a soak: single mints, copies, batches and uploads, repeated, cancelled, retried.

Used by `soak.py`. A caller asks until it is answered, as a careful client does, and remembers what was accepted.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from contracts.mint import Cancelled, Requested
from tests.support.stack import IMAGES, URI, Json, LiveStack, facts

NOT_NOW = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which a caller asks again."""


@dataclass
class Load:
    """One caller after another, drawn from `chance`."""

    live: LiveStack
    chance: random.Random
    collection: Json
    recipient: str
    keys: tuple[str, ...]
    """API keys that callers use, one as well as the other."""
    accepted: set[UUID] = field(default_factory=set[UUID])
    """Operations that the gateway has answered for; there may be one more, whose answer nobody waited for."""

    async def run(self) -> None:
        """Ask for one thing after another until cancelled."""
        number = 0
        while True:
            number += 1
            await self.ask(number)
            await asyncio.sleep(self.chance.uniform(0.1, 0.8))

    async def ask(self, number: int) -> None:
        """Ask for something, perhaps twice; perhaps cancel it."""
        path, body = self._request(number)
        headers = {"Idempotency-Key": f"soak-{self.recipient}-{number}", "X-API-Key": self.chance.choice(self.keys)}
        operation = UUID((await self.insist("POST", path, headers=headers, **body))["data"]["transactionId"])
        if self.chance.random() < 0.3:  # the answer may have been lost
            again = await self.insist("POST", path, headers=headers, **body)
            assert UUID(again["data"]["transactionId"]) == operation
        self.accepted.add(operation)
        if self.chance.random() < 0.2:
            await self.insist("DELETE", f"/api/mint/cancel/{operation}", enough=(409,), headers=headers)

    def _request(self, number: int) -> tuple[str, dict[str, Any]]:
        """A path, and what httpx sends there."""
        base = {"collectionId": self.collection["id"], "recipient": self.recipient}
        kind = self.chance.random()
        if kind < 0.15:
            form = base | {"metadata": f'{{"name": "Upload {number}"}}'}
            image = ("image.png", self.chance.choice(IMAGES).read_bytes(), "image/png")
            return "/api/mint/single", {"data": form, "files": {"image": image}}
        if kind < 0.45:
            nft = {"name": f"Single {number}", "image": URI}
            return "/api/mint/single", {"json": base | {"metadata": nft, "copies": self.chance.randint(1, 4)}}
        nfts = [{"name": f"Batch {number}.{each}", "image": URI} for each in range(self.chance.randint(1, 12))]
        batch: Json = base | {"nfts": nfts, "batchSize": self.chance.randint(1, 6)}
        if self.chance.random() < 0.2:
            batch["delayBetweenBatches"] = 200
        return "/api/mint/batch", {"json": batch}

    async def insist(self, method: str, path: str, *, enough: tuple[int, ...] = (), **request: Any) -> Json:
        """Ask until it is answered; an answer of `enough` counts as one too."""
        while True:
            try:
                answer = await self.live.http.request(method, path, **request)
            except httpx.HTTPError:  # retry: the gateway is away, or the way to it
                answer = None
            if answer is not None and (answer.status_code == 200 or answer.status_code in enough):
                return answer.json()
            assert answer is None or answer.status_code in NOT_NOW, f"{answer.status_code}: {answer.text}"
            await asyncio.sleep(0.3)

    async def retry_cancelled(self, after: int) -> None:
        """Wait for every end; ask anew for what cancelled operations left out, of half of them, and wait again."""
        await self._all_settled(after)
        cancelled = {fact.operation for fact in facts(await self.live.events(after=after), Cancelled)}
        for operation in sorted(cancelled & self.accepted):
            if self.chance.random() < 0.5:
                answer = await self.insist("POST", f"/api/mint/retry/{operation}", enough=(404, 409))
                if answer.get("success"):
                    self.accepted.add(UUID(answer["data"]["transactionId"]))
        await self._all_settled(after)

    async def _all_settled(self, after: int) -> None:
        for request in facts(await self.live.events(after=after), Requested):
            await self.live.settled(request.operation)
