"""The front door: the outermost ASGI application, around the router.

It asks every policy of the chain on the way in, lets the router answer, and tells every policy that was entered on the
way out. What no route serves is answered at the end of the chain and not before, so that 404 and 405 are
authenticated, limited, traced and audited like everything else. Responses are buffered, so that a policy may still
replace them, unless their route streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from time import perf_counter
from typing import Any, Final

from gateway.edge.body import BodyReader, ClientGone
from gateway.edge.chain import compile_chain
from gateway.edge.outgoing import Collected, Streamed, send_reply
from gateway.edge.overdue import Overdue
from gateway.edge.problems import INTERNAL, problem_reply
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotFound, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.exchange import SCOPE_KEY, Decision, Exchange, LocatesRoutes, Policy, Reply
from gateway.kernel.ids import new_id

_log: Final = logging.getLogger(__name__)
_NO_DEADLINE: Final = float("inf")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Observer = Callable[[Exchange, float], None]


class FrontDoor:
    """`app` behind `policies` (in the order of `chain.ORDER`).

    `seconds` is the deadline of a whole call, `body_seconds` that of its body. `observe` is told of every finished
    exchange and the seconds it took (counters, access log).
    """

    def __init__(
        self,
        app: Application,
        routes: LocatesRoutes,
        policies: Sequence[Policy],
        clock: Clock,
        *,
        seconds: float = 30.0,
        body_seconds: float = 10.0,
        observe: Observer | None = None,
    ) -> None:
        self._app = app
        self._routes = routes
        self._chain = compile_chain(policies, BodyReader(seconds=body_seconds).admit)
        self._monotonic = clock.monotonic
        self._seconds = seconds
        self._observe = observe
        self._overdue = Overdue(clock.monotonic)

    @property
    def in_flight(self) -> int:
        """Requests being served now: what a drain waits for."""
        return self._overdue.running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        arrived = self._monotonic()
        exchange = Exchange(scope, receive, arrived)  # type: ignore[arg-type]
        exchange.deadline = arrived + self._seconds
        scope[SCOPE_KEY] = exchange
        ticket = self._overdue.enter(exchange.deadline)
        try:
            await self._serve(exchange, send)
        except ClientGone:
            return
        finally:
            self._overdue.leave(ticket)
            # Cycles (the scope, the error's traceback) wait for the garbage collector; the connection must not.
            scope.pop(SCOPE_KEY, None)
            exchange.receive = _hang_up
            if self._observe is not None:
                self._observe(exchange, self._monotonic() - arrived)

    async def _serve(self, exchange: Exchange, send: Send) -> None:
        try:
            await (self._admit(exchange) if exchange.method in _SAFE else self._admit_on_record(exchange))
            if exchange.reply is None:
                await self._answer(exchange)
            if exchange.reply is None:
                return await self._stream(exchange, send)
        except ClientGone:
            raise
        except asyncio.CancelledError:
            if not self._overdue.struck():
                raise
            self._refuse(exchange, _too_late(exchange))
        except Exception as error:  # noqa: BLE001  # whatever fails is told as a problem, here and nowhere else
            self._refuse(exchange, error)
        await self._conclude(exchange)
        return await send_reply(exchange, send)

    async def _admit(self, exchange: Exchange) -> None:
        entered = 0
        try:
            for step in self._chain.inward:
                entered += 1
                waiting = step(exchange)
                if waiting is not None:
                    await waiting
                if exchange.reply is not None:
                    break
        finally:
            exchange.entered = entered

    async def _admit_on_record(self, exchange: Exchange) -> None:
        """As `_admit`, with the time and word of each policy kept for `explain`."""
        decisions: list[Decision] = []
        exchange.decisions = decisions
        for name, step in zip(self._chain.names, self._chain.inward, strict=True):
            exchange.entered += 1
            begun = perf_counter()
            try:
                waiting = step(exchange)
                if waiting is not None:
                    await waiting
            except CrossdockError as error:
                decisions.append(Decision(name, "refused", (perf_counter() - begun) * 1e6, error.code))
                raise
            answered = exchange.reply is not None
            decisions.append(Decision(name, "answered" if answered else "passed", (perf_counter() - begun) * 1e6))
            if answered:
                break

    async def _answer(self, exchange: Exchange) -> None:
        """Let the router answer; `reply` stays None where the route streams."""
        route = exchange.route
        if route is None:
            route, exchange.path_params, exchange.allowed_methods = self._routes.locate(exchange.method, exchange.path)
            exchange.route = route
        if not route.matched:
            exchange.reply = _nothing_here(exchange)
            return
        if exchange.method == "HEAD":
            exchange.scope["method"] = "GET"
        exchange.reached_handler = True
        if not route.streaming:
            collected = Collected()
            await self._app(exchange.scope, _replay(exchange), collected)
            exchange.reply = collected.reply()

    async def _stream(self, exchange: Exchange, send: Send) -> None:
        """Pass a response on as it comes: no deadline but the drain's. What fails once it has begun cuts it off."""
        self._overdue.enter(_NO_DEADLINE)
        stream = Streamed(exchange, send, lambda: self._conclude(exchange))
        try:
            await self._app(exchange.scope, stream.receive, stream)
            stream.finish()
        except asyncio.CancelledError:
            if not self._overdue.struck():
                raise
        except Exception as error:  # noqa: BLE001  # told as a problem if it still can be
            if stream.started:
                _log.exception("the stream of request %s broke off", exchange.request_id)
                return
            self._refuse(exchange, error)
            await self._conclude(exchange)
            await send_reply(exchange, send)

    def end_streams(self) -> int:
        """End the open streams, as a drain must before the server can stop; returns how many there were."""
        return self._overdue.strike_unbounded()

    def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        exchange.error = error
        if not exchange.request_id:  # refused before the trace policy named it
            exchange.request_id = exchange.correlation_id = new_id("req")
            exchange.reply_headers.append((b"x-request-id", exchange.request_id.encode()))
        exchange.reply = problem_reply(error, exchange)
        if exchange.reply.status == INTERNAL:
            _log.error("request %s failed", exchange.request_id, exc_info=error)

    async def _conclude(self, exchange: Exchange) -> None:
        for needed, step in self._chain.outward:
            if needed <= exchange.entered:
                try:
                    waiting = step(exchange)
                    if waiting is not None:
                        await waiting
                except CrossdockError as error:
                    if exchange.method in _SAFE:  # withheld on purpose; a committed effect's answer never is
                        self._refuse(exchange, error)
                except Exception:  # noqa: BLE001  # a failure here must not take the answer with it
                    _log.exception("a policy failed on the way out of request %s", exchange.request_id)

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self._overdue.watching():
                await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "no websockets here"})


async def _hang_up() -> Any:
    """The ASGI `receive` of a finished exchange: holding the server's own would keep the connection open."""
    return {"type": "http.disconnect"}


def _replay(exchange: Exchange) -> Receive:
    """The body for the router, once; afterwards only what the connection itself says (a client that left)."""
    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            return await exchange.receive()
        given = True
        return {"type": "http.request", "body": exchange.body, "more_body": False}

    return receive


def _nothing_here(exchange: Exchange) -> Reply:
    allowed = exchange.allowed_methods
    if allowed and exchange.method == "OPTIONS":
        return Reply(204, [(b"allow", ", ".join(allowed).encode())], b"")
    if allowed:
        raise Rejected(
            f"{exchange.method[:20]} is not served here: use {', '.join(allowed)}", code="request.method_not_allowed"
        )
    raise NotFound("nothing is served at this path: see /.well-known/api-catalog", code="route.not_found")


def _too_late(exchange: Exchange) -> CrossdockError:
    if exchange.reached_handler and exchange.method not in _SAFE:
        return OutcomeUnknown(
            "no answer within the time of this call: look whether it was done before you send it again",
            code="request.deadline",
        )
    return Unavailable("no answer within the time of this call: try again", code="request.deadline")
