"""Reserves the key on the way in, stores the answer on the way out, replays it to whoever asks again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Mapping
from typing import Final

import msgspec

from gateway.kernel.background import ended
from gateway.kernel.errors import (
    Conflict,
    CrossdockError,
    Invalid,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.kernel.exchange import HELD_KEY, KEY_DIGEST_KEY, Exchange, Idempotency, RecallsOutcome, Reply, Route
from gateway.kernel.keyring import KeyRing
from gateway.kernel.validation import JsonLimits
from gateway.store.postgres import CommitUnknown, Store
from gateway.telemetry.counters import Counters
from policies.idempotency.key import HEADER, fingerprint_of, missing_key, parse_key, record_key
from policies.idempotency.options import IdempotencyOptions
from policies.idempotency.store import Existing, Records, Reservation

_logger = logging.getLogger(__name__)
_FIELD: Final = HEADER.lower().encode()
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_DECIDED: Final = (Rejected, NotFound, Conflict, NotAllowed)
_SERVER_ERROR: Final = 500
_WIDEST: Final = JsonLimits(depth=256, items=1 << 30, members=1 << 30, string=1 << 30, digits=1 << 12)
_encode: Final = msgspec.json.Encoder().encode


class IdempotencyPolicy:
    """Runs behind authentication, authorisation and limits, so a replay is authorised like the first call.

    `recallers`, by route id, tell what became of a request whose answer was lost; without one such a key stays closed
    until a person resolves it (`store.free_unresolved`). Decisions are counted in `counters`.
    """

    name = "idempotency"

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        options: IdempotencyOptions | None = None,
        *,
        recallers: Mapping[str, RecallsOutcome] | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._options = options or IdempotencyOptions()
        self._ring = ring
        self._recallers = recallers or {}
        self._records = Records(store, ring, lease=self._options.lease, largest_reply=self._options.largest_reply)
        self._purging: asyncio.Task[None] | None = None
        self._outcomes = (counters or Counters()).counter(
            "crossdock_idempotency_decisions_total", "What became of requests with an Idempotency-Key.", ("outcome",)
        )

    async def open(self) -> None:
        """Start the purge."""
        self._purging = asyncio.create_task(self._purge_forever(), name="idempotency-purge")

    async def close(self) -> None:
        """Stop the purge."""
        if self._purging is not None:
            await ended(self._purging)
            self._purging = None

    def concerns(self, route: Route) -> bool:
        """Only routes that know a key."""
        return route.idempotency is not Idempotency.NONE

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Reserve the key of this request, or answer it from the record."""
        route = exchange.route
        if route is None or route.idempotency is Idempotency.NONE:
            return None
        value = exchange.headers.get(_FIELD)
        if value is None:
            if route.idempotency is Idempotency.REQUIRED:
                raise missing_key()
            return None
        return self._reserve(exchange, route, parse_key(value))

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Store what became of the request. Failing to is logged: the effect is committed and the answer goes out."""
        held: Reservation | None = exchange.notes.get(HELD_KEY)
        if held is None or (held.completed and exchange.error is None):
            return None
        return self._conclude(exchange, held)

    async def _reserve(self, exchange: Exchange, route: Route, key: str) -> None:
        principal = exchange.principal
        held = Reservation(self._records, record_key(self._ring, self._options.digest_version, principal, route, key))
        # Noted before asking: should the answer to the reservation be lost, the way out still knows its fence.
        exchange.notes[HELD_KEY] = held
        exchange.notes[KEY_DIGEST_KEY] = held.key
        fingerprint = fingerprint_of(exchange)
        try:
            existing = await self._records.reserve(
                held,
                fingerprint,
                tenant=principal.tenant if principal is not None else "",
                route=route.id,
                retention=self._options.retention.get(route.id, route.idempotency_retention),
            )
        except Unavailable as error:
            raise Unavailable(
                "the idempotency record cannot be reached, so nothing was done: send the request again",
                code="idempotency.unavailable",
                retry_after=error.retry_after,
            ) from error
        if existing is None:
            self._outcomes.add("reserved")
            return
        del exchange.notes[HELD_KEY]
        await self._answer_existing(exchange, route, key, held, existing, fingerprint)

    async def _answer_existing(
        self, exchange: Exchange, route: Route, key: str, held: Reservation, existing: Existing, fingerprint: bytes
    ) -> None:
        if existing.fingerprint != fingerprint:
            self._outcomes.add("reused")
            detail = "this key was used for another request: take a fresh key for a new request"
            raise Invalid(detail, code="idempotency_key.reused", problems=[Problem(detail, parameter=HEADER)])
        if existing.reply is not None:
            self._replay(exchange, existing.reply)
            return
        if existing.state == "reserved" and not existing.lease_over:
            self._outcomes.add("in_flight")
            raise Conflict(
                "the first request with this key is still being served: ask again in a moment",
                code="idempotency.in_flight",
                context={"retry_after": min(self._options.retry_after, max(existing.lease_left, 1.0))},
            )
        await self._recall(exchange, route, key, held, existing)

    async def _recall(self, exchange: Exchange, route: Route, key: str, held: Reservation, existing: Existing) -> None:
        """The first request was lost on its way: find out what it did before anything is done again."""
        recaller = self._recallers.get(route.id)
        if recaller is None or exchange.caller is None:
            raise self._unknown()
        if not await self._records.take_over(held, existing):
            raise self._unknown()
        held.recalled = True
        reply = None
        body = _as_the_handler_saw_it(route, exchange.body)
        if body is not None:
            try:
                reply = await recaller.recall_outcome(
                    caller=exchange.caller,
                    idempotency_key=key,
                    path_params=exchange.path_params,
                    body=body,
                )
            except OutcomeUnknown:
                raise self._unknown() from None
        if reply is not None:
            await self._records.complete(held, reply)
            self._replay(exchange, reply)
            return
        if not await self._records.execute_again(held):
            raise self._unknown()
        held.recalled = False
        exchange.notes[HELD_KEY] = held
        self._outcomes.add("executed_again")

    def _replay(self, exchange: Exchange, reply: Reply) -> None:
        self._outcomes.add("replayed")
        headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body)), _REPLAYED]
        exchange.reply = Reply(reply.status, headers, reply.body)

    def _unknown(self) -> Conflict:
        self._outcomes.add("unknown")
        return Conflict(
            "the first request with this key was interrupted and it is not known yet what it did: look, or ask again",
            code="idempotency.outcome_unknown",
            context={"retry_after": max(self._options.retry_after, 5.0)},
        )

    async def _conclude(self, exchange: Exchange, held: Reservation) -> None:
        try:
            if not exchange.reached_handler or _nothing_done(exchange.error):
                await self._records.free(held)
            elif exchange.reply is None or _in_doubt(exchange.error, exchange.reply):
                await self._records.doubt(held)
            elif not await self._records.complete(held, exchange.reply):
                self._outcomes.add("lost")
                _logger.warning("request %s was answered after its lease had ended", exchange.request_id)
        except CrossdockError as error:
            self._outcomes.add("not_stored")
            _logger.warning("the outcome of request %s was not stored: %s", exchange.request_id, error.detail)

    async def _purge_forever(self) -> None:
        every = self._options.purge_every
        while True:
            await asyncio.sleep(every * random.uniform(0.5, 1.0))  # noqa: S311 - workers should not purge in step
            try:
                gone, lost = await self._records.purge(self._options.purge_batch)
            except CrossdockError as error:
                _logger.warning("expired idempotency keys were not removed: %s", error.detail)
            else:
                self._outcomes.add("purged", amount=gone)
                self._outcomes.add("lost_executions", amount=lost)


def _as_the_handler_saw_it(route: Route, body: bytes) -> bytes | None:
    """None where the handler cannot have been reached: validation stands before it.

    A body that only the forgiving reader takes may have reached it, if the route was only observed then, or had wider
    limits.
    """
    if route.decode is None:
        return body
    try:
        route.decode(body)
    except Invalid:
        pass
    else:
        return body
    if route.forgive is None:
        return None
    try:
        return _encode(route.forgive(body, _WIDEST))
    except Invalid:
        return None


def _nothing_done(error: BaseException | None) -> bool:
    """Errors that promise that nothing was done, so the same request may succeed later."""
    return isinstance(error, Throttled | Unavailable) and not isinstance(error, CommitUnknown)


def _in_doubt(error: BaseException | None, reply: Reply) -> bool:
    """A decided refusal is an answer like any other; every other failure in the handler may have had effects."""
    if error is not None:
        return not isinstance(error, _DECIDED)
    return reply.status >= _SERVER_ERROR
