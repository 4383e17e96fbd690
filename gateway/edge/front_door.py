"""The front door: the outermost ASGI application, around the router.

It asks every policy of the chain on the way in, lets the router answer, and tells every policy that was entered on the
way out. What no route serves is answered at the end of the chain and not before, so that 404 and 405 are
authenticated, limited, traced and audited like everything else. Responses are buffered, so that a policy may still
replace them, unless their route streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from gateway.edge.body import BodyReader, replayed
from gateway.edge.chain import Along, Step, compile_chain
from gateway.edge.outgoing import Collected, Streamed, messages_of
from gateway.edge.overdue import Overdue
from gateway.edge.problems import INTERNAL, problem_reply
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotFound, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.exchange import (
    REFUSED_AFTER_KEY,
    SCOPE_KEY,
    WITHHELD_KEY,
    Decision,
    Exchange,
    LocatesRoutes,
    Policy,
    Reply,
    Route,
)
from gateway.kernel.ids import new_id

_log: Final = logging.getLogger(__name__)
_NO_DEADLINE: Final = float("inf")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Observer = Callable[[Exchange, float], None]
Direct = Callable[[Exchange], Awaitable[None]]


async def _hang_up() -> Any:
    """The ASGI `receive` of a finished exchange: holding the server's own would keep the connection open."""
    return {"type": "http.disconnect"}


async def _gone(_message: object) -> None:
    """The ASGI `send` of a finished exchange, for the same reason."""


# As values, for what is compiled: it finds a function of this module by its name at each use.
_HUNG_UP: Final[Receive] = _hang_up
_GONE: Final[Send] = _gone


class FrontDoor:
    """`app` behind `policies` (in the order of `chain.ORDER`).

    `seconds` is the deadline of a whole call, `body_seconds` that of its body. `observe` is told of every finished
    exchange and the seconds it took (counters, access log). `direct` holds, by route id, handlers that the door calls
    itself; they set `exchange.reply`, or leave it None for the router to answer (see `direct.py`). `streams` holds, by
    route id, applications that serve a streaming route in the router's place.
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
        direct: Mapping[str, Direct] | None = None,
        streams: Mapping[str, Application] | None = None,
    ) -> None:
        self._app = app
        self._routes = routes
        self._body_seconds = body_seconds
        self._chain = compile_chain(policies, BodyReader(seconds=body_seconds).admit)
        self._along: dict[Route | None, Along] = {}
        self._clock = clock
        self._monotonic = clock.monotonic
        self._seconds = seconds
        self._observe = observe
        self._direct: dict[str, Direct] = dict(direct or {})
        self._streams = streams or {}
        self._overdue = Overdue(clock.monotonic)
        self._admit_read = self._admit
        self._open: dict[Streamed, asyncio.Task[Any] | None] = {}

    def with_policies(self, policies: Sequence[Policy]) -> FrontDoor:
        """The same door with another chain; both know of all that is in flight."""
        twin = FrontDoor(
            self._app, self._routes, policies, self._clock,
            seconds=self._seconds, body_seconds=self._body_seconds,
            observe=self._observe, direct=self._direct, streams=self._streams,
        )  # fmt: skip
        twin._overdue, twin._open = self._overdue, self._open
        return twin

    def record_next_read(self) -> None:
        """Keep what each policy decides about the next read; of the others nothing is kept but a refusal."""
        self._admit_read = self._admit_sampled

    @property
    def draining(self) -> bool:
        """Whether no stream is taken any more."""
        return self._overdue.closing

    @property
    def in_flight(self) -> int:
        """Requests being served now: what a drain waits for."""
        return self._overdue.running

    @property
    def streams(self) -> int:
        """Streams among them."""
        return len(self._open)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI connection."""
        kind: str = scope["type"]
        if kind == "http":
            return self._serve(scope, receive, send)
        return self._not_http(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One coroutine for the whole call: each further one would cost as much as a policy.
        arrived = self._monotonic()
        exchange = Exchange(scope, receive, arrived, arrived + self._seconds)
        scope[SCOPE_KEY] = exchange
        ticket = self._overdue.enter(exchange.deadline)
        try:
            try:
                waiting = self._admit_read(exchange) if exchange.method in _SAFE else self._admit_on_record(exchange)
                if waiting is not None:
                    await waiting
                if exchange.reply is None and (waiting := self._answer(exchange)) is not None:
                    await waiting
                if exchange.reply is None and not _is_streaming(exchange):
                    await self._ask_router(exchange)
            except asyncio.CancelledError:
                if not self._overdue.struck():
                    raise
                self._refuse(exchange, _too_late(exchange))
            except Exception as error:  # noqa: BLE001  # whatever fails is told as a problem, here and nowhere else
                self._refuse(exchange, error)
            if exchange.reply is None:
                await self._stream(exchange, send)
                return
            waiting = self._conclude(exchange)
            if waiting is not None:
                await waiting
            start, body = messages_of(exchange)
            await send(start)
            await send(body)
        finally:
            self._overdue.leave(ticket)
            # Cycles wait for the garbage collector, which seldom comes; the connection must not.
            exchange.receive, exchange.scope = _HUNG_UP, {}
            receive, send = _HUNG_UP, _GONE  # not `del`, which compiled code does not know
            self._finish(exchange, arrived)

    def _finish(self, exchange: Exchange, arrived: float) -> None:
        if self._observe is not None:
            self._observe(exchange, self._monotonic() - arrived)
        error = exchange.error
        if error is not None and isinstance(error, CrossdockError):
            let_go(error)

    def _admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Ask the chain; None when it decided at once, else what is left of the asking."""
        chain = self._chain
        step: Step | None = None
        try:
            for step in chain.opening:
                waiting = step(exchange)
                if waiting is not None or exchange.reply is not None:
                    return self._admit_on(exchange, waiting, step)
            for step in self._way_along(exchange.route).inward:
                waiting = step(exchange)
                if waiting is not None or exchange.reply is not None:
                    return self._admit_on(exchange, waiting, step)
        except BaseException:
            exchange.entered = 0 if step is None else chain.inward.index(step) + 1
            raise
        exchange.entered = len(chain.inward)
        return None

    def _way_along(self, route: Route | None) -> Along:
        along = self._along.get(route)
        if along is None:
            along = self._along[route] = self._chain.along(route)
        return along

    async def _admit_on(self, exchange: Exchange, waiting: Awaitable[None] | None, step: Step) -> None:
        """`_admit` from `step`, whose answer has to be waited for; what it passes from there on is the whole chain."""
        exchange.entered = self._chain.inward.index(step) + 1
        if waiting is not None:
            await waiting
            exchange.now = self._monotonic()
        for further in self._chain.inward[exchange.entered :]:
            if exchange.reply is not None:
                return
            exchange.entered += 1
            waiting = further(exchange)
            if waiting is not None:
                await waiting
                exchange.now = self._monotonic()

    def _admit_sampled(self, exchange: Exchange) -> Awaitable[None]:
        self._admit_read = self._admit
        return self._admit_on_record(exchange)

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
                    exchange.now = self._monotonic()
            except BaseException as error:
                word = "refused" if isinstance(error, CrossdockError) else "failed"
                why = str(getattr(error, "code", type(error).__name__))
                decisions.append(Decision(name, word, (perf_counter() - begun) * 1e6, why))
                raise
            answered = exchange.reply is not None
            decisions.append(Decision(name, "answered" if answered else "passed", (perf_counter() - begun) * 1e6))
            if answered:
                break

    def _answer(self, exchange: Exchange) -> Awaitable[None] | None:
        """Call the handler if the door may; `reply` stays None where the router has to."""
        route = exchange.route
        if route is None:
            route, exchange.path_params, exchange.allowed_methods = self._routes.locate(exchange.method, exchange.path)
            exchange.route = route
        if not route.matched:
            exchange.reply = _nothing_here(exchange)
            return None
        if route.streaming and self._overdue.closing:
            raise _stopping()
        exchange.reached_handler = True
        direct = self._direct.get(route.id)
        return None if direct is None else direct(exchange)

    async def _ask_router(self, exchange: Exchange) -> None:
        if exchange.method == "HEAD":
            exchange.scope["method"] = "GET"
        collected = Collected()
        await self._app(exchange.scope, replayed(exchange), collected)
        exchange.reply = collected.reply()

    async def _stream(self, exchange: Exchange, send: Send) -> None:
        """Pass a response on as it comes: no deadline but the drain's. What fails once it has begun cuts it off."""
        task = self._overdue.enter(_NO_DEADLINE)
        if exchange.method == "HEAD":
            exchange.scope["method"] = "GET"
        stream = Streamed(exchange, send, lambda: self._concluded(exchange))
        self._open[stream] = task
        app = self._streams.get(exchange.route.id, self._app) if exchange.route is not None else self._app
        try:
            await app(exchange.scope, stream.receive, stream)
            stream.finish()
        except asyncio.CancelledError:
            if not self._overdue.struck():
                raise
            if stream.started:
                await stream.end()
                return
            await self._refuse_stream(exchange, _stopping(), send)
        except Exception as error:  # noqa: BLE001  # told as a problem if it still can be
            if stream.started:
                _log.exception("the stream of request %s broke off", exchange.request_id)
                return
            await self._refuse_stream(exchange, error, send)
        finally:
            del self._open[stream]

    async def _refuse_stream(self, exchange: Exchange, error: Exception, send: Send) -> None:
        self._refuse(exchange, error)
        await self._concluded(exchange)
        for message in messages_of(exchange):
            await send(message)

    def close_streams(self, *, events_only: bool = False) -> int:
        """Take no stream any more and end those that are open; returns how many there were.

        With `events_only` end those of events that have begun, and go on taking more.
        A server waits for an open stream until it kills; for all else in flight it waits by itself.
        """
        self._overdue.closing = self._overdue.closing or not events_only
        return self._overdue.strike(
            task for stream, task in self._open.items() if task is not None and (stream.events or not events_only)
        )

    def listening(self) -> Sequence[tuple[Streamed, Exchange]]:
        """The streams that are open now, each with what it answers."""
        return [(stream, stream.exchange) for stream in self._open]

    def end_stream(self, stream: Streamed) -> int:
        """End one, if it is still open; returns how many that was."""
        task = self._open.get(stream)
        return 0 if task is None else self._overdue.strike([task])

    def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        exchange.error = error
        if exchange.decisions is None and not exchange.reached_handler:
            exchange.notes[REFUSED_AFTER_KEY] = self._monotonic() - exchange.now
        if not exchange.request_id:  # refused before the trace policy named it
            exchange.request_id = exchange.correlation_id = new_id("req")
            exchange.reply_headers.append((b"x-request-id", exchange.request_id.encode()))
        exchange.reply = problem_reply(error, exchange)
        if exchange.reply.status == INTERNAL:
            _log.error("request %s failed", exchange.request_id, exc_info=error)

    def _conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Tell the chain; None when everybody was entered and nobody had to ask a store, else what is left of it."""
        if exchange.entered < len(self._chain.inward):
            return self._concluded(exchange)
        step: Step | None = None
        try:
            for step in self._way_along(exchange.route).outward:
                waiting = step(exchange)
                if waiting is not None:
                    return self._concluded(exchange, waiting, step)
        except Exception as error:  # noqa: BLE001  # sorted there
            self._failed_outward(exchange, error, step)
            return self._concluded(exchange, None, step)
        return None

    async def _concluded(
        self, exchange: Exchange, waiting: Awaitable[None] | None = None, told: Step | None = None
    ) -> None:
        """`_conclude` behind the step `told` (None: from the first), whose answer `waiting` has to be waited for."""
        steps = self._chain.outward
        left = steps if told is None else steps[[step for _, step in steps].index(told) + 1 :]
        for needed, step in ((0, None), *left):
            try:
                if step is not None:
                    waiting = step(exchange) if needed <= exchange.entered else None
                if waiting is not None:
                    await waiting
            except Exception as error:  # noqa: BLE001  # sorted there
                self._failed_outward(exchange, error, step)

    def _failed_outward(self, exchange: Exchange, error: Exception, step: object) -> None:
        """A refusal withholds the answer to a safe method on purpose; nothing else may take an answer with it."""
        if not isinstance(error, CrossdockError):
            _log.error("a policy failed on the way out of request %s", exchange.request_id, exc_info=error)
        elif exchange.method in _SAFE:
            exchange.notes[WITHHELD_KEY] = getattr(getattr(step, "__self__", None), "name", "")
            self._refuse(exchange, error)

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self._overdue.watching():
                await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "no websockets here"})


def _is_streaming(exchange: Exchange) -> bool:
    return exchange.route is not None and exchange.route.streaming


def let_go(error: BaseException) -> None:
    """A refusal that was told needs no traceback: by its frames it would hold the exchange, and so itself."""
    told: BaseException | None = error
    seen: set[int] = set()
    while told is not None and id(told) not in seen:  # ``raise error from error`` makes one its own cause
        seen.add(id(told))
        told.__traceback__ = None
        told = told.__cause__ or told.__context__


def _nothing_here(exchange: Exchange) -> Reply:
    allowed = exchange.allowed_methods
    if allowed and exchange.method == "OPTIONS":
        return Reply(204, [(b"allow", ", ".join(allowed).encode())], b"")
    if allowed:
        raise Rejected(
            f"{exchange.method[:20]} is not served here: use {', '.join(allowed)}", code="request.method_not_allowed"
        )
    raise NotFound("nothing is served at this path: see /.well-known/api-catalog", code="route.not_found")


def _stopping() -> CrossdockError:
    return Unavailable("this server is stopping: connect again", code="server.draining")


def _too_late(exchange: Exchange) -> CrossdockError:
    if exchange.reached_handler and exchange.method not in _SAFE:
        return OutcomeUnknown(
            "no answer within the time of this call: look whether it was done before you send it again",
            code="request.deadline",
        )
    return Unavailable("no answer within the time of this call: try again", code="request.deadline")
