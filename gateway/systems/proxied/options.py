"""Settings of one proxied API, ``[proxied.<name>]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured
from gateway.kernel.lifecycle import Slo
from gateway.kernel.validation import Mode
from gateway.outbound.limits import UpstreamLimits

_VERSION: Final = re.compile(r"v[1-9][0-9]{0,3}")


class WebSocket(StrEnum):
    """What becomes of WebSocket handshakes. PASSED is not offered: a process that is set to it does not start."""

    REFUSED = "refused"
    PASSED = "passed"


class UpstreamCredential(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How we prove ourselves to the API: a secret in a header, or OAuth2 client credentials.

    `header` and `prefix` say where the secret (a reference, ``env:`` or ``file:``) goes: by default
    ``Authorization: Bearer …``. With `token_url` the secret is that of `client_id`, and the token goes there instead.
    """

    secret: str
    header: str = "authorization"
    prefix: str = "Bearer "
    token_url: str | None = None
    client_id: str | None = None
    scope: str = ""

    def __post_init__(self) -> None:
        if (self.token_url is None) != (self.client_id is None):
            raise ValueError("token_url and client_id belong together")


class ProxiedOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one API, served under its `name` (the section's by default) and `version`.

    `title`, `description`, `since`, `slo` and `notice` are told of it; its end is set by ``[[lifecycles]]``, as for
    every API. `openapi` is the path of its document (OpenAPI 3.0 or 3.1, JSON or YAML), relative to the settings file.

    `base_url` must be public, or in a network (CIDR) of `private_targets`. Operations are named by operationId, or as
    ``GET /path`` where they have none: `exclude` leaves some out; `streaming` ones are passed on in parts in both
    directions, their bodies unchecked; `scopes` replaces the rule, which is `read_scope` for safe methods and
    `write_scope` for others (``system:read`` and ``system:write`` in the system zone, ``<name>:read`` and
    ``<name>:write`` elsewhere); `costs` are in cost units (default 1). `sample` is the share checked in that mode.
    `max_body` and `max_stream` (of streaming operations) are in bytes. `identity_headers` tells the API who asks
    (``X-Crossdock-Tenant``, ``-Subject``, ``-Partner``); one that keeps tenants apart by them is `tenant_aware`, any
    other is served to the gateway's own tenant only. With `share_reads` identical reads of one caller that are under
    way at once are one request. `ca_file` (PEM) has the authorities that its certificate must come from, in place of
    the system's.
    """

    base_url: str
    openapi: str
    business_owner: str
    technical_owner: str
    version: str = "v1"
    zone: Zone = Zone.SYSTEM
    name: str | None = None
    title: str | None = None
    description: str | None = None
    since: date | None = None
    slo: Slo | None = None
    notice: str = ""
    private_targets: tuple[str, ...] = ()
    limits: UpstreamLimits = UpstreamLimits()
    requests: Mode = Mode.ENFORCE
    responses: Mode = Mode.SAMPLE
    sample: float = 0.01
    max_body: int = 1 << 20
    max_stream: int = 1 << 30
    read_scope: str | None = None
    write_scope: str | None = None
    scopes: Mapping[str, tuple[str, ...]] = {}
    costs: Mapping[str, int] = {}
    streaming: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    identity_headers: bool = True
    share_reads: bool = False
    tenant_aware: bool = False
    ca_file: str | None = None
    credential: UpstreamCredential | None = None
    websocket: WebSocket = WebSocket.REFUSED

    def __post_init__(self) -> None:
        if self.websocket is WebSocket.PASSED:
            raise Misconfigured(
                "a proxied API cannot pass WebSockets on, since no policy sees what they carry: "
                'set websocket = "refused"'
            )
        if not _VERSION.fullmatch(self.version):
            raise Misconfigured(f"a proxied API has a major version such as v1, not {self.version!r}")
        if not 0 <= self.sample <= 1 or not self.technical_owner or not self.business_owner:
            raise ValueError("sample is a share between 0 and 1, and both owners must be named")

    def scopes_of(self, name: str, operation: str, *, safe: bool) -> frozenset[str]:
        """What a caller of `operation` of the API `name` must hold."""
        if operation in self.scopes:
            return frozenset(self.scopes[operation])
        kind = "system" if self.zone is Zone.SYSTEM else name
        chosen = (self.read_scope or f"{kind}:read") if safe else (self.write_scope or f"{kind}:write")
        return frozenset([chosen])
