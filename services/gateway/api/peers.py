"""Whose connection a request came over, when proxies stand before this service. Pure."""

import ipaddress
import re
from collections.abc import Sequence

_WITH_PORT = re.compile(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
"""An IPv6 address in brackets, or an address and the port that some proxies write behind it."""


def client_host(peer: str, forwarded: Sequence[str], trusted: int) -> str:
    """Return the address of the caller before `trusted` proxies.

    `peer` is the other end of the connection, `forwarded` the values of X-Forwarded-For in order. Each trusted proxy
    has appended the address that it saw, so the caller's is the `trusted`th from the end; whatever stands before that
    the caller may have written. With fewer entries than proxies, or no address there, the peer is all that is known.
    """
    if trusted == 0:
        return peer
    entries = [entry.strip() for value in forwarded for entry in value.split(",")]
    if len(entries) < trusted:
        return peer
    entry = entries[-trusted]
    found = _WITH_PORT.fullmatch(entry)
    try:
        return str(ipaddress.ip_address((found[1] or found[2]) if found else entry))
    except ValueError:  # stop: outside input
        return peer
