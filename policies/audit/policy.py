"""Audit of the door: every change and every refusal is kept with the decisions that led to it; reads are sampled.

What a change *did* is recorded in its own transaction by the process that did it; here stands what the door decided,
which is what `explain` answers from. Denials beyond a rate are kept as a count, so that an attack cannot fill the disk.
"""

from __future__ import annotations

from collections.abc import Awaitable
from random import random
from typing import Any, Final

from gateway.kernel.clock import Clock
from gateway.kernel.exchange import Exchange
from gateway.kernel.passage import ConcludesOnly
from gateway.store.audit import AuditEntry
from policies.audit.options import AuditOptions
from policies.audit.store import AuditQueue, Write

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FIRST_ERROR: Final = 400
_DENIALS: Final = frozenset({401, 403, 404, 405, 429})
_MOST_COUNTED: Final = 10_000

DenialKey = tuple[str, str, str]


class Audit(ConcludesOnly):
    """`write` takes batches of entries; open `queue.writing()` for as long as the door is open."""

    name = "audit"

    def __init__(self, write: Write, clock: Clock, options: AuditOptions | None = None) -> None:
        self._options = options or AuditOptions()
        self._read_sample = self._options.read_sample
        self._monotonic = clock.monotonic
        self.queue = AuditQueue(write, size=self._options.queue, patience=self._options.patience)
        self._denials: dict[DenialKey, int] = {}
        self._window_ends = 0.0

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Keep, count, sample or pass over what the exchange came to."""
        reply = exchange.reply
        if reply is None:
            return None
        status = reply.status
        if status < _FIRST_ERROR and exchange.method in _READS:
            if random() < self._read_sample:  # noqa: S311  # a sample, not a secret
                self.queue.offer(entry_of(exchange, status))
            return None
        if status in _DENIALS and not self._kept_whole(exchange):
            return None
        if status in _DENIALS or exchange.method in _READS:
            self.queue.offer(entry_of(exchange, status))
            return None
        return self.queue.keep(entry_of(exchange, status))

    def _kept_whole(self, exchange: Exchange) -> bool:
        """Whether this denial is among the first of its kind in the present window; the others are only counted."""
        now = self._monotonic()
        if now >= self._window_ends:
            self.flush()
            self._window_ends = now + self._options.denial_window
        key = (_tenant(exchange), _actor(exchange), _code(exchange))
        if key not in self._denials and len(self._denials) >= _MOST_COUNTED:
            key = ("", "many", _code(exchange))
        count = self._denials.get(key, 0) + 1
        self._denials[key] = count
        return count <= self._options.denials_each

    def flush(self) -> None:
        """End the window: what went beyond the rate becomes one entry with its count."""
        for (tenant, actor, code), count in self._denials.items():
            beyond = count - self._options.denials_each
            if beyond > 0:
                entry = AuditEntry(
                    tenant=tenant,
                    actor=actor,
                    action="denied",
                    subject="many requests",
                    outcome=code,
                    correlation_id="",
                    detail={"count": beyond, "seconds": self._options.denial_window},
                )
                self.queue.offer(entry)
        self._denials.clear()


def entry_of(exchange: Exchange, status: int) -> AuditEntry:
    """What `explain` needs of one exchange; no header, query or body of it."""
    route = exchange.route
    detail: dict[str, Any] = {
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "status": status,
        "path": exchange.path[:200],
        "peer": exchange.peer,
        "reached_handler": exchange.reached_handler,
    }
    if exchange.principal is not None:
        detail["credential"] = exchange.principal.credential
    if exchange.decisions:
        detail["decisions"] = [
            {"policy": made.policy, "outcome": made.outcome, "us": round(made.microseconds, 1), "detail": made.detail}
            for made in exchange.decisions
        ]
    return AuditEntry(
        tenant=_tenant(exchange),
        actor=_actor(exchange),
        action=exchange.method,
        subject=route.id if route is not None else "",
        outcome=_code(exchange) if exchange.error is not None else str(status),
        correlation_id=exchange.correlation_id,
        detail=detail,
    )


def _tenant(exchange: Exchange) -> str:
    return exchange.principal.tenant if exchange.principal is not None else ""


def _actor(exchange: Exchange) -> str:
    return exchange.principal.subject if exchange.principal is not None else exchange.peer


def _code(exchange: Exchange) -> str:
    return str(getattr(exchange.error, "code", "internal" if exchange.error is not None else "refused"))
