"""Promises: claim, allocate, release, expire. A verb runs in its caller's transaction, once per action id.

Locks: the order's row first, then stock lines in their order. What fits is decided after locking, under the rule in
force; the CHECK of `stock_line` is the last line of defence and has never anything to do.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimState
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Rejected
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.fulfilling import OrderClaims, claim_event, claim_of_row, write_claims
from process_apis.availability.lines import Cause, LineChange, line_events, line_of_row, lock_lines, refresh_lines
from process_apis.availability.models import (
    ChannelRule,
    ChannelTerms,
    LineKey,
    LocationMap,
    Need,
    OpenClaim,
    Portion,
    StockLine,
)
from process_apis.availability.rules import available_to_sell, rule_in_force, supply
from process_apis.availability.sourcing import lacking, source

_sql: Final = queries_beside(__file__)
_ZERO: Final = Decimal(0)
_OVER: Final = frozenset({"fulfilled", "released"})
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class RuleRow(msgspec.Struct, frozen=True):
    """One version of a channel's rule as it is stored."""

    version: int
    effective_from: datetime
    terms: ChannelTerms


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
        """Promise all `lines` or none; four round trips, five where the channel has a share.

        Raises `Conflict` with code ``stock.insufficient`` and ``context["lines"]`` naming the lines that do not fit.
        Without `expires_at` (aware, UTC) the promise stands until it is allocated or released.
        """
        _check(lines)
        needs = [Need(line.line, line.item, line.amount, line.location) for line in sorted(lines, key=_number)]
        digest = _digest("claim", order, channel, needs)
        version = await _lock_order(connection, tenant, order)
        items = sorted({need.item for need in needs})
        rows = await connection.fetch(_sql.open_claiming, tenant, action, order, channel, items)
        if rows[0]["fingerprint"] is not None:
            return _earlier(rows[0], digest, action)
        now = self._clock.now()
        rule = _rule(channel, rows[0]["rules"], now)
        stock = [line_of_row(row) for row in rows if row["item"] is not None]
        portions = await self._decide(connection, tenant, rule, needs, stock)
        made = [
            ClaimedLine(
                claim=new_id("clm"),
                line=portion.line,
                item=portion.item,
                location=portion.location,
                amount=portion.amount,
                state=ClaimState.RESERVED,
            )
            for portion in portions
        ]
        changed = await _write(connection, tenant, action, order, rule, made, now, expires_at, digest)
        events = _line_events(tenant, changed, now, correlation_id)
        data = {"channel": channel, "rule_version": rule.version, "claims": [msgspec.to_builtins(m) for m in made]}
        events.append(claim_event("claim.made", tenant, order, version, now, correlation_id, data))
        await log.append(connection, events)
        if rows[0]["handled"]:
            await self._catch_up(connection, tenant, order, now)
        return made

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

    async def _decide(
        self, connection: Connection, tenant: str, rule: ChannelRule, needs: Sequence[Need], lines: Sequence[StockLine]
    ) -> list[Portion]:
        by_item: dict[str, list[StockLine]] = defaultdict(list)
        for line in lines:
            by_item[line.item].append(line)
        own: dict[str, Decimal] = {}
        if rule.terms.share is not None:
            rows = await connection.fetch(_sql.channel_open, tenant, list(by_item), rule.channel, rule.terms.owner)
            own = {row["item"]: row["open"] for row in rows}
        sellable = {item: available_to_sell(some, rule.terms, own.get(item, _ZERO)) for item, some in by_item.items()}
        stock = {
            item: {line.location: supply(line, rule.terms) for line in some if line.owner == rule.terms.owner}
            for item, some in by_item.items()
        }
        if missing := lacking(needs, stock, sellable):
            raise _insufficient(missing)
        places = {place for some in stock.values() for place in some}
        order = sorted(places, key=lambda place: self._locations.priority(tenant, place))
        return source(needs, stock, order)

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
        raise Conflict(
            f"action {action} was something else before: give every command its own action id",
            code="claim.action_reused",
        )
    return msgspec.json.decode(row["answer"], type=list[ClaimedLine])


def _rule(channel: str, stored: str, now: datetime) -> ChannelRule:
    rows = msgspec.json.decode(stored, type=list[RuleRow], strict=False)
    return rule_in_force(channel, [(row.version, row.effective_from, row.terms) for row in rows], now)


async def _write(
    connection: Connection,
    tenant: str,
    action: str,
    order: str,
    rule: ChannelRule,
    made: Sequence[ClaimedLine],
    now: datetime,
    expires_at: datetime | None,
    digest: bytes,
) -> Sequence[Any]:
    owner = rule.terms.owner
    sums: dict[LineKey, Decimal] = defaultdict(Decimal)
    for claim in made:
        sums[LineKey(claim.item, claim.location, owner)] += claim.amount
    keys = sorted(sums)
    try:
        return await connection.fetch(
            _sql.write_claims,
            tenant,
            [key.item for key in keys],
            [key.location for key in keys],
            [key.owner for key in keys],
            [sums[key] for key in keys],
            [claim.claim for claim in made],
            [claim.line for claim in made],
            [claim.item for claim in made],
            [claim.location for claim in made],
            [claim.amount for claim in made],
            order,
            rule.channel,
            rule.version,
            action,
            now,
            expires_at,
            [owner] * len(made),
            digest,
            _encode(made).decode(),
        )
    except asyncpg.UniqueViolationError as error:
        raise _reused(action) from error


def _reused(action: str) -> Conflict:
    return Conflict(
        f"action {action} was used for another order: give every command its own action id",
        code="claim.action_reused",
    )


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
        raise _reused(action) from error


def _line_events(tenant: str, rows: Sequence[Any], now: datetime, correlation_id: str) -> list[Any]:
    changes = {
        LineKey(row["item"], row["location"], row["owner"]): LineChange(channels=msgspec.json.decode(row["channels"]))
        for row in rows
    }
    return line_events(tenant, rows, now, {}, Cause(correlation_id), changes)


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


def _insufficient(missing: Sequence[Need]) -> Conflict:
    lines = [{"line": need.line, "item": need.item, "amount": plain(need.amount)} for need in missing]
    numbers = ", ".join(str(need.line) for need in missing)
    return Conflict(
        f"there is not enough stock for line {numbers}: order less of it or leave it out",
        code="stock.insufficient",
        context={"lines": lines},
    )
