"""uvicorn's HTTP protocol, made impatient with callers who send headers or take answers too slowly, and terse to all.

uvicorn waits for ever for the end of a request's headers, however many there are, for whatever follows an answer, and
for a caller to read. Each such connection costs a socket and its buffers, so that a few thousand of them shut out
everybody else; and headers are kept, looked through and logged before anybody knows whose they are. Used by
`server.py`. Not done here: slow bodies (`api/patience.py`), which are answered with an error as long as they can be.

uvicorn writes an answer's head and its body one after the other, and uvloop each with a system call of its own; here
they leave together.
"""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_TOGETHER: Final = 64 * 1024
"""Bytes beyond which nothing is held back any more."""
MOST_HEAD: Final = 64 * 1024
"""Bytes of a request before its body, beyond the piece of the network's that it begins in: at most 256 KiB."""
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Together(asyncio.Transport):
    """A transport that writes at once what it is given in one turn of the event loop. All else it leaves to another."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  (uvicorn writes bytes)
        """Hold the bytes back until the loop's next turn, or until there are many."""
        if not self._held:
            self._loop.call_soon(self._let_go)
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_TOGETHER:
            self._let_go()

    def _let_go(self) -> None:
        if self._held:
            held, self._held, self._size = self._held, [], 0
            if not self._transport.is_closing():  # a caller may have hung up since
                self._transport.write(b"".join(held))

    def close(self) -> None:
        """Write what is held back, and close."""
        self._let_go()
        self._transport.close()

    def abort(self) -> None:
        """Close without writing."""
        self._held.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """See asyncio's transports, as for the rest."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Ask the other transport."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have the other transport do so."""
        self._transport.set_protocol(protocol)

    def pause_reading(self) -> None:
        """Have the other transport do so."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Have the other transport do so."""
        self._transport.resume_reading()


class ImpatientProtocol(HttpToolsProtocol):
    """Closes connections on which nothing comes to an end."""

    header_seconds: ClassVar[float] = 10.0
    """From a connection's beginning, or from the first byte of a further request, to the end of its headers. Also what
    is left of a body that was answered before its end has this long to come."""
    read_seconds: ClassVar[float] = 30.0
    """How long a caller may leave the send buffer full."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._headers_by: float | None = None
        """The loop's time at which the connection is closed unless the headers have come; None: none are due."""
        self._header_timer: asyncio.TimerHandle | None = None
        """Looks at that time. It outlasts requests: one for each would cost several times as much."""
        self._read_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        """Whether a request has begun whose headers have not ended."""
        self._head_bytes = 0
        """Bytes of it that have come, without those of the piece that it began in, which may have been a body's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  (as uvicorn)
        """Begin to wait for a request."""
        super().connection_made(Together(transport, self.loop))
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Take in bytes; between two requests they begin the next one's time."""
        first = self.cycle is None  # pyright: ignore[reportUnnecessaryComparison]  (uvicorn begins with None)
        if self._headers_by is None and (first or self.cycle.response_complete):
            self._await_headers()
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD:
            self._refuse_head()

    def _refuse_head(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]  (as above)
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:  # the next bytes that the caller reads would be taken for the answer to the request before
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Begin to count a request's bytes."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop to wait for headers."""
        self._headers_by, self._in_head = None, False
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the caller to read."""
        super().pause_writing()
        self._read_timer = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop to wait for the caller to read."""
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every timer."""
        super().connection_lost(exc)
        for timer in (self._header_timer, self._read_timer):
            if timer is not None:
                timer.cancel()

    def _await_headers(self) -> None:
        self._headers_by = self.loop.time() + self.header_seconds
        if self._header_timer is None:
            self._header_timer = self.loop.call_at(self._headers_by, self._look_for_headers)

    def _look_for_headers(self) -> None:
        self._header_timer = None
        if self._headers_by is None:
            return
        if self.loop.time() >= self._headers_by:
            self.transport.abort()
        else:
            self._header_timer = self.loop.call_at(self._headers_by, self._look_for_headers)
