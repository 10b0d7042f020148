"""Hears over a node's WebSocket that a signature was confirmed, so that the watcher need not wait for its next look.

Only a hint: what is heard is looked up before anything is concluded from it, and when nothing is heard the watcher
looks all the same. So nothing here is retried, acknowledged or kept for long: a connection that breaks is opened again,
a signature that is not heard of in LIFETIME is forgotten. Protocol: `signatureSubscribe` of Solana's PubSub API, whose
subscriptions end with their one notification.
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException

from chassis.clock import Clock
from chassis.logs import get_logger
from chassis.settings import Secret

LIFETIME: Final = 90.0
"""Seconds after which a signature is no longer listened for: its blockhash has expired by then."""
MAX_LISTENED: Final = 1000
"""Most signatures listened for at once; those beyond are found by looking."""
MAX_HEARD: Final = 4096
"""Most signatures that are remembered as heard, so that they are not listened for again."""
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
"""Seconds before a broken connection is opened again: doubled each time, up to the second number."""
MAX_MESSAGE_BYTES: Final = 64 * 1024
OPEN_SECONDS: Final = 10.0

_logger = get_logger(__name__)


class _Params(msgspec.Struct, frozen=True):
    subscription: int


class _Message(msgspec.Struct, frozen=True):
    """A notification (method and params) or an answer (id and result)."""

    method: str | None = None
    params: _Params | None = None
    id: int | None = None
    result: object = None


class SignatureFeed:
    """Calls `on_news` when a signature that is listened for was confirmed; `run` must be running."""

    def __init__(self, url: Secret, clock: Clock, on_news: Callable[[], None]) -> None:
        self._url = url
        self._clock = clock
        self._on_news = on_news
        self._listened: OrderedDict[str, float] = OrderedDict()
        self._heard: OrderedDict[str, None] = OrderedDict()
        self._changed = asyncio.Event()
        self._delay = FIRST_DELAY

    def listen(self, signature: str) -> None:
        """Listen for a signature from now on; at once, whether or not the connection stands."""
        if signature in self._listened or signature in self._heard or len(self._listened) >= MAX_LISTENED:
            return
        self._listened[signature] = self._clock.monotonic()
        self._changed.set()

    async def run(self) -> None:
        """Keep a connection while anything is listened for, until cancelled."""
        while True:
            await self._changed.wait()
            try:
                async with connect(
                    self._url.reveal(), open_timeout=OPEN_SECONDS, max_size=MAX_MESSAGE_BYTES, compression=None
                ) as socket:
                    await _Session(self, socket).run()
                reason = "closed by the node"
            except InvalidURI:
                # Stop: no other try would understand it. Looking goes on.
                _logger.error("WS_URL is not a WebSocket URL; signatures are only looked up")
                return
            except (OSError, WebSocketException, TimeoutError) as error:
                # Again after a while; the error's own text may hold the URL.
                reason = type(error).__name__
            _logger.warning("subscription lost", reason=reason, again_in=self._delay)
            self._forget_old()
            await self._clock.sleep(self._delay)
            self._delay = min(LAST_DELAY, self._delay * 2)

    def heard(self, signature: str) -> None:
        """Take a notification: the connection works, and there is news."""
        self._delay = FIRST_DELAY
        self._listened.pop(signature, None)
        self._heard[signature] = None
        while len(self._heard) > MAX_HEARD:
            self._heard.popitem(last=False)
        self._on_news()

    async def changed(self) -> tuple[str, ...]:
        """Wait for a signature to listen for; return all that are."""
        await self._changed.wait()
        self._changed.clear()
        self._forget_old()
        return tuple(self._listened)

    def again(self) -> None:
        """Have `changed` tell of all signatures once more: a new connection knows of none."""
        if self._listened:
            self._changed.set()

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._listened and now - next(iter(self._listened.values())) > LIFETIME:
            self._listened.popitem(last=False)


class _Session:
    """One connection: which request and which subscription is whose."""

    def __init__(self, feed: SignatureFeed, socket: ClientConnection) -> None:
        self._feed = feed
        self._socket = socket
        self._ids = itertools.count(1)
        self._asked: dict[int, str] = {}
        self._subscribed: dict[int, str] = {}
        self._sent: set[str] = set()

    async def run(self) -> None:
        """Subscribe and hear until the connection ends; raises what it ended of."""
        self._feed.again()
        asking = asyncio.create_task(self._ask())
        try:
            async for message in self._socket:
                self._hear(message)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)  # what ended it has ended the reading too
            self._feed.again()

    async def _ask(self) -> None:
        while True:
            wanted = await self._feed.changed()
            for signature in [each for each in wanted if each not in self._sent]:
                number = next(self._ids)
                self._asked[number] = signature
                self._sent.add(signature)
                await self._call(number, "signatureSubscribe", [signature, {"commitment": "confirmed"}])
            stale = [number for number, signature in self._subscribed.items() if signature not in wanted]
            for subscription in stale:
                self._sent.discard(self._subscribed.pop(subscription))
                await self._call(next(self._ids), "signatureUnsubscribe", [subscription])

    async def _call(self, number: int, method: str, params: list[object]) -> None:
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self._socket.send(msgspec.json.encode(request).decode())

    def _hear(self, text: str | bytes) -> None:
        try:
            message = msgspec.json.decode(text, type=_Message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Stop with this message: it is none that we understand, and the watcher looks anyway.
            _logger.warning("message of a subscription not understood")
            return
        if message.method == "signatureNotification" and message.params is not None:
            signature = self._subscribed.pop(message.params.subscription, None)
            if signature is not None:
                self._sent.discard(signature)
                self._feed.heard(signature)
        elif message.id is not None:
            signature = self._asked.pop(message.id, None)
            if signature is not None and isinstance(message.result, int):
                self._subscribed[message.result] = signature
