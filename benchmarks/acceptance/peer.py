"""The peer of the order POST: a FastAPI application that accepts the same orders into the same books.

Its door is its own: pydantic models, the GET peer's checks (token cache, scope, limit, version), idempotency keys in
PostgreSQL, problem details. Behind it stands the gateway's own acceptance, called as a library, so that what differs
is the door and not the books. It does less than the gateway: its limit counts in its own process, its kept answers are
not sealed, and it has no revocation, audit queue, access log, or check of its own answers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from time import monotonic
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from benchmarks.acceptance.peer_keys import Reservation, Taken, fingerprint_of
from benchmarks.acceptance.peer_models import OrderIn, order_out
from benchmarks.edge.peer import Checks, keys_served
from gateway.app import Core
from gateway.asgi import end_with_the_server
from gateway.canonical.party import Address
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict, CrossdockError, NotAllowed, Throttled, Unavailable
from gateway.kernel.exchange import Reply
from gateway.serving.settling import settle
from gateway.settings import load_settings
from gateway.store.postgres import CommitUnknown
from process_apis.order_to_ship.models import AskedLine, Order, PlacedAnswer, PlaceOrder

_SECONDS = 30.0
_STATUSES: tuple[tuple[type[CrossdockError], int], ...] = (
    (NotAllowed, 403), (Conflict, 409), (Throttled, 429), (Unavailable, 503),
)  # fmt: skip


def make_peer() -> FastAPI:
    """The application, from the gateway's settings; one for each process of its server."""
    end_with_the_server()
    core = Core(load_settings())
    app = peer_of(core, Checks(keys_served(), core.settings.identity.issuer, scope="orders:write", version="v2"))
    settle()  # whatever helps one side is given to the other
    return app


def peer_of(core: Core, checks: Checks) -> FastAPI:
    """The application on `core`, which its lifespan opens."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with core.opened():
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    _answer_problems(app)

    @app.post("/storefront/v2/orders", status_code=201)
    async def place_order(
        request: Request,
        checked: Response,
        order: OrderIn,
        claims: Annotated[dict[str, Any], Depends(checks)],
        idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
    ) -> Response:
        principal = _principal(claims)
        held = Reservation(principal.partner or principal.subject, idempotency_key)
        content_type = request.headers.get("content-type", "")
        await held.reserve(core.store, fingerprint_of(request.url.path, content_type, await request.body()))
        request_id = checked.headers["x-request-id"]
        caller = Caller(principal, request_id, request_id, monotonic() + _SECONDS)
        try:
            command = _command(order, caller, await core.accounts.resolve(caller, order.account), core.currencies)
            placed = await core.orders.place_order(command, PlacedAnswer(held, _reply))
        except (Throttled, Unavailable) as error:
            if not isinstance(error, CommitUnknown):
                await held.free(core.store)
            raise
        except CrossdockError as error:
            await held.complete(core.store, _problem(_status(error), error.detail, error.code))
            raise
        reply = _reply(placed.order)
        await held.complete(core.store, reply)
        return _response(reply, checked.headers)

    return app


def _principal(claims: dict[str, Any]) -> Principal:
    grant = claims["crossdock"]
    return Principal(
        tenant=grant["tenant"],
        subject=claims["sub"],
        credential=f"client:{claims['sub']}",
        zones=frozenset({Zone.EXPERIENCE}),
        scopes=frozenset(claims["scope"].split()),
        partner=grant["partner"],
        channel=grant["channel"],
    )


def _command(order: OrderIn, caller: Caller, account: str, currencies: dict[str, str]) -> PlaceOrder:
    channel = caller.principal.channel or ""
    if channel not in currencies:
        raise NotAllowed(f"your channel {channel!r} is not open for orders", code="channel.unknown")
    return PlaceOrder(
        caller=caller,
        channel=channel,
        partner=caller.principal.partner,
        sold_to=account,
        external_number=order.external_number,
        currency=currencies[channel],
        ship_to=Address(**order.delivery.ship_to.model_dump()),
        lines=tuple(
            AskedLine(amount=Decimal(line.quantity.amount), uom=line.quantity.unit, sku=line.sku)
            for line in order.lines
        ),
        requested_date=order.delivery.requested_date,
        fill=order.delivery.fill,
    )


def _reply(order: Order) -> Reply:
    location = (b"location", f"/storefront/v2/orders/{order.order_id}".encode())
    return Reply(201, [location], order_out(order).model_dump_json().encode())


def _problem(status: int, detail: str, code: str) -> Reply:
    body = {"type": f"/problems/{code}", "status": status, "detail": detail, "code": code}
    return Reply(status, [], msgspec.json.encode(body))


def _response(reply: Reply, more: Any = None) -> Response:
    headers = {**(more or {}), **{name.decode(): value.decode() for name, value in reply.headers}}
    kind = "application/json" if reply.status == 201 else "application/problem+json"
    return Response(reply.body, reply.status, headers, kind)


def _status(error: CrossdockError) -> int:
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def _answer_problems(app: FastAPI) -> None:
    """Every refusal as problem details (RFC 9457)."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _response(_problem(error.status_code, str(error.detail), "request.refused"))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = [
            {"detail": each["msg"], "pointer": "/" + "/".join(map(str, each["loc"][1:]))} for each in error.errors()
        ]
        body = {"type": "/problems/invalid", "status": 422, "code": "invalid", "errors": found}
        return _response(Reply(422, [], msgspec.json.encode(body)))

    @app.exception_handler(CrossdockError)
    async def failed(_: Request, error: CrossdockError) -> Response:
        return _response(_problem(_status(error), error.detail, error.code))

    @app.exception_handler(Taken)
    async def taken(_: Request, error: Taken) -> Response:
        if error.reply is None:
            return _response(_problem(error.status, str(error), "idempotency.taken"))
        return _response(error.reply, {"idempotent-replayed": "true"})
