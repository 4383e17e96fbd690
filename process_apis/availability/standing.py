"""What becomes of promises that stand: allocated, extended, released, cancelled, handed over, expired.

A verb runs in its caller's transaction, once per action id. Locks: the orders' rows first, then stock lines in their
order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine, ClaimState
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Unavailable
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.actions import action_of_row, answered, digest, record_action
from process_apis.availability.claiming import catch_up
from process_apis.availability.fulfilling import claim_data, claim_event, claim_of_row, update_claims, write_claims
from process_apis.availability.lessening import lessened
from process_apis.availability.lines import Cause, LineChange, line_events, lock_lines, refresh_lines
from process_apis.availability.models import LineKey, OpenClaim

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_OVER: Final = frozenset({"fulfilled", "released"})
_STANDS: Final = frozenset({"reserved", "allocated"})
_ZERO: Final = Decimal(0)
_CONTENDED: Final = "store.contended"


class Standing:
    """Verbs on the claims of one order."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def allocate(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        correlation_id: str,
        handed: bool = False,
        lines: Sequence[int] | None = None,
    ) -> Sequence[ClaimedLine]:
        """Turn the order's reservations into allocations, which do not expire; returns all that the order holds.

        With `lines` only what it holds for those.
        `handed` says that another system works on them from now on: what turns out to be short of them is a person's.
        Raises `Conflict` (``claim.short``, with ``context["lines"]``) while part of what it holds is not there.
        """
        asked = ["handed"] if handed else []
        content = digest("allocate", order, None, asked if lines is None else [*asked, sorted(set(lines))])
        version, head, claims = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        if lines is not None:
            claims = [claim for claim in claims if claim.line in lines]
        _check_covered(order, claims)
        pairs = [(claim, _allocated(claim, handed=handed)) for claim in claims if claim.state in _STANDS]
        waiting = [claim for claim in claims if claim.state == "promised"]
        answer = [_claimed(after) for after in [*(after for _, after in pairs), *waiting]]
        pairs = [(before, after) for before, after in pairs if before != after]
        if waiting:
            await connection.execute(_supply.make_firm, tenant, order)
        await self._finish(connection, tenant, order, version, pairs, correlation_id, "allocated")
        await record_action(connection, tenant, action, "allocate", order, content, answer)
        return answer

    async def extend(
        self, connection: Connection, *, tenant: str, action: str, order: str, by: timedelta, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """Let the order's reservations expire `by` after now, by the record's clock; never earlier than they would.

        Returns the reservations that expire. Raises `Conflict` (``claim.over``) when there are none, as when they have
        expired already.
        """
        content = digest("extend", order, None, by.total_seconds())
        version, head, _ = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        rows = await connection.fetch(_sql.extend_claims, tenant, order, by)
        if not rows:
            raise Conflict(f"nothing is reserved for {order} that expires: reserve again", code="claim.over")
        answer = [_reserved(row) for row in sorted(rows, key=lambda row: str(row["claim"]))]
        data = {"order": order, "expires_at": rows[0]["expires_at"], "claims": [each.claim for each in answer]}
        now = self._clock.now()
        await log.append(connection, [claim_event("claim.extended", tenant, order, version, now, correlation_id, data)])
        await record_action(connection, tenant, action, "extend", order, content, answer)
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
        content = digest("release", order, None, None if lines is None else sorted(set(lines)))
        version, head, claims = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        chosen = [claim for claim in claims if lines is None or claim.line in lines]
        answer = await self._release(connection, tenant, order, version, chosen, correlation_id, "released")
        await record_action(connection, tenant, action, "release", order, content, answer)
        return answer

    async def release_waiting(
        self, connection: Connection, *, tenant: str, action: str, order: str, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """Give up what of the order still waits for supply; returns what was given up."""
        content = digest("release_waiting", order, None, [])
        version, head, claims = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        chosen = [claim for claim in claims if claim.state == "promised"]
        answer = await self._release(connection, tenant, order, version, chosen, correlation_id, "released")
        await record_action(connection, tenant, action, "release", order, content, answer)
        return answer

    async def take_back(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        claims: Sequence[str],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """No other system works on these `claims` any more: what is short of them waits again. Returns them."""
        content = digest("take_back", order, None, sorted(claims))
        version, head, found = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        handed = [claim for claim in found if claim.claim in claims and claim.commitment == "handed"]
        pairs = [(claim, msgspec.structs.replace(claim, commitment="firm")) for claim in handed]
        await self._finish(connection, tenant, order, version, pairs, correlation_id, "taken back")
        answer = [_claimed(after) for _, after in pairs]
        await record_action(connection, tenant, action, "take_back", order, content, answer)
        return answer

    async def lessen(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        amounts: Mapping[int, Decimal],
        keep: Collection[str],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """Give back so much of each line, what waits for supply first, but nothing of the claims to `keep`.

        Returns what was given back. Raises `Conflict`: ``claim.over`` where less is open, ``claim.kit_divided`` for
        part of a line that is served in components or by substitutes.
        """
        asked = [[line, plain(amount)] for line, amount in sorted(amounts.items())]
        content = digest("lessen", order, None, [asked, sorted(keep)])
        version, head, claims = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        pairs = lessened([claim for claim in claims if claim.claim not in keep], amounts)
        await self._finish(connection, tenant, order, version, pairs, correlation_id, "lessened")
        answer = [_claimed(after, before.open - after.open) for before, after in pairs]
        await record_action(connection, tenant, action, "lessen", order, content, answer)
        return answer

    async def cancel(
        self, connection: Connection, *, tenant: str, action: str, order: str, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """Give back all that is still open of the order, and promise it nothing more; returns what was given back.

        A cancel may come before the claim that it is about.
        """
        content = digest("cancel", order, None, [])
        version, head, claims = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        await connection.execute(_sql.cancel_order, tenant, order)
        answer = await self._release(connection, tenant, order, version, claims, correlation_id, "cancelled")
        await record_action(connection, tenant, action, "cancel", order, content, answer)
        return answer

    async def transfer(
        self, connection: Connection, *, tenant: str, action: str, order: str, to: str, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """Hand over what is open of `order` to the order `to`, line by line: nobody can come in between.

        Returns what `to` was given. Raises `Conflict`: ``claim.over`` when nothing is open, ``claim.order_cancelled``,
        ``claim.line_taken`` when `to` holds a line of that number already.
        """
        content = digest("transfer", order, None, to)
        await connection.fetch(_sql.lock_orders, tenant, sorted({order, to}))
        version, head, claims = await _open(connection, tenant, action, order)
        if (known := action_of_row(action, head)) is not None:
            return answered(known, content)
        given = [claim for claim in claims if claim.state not in _OVER and claim.open]
        await _check_transfer(connection, tenant, order, to, given)
        made = [
            msgspec.structs.replace(each, claim=new_id("clm"), order=to, amount=each.open, consumed=_ZERO)
            for each in given
        ]
        answer = [_claimed(each) for each in made]
        await self._hand_over(connection, tenant, action, version, given, made, correlation_id)
        await record_action(connection, tenant, action, "transfer", order, content, answer)
        return answer

    async def expire(self, limit: int = 100) -> int:
        """End reservations whose time has come by the record's clock, one transaction per order.

        Returns how many orders lost some; an order that somebody else holds is left for the next time.
        """
        ended = 0
        for row in await self._store.fetch(_sql.expired_orders, limit):
            try:
                ended += await self._expire(row["tenant"], row["order_id"])
            except Unavailable as error:
                if error.code != _CONTENDED:
                    raise
        return ended

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _expire(self, tenant: str, order: str) -> bool:
        async with self._store.transaction() as connection:
            version = await _lock_order(connection, tenant, order)
            due = await _steady(connection, tenant, _sql.claims_due, order)
            await self._release(connection, tenant, order, version, due, order, "expired")
        return bool(due)

    async def _release(
        self,
        connection: Connection,
        tenant: str,
        order: str,
        version: int,
        claims: Sequence[OpenClaim],
        correlation_id: str,
        reason: str,
    ) -> list[ClaimedLine]:
        pairs = [(claim, _released(claim)) for claim in claims if claim.state not in _OVER]
        await self._finish(connection, tenant, order, version, pairs, correlation_id, reason)
        return [_claimed(after, before.open) for before, after in pairs if before.open]

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
        rows = await refresh_lines(connection, tenant, changes)
        await log.append(connection, [*line_events(tenant, rows, now, {}, Cause(correlation_id), changes), *events])

    async def _hand_over(
        self,
        connection: Connection,
        tenant: str,
        action: str,
        version: int,
        given: Sequence[OpenClaim],
        made: Sequence[OpenClaim],
        correlation_id: str,
    ) -> None:
        # The sums of stock lines and channels stay as they are, so none is locked or told of.
        now, to = self._clock.now(), made[0].order
        ended = [_released(claim) for claim in given]
        new, old = [claim.claim for claim in made], [claim.claim for claim in given]
        amounts, kept = [claim.amount for claim in made], [claim.state for claim in made]
        await connection.execute(_sql.transfer_claims, tenant, to, action, now, new, old, amounts, kept)
        await update_claims(connection, tenant, ended, now)
        receiving = await _lock_order(connection, tenant, to)
        told = {"reason": "transferred", "to": to, "claims": [claim_data(claim) for claim in ended]}
        taken = {"reason": "transferred", "from": given[0].order, "claims": [claim_data(claim) for claim in made]}
        events = [
            claim_event("claim.ended", tenant, given[0].order, version, now, correlation_id, told),
            claim_event("claim.made", tenant, to, receiving, now, correlation_id, taken),
        ]
        await log.append(connection, events)
        await catch_up(connection, tenant, to, now)


async def _check_transfer(connection: Connection, tenant: str, order: str, to: str, given: Sequence[OpenClaim]) -> None:
    if not given or order == to:
        raise Conflict(f"nothing of {order} can be handed over: reserve for {to} itself", code="claim.over")
    if await connection.fetch(_sql.cancelled_orders, tenant, [to]):
        raise Conflict(f"order {to} was cancelled: hand over to a new one", code="claim.order_cancelled")
    held = {row["order_line"] for row in await connection.fetch(_sql.claims_of, tenant, [to])}
    if taken := sorted(held & {claim.line for claim in given}):
        raise Conflict(f"{to} holds its line {taken[0]} already: release it first", code="claim.line_taken")


async def _lock_order(connection: Connection, tenant: str, order: str) -> int:
    rows = await connection.fetch(_sql.lock_orders, tenant, [order])
    version: int = rows[0]["version"]
    return version


async def _open(connection: Connection, tenant: str, action: str, order: str) -> tuple[int, Any, list[OpenClaim]]:
    version = await _lock_order(connection, tenant, order)
    rows = await connection.fetch(_sql.order_claims, tenant, action, order)
    claims = [claim_of_row(row) for row in rows if row["claim"] is not None]
    if any(claim.state == "promised" for claim in claims):
        claims = await _steady(connection, tenant, _sql.claims_of, [order])
    return version, rows[0], claims


async def _steady(connection: Connection, tenant: str, query: str, orders: str | list[str]) -> list[OpenClaim]:
    """Claims of a locked order, read behind the locks of their lines where some wait for supply.

    Whoever brings it holds those lines and not the order.
    """
    claims = [claim_of_row(row) for row in await connection.fetch(query, tenant, orders)]
    if not any(claim.state == "promised" for claim in claims):
        return claims
    await lock_lines(connection, tenant, {claim.key for claim in claims})
    return [claim_of_row(row) for row in await connection.fetch(query, tenant, orders)]


def _allocated(claim: OpenClaim, *, handed: bool) -> OpenClaim:
    commitment = "handed" if handed or claim.commitment == "handed" else "firm"
    return msgspec.structs.replace(claim, state="allocated", commitment=commitment)


def _check_covered(order: str, claims: Sequence[OpenClaim]) -> None:
    short: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    for claim in (claim for claim in claims if claim.short and not claim.worked_on):
        if claim.kit is None or claim.per_kit is None:
            short[claim.line, claim.item, claim.location] += claim.short
        else:
            # A kit lacks what any of its components lacks.
            key, kits = (claim.line, claim.kit, claim.location), claim.short / claim.per_kit
            short[key] = max(short[key], kits.to_integral_value(ROUND_CEILING))
    lines = [
        {"line": line, "item": item, "location": location, "amount": plain(amount)}
        for (line, item, location), amount in short.items()
    ]
    if lines:
        numbers = ", ".join(sorted({str(line["line"]) for line in lines}))
        raise Conflict(
            f"line {numbers} of {order} is not covered by stock: wait until claim.covered is told, or release it",
            code="claim.short",
            context={"lines": lines},
        )


def _released(claim: OpenClaim) -> OpenClaim:
    return msgspec.structs.replace(claim, state="released", released=claim.amount - claim.consumed)


def _claimed(claim: OpenClaim, amount: Decimal | None = None) -> ClaimedLine:
    return ClaimedLine(
        claim=claim.claim,
        line=claim.line,
        item=claim.item,
        location=claim.location,
        amount=claim.amount - claim.released if amount is None else amount,
        state=ClaimState(claim.state),
        kit=claim.kit,
        per_kit=claim.per_kit,
    )


def _reserved(row: Any) -> ClaimedLine:
    return ClaimedLine(
        claim=row["claim"],
        line=row["order_line"],
        item=row["item"],
        location=row["location"],
        amount=row["amount"],
        state=ClaimState(row["state"]),
        kit=row["kit"],
        per_kit=row["per_kit"],
    )
