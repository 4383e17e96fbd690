"""What is kept of one request: who asked what, what each policy said about it and how long that took.

No body, no query, no credential, and of headers only what `TOLD` names and the `Api-Version` that was asked for. Text
that a caller chose (the path, what an error quotes of it) is cut, and what looks like a credential in it is masked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import Conflict, CrossdockError, Invalid
from gateway.kernel.exchange import (
    KEY_DIGEST_KEY,
    OUTBOUND_KEY,
    REFUSED_AFTER_KEY,
    WITHHELD_KEY,
    Decision,
    Exchange,
)

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
DENIALS: Final = frozenset({401, 403, 404, 405, 429})
CLIENT_LEFT: Final = 499
TOLD: Final = frozenset(
    {
        b"ratelimit",
        b"ratelimit-policy",
        b"crossdock-ratelimit-mode",
        b"retry-after",
        b"idempotent-replayed",
        b"deprecation",
        b"sunset",
    }
)
ROUTER: Final = "router"
HANDLER: Final = "handler"
_OUR_PROBLEMS: Final = frozenset({"route.not_found", "request.method_not_allowed", "server.draining"})
_LARGEST_SUCCESS: Final = 299
_LONGEST_PATH: Final = 200
_LONGEST_DETAIL: Final = 300
_LONGEST_TEXT: Final = 20_000
_LONGEST_VALUE: Final = 120
_MOST_PROBLEMS: Final = 5
_MOST_CALLS: Final = 20
_VERSION: Final = re.compile(rb"[vV]?\d{1,4}")
# Ours by their prefix, tokens by their form, everybody's by their length: our own ids have at most 36 characters.
_QUOTED: Final = re.compile(r"'[^']*'?")
_HIDDEN: Final = "'…'"
_CREDENTIAL: Final = re.compile(r"(?:cd[ks]_|whsec_|eyJ)[A-Za-z0-9+_=.~%-]*|[A-Za-z0-9+_=.~%-]{40,}")

DecisionKept = tuple[str, str, int, str]
"""Policy, word, tenths of a microsecond, code of its error."""
OutboundKept = tuple[str, str, str, int, int]
"""System, method, outcome, tries, microseconds."""


class Record(Struct, array_like=True, frozen=True, kw_only=True):
    """One request. Times are milliseconds since the epoch (`arrived_ms`) and microseconds (`took_us`).

    `refused_by` is the policy that refused it, ``router``, ``handler`` or empty. `entered` counts the steps that were
    asked. `decisions` is None where only the refusal is known; `refused_us` is then the time that the policy took to
    refuse, with those before it since the request came or was last waited for. `outbound` are the calls made for it.
    An empty `correlation_id` is the request's id.
    """

    request_id: str
    arrived_ms: int
    took_us: int
    method: str
    route: str
    template: str
    path: str
    version_asked: str
    version: str
    tenant: str
    partner: str
    client: str
    credential: str
    peer: str
    status: int
    code: str
    detail: str
    problems: list[str]
    refused_by: str
    entered: int
    reached_handler: bool
    decisions: list[DecisionKept] | None
    told: dict[str, str]
    configuration: int
    deadline_ms: int
    correlation_id: str
    trace_id: str
    idempotency: bytes
    refused_us: int = 0
    outbound: list[OutboundKept] = []


def kind_of(method: str, status: int, *, sampled: bool) -> str:
    """Why there is a record: ``denial``, ``read`` (a sample), or ``write`` for all that is never left out first."""
    if status in DENIALS:
        return "denial"
    return "read" if sampled and method in READS and 200 <= status <= _LARGEST_SUCCESS else "write"  # noqa: PLR2004


def masked(text: str, longest: int) -> str:
    """`text`, cut, without what looks like a credential."""
    return (_masked_again if len(text) <= _LONGEST_DETAIL else _masked)(text, longest)


def _masked(text: str, longest: int) -> str:
    text = text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()  # a lone surrogate cannot be packed
    return _CREDENTIAL.sub(lambda found: found[0][:4] + "…", text)[:longest]


# A flood says the same again and again.
_masked_again: Final = lru_cache(maxsize=1024)(_masked)


def problems_of(error: BaseException | None) -> list[str]:
    """What of the request did not fit and why, the first few, without what they quote of it."""
    if not isinstance(error, Invalid | Conflict) or not error.problems:
        return []
    return [
        masked(
            f"{problem.pointer or problem.parameter or ''} {_QUOTED.sub(_HIDDEN, problem.detail)}".strip(),
            _LONGEST_VALUE,
        )
        for problem in error.problems[:_MOST_PROBLEMS]
    ]


def refused_by(names: Sequence[str], *, entered: int, code: str, reached_handler: bool, withheld_by: str | None) -> str:
    """Who refused a request whose error has `code`, by how far it had come."""
    if withheld_by is not None:
        return withheld_by
    if reached_handler:
        return HANDLER
    if entered >= len(names) and (code in _OUR_PROBLEMS or code == "request.parameters"):
        return ROUTER
    return names[entered - 1] if 0 < entered <= len(names) else ROUTER


def record_of(exchange: Exchange, seconds: float, *, epoch: float, names: Sequence[str], configuration: int) -> Record:
    """The record of a finished exchange; `epoch` is what makes a wall-clock instant of its monotonic ones."""
    route, principal, error, reply = exchange.route, exchange.principal, exchange.error, exchange.reply
    code = "" if error is None else str(getattr(error, "code", "internal"))
    notes = exchange.notes
    asked = exchange.headers.get(b"api-version", b"")
    return Record(
        request_id=exchange.request_id,
        arrived_ms=int((epoch + exchange.arrived) * 1000),
        took_us=int(seconds * 1e6),
        method=exchange.method[:16],
        route=route.id if route is not None else "",
        template=route.template if route is not None and route.matched else "",
        path=masked(exchange.path, _LONGEST_PATH),
        version_asked=_version_asked(asked) if asked else "",
        version=route.version if route is not None else "",
        tenant=principal.tenant if principal is not None else "",
        partner=(principal.partner or "") if principal is not None else "",
        client=principal.subject if principal is not None else "",
        credential=masked(principal.credential, _LONGEST_VALUE) if principal is not None else "",
        peer=exchange.peer,
        status=reply.status if reply is not None else CLIENT_LEFT,
        code=code,
        detail=_detail_of(error),
        problems=problems_of(error),
        refused_by=""
        if error is None
        else refused_by(
            names,
            entered=exchange.entered,
            code=code,
            reached_handler=exchange.reached_handler,
            withheld_by=notes.get(WITHHELD_KEY),
        ),
        entered=exchange.entered,
        reached_handler=exchange.reached_handler,
        decisions=_kept(exchange.decisions),
        told=_told(exchange),
        configuration=configuration,
        deadline_ms=int((exchange.deadline - exchange.arrived) * 1000),
        correlation_id="" if exchange.correlation_id == exchange.request_id else exchange.correlation_id,
        trace_id=exchange.trace_id if exchange.sampled else "",
        idempotency=notes.get(KEY_DIGEST_KEY, b""),
        refused_us=int(notes.get(REFUSED_AFTER_KEY, 0.0) * 1e6),
        outbound=[
            (made.system, made.method, made.outcome, made.attempts, int(made.microseconds))
            for made in notes.get(OUTBOUND_KEY, ())[:_MOST_CALLS]
        ],
    )


def _version_asked(field: bytes) -> str:
    return field.decode("ascii") if _VERSION.fullmatch(field) else "?"


def _detail_of(error: BaseException | None) -> str:
    """What the caller was told; the text of an error that is not ours stays in the log."""
    return masked(error.detail, _LONGEST_DETAIL) if isinstance(error, CrossdockError) else ""


def _kept(decisions: Sequence[Decision] | None) -> list[DecisionKept] | None:
    if decisions is None:
        return None
    return [(made.policy, made.outcome, int(made.microseconds * 10), made.detail) for made in decisions]


def _told(exchange: Exchange) -> dict[str, str]:
    fields = exchange.reply_headers if exchange.reply is None else exchange.reply.headers
    return {name.decode(): masked(value.decode("latin-1"), _LONGEST_VALUE) for name, value in fields if name in TOLD}
