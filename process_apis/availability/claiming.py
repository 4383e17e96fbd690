"""Promises: claim, allocate, release, expire. A verb runs in its caller's transaction, once per action id.

Locks: the order's row first, then stock lines in their order. What fits is decided after locking, under the rule in
force; the CHECK of `stock_line` is the last line of defence and has never anything to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimRequest, ClaimState
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Rejected
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.availability.fulfilling import OrderClaims, claim_of_row, write_claims
from process_apis.availability.lines import Cause, LineChange, line_events, lock_lines, refresh_lines
from process_apis.availability.models import (
    ChannelRule,
    ChannelTerms,
    LineKey,
    LocationMap,
    Need,
    OpenClaim,
)
from process_apis.availability.promising import Promise, Shelf, action_reused, claim_events
from process_apis.availability.rules import rule_in_force

_sql: Final = queries_beside(__file__)
_OVER: Final = frozenset({"fulfilled", "released"})
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class RuleRow(msgspec.Struct, frozen=True):
    """One version of a channel's rule as it is stored."""

    channel: str
    version: int
    effective_from: datetime
    terms: ChannelTerms


class ActionRow(msgspec.Struct, frozen=True):
    """What an action id was used for, and answered."""

    action: str
    fingerprint: bytes
    answer: list[ClaimedLine]


_decode_rules: Final = msgspec.json.Decoder(list[RuleRow], strict=False).decode
_decode_versions: Final = msgspec.json.Decoder(dict[str, int]).decode
_decode_actions: Final = msgspec.json.Decoder(list[ActionRow]).decode


class Claimer:
    """Implements `ClaimsStock`."""

    def __init__(self, store: Store, locations: LocationMap, clock: Clock) -> None:
        self._store = store
        self._locations = locations
        self._clock = clock

    async def claim(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        channel: str,
        lines: Sequence[ClaimLine],
        correlation_id: str,
        expires_at: datetime | None = None,
    ) -> Sequence[ClaimedLine]:
        """Promise all `lines` or none: `claim_all` for one order, raising what it would return."""
        request = ClaimRequest(
            action=action,
            order=order,
            channel=channel,
            lines=lines,
            correlation_id=correlation_id,
            expires_at=expires_at,
        )
        writes = Together()
        [answer] = await self.claim_all(connection, tenant=tenant, requests=[request], writes=writes)
        if isinstance(answer, Conflict):
            raise answer
        try:
            await writes.run(connection)
        except asyncpg.UniqueViolationError as error:
            raise action_reused(action) from error
        return answer

    async def claim_all(
        self, connection: Connection, *, tenant: str, requests: Sequence[ClaimRequest], writes: GathersWrites
    ) -> Sequence[Sequence[ClaimedLine] | Conflict]:
        """Promise to different orders, each all of its lines or none, in two round trips and what runs `writes`.

        They are decided one after the other, as if each had come alone. In the place of one that cannot be promised
        stands its `Conflict`: ``stock.insufficient`` with ``context["lines"]``, or ``claim.action_reused``.
        Running `writes` raises UniqueViolationError when two transactions used one action id at once for two orders.
        """
        for request in requests:
            _check(request.lines)
        orders = sorted(request.order for request in requests)
        items = sorted({line.item for request in requests for line in request.lines})
        shelf = await Shelf.lock(connection, tenant, orders, items, self._locations)
        actions, channels = [each.action for each in requests], sorted({each.channel for each in requests})
        head = await connection.fetchrow(_sql.claim_heads, tenant, actions, orders, channels, items)
        shelf.count(head)
        versions = _decode_versions(head["versions"])
        earlier = {row.action: row for row in _decode_actions(head["actions"])}
        now = self._clock.now()
        rules = {channel: _rule(channel, head["rules"], now) for channel in channels}
        answers: list[Sequence[ClaimedLine] | Conflict] = []
        promises: list[Promise] = []
        for request in requests:
            needs = [
                Need(line.line, line.item, line.amount, line.location) for line in sorted(request.lines, key=_number)
            ]
            digest = _digest("claim", request.order, request.channel, needs)
            try:
                if (known := earlier.get(request.action)) is not None:
                    answers.append(_answered(known, digest))
                    continue
                rule = rules[request.channel]
                made = shelf.promise(request, rule, needs)
            except Conflict as refusal:
                answers.append(refusal)
                continue
            promises.append(Promise(request, rule, made, digest, versions[request.order]))
            answers.append(made)
        late = [each.request.order for each in promises if each.request.order in head["handled"]]
        if promises:
            first = Together()
            shelf.write(first if late else writes, promises, now)
            (first if late else writes).tell(claim_events(tenant, promises, now))
            await first.run(connection)
        for order in late:
            await self._catch_up(connection, tenant, order, now)
        return answers

    async def allocate(
        self, connection: Connection, *, tenant: str, action: str, order: str, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """Turn the order's reservations into allocations, which do not expire; returns all that the order holds."""
        digest = _digest("allocate", order, None, [])
        version, head, claims = await _open(connection, tenant, action, order)
        if head["fingerprint"] is not None:
            return _earlier(head, digest, action)
        pairs = [
            (claim, msgspec.structs.replace(claim, state="allocated")) for claim in claims if claim.state == "reserved"
        ]
        answer = [_claimed(after) for after in [*(pair[1] for pair in pairs), *claims] if after.state == "allocated"]
        await self._finish(connection, tenant, order, version, pairs, correlation_id, "allocated")
        await _record_action(connection, tenant, action, "allocate", order, digest, answer)
        return answer

    async def release(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        lines: Sequence[int] | None,
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """Give back what is still open of the order, or of some of its lines; returns what was given back."""
        digest = _digest("release", order, None, None if lines is None else sorted(set(lines)))
        version, head, claims = await _open(connection, tenant, action, order)
        if head["fingerprint"] is not None:
            return _earlier(head, digest, action)
        chosen = [claim for claim in claims if claim.state not in _OVER and (lines is None or claim.line in lines)]
        pairs = [(claim, _released(claim)) for claim in chosen]
        answer = [_claimed(after, before.open) for before, after in pairs if before.open]
        await self._finish(connection, tenant, order, version, pairs, correlation_id, "released")
        await _record_action(connection, tenant, action, "release", order, digest, answer)
        return answer

    async def expire(self, limit: int = 100) -> int:
        """End reservations whose time has come, one transaction per order; returns how many orders lost some."""
        now = self._clock.now()
        due = await self._store.fetch(_sql.expired_orders, now, limit)
        for row in due:
            tenant, order = row["tenant"], row["order_id"]
            async with self._store.transaction() as connection:
                version = await _lock_order(connection, tenant, order)
                rows = await connection.fetch(_sql.claims_due, tenant, order, now)
                pairs = [(claim, _released(claim)) for claim in map(claim_of_row, rows)]
                await self._finish(connection, tenant, order, version, pairs, order, "expired")
        return len(due)

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _catch_up(self, connection: Connection, tenant: str, order: str, now: datetime) -> None:
        # Picks or shipments of this order came before its claim: they waited, and consume it now.
        claims = await OrderClaims.lock(connection, tenant, [order])
        changes: dict[LineKey, LineChange] = {}
        events = await claims.consume(connection, tenant, None, changes, now)
        rows = await refresh_lines(connection, tenant, changes, physical=False)
        await log.append(connection, [*line_events(tenant, rows, now, {}, Cause(order), changes), *events])

    async def _finish(
        self,
        connection: Connection,
        tenant: str,
        order: str,
        version: int,
        pairs: Sequence[tuple[OpenClaim, OpenClaim]],
        correlation_id: str,
        reason: str,
    ) -> None:
        if not pairs:
            return
        now = self._clock.now()
        await lock_lines(connection, tenant, {claim.key for claim, _ in pairs})
        changes: dict[LineKey, LineChange] = {}
        events = await write_claims(connection, tenant, pairs, changes, {order: version}, now, reason, correlation_id)
        rows = await refresh_lines(connection, tenant, changes, physical=False)
        await log.append(connection, [*line_events(tenant, rows, now, {}, Cause(correlation_id), changes), *events])


def _check(lines: Sequence[ClaimLine]) -> None:
    if len({line.line for line in lines}) != len(lines):
        raise Rejected("a line number is used twice: number the lines of an order", code="claim.line_repeated")
    for line in lines:
        if not line.amount.is_finite() or line.amount <= 0:
            raise Rejected(f"line {line.line} claims {line.amount}: claim more than zero", code="claim.amount_invalid")


def _number(line: ClaimLine) -> int:
    return line.line


def _digest(verb: str, order: str, channel: str | None, what: object) -> bytes:
    return hashlib.blake2b(_encode([verb, order, channel, what]), digest_size=16).digest()


async def _lock_order(connection: Connection, tenant: str, order: str) -> int:
    rows = await connection.fetch(_sql.lock_orders, tenant, [order])
    version: int = rows[0]["version"]
    return version


async def _open(connection: Connection, tenant: str, action: str, order: str) -> tuple[int, Any, list[OpenClaim]]:
    version = await _lock_order(connection, tenant, order)
    rows = await connection.fetch(_sql.order_claims, tenant, action, order)
    return version, rows[0], [claim_of_row(row) for row in rows if row["claim"] is not None]


def _earlier(row: Any, digest: bytes, action: str) -> list[ClaimedLine]:
    if row["fingerprint"] != digest:
        raise action_reused(action)
    return msgspec.json.decode(row["answer"], type=list[ClaimedLine])


def _answered(known: ActionRow, digest: bytes) -> list[ClaimedLine]:
    if known.fingerprint != digest:
        raise action_reused(known.action)
    return known.answer


def _rule(channel: str, stored: str, now: datetime) -> ChannelRule:
    rows = [row for row in _decode_rules(stored) if row.channel == channel]
    return rule_in_force(channel, [(row.version, row.effective_from, row.terms) for row in rows], now)


async def _record_action(
    connection: Connection,
    tenant: str,
    action: str,
    verb: str,
    order: str,
    digest: bytes,
    answer: Sequence[ClaimedLine],
) -> None:
    try:
        await connection.execute(_sql.record_action, tenant, action, verb, order, digest, _encode(answer).decode())
    except asyncpg.UniqueViolationError as error:
        raise action_reused(action) from error


def _released(claim: OpenClaim) -> OpenClaim:
    return msgspec.structs.replace(claim, state="released", released=claim.amount - claim.consumed)


def _claimed(claim: OpenClaim, amount: Decimal | None = None) -> ClaimedLine:
    return ClaimedLine(
        claim=claim.claim,
        line=claim.line,
        item=claim.item,
        location=claim.location,
        amount=claim.amount if amount is None else amount,
        state=ClaimState(claim.state),
    )
