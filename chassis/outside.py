"""Addresses that callers name, checked and pinned: the rules that keep our requests off our own network.

Used by whatever asks a URL that came from outside: images (ipfs), webhooks (notifier). Such a URL is hostile: https on
port 443 only, no credentials in it, every address that its name resolves to public, and the request made to the very
address that was checked, because a second look-up could give another. Whoever asks must also follow no redirect
unchecked, trust no proxy from the environment, keep no cookies, use a connection once (a second name at the same
address must show its own certificate): `outside_client` keeps to that; and look names up where one whose servers are
silent holds up no other (`chassis.names`). Not done here: the request itself.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str], Awaitable[list[str]]]

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PROVIDERS: Final = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("168.63.129.16/32"))
"""Public by the registry, and a cloud's own all the same: Oracle's metadata, and Azure's host as every machine there
sees it."""
_ALLOCATED: Final = ipaddress.IPv6Network("2000::/3")
"""All global unicast addresses that IANA gives out; `is_global` also lets fec0::/10 and ::127.0.0.1 through.
https://www.iana.org/assignments/ipv6-address-space
"""
MAX_ADDRESSES: Final = 4
"""Of one name that are tried."""
_STANDARD_PORTS: Final = {"https": 443, "http": 80}


class AddressRefused(Exception):
    """This address is not asked. The text goes after a noun: "its address is not a public one"."""


class AddressUnknown(Exception):
    """The name does not resolve now; it may at another time."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request really goes."""

    url: str
    """With the checked address in the place of the name, and without a fragment."""
    host: str
    """For the header `Host`."""
    name: str
    """What the certificate is held against: pass it on as httpx's extension `sni_hostname`."""
    others: tuple[str, ...] = ()
    """The same as `url` with further addresses of the name, for when the first one takes no connection."""


class Destinations:
    """Finds where URLs lead.

    `any_port` lets public servers be on other ports than 443. Servers within the `inside` networks, which an operator
    has named, may be asked on any port and over plain http.
    """

    def __init__(self, resolve: Resolve, *, inside: Sequence[Network] = (), any_port: bool = False) -> None:
        self._resolve = resolve
        self._inside = tuple(inside)
        self._any_port = any_port

    async def find(self, url: str) -> Destination:
        """Resolve and check. Raises AddressRefused and AddressUnknown."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # stop: not a URL
            raise AddressRefused("its address is malformed") from None
        if parts.scheme not in _STANDARD_PORTS or not host or "@" in parts.netloc:
            raise AddressRefused("its address is not https on the standard port without credentials")
        host = _ascii(host)
        if not self._inside:
            self._check_public(parts.scheme, port)  # before anybody is asked about the name
        addresses = await self._resolve(host)
        if not addresses:
            raise AddressUnknown(host)
        if not all(self._is_inside(address) for address in addresses):
            self._check_public(parts.scheme, port)
            if not all(is_public(address) for address in addresses):
                raise AddressRefused("its address is not a public one")
        return _destination(parts, host, port, list(dict.fromkeys(addresses))[:MAX_ADDRESSES])

    def _check_public(self, scheme: str, port: int | None) -> None:
        if scheme != "https":
            raise AddressRefused("its address is not https")
        if port not in (None, 443) and not self._any_port:
            raise AddressRefused("its address is not https on the standard port without credentials")

    def _is_inside(self, address: str) -> bool:
        found = _effective(address)
        return found is not None and any(found in network for network in self._inside)


def _destination(parts: SplitResult, host: str, port: int | None, addresses: Sequence[str]) -> Destination:
    suffix = "" if port in (None, _STANDARD_PORTS[parts.scheme]) else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    url, *others = [
        f"{parts.scheme}://{_bracketed(address)}{suffix}{parts.path or '/'}{query}" for address in addresses
    ]
    return Destination(url=url, host=_bracketed(host) + suffix, name=host, others=tuple(others))


def _ascii(host: str) -> str:
    """Return a name as the name service, certificates and the header `Host` know it. Raises AddressRefused."""
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:  # stop: no name can be written like this
        raise AddressRefused("its address is malformed") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_public(address: str) -> bool:
    """Return whether an IP address is reachable for everybody: no private, loopback, link-local or mapped one."""
    found = _effective(address)
    if found is None or (isinstance(found, ipaddress.IPv6Address) and found not in _ALLOCATED):
        return False
    return found.is_global and not found.is_multicast and not any(found in network for network in _PROVIDERS)


def _effective(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return where a packet would go, None for what is no address; an IPv4 one is taken out of the IPv6 around it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # stop: what is no address is nobody's
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return found.ipv4_mapped or found.sixtofour or found
    return found


class NoCookies(CookieJar):
    """Takes no cookie. For a client that asks many strangers: one could fill its memory, or be told another's."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave what an answer sets where it is."""


def outside_client(timeout: httpx.Timeout | None) -> httpx.AsyncClient:
    """Return a client for what `Destinations` finds; whoever enters it closes it. Timeouts bound each step."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(
        timeout=timeout, limits=limits, follow_redirects=False, trust_env=False, cookies=NoCookies()
    )
