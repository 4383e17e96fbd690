"""One operation as the door knows it.

Apart from `Exchange`, because this module is compiled (docs/decisions/0068) and structs cannot be: a dataclass's fields
are then read without a look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.kernel.passage import Exchange
    from gateway.kernel.principal import Zone


class Idempotency(StrEnum):
    """What a route asks of `Idempotency-Key`. REQUIRED routes have an outside effect: their record is in PostgreSQL."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """One operation, compiled from the router once at start.

    `zone` None marks what needs no credential (health, catalogue, token endpoint, vendor webhooks).
    `cost` is in cost units; `body_cost` gives the surcharge of a decoded body (order lines), None where there is none.
    `idempotency_retention` is in seconds, 31 days at most.
    `decode` turns a JSON body into the handler's annotated type, strictly, within `JsonLimits`, raising `Invalid`;
    `forgive` reads what a lenient reader could take, for routes that only observe; `check_query` checks the query
    string, and `check_reply` for a 2xx body against the handler's return type. `check_request`
    stands in their place where the contract is somebody else's (a proxied API). `takes_body` is False where a body has
    no meaning; with `streams_body` the handler reads it in parts. `matched` is False for what no handler serves: such a
    request passes the whole chain, under the zone of the API it points into, before it is told 404 or 405.
    `tenant_aware` says that the handler looks at nothing but what is the caller's tenant's own. Every other route works
    on the systems of the tenant that the gateway is run for, and is served to callers of that tenant only.
    """

    id: str
    method: str
    template: str
    api: str
    version: str
    zone: Zone | None
    tenant_aware: bool = False
    scopes: frozenset[str] = frozenset()
    cost: int = 1
    body_cost: Callable[[Any], int] | None = None
    idempotency: Idempotency = Idempotency.NONE
    idempotency_retention: int = 86_400
    streaming: bool = False
    max_body: int = 1 << 20
    content_types: frozenset[str] = frozenset({"application/json"})
    streams_body: bool = False
    check_request: Callable[[Exchange], object] | None = None
    decode: Callable[..., Any] | None = None
    forgive: Callable[..., Any] | None = None
    check_query: Callable[[bytes], object] | None = None
    check_reply: Callable[[bytes], object] | None = None
    takes_body: bool = True
    matched: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
