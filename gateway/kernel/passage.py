"""The mutable state of one request, its reply, and what a policy with one way only is made of.

Apart from what it holds, because this module is compiled (docs/decisions/0068) and structs cannot be.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.kernel.context import Caller, Principal
    from gateway.kernel.exchange import Decision
    from gateway.kernel.route import Route


class Reply:
    """A complete response. Header names are lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange:
    """The mutable state of one request. `headers` holds each field once, lower case, after hygiene.

    `entered` counts the steps of the chain that were asked; `decisions` is kept for what `explain` must answer.
    `now` is the monotonic reading of its arrival, or of the last time that the chain had to wait on the way in: limits
    that decide at once need not ask the clock. `charged` is what the rate limit took, `notes` whatever else policies
    leave for each other.
    """

    __slots__ = (
        "allowed_methods",
        "arrived",
        "body",
        "caller",
        "charged",
        "correlation_id",
        "deadline",
        "decisions",
        "decoded",
        "entered",
        "error",
        "headers",
        "method",
        "notes",
        "now",
        "path",
        "path_params",
        "peer",
        "principal",
        "query",
        "reached_handler",
        "receive",
        "reply",
        "reply_headers",
        "request_id",
        "route",
        "sampled",
        "scope",
        "trace_id",
    )

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        arrived: float,
        deadline: float | None = None,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.arrived = self.now = arrived
        self.method: str = scope["method"]
        self.path: str = ""
        self.query: bytes = scope.get("query_string", b"")
        self.headers: dict[bytes, bytes] = {}
        self.peer: str = ""
        self.request_id: str = ""
        self.correlation_id: str = ""
        self.trace_id: str = ""
        self.sampled: bool = False
        self.deadline: float = arrived + 30.0 if deadline is None else deadline
        self.route: Route | None = None
        self.path_params: dict[str, str] = {}
        self.allowed_methods: tuple[str, ...] = ()
        self.principal: Principal | None = None
        self.caller: Caller | None = None
        self.charged: Any = None
        self.body: bytes = b""
        self.decoded: Any = None
        self.entered: int = 0
        self.reached_handler: bool = False
        self.reply: Reply | None = None
        self.reply_headers: list[tuple[bytes, bytes]] = []
        self.error: BaseException | None = None
        self.decisions: list[Decision] | None = None
        self.notes: dict[str, Any] = {}


class AdmitsOnly:
    """A policy that has nothing to do on the way out; the chain leaves that call out."""

    concludes = False

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Nothing."""


class ConcludesOnly:
    """A policy that has nothing to do on the way in; it stands behind the handler."""

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Nothing."""
