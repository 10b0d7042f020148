"""Solana's PubSub API over a WebSocket: one connection kept open, its notifications and answers told apart.

Used by the adapters of the indexer and the minter, to whom what is heard is a hint: they look all the same. So nothing
here is repeated, kept or answered for. URLs may hold an API key, so they are in no error and no log line.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.uri import parse_uri

from chassis.clock import Clock
from chassis.logs import get_logger
from chassis.settings import Secret

FIRST_DELAY, LAST_DELAY = 0.5, 30.0
"""Seconds before a broken connection is opened again: doubled each time, up to the second number."""
MAX_MESSAGE_BYTES: Final = 64 * 1024
OPEN_SECONDS: Final = 10.0
PING_SECONDS: Final = 20.0
"""How often the node is pinged, and how long it has to answer: a connection can end without either side being told."""

_log = get_logger(__name__)


class _Params(msgspec.Struct, frozen=True):
    subscription: int


class Message(msgspec.Struct, frozen=True):
    """A notification (method and params) or an answer (id and result)."""

    method: str | None = None
    params: _Params | None = None
    id: int | None = None
    result: object = None

    def news_of(self, method: str) -> int | None:
        """Return the subscription that a notification of `method` belongs to; None when this is not one."""
        return self.params.subscription if self.method == method and self.params is not None else None


class Connection:
    """An open connection: `call` asks, iterating hears."""

    def __init__(self, socket: ClientConnection, on_message: Callable[[], None]) -> None:
        self._socket = socket
        self._on_message = on_message

    async def call(self, number: int, method: str, params: list[object]) -> None:
        """Send a request; its answer comes as the message whose id is `number`."""
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self._socket.send(msgspec.json.encode(request).decode())

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yield what is heard until the connection ends."""
        async for text in self._socket:
            try:
                message = msgspec.json.decode(text, type=Message)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                # Stop with this message: it is none that we understand, and who listens looks anyway.
                _log.warning("message of a subscription not understood")
                continue
            self._on_message()
            yield message


class PubSub:
    """Opens one connection after the other; `what` is what is subscribed to, for the log."""

    def __init__(self, url: Secret, clock: Clock, what: str) -> None:
        self._url = url
        self._clock = clock
        self._what = what
        self._delay = FIRST_DELAY

    async def keep(
        self, session: Callable[[Connection], Awaitable[None]], wanted: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Run `session` on each connection until cancelled, or at once return if the URL is none.

        With `wanted` each connection is opened when that has returned. A connection on which something was heard
        works: when it ends the next one is opened after the first delay.
        """
        try:
            parse_uri(self._url.reveal())
        except InvalidURI:
            # Stop: no other try would understand it. Looking goes on.
            _log.error("WS_URL is not a WebSocket URL; nothing is heard, only looked up", what=self._what)
            return
        while True:
            if wanted is not None:
                await wanted()
            try:
                async with connect(
                    self._url.reveal(),
                    open_timeout=OPEN_SECONDS,
                    ping_interval=PING_SECONDS,
                    ping_timeout=PING_SECONDS,
                    close_timeout=PING_SECONDS,
                    max_size=MAX_MESSAGE_BYTES,
                    compression=None,
                ) as socket:
                    await session(Connection(socket, self._works))
                reason = "closed by the node"
            except (OSError, WebSocketException, TimeoutError) as error:
                # Again after a while, also when a redirect leads to what is no WebSocket. The error's own text may
                # hold the URL.
                reason = type(error).__name__
            _log.warning("subscription lost", what=self._what, reason=reason, again_in=self._delay)
            await self._clock.sleep(self._delay)
            self._delay = min(LAST_DELAY, self._delay * 2)

    def _works(self) -> None:
        self._delay = FIRST_DELAY
