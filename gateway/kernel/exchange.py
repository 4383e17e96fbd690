"""One request on its way through the door, and the Protocol of the policies it passes.

The edge owns the `Exchange`; policies read it, add to it, answer it or refuse it. The chain is an explicit tuple in
`gateway/edge/chain.py`, outermost first.

A policy's `admit` runs on the way in and returns None when it decided at once, or an awaitable when it has to ask a
store: the hot path awaits nothing. It refuses by raising a `CrossdockError`, and answers by setting `exchange.reply`
(a replayed response). `conclude` runs on the way out, innermost first, for every policy whose `admit` was entered,
whatever happened in between, and for those behind the handler always; it may add headers and must not change a
committed effect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.kernel.context import Caller
from gateway.kernel.passage import Exchange, Reply
from gateway.kernel.route import Idempotency, Route

__all__ = (
    "HELD_KEY",
    "KEY_DIGEST_KEY",
    "LONGEST_RETENTION",
    "OUTBOUND_KEY",
    "REFUSED_AFTER_KEY",
    "SCOPE_KEY",
    "WITHHELD_KEY",
    "Decision",
    "Exchange",
    "Idempotency",
    "LocatesRoutes",
    "OutboundCall",
    "Policy",
    "RecallsOutcome",
    "Reply",
    "Route",
    "caller_of",
    "held_key_of",
    "outbound_calls_of",
)

LONGEST_RETENTION: Final = 31 * 86_400


class Decision(Struct, frozen=True):
    """What one policy decided, for `explain`: its name, a word, and how long it took in microseconds."""

    policy: str
    outcome: str
    microseconds: float
    detail: str = ""


class OutboundCall(Struct, frozen=True, gc=False):
    """A request to another system, made for this one.

    `outcome` is its status, or the code of the error that stood for an answer; `attempts` counts every try, those
    included that were not sent. No path and no field: either may hold what nobody else should read.
    """

    system: str
    method: str
    outcome: str
    attempts: int
    microseconds: float


class Policy(Protocol):
    """One guarantee. `name` is its folder.

    A policy whose options leave `conclude` nothing to do says so with an attribute ``concludes = False``, read once.
    One that has nothing to do for some routes has a method ``concerns(route) -> bool``, asked once for each: where it
    is False, neither way is called.
    """

    @property
    def name(self) -> str:
        """The policy's folder."""
        ...

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """On the way in: None, or an awaitable. Raises to refuse."""
        ...

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """On the way out, when `reply` is set. A `CrossdockError` withholds the answer to a safe method only."""
        ...


class LocatesRoutes(Protocol):
    """Finds what serves a canonical path; the route table compiled from the router does."""

    def locate(self, method: str, path: str) -> tuple[Route, dict[str, str], tuple[str, ...]]:
        """The route, its path parameters as text, and the methods its path knows (empty: no such path).

        Never fails: what nothing serves gets a route whose `matched` is False.
        """
        ...


class RecallsOutcome(Protocol):
    """Tells what became of a request whose answer was lost (`semantics.md` 7, idempotency).

    Returns the reply it would have had, or None when it is certain that nothing was done. Raises `OutcomeUnknown`
    while neither is certain.
    """

    async def recall_outcome(
        self, *, caller: Caller, idempotency_key: str, path_params: Mapping[str, str], body: bytes
    ) -> Reply | None:
        """The lost request's reply, None for "nothing was done"."""
        ...


SCOPE_KEY: Final = "crossdock"
HELD_KEY: Final = "idempotency"
# Notes for `explain`: the digest of the request's idempotency key, and who withheld its answer.
KEY_DIGEST_KEY: Final = "idempotency_digest"
WITHHELD_KEY: Final = "withheld_by"
# The calls made for the request (`OutboundCall`), and the seconds until it was refused where policies are not timed.
OUTBOUND_KEY: Final = "outbound"
REFUSED_AFTER_KEY: Final = "refused_after"


def caller_of(scope: Mapping[str, Any]) -> Caller:
    """The caller of the request that a handler is serving; the edge put it there before the handler was reached."""
    caller: Caller = scope[SCOPE_KEY].caller
    return caller


def held_key_of(scope: Mapping[str, Any]) -> Any | None:
    """The idempotency record that this request holds (`KeepsAnswer`), None where it came without a key."""
    return scope[SCOPE_KEY].notes.get(HELD_KEY)


def outbound_calls_of(scope: Mapping[str, Any]) -> list[OutboundCall]:
    """Where the calls made for the request that a handler is serving are told."""
    told: list[OutboundCall] = scope[SCOPE_KEY].notes.setdefault(OUTBOUND_KEY, [])
    return told
