"""Passing one request on and its answer back, whole: the hot path of a proxied API.

The path below our prefix, as the door canonicalised it, is joined to the API's own; the door refuses what could be
read as another path, and a segment that only a server with path parameters (``..;x``) reads as a way up is refused
here. What the document declares comes back as it is; other errors become problems that name who to ask.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from gateway.kernel.exchange import Exchange, Reply
from gateway.outbound.answers import Answer
from gateway.outbound.hygiene import retry_after_seconds
from gateway.systems.proxied.checking import AnswerCheck, cookies_of
from gateway.systems.proxied.document import SAFE, Operation
from gateway.systems.proxied.facts import Facts
from gateway.systems.proxied.fields import STOPPED, Returning, identity_fields, own_fields
from gateway.systems.proxied.sharing import SharedReads

Direct = Callable[[Exchange], Awaitable[None]]

_TARGET: Final = re.compile(rb"[!\"$-~]+")
_WAY_UP: Final = re.compile(rb"/\.{0,2};")
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})  # RFC 9110, 9.2.2
_REDIRECT: Final = 300
_UNAUTHORISED: Final = 401


class Passing:
    """One operation. Called by the door as a handler of its own; also writes the head of a streamed request."""

    def __init__(self, facts: Facts, operation: Operation, check: AnswerCheck, cookies: frozenset[str]) -> None:
        upstream = facts.upstream
        self.facts = facts
        self.check = check
        self.method = operation.method
        self.repeatable = operation.method in _IDEMPOTENT
        self._safe = operation.method in SAFE
        self._bodyless = operation.method == "HEAD"
        self._framed = operation.method in ("POST", "PUT", "PATCH")
        self._line = operation.method.encode("ascii") + b" " + upstream.base_path
        self._slash = operation.path.endswith("/")
        self._host = b" HTTP/1.1\r\nhost: " + upstream.host_field + b"\r\n"
        credential = facts.credential
        self._stopped = STOPPED | ({credential.name} if credential is not None else set())
        self._cookies = cookies
        self._returning = Returning(
            upstream.base_url, upstream.base_path, facts.prefix, cookies="set-cookie" in check.fields
        )
        self._cut = len(facts.prefix)

    async def __call__(self, exchange: Exchange) -> None:
        """Set the exchange's reply."""
        body = exchange.body
        parts = self._fields(exchange)
        tracing = _tracing(exchange)
        if body or self._framed:
            tracing += b"content-length: %d\r\n" % len(body)
        facts = self.facts
        if facts.reads is not None:
            answer = await self._sharing(facts.reads, exchange, b"".join(parts), tracing)
        elif facts.credential is not None:
            parts.append(tracing)
            answer = await self._ask(exchange, b"".join(parts), body)
        else:
            parts += (tracing, b"\r\n", body)
            answer = await facts.upstream.ask(
                b"".join(parts),
                deadline=exchange.deadline,
                safe=self.repeatable,
                bodyless=self._bodyless,
                asked_by=exchange,
            )
        if answer.status >= _REDIRECT and not self.check.passes(answer.status):
            raise self.undeclared(answer)
        self.check(exchange, answer)
        exchange.reply = Reply(answer.status, self._returning.passed(answer.fields), answer.body)

    async def _ask(self, exchange: Exchange, head: bytes, body: bytes) -> Answer:
        upstream, credential = self.facts.upstream, self.facts.credential
        bodyless = self._bodyless
        if credential is None:
            return await upstream.ask(
                head + b"\r\n" + body,
                deadline=exchange.deadline,
                safe=self.repeatable,
                bodyless=bodyless,
                asked_by=exchange,
            )
        while True:
            value = credential.ready() or await credential.value()
            request = b"%b%b: %b\r\n\r\n%b" % (head, credential.name, value, body)
            answer = await upstream.ask(
                request, deadline=exchange.deadline, safe=self.repeatable, bodyless=bodyless, asked_by=exchange
            )
            if answer.status != _UNAUTHORISED or not credential.refused(value):
                return answer

    async def _sharing(self, reads: SharedReads, exchange: Exchange, head: bytes, tracing: bytes) -> Answer:
        if not self._safe or exchange.body:
            try:
                return await self._ask(exchange, head + tracing, exchange.body)
            finally:
                reads.forget()
        who = exchange.principal
        key = (head, None if who is None else (who.tenant, who.subject, who.credential, who.partner))
        return await reads.ask(key, lambda: self._ask(exchange, head + tracing, b""))

    def head(self, exchange: Exchange) -> bytes:
        """Request line and fields but for the body's length and our credential; each line ended."""
        return b"".join([*self._fields(exchange), _tracing(exchange)])

    def _fields(self, exchange: Exchange) -> list[bytes]:
        """The parts of `head` without what names this one request: the same for identical requests of one caller."""
        raw: bytes = exchange.scope["raw_path"]
        target = raw[self._cut :] or b"/"
        if b";" in target and _WAY_UP.search(target):
            raise Rejected("the path holds a segment that some servers read as a way up", code="request.path")
        if self._slash and target != b"/":
            target += b"/"
        if exchange.query:
            target = b"%b?%b" % (target, exchange.query)
        if not _TARGET.fullmatch(target):
            raise Rejected("path and query must be percent-encoded ASCII", code="request.path")
        headers = exchange.headers
        parts = [self._line, target, self._host, own_fields(exchange)]
        stopped = self._stopped
        for name, value in headers.items():
            if name not in stopped:
                parts += (name, b": ", value, b"\r\n")
        if self.facts.identity and exchange.principal is not None:
            parts.append(identity_fields(exchange.principal))
        if self._cookies and b"cookie" in headers:
            parts.append(self._cookie(headers[b"cookie"]))
        return parts

    def _cookie(self, field: bytes) -> bytes:
        """The cookies that the document knows, and no others."""
        kept = "; ".join(f"{name}={value}" for name, value in cookies_of(field).items() if name in self._cookies)
        return b"cookie: %b\r\n" % kept.encode("latin-1") if kept else b""

    def returning(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        """The answer's fields as they leave us."""
        return self._returning.passed(answer.fields)

    def undeclared(self, answer: Answer) -> CrossdockError:
        """What becomes of an error that the document does not know: its body may tell what nobody should read."""
        status, name, contact = answer.status, self.facts.name, self.facts.upstream.contact
        said = f"{name} answered {status}, which its contract does not know"
        wait = dict(answer.fields).get(b"retry-after")
        if status in (429, 503):
            seconds = retry_after_seconds(wait.decode("latin-1") if wait else None, self.facts.clock.now())
            return Unavailable(
                f"{name} cannot serve this now: nothing was done, try again", code="proxied.busy", retry_after=seconds
            )
        if status >= 500:  # noqa: PLR2004
            if self._safe:
                return BrokenUpstream(f"{said}: try again; if it lasts, ask {contact}", code="proxied.failed")
            return OutcomeUnknown(
                f"{said}, after a request that changes something: look there before repeating it, or ask {contact}",
                code="proxied.failed",
            )
        if status in (401, 407) or status < 400:  # noqa: PLR2004
            why = "refuses our credential" if status >= 400 else "sends us elsewhere"  # noqa: PLR2004
            return BrokenUpstream(f"{name} {why} ({status}): ask {contact}", code="proxied.refused")
        return _REFUSALS.get(status, Rejected)(f"{said}: ask {contact} what it means", code="proxied.rejected")


def _tracing(exchange: Exchange) -> bytes:
    trace = exchange.trace_id
    return (
        f"x-request-id: {exchange.request_id}\r\nx-correlation-id: {exchange.correlation_id}\r\n"
        f"traceparent: 00-{trace}-{trace[16:]}-{'01' if exchange.sampled else '00'}\r\n"
    ).encode("ascii")


_REFUSALS: Final[dict[int, type[CrossdockError]]] = {403: NotAllowed, 404: NotFound, 409: Conflict, 410: NotFound}
