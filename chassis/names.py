"""Addresses of names that strangers choose: any number is looked up at once, and a silent name server holds up its own.

Used by what asks strangers' addresses (`chassis.outside`). Python's own look-up holds a thread until the last server
has answered or was given up, and a process has few: with uvloop two names whose servers say nothing would stop every
other look-up for as long. c-ares waits for them without threads. Not done here: which addresses may be asked.
"""

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, cast

import aiodns

from chassis.outside import Resolve

TRY_SECONDS: Final = 3.0
TRIES: Final = 2


class AddressNode(Protocol):
    """An address as aiodns gives it; its own annotation leaves open what `addr` is a tuple of."""

    @property
    def addr(self) -> tuple[bytes, int]:
        """The address as text in ASCII, and a port; an IPv6 one has two numbers more."""
        ...


@asynccontextmanager
async def name_service(
    servers: Sequence[str] | None = None, *, seconds: float = TRY_SECONDS
) -> AsyncGenerator[Resolve]:
    """Open the look-up: it gives the addresses of a name, none when it does not resolve now.

    `servers` are `address:port`; by default /etc/resolv.conf counts. /etc/hosts counts before them. A server has
    `seconds` for an answer, the first time it is asked.
    """
    async with aiodns.DNSResolver(servers, timeout=seconds, tries=TRIES) as resolver:

        async def look_up(host: str) -> list[str]:
            try:
                found = await resolver.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
            except aiodns.error.DNSError:  # go on: told as no address; whoever asks tries again later
                return []
            nodes = cast("list[AddressNode]", found.nodes)
            return [node.addr[0].decode() for node in nodes]

        yield look_up
