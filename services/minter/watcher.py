"""Watching signatures: one look for all transactions in flight, as often as the interval says.

Used by the lander and by the finality handler. Whoever asks waits for a look that began after it asked. A feed of
confirmations brings the next look forward and is never believed itself. Signatures are looked up 256 at a time, also
those of one transaction that was signed more often; a look through the whole history is made only for attempts that
seem expired.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from chassis import telemetry
from chassis.clock import Clock
from chassis.logs import get_logger
from contracts.mint import Attempt
from services.minter.landing import ChainView, Commitment, SignatureState, looks_expired
from services.minter.pooling import together
from services.minter.ports import Chain, ChainUnavailable

MAX_SIGNATURES: Final = 256
"""Most signatures of one getSignatureStatuses call (Solana RPC API)."""

GATHER: Final = 0.01
"""Seconds from news to the look at it: notifications of one block come one by one."""

_logger = get_logger(__name__)


class Feed(Protocol):
    """Hears of confirmations."""

    def listen(self, signature: str) -> None:
        """Listen for a signature from now on."""
        ...


@dataclass(frozen=True, slots=True)
class _Request:
    attempts: tuple[Attempt, ...]
    answer: "asyncio.Future[ChainView | None]"
    link: telemetry.Link | None = None
    """To the span of whoever waits."""


class SignatureWatcher:
    """Answers `view` from shared looks at the chain; `run` must be running."""

    def __init__(self, chain: Chain, clock: Clock, interval: float, wanted: Commitment = Commitment.CONFIRMED) -> None:
        """`interval` in seconds. What landed below `wanted` is shown as merely seen, so that it is waited for."""
        self._chain = chain
        self._clock = clock
        self._interval = interval
        self._wanted = wanted
        self._waiting: list[_Request] = []
        self._wake = asyncio.Event()
        self._feed: Feed | None = None
        self._news = asyncio.Event()

    def listen_to(self, feed: Feed) -> None:
        """Have signatures listened for; `news` must be called when one is heard of."""
        self._feed = feed

    def news(self) -> None:
        """Look soon rather than at the next interval: something was confirmed."""
        self._news.set()

    async def view(self, attempts: Sequence[Attempt]) -> ChainView | None:
        """Return what the chain says of these attempts now; None when no node could tell."""
        if self._feed is not None and attempts:
            self._feed.listen(attempts[-1].signature)
        answer: asyncio.Future[ChainView | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(tuple(attempts), answer, telemetry.here()))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Look for whoever waits, until cancelled."""
        requests: list[_Request] = []
        try:
            while True:
                await self._wake.wait()
                await self._pause()
                self._wake.clear()
                requests, self._waiting = self._waiting, []
                await self._answer([request for request in requests if not request.answer.done()])
                _release(requests)
        finally:
            # Nobody is left waiting for a look that never comes.
            _release([*requests, *self._waiting])

    async def _pause(self) -> None:
        """Wait an interval; less when there is news, but long enough to gather what is confirmed together."""
        if self._feed is None:
            await self._clock.sleep(self._interval)
            return
        waits = [asyncio.ensure_future(self._clock.sleep(self._interval)), asyncio.ensure_future(self._news.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._news.is_set():
            await self._clock.sleep(min(GATHER, self._interval))
            self._news.clear()

    async def _answer(self, requests: Sequence[_Request]) -> None:
        try:
            height = (await self._chain.finalized_head()).block_height
        except ChainUnavailable as error:
            # Nothing seems expired then; whether something landed can still be seen.
            _logger.warning("finalized head not read", reason=str(error))
            height = None
        recent = [r for r in requests if not any(looks_expired(attempt, height) for attempt in r.attempts)]
        expired = [r for r in requests if r not in recent]
        await asyncio.gather(
            *(self._look(batch, search_history=False) for batch in batches(recent)),
            *(self._look(batch, search_history=True) for batch in batches(expired)),
        )

    async def _look(self, requests: Sequence[_Request], *, search_history: bool) -> None:
        signatures = [attempt.signature for request in requests for attempt in request.attempts]
        try:
            with _looking(requests, len(signatures), search_history=search_history):
                pages = [signatures[at : at + MAX_SIGNATURES] for at in range(0, len(signatures), MAX_SIGNATURES)]
                look = together([await self._chain.look(page, search_history=search_history) for page in pages])
        except ChainUnavailable as error:
            # Unknown is not failed: these requests are answered with None, and ask again.
            _logger.warning("signatures not read", count=len(signatures), reason=str(error))
            return
        height = look.head.block_height if look.head else None
        for request in requests:
            if request.answer.done():
                continue
            states = {
                attempt.signature: self._shown(look.found[attempt.signature])
                for attempt in request.attempts
                if attempt.signature in look.found
            }
            request.answer.set_result(ChainView(states, height, search_history, look.history_from))

    def _shown(self, state: SignatureState) -> SignatureState:
        return state if state.commitment >= self._wanted else replace(state, commitment=Commitment.PROCESSED)


def _looking(
    requests: Sequence[_Request], count: int, *, search_history: bool
) -> AbstractContextManager[telemetry.Span]:
    """A span of its own for one look, linked to every transaction that waits for it."""
    return telemetry.span(
        "getSignatureStatuses",
        context=telemetry.Context(),
        kind=telemetry.SpanKind.CLIENT,
        attributes={
            "rpc.system.name": "jsonrpc",
            "rpc.method": "getSignatureStatuses",
            "solana.signatures": count,
            "solana.search_history": search_history,
        },
        links=[request.link for request in requests if request.link is not None],
    )


def _release(requests: Sequence[_Request]) -> None:
    """Answer "unknown" to whoever was not answered."""
    for request in requests:
        if not request.answer.done():
            request.answer.set_result(None)


def batches(requests: Sequence[_Request]) -> list[list[_Request]]:
    """Cut requests into lists of at most MAX_SIGNATURES signatures; a request is never cut, one with more is alone."""
    found: list[list[_Request]] = []
    room = 0
    for request in requests:
        if len(request.attempts) > room:
            found.append([])
            room = MAX_SIGNATURES
        found[-1].append(request)
        room -= len(request.attempts)
    return found
