"""A small shop behind the real door: handlers of every kind, called over ASGI without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from gateway.edge.chain import ORDER
from gateway.edge.direct import direct_handlers
from gateway.edge.front_door import FrontDoor
from gateway.edge.litestar_app import make_litestar
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict, NotAllowed, NotAuthenticated, NotFound, Throttled
from gateway.kernel.exchange import Exchange, Policy
from policies.canonical_request.policy import CanonicalRequest
from policies.message_hygiene.policy import MessageHygiene
from policies.trace.policy import Trace
from policies.validate_request.policy import ValidateRequest
from policies.validate_response.options import ValidateResponseOptions
from policies.validate_response.policy import ValidateResponse
from policies.version.policy import Version

SHOP = {"zone": "experience", "api": "shop", "version": "v1"}


class LineIn(Struct, forbid_unknown_fields=True, kw_only=True):
    sku: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Z0-9/-]+$(?!\n)")]
    quantity: Annotated[int, Meta(ge=1, le=1000)]


class OrderIn(Struct, forbid_unknown_fields=True, kw_only=True):
    number: Annotated[str, Meta(min_length=1, max_length=40)]
    lines: Annotated[list[LineIn], Meta(min_length=1, max_length=2000)]
    weight: float = 0.0
    note: str | None = None


class OrderOut(Struct, kw_only=True):
    id: str
    lines: int


class Page(Struct, kw_only=True):
    limit: int
    state: str | None = None
    tags: list[str] = []


def shop_routes() -> list[Any]:  # noqa: C901  # one small handler of each kind
    @get("/shop/v1/orders", opt={**SHOP, "scopes": ["orders:read"]})
    async def list_orders(
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        order_state: Annotated[str | None, QueryParameter(name="state", max_length=20)] = None,
        tag: Annotated[list[str] | None, QueryParameter()] = None,
    ) -> Page:
        return Page(limit=limit, state=order_state, tags=tag or [])

    @post("/shop/v1/orders", opt={**SHOP, "scopes": ["orders:write"], "body_cost": lambda order: len(order.lines)})
    async def submit_order(data: JSONBody[OrderIn]) -> OrderOut:
        return OrderOut(id=data.number, lines=len(data.lines))

    @get("/shop/v1/orders/{order_id:str}", opt=SHOP)
    async def read_order(order_id: FromPath[str], caller: NamedDependency[Caller]) -> dict[str, str]:
        if order_id == "missing":
            raise NotFound("no such order: list them to see yours", code="order.not_found")
        if order_id == "conflict":
            raise Conflict("it has shipped", code="order.shipped", context={"retry_after": 3})
        if order_id == "bug":
            raise ValueError("password=hunter2")
        return {"id": order_id, "tenant": caller.tenant}

    @delete("/shop/v1/orders/{order_id:str}", opt=SHOP)
    async def drop_order(order_id: FromPath[str]) -> None:
        return None

    @post("/shop/v1/orders/{order_id:str}/cancellations", status_code=202, opt=SHOP)
    async def cancel_order(order_id: FromPath[str]) -> dict[str, str]:
        return {"id": order_id}

    @put("/shop/v1/slow", opt={**SHOP, "max_body": 1000, "content_types": ["text/plain"]})
    async def slow(request: Request[Any, Any, Any]) -> dict[str, int]:
        if await request.body() == b"sleep":
            await asyncio.sleep(60)
        return {"bytes": len(await request.body())}

    @get("/shop/v1/header", opt={**SHOP, "query": ["value"]})
    async def header(request: Request[Any, Any, Any]) -> Response[str]:
        return Response("text", headers={"x-echo": request.query_params["value"]}, media_type="text/plain")

    @get("/shop/v1/ticks", opt={**SHOP, "streaming": True, "query": ["fail"]})
    async def ticks(request: Request[Any, Any, Any]) -> Stream:
        async def produce() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            if "fail" in request.query_params:
                raise RuntimeError("broke off")
            yield b"data: 2\n\n"

        return Stream(produce(), media_type="text/event-stream")

    @get("/public", opt={"zone": None})
    async def public() -> dict[str, bool]:
        return {"ok": True}

    return [list_orders, submit_order, read_order, drop_order, cancel_order, slow, header, ticks, public]


class FakeAuthenticate:
    """`Bearer good` opens the experience zone."""

    name = "authenticate"
    concludes = False

    def admit(self, exchange: Exchange) -> None:
        if exchange.route is None or exchange.route.zone is None:
            return
        if exchange.headers.get(b"authorization") != b"Bearer good":
            raise NotAuthenticated("send a credential", code="credential.missing")
        scopes = frozenset({"orders:read", "orders:write"})
        exchange.principal = Principal("acme", "partner-1", "key-1", frozenset({Zone.EXPERIENCE}), scopes)
        exchange.caller = Caller(exchange.principal, exchange.request_id, exchange.correlation_id, exchange.deadline)


class FakeAuthorise:
    name = "authorise"
    concludes = False

    def admit(self, exchange: Exchange) -> None:
        route = exchange.route
        if route is not None and route.zone is not None and route.zone not in exchange.principal.zones:
            raise NotAllowed("another zone", code="authorise.zone")


class FakeRateLimit:
    """Lets `left` requests through and counts what it saw."""

    name = "rate_limit"

    def __init__(self, left: int = 1_000_000) -> None:
        self.left = left
        self.seen: list[str] = []

    def admit(self, exchange: Exchange) -> None:
        self.seen.append(exchange.route.id)
        self.left -= 1
        if self.left < 0:
            raise Throttled("slow down", retry_after=7)

    def conclude(self, exchange: Exchange) -> None:
        exchange.reply_headers.append((b"ratelimit", b'"default";r=1'))


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        starts = [message for message in messages if message["type"] == "http.response.start"]
        assert len(starts) == 1, messages
        self.status: int = starts[0]["status"]
        self.fields: list[tuple[bytes, bytes]] = starts[0]["headers"]
        self.headers = {name.decode(): value.decode("latin-1") for name, value in self.fields}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json", self.headers
        assert self.json["status"] == self.status
        assert self.json["request_id"] == self.headers["x-request-id"]
        return self.json["code"]


class Door:
    """The front door with its table, its fakes, and a client without a socket."""

    def __init__(
        self,
        extra: dict[str, Policy],
        *,
        routes: list[Any] | None = None,
        direct: bool = True,
        lifespan: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        self.app, self.table = make_litestar(routes or shop_routes(), lifespan=lifespan)
        self.clock = SystemClock()
        self.limit = FakeRateLimit()
        named: dict[str, Any] = {
            "canonical_request": CanonicalRequest(),
            "message_hygiene": MessageHygiene(),
            "trace": Trace(),
            "version": Version(self.table, self.clock),
            "authenticate": FakeAuthenticate(),
            "authorise": FakeAuthorise(),
            "rate_limit": self.limit,
            "validate_request": ValidateRequest(),
            "validate_response": ValidateResponse(ValidateResponseOptions(sample=1.0)),
            **extra,
        }
        policies = [named[name] for name in ORDER if name in named]
        direct_ones = direct_handlers(self.app, self.table) if direct else None
        self.front = FrontDoor(self.app, self.table, policies, self.clock, direct=direct_ones, **options)

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: list[tuple[str, str]] | None = None,
        body: bytes | list[bytes] | None = None,
        json_body: Any = None,
        credential: str | None = "good",
        scope: dict[str, Any] | None = None,
        stall: bool = False,
    ) -> Answer:
        fields = [(b"host", b"api.example.com")] if not any(n == "host" for n, _ in headers or ()) else []
        if credential:
            fields.append((b"authorization", f"Bearer {credential}".encode()))
        if json_body is not None:
            body = json.dumps(json_body).encode()
            fields.append((b"content-type", b"application/json"))
        fields += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers or ()]
        chunks = body if isinstance(body, list) else [] if body is None else [body]
        names = {name for name, _ in fields}
        if chunks and not names & {b"content-length", b"transfer-encoding"}:
            length = (b"content-length", b"%d" % sum(map(len, chunks)))
            fields.append(length if isinstance(body, bytes) else (b"transfer-encoding", b"chunked"))
        path, _, query = target.partition("?")
        base = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": fields,
            "client": ("192.0.2.7", 4711),
            "server": ("127.0.0.1", 80),
            "extensions": {},
        }
        return await self._exchange({**base, **(scope or {})}, chunks, stall=stall)

    async def _exchange(self, scope: dict[str, Any], chunks: list[bytes], *, stall: bool) -> Answer:
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": stall or index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ] or [{"type": "http.request", "body": b"", "more_body": stall}]
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.front(scope, receive, send)
        return Answer(sent)


@pytest.fixture(params=[True, False], ids=["direct", "router"])
def make_door(request) -> Callable[..., Door]:
    """Doors that call handlers themselves where they can, and doors that always ask the router: one behaviour."""

    def make(extra: dict[str, Policy] | None = None, **options: Any) -> Door:
        return Door(extra or {}, direct=request.param, **options)

    return make


@pytest.fixture
def door(make_door) -> Door:
    return make_door()


@pytest.fixture
def order() -> dict[str, Any]:
    return {"number": "PO-1", "lines": [{"sku": "SKU-1", "quantity": 2}]}
