"""What the operations of one proxied API share."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.outbound.credentials import Credential
from gateway.outbound.upstream import Upstream
from gateway.systems.proxied.sharing import SharedReads


class Facts(Struct, frozen=True, kw_only=True, eq=False):
    """`prefix` is the path that they stand under; `reads` is None where reads are not shared."""

    name: str
    upstream: Upstream
    clock: Clock
    prefix: bytes
    credential: Credential | None
    identity: bool
    reads: SharedReads | None = None
