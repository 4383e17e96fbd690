"""Where we may connect to: every resolved address is checked, and the one that was checked is the one connected to.

Refused are all addresses that are not globally reachable (IANA special-purpose registries, RFC 6890), also when
they hide in IPv4-mapped, 6to4, Teredo or NAT64 IPv6 addresses, and host names that only look like numbers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from gateway.kernel.errors import BrokenUpstream, CrossdockError, Misconfigured, NotAllowed, Rejected, Unavailable

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z"
)
_NUMERIC: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_CLEAN: Final = re.compile(r"[\x21-\x7e]{1,2000}")
_PORTS: Final = {"http": 80, "https": 443}


class TargetRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings: `loopback` for tests and demos on one machine, `networks` (CIDR) for partners on private lines."""

    loopback: bool = False
    networks: tuple[str, ...] = ()
    plain_http: bool = False

    def allows(self, address: IpAddress) -> bool:
        """Whether this address may be connected to."""
        real = _unwrapped(address)
        if any(real in ipaddress.ip_network(network) for network in self.networks):
            return True
        if real.is_loopback:
            return self.loopback
        return real.is_global and not real.is_multicast and not real.is_unspecified and not real.is_reserved


class Target(Struct, frozen=True):
    """A checked target: `address` is what was resolved and allowed, `host` what the certificate must name."""

    url: str
    host: str
    port: int
    address: str


def checked_webhook_url(url: str, rules: TargetRules) -> SplitResult:
    """The parts of an acceptable URL, before resolving; raises `Rejected` (code ``webhook.bad_url``)."""
    if not _CLEAN.fullmatch(url):
        raise _bad("it must be printable ASCII of at most 2000 characters, percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("it cannot be read as a URL") from None
    if parts.scheme not in _PORTS or not parts.hostname or "\\" in url:
        raise _bad("it must be an absolute https URL")
    if parts.username is not None or parts.fragment or port == 0:
        raise _bad("it must not hold a user, a fragment or port 0")
    if parts.scheme == "http" and not (rules.plain_http or rules.loopback):
        raise _bad("it must use https")
    return parts


async def pin(url: str, rules: TargetRules, resolve: Resolve | None = None) -> Target:
    """Check `url`, resolve its host once and choose the address to connect to.

    Raises `Rejected` for a bad URL, `NotAllowed` (code ``webhook.private_target``) when any of its addresses is not
    allowed, and `Unavailable` when the name does not resolve.
    """
    parts = checked_webhook_url(url, rules)
    host, port = (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]
    literal = _literal(host)
    addresses = [literal] if literal else [_address(text) for text in await (resolve or system_resolve)(host, port)]
    if not addresses:
        raise Unavailable("the webhook's host has no address", code="webhook.unresolved")
    for address in addresses:
        if not rules.allows(address):
            raise NotAllowed(
                "the webhook's host has an address that is not public: use a public one, or have its network allowed",
                code="webhook.private_target",
            )
    return Target(url, host, port, str(addresses[0]))


def literal_allowed(host: str, rules: TargetRules, *, setting: str) -> None:
    """Raise `Misconfigured` for a configured host that is an address which is not allowed, or only looks like one."""
    try:
        address = _literal(host.lower())
    except Rejected:
        raise Misconfigured(f"{setting}: the host {host!r} is neither a name nor a plain IP address") from None
    if address is not None and not rules.allows(address):
        raise Misconfigured(f"{setting}: {host} is not a public address: list its network in private_targets")


async def allowed_addresses(
    name: str, host: str, port: int, rules: TargetRules, resolve: Resolve | None = None
) -> tuple[str, ...]:
    """Every address of the host of the configured system `name`, to be connected to as they are.

    Raises `Unavailable` (``outbound.unresolved``) without one, and `BrokenUpstream` (``outbound.private_target``) when
    any of them is not allowed: somebody points the name at what it must not reach (DNS rebinding).
    """
    try:
        literal = _literal(host)
        found = [literal] if literal else [_address(text) for text in await (resolve or system_resolve)(host, port)]
    except CrossdockError:
        found = []
    if not found:
        raise Unavailable(f"the host of {name} does not resolve: nothing was sent", code="outbound.unresolved")
    if not all(rules.allows(address) for address in found):
        raise BrokenUpstream(
            f"the host of {name} has an address that is not public: its operator must look, or list its network in "
            "private_targets",
            code="outbound.private_target",
        )
    return tuple(str(address) for address in found)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, by the system's resolver."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise Unavailable("the webhook's host does not resolve: check its name", code="webhook.unresolved") from None
    return [str(entry[4][0]) for entry in found]


def _literal(host: str) -> IpAddress | None:
    """The address that `host` is, None for a name; names that resolvers read as numbers are refused."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not _HOST.match(host) or _NUMERIC.fullmatch(host.rpartition(".")[2]):
        raise _bad("its host is neither a name nor a plain IP address")
    return None


def _address(text: str) -> IpAddress:
    return ipaddress.ip_address(text.partition("%")[0])


def _unwrapped(address: IpAddress) -> IpAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _bad(why: str) -> Rejected:
    return Rejected(f"the webhook URL is refused: {why}", code="webhook.bad_url")
