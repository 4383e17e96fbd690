"""Message hygiene: one pass over the headers, after which each field stands once, in bounds, and may be believed.

Refused: too many or too large (431), CR, LF or NUL in a value, a repeated singleton, a missing or malformed Host,
Content-Length beside Transfer-Encoding, a transfer coding other than chunked (400), a compressed body (415). Dropped:
identity, forwarding and rewriting headers that a client has no right to, with their underscore and dot aliases;
hop-by-hop fields, and whatever ``Connection`` names stays ours. Forwarding headers count from trusted peers and Unix
sockets only (`semantics.md` 7).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from ipaddress import ip_address, ip_network
from typing import Final

from gateway.kernel.errors import Misconfigured, Rejected
from gateway.kernel.exchange import Exchange
from gateway.kernel.field_values import is_dangerous
from gateway.kernel.passage import AdmitsOnly
from policies.message_hygiene.fields import DROP, FORWARDING, ONCE, kind_of
from policies.message_hygiene.options import MessageHygieneOptions

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_AMBIGUOUS: Final = frozenset({b"transfer-encoding", b"content-encoding"})
_MOST_REMEMBERED: Final = 2048
_LONGEST_REMEMBERED: Final = 64
_UNIX_SOCKET: Final = "unix"


class MessageHygiene(AdmitsOnly):
    """See the module."""

    name = "message_hygiene"

    def __init__(self, options: MessageHygieneOptions | None = None) -> None:
        self._options = options or MessageHygieneOptions()
        self._longest_field, self._most_fields = self._options.longest_field, self._options.most_fields
        # Field names that are always kept, as they were seen lately.
        self._plain: set[bytes] = set()
        self._hosts_seen: set[bytes] = set()
        self._trust_seen: dict[str, bool] = {}
        try:
            self._trusted = tuple(ip_network(network) for network in self._options.trusted_peers)
        except ValueError as error:
            raise Misconfigured(f"message_hygiene.trusted_peers: {error}") from error

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Fill `exchange.headers` and `exchange.peer`, and give the router the same fields."""
        fields: list[tuple[bytes, bytes]] = exchange.scope["headers"]
        known, headers, each = self._plain, dict[bytes, bytes](), list[bytes]()
        for name, value in fields:
            if name not in known:
                break
            headers[name] = value
            each.append(value)
        values = b"".join(each)
        count = len(fields)
        forwarding: dict[bytes, bytes] | None = None
        plain = (
            len(headers) == count
            and len(values) + count * _LONGEST_REMEMBERED <= self._longest_field
            and count <= self._most_fields
        )
        if not plain:
            headers, values, forwarding = self._examined(exchange, fields)
        if is_dangerous(values):
            raise Rejected("a header holds CR, LF or NUL", code="request.header_value")
        if not plain or headers.get(b"host") not in self._hosts_seen:
            self._refuse_ambiguous(headers)
        exchange.headers = headers
        client = exchange.scope.get("client")
        exchange.peer = client[0] if client else _UNIX_SOCKET
        if forwarding is not None:
            self._believe(exchange, forwarding)
        return None

    def _examined(
        self, exchange: Exchange, fields: list[tuple[bytes, bytes]]
    ) -> tuple[dict[bytes, bytes], bytes, dict[bytes, bytes] | None]:
        """Kept fields, all values in one, and the forwarding fields, of a request whose field names are not known."""
        names = tuple(name for name, _ in fields)
        values = b"".join([value for _, value in fields])
        length = sum(map(len, names))
        if length + len(values) > self._options.longest_field or len(fields) > self._options.most_fields:
            self._refuse_unbounded(fields, length + len(values))
        headers, forwarding = self._sorted(fields)
        if len(headers) != len(fields):
            exchange.scope["headers"] = list(headers.items())
        elif forwarding is None:
            self._remember(headers)
        return headers, values, forwarding

    def _remember(self, headers: dict[bytes, bytes]) -> None:
        """The names of a request that kept all its fields."""
        if len(self._plain) >= _MOST_REMEMBERED:
            self._plain.clear()
        self._plain |= {name for name in headers if len(name) <= _LONGEST_REMEMBERED} - _AMBIGUOUS

    def _sorted(self, fields: list[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], dict[bytes, bytes] | None]:
        """Each kept field once, and the forwarding fields apart."""
        headers: dict[bytes, bytes] = {}
        forwarding: dict[bytes, bytes] | None = None
        for name, value in fields:
            kind = kind_of(name)
            if kind == DROP:
                continue
            if kind == FORWARDING:
                forwarding = forwarding or {}
                forwarding[name] = forwarding[name] + b", " + value if name in forwarding else value
            elif name not in headers:
                headers[name] = value
            elif kind == ONCE:
                raise Rejected(f"the header {name.decode('latin-1')} is given twice", code="request.header_repeated")
            else:
                headers[name] += (b"; " if name == b"cookie" else b", ") + value
        return headers, forwarding

    def _refuse_unbounded(self, fields: list[tuple[bytes, bytes]], size: int) -> None:
        options = self._options
        longest = max(len(value) for _, value in fields)
        if len(fields) > options.most_fields or size > options.largest_section or longest > options.longest_field:
            raise Rejected("the headers are too many or too large", code="request.header_fields_too_large")

    def _refuse_ambiguous(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host")
        if host not in self._hosts_seen:
            self._check_host(host)
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (b"content-length" in headers or coding.lower() != b"chunked"):
            # The server reads "gzip, chunked" as chunked; another one in front of us may not.
            raise Rejected("send Transfer-Encoding: chunked alone, or Content-Length alone", code="request.framing")
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            raise Rejected("compressed bodies are not taken: send it plain", code="request.content_encoding")

    def _check_host(self, host: bytes | None) -> None:
        if host is None or not _HOST.fullmatch(host):
            raise Rejected("exactly one well-formed Host header is needed", code="request.host")
        allowed = self._options.hosts
        name = host.decode("ascii").lower()
        if allowed and name not in allowed and name.rpartition(":")[0] not in allowed:
            raise Rejected("this gateway does not answer to that Host", code="request.misdirected")
        if len(self._hosts_seen) < _MOST_REMEMBERED:
            self._hosts_seen.add(host)

    def _believe(self, exchange: Exchange, forwarding: dict[bytes, bytes]) -> None:
        """Take the caller's address from a peer that may tell it."""
        if self._trusts(exchange.peer):
            exchange.notes["forwarding"] = forwarding
            exchange.peer = self._forwarded_for(forwarding) or exchange.peer

    def _trusts(self, peer: str) -> bool:
        if peer == _UNIX_SOCKET:
            return True
        trusted = self._trust_seen.get(peer)
        if trusted is None:
            trusted = any(ip_address(peer) in network for network in self._trusted) if self._trusted else False
            if len(self._trust_seen) < _MOST_REMEMBERED:
                self._trust_seen[peer] = trusted
        return trusted

    def _forwarded_for(self, forwarding: dict[bytes, bytes]) -> str:
        addresses = forwarding.get(b"x-forwarded-for", b"").split(b",")
        if len(addresses) < self._options.hops:
            return ""
        try:
            return str(ip_address(addresses[-self._options.hops].strip().decode("ascii")))
        except ValueError:
            return ""
