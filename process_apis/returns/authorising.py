"""Commands of people and partners about what may come back: asked, decided, cancelled, refused at arrival, closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, TellsSold
from gateway.canonical.invoice import RETURN_PREFIX
from gateway.canonical.location import LocationMap
from gateway.canonical.order import SoldLine, SoldOrder
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Problem, Rejected
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.returns.crediting import credit_if_due
from process_apis.returns.models import AskedBack, AskReturn, Return, ReturnState
from process_apis.returns.options import ReturnOptions
from process_apis.returns.records import action_known, event_of, fingerprint, load, lock, save, sql
from process_apis.returns.rules import beyond_shipped, breaches, in_base_units, may_be_credited

_ZERO: Final = Decimal(0)


class Authorisations:
    """Each command is one transaction and may be repeated."""

    def __init__(self, store: Store, *, orders: TellsSold, locations: LocationMap, options: ReturnOptions) -> None:
        self._store = store
        self._orders = orders
        self._locations = locations
        self._options = options

    async def ask(self, caller: Caller, command: AskReturn, *, partner: str | None = None) -> Return:
        """Authorise what the rules allow; else it waits for a person.

        A `partner` asks of its own orders only, never for more than is left to return, and its action is its reference.
        Once per action. Raises `NotFound` (``order.not_found``), `Rejected` (``return.line_unknown``,
        ``return.reason_unknown``, ``return.location_unknown``, ``return.not_exact``), `Conflict`
        (``return.nothing_shipped``, ``return.beyond_shipped``, ``operation.action_reused``).
        """
        action = action_of(caller, command, partner)
        async with self._store.transaction() as connection:
            await connection.execute(sql.lock_order, command.order)
            known = await action_known(connection, caller.tenant, action, command)
            if known is not None:
                return await load(connection, known, caller.tenant, partner)
            sold = await self._orders.sold(connection, tenant=caller.tenant, order=command.order, partner=partner)
            lines, asked = _lines_of(sold, command.lines)
            location = self._location(caller.tenant, command.location, lines)
            found = await self._breaches(connection, command.order, lines, asked, final=partner is not None)
            return_id = new_id(RETURN_PREFIX)
            reasons = [self._options.reason(each.reason) for each in command.lines]
            freight = command.freight or ("seller" if any(one.freight == "seller" for one in reasons) else "buyer")
            decision = None if found else "authorised"
            state = ReturnState.REQUESTED if found else ReturnState.AUTHORISED
            await connection.execute(
                sql.insert_return, return_id, caller.tenant, action, fingerprint(command), sold.order, sold.partner,
                sold.channel, sold.sold_to, sold.currency, sold.system, location, freight, command.note,
                caller.principal.subject, caller.correlation_id, state, "; ".join(found) or None, decision,
                None if found else "rule", None if partner is None else command.action,
            )  # fmt: skip
            rows = [
                (sold_line.line, sold_line.item, sold_line.sku, sold_line.uom, sold_line.unit_price, back.amount,
                 back.reason, reason.fee_percent)
                for sold_line, back, reason in zip(lines, asked, reasons, strict=True)
            ]  # fmt: skip
            await connection.execute(sql.insert_lines, return_id, *map(list, zip(*rows, strict=True)))
            made, now = await lock(connection, return_id)
            name = "return.requested" if found else "return.authorised"
            await log.append(connection, [event_of(made, name, made.version, now, {"over": made.over})])
            detail = {"order": sold.order, "over": made.over, "lines": [[one[0], str(one[5]), one[6]] for one in rows]}
            await record_act(connection, caller, "return.ask", return_id, made.state, detail)
        return made

    async def decide(
        self, caller: Caller, return_id: str, *, authorise: bool, reason: str, amounts: Mapping[int, Decimal]
    ) -> Return:
        """Authorise beyond the rules, as much of each line as `amounts` says (others as asked), or refuse.

        Also of goods that came unasked, or beyond what was authorised. Raises `Conflict` (``return.over``,
        ``return.arrived`` for what came and cannot be refused any more), `Rejected` (``return.line_unknown``).
        """
        async with self._store.transaction() as connection:
            before, now = await lock(connection, return_id, caller.tenant)
            came = any(line.received or line.dispositioned for line in before.lines)
            if not authorise and came:
                raise Conflict("goods came already: refuse to credit them, line by line", code="return.arrived")
            if before.state in (ReturnState.CREDITED, ReturnState.CLOSED) and before.closed_at is not None:
                raise Conflict(f"it is {before.state} already", code="return.over")
            _check_lines(before, amounts)
            lines = tuple(replace(line, amount=amounts.get(line.line, line.amount)) for line in before.lines)
            if any(line.amount < max(line.credited, _ZERO) for line in lines):
                raise Conflict("more of it is credited than you authorise", code="return.over")
            after = replace(
                before, lines=lines, decision="authorised" if authorise else "refused", decided_at=now,
                decided_by=caller.principal.subject, decision_reason=reason, cancelled_at=None, cancel_reason=None,
            )  # fmt: skip
            same = (after.decision, after.lines) == (before.decision, before.lines)
            if same and before.cancelled_at is None:
                return before
            told = "return.authorised" if authorise else "return.refused"
            after = await save(connection, before, after, now, (told, {"over": before.over, "reason": reason}))
            after = await credit_if_due(connection, after, now)
            overridden = {str(line): plain(amount) for line, amount in amounts.items()}
            detail = {"over": before.over, "reason": reason, "amounts": overridden}
            await record_act(connection, caller, "return.decide", return_id, told.removeprefix("return."), detail)
        return after

    async def cancel(self, caller: Caller, return_id: str, *, reason: str, partner: str | None = None) -> Return:
        """Give an authorisation up before anything came; repeating it changes nothing.

        Raises `Conflict` (``return.arrived``, ``return.over``).
        """
        async with self._store.transaction() as connection:
            before, now = await lock(connection, return_id, caller.tenant, partner)
            if before.cancelled_at is not None:
                return before
            if any(line.received or line.dispositioned for line in before.lines):
                raise Conflict("goods came already: it is closed, not cancelled", code="return.arrived")
            if before.state not in (ReturnState.REQUESTED, ReturnState.AUTHORISED):
                raise Conflict(f"it is {before.state} already", code="return.over")
            after = replace(before, cancelled_at=now, cancel_reason=reason)
            after = await save(connection, before, after, now, ("return.cancelled", {"reason": reason}))
            await record_act(connection, caller, "return.cancel", return_id, after.state, {"reason": reason})
        return after

    async def refuse_lines(
        self, caller: Caller, return_id: str, *, amounts: Mapping[int, Decimal], reason: str
    ) -> Return:
        """Say how much of what came is not credited, in all, by line: not as claimed, not ours, too much.

        Raises `Rejected` (``return.line_unknown``), `Conflict` (``return.not_there`` for more than came and is not
        credited yet).
        """
        async with self._store.transaction() as connection:
            before, now = await lock(connection, return_id, caller.tenant)
            _check_lines(before, amounts)
            lines = tuple(replace(line, refused=amounts.get(line.line, line.refused)) for line in before.lines)
            for line in lines:
                if line.refused > line.received - line.credited and line.line in amounts:
                    left = plain(max(line.received - line.credited, _ZERO))
                    raise Conflict(f"of line {line.line} {left} came and is not credited", code="return.not_there")
            if lines == before.lines:
                return before
            named = {str(line): plain(amount) for line, amount in amounts.items()}
            told = ("return.lines_refused", {"reason": reason, "refused": named})
            after = await save(connection, before, replace(before, lines=lines), now, told)
            after = await credit_if_due(connection, after, now)
            detail = {"reason": reason, "refused": named}
            await record_act(connection, caller, "return.refuse_lines", return_id, after.state, detail)
        return after

    async def close(self, caller: Caller, return_id: str, *, reason: str) -> Return:
        """No more of it is expected: what came is credited, and the rest is given up. Repeating it changes nothing."""
        async with self._store.transaction() as connection:
            before, now = await lock(connection, return_id, caller.tenant)
            if before.closed_at is not None:
                return before
            if before.state in (ReturnState.CANCELLED, ReturnState.REFUSED):
                raise Conflict(f"it is {before.state} already", code="return.over")
            after = replace(before, closed_at=now, closed_by=caller.principal.subject, close_reason=reason)
            after = await save(connection, before, after, now, ("return.closed", {"reason": reason}))
            if may_be_credited(after):
                after = await credit_if_due(connection, after, now)
            await record_act(connection, caller, "return.close", return_id, after.state, {"reason": reason})
        return after

    async def recall(self, caller: Caller, command: AskReturn, *, partner: str) -> Return | None:
        """The return that this command of a partner made, if any; `Conflict` where other content has its action."""
        async with self._store.connection() as connection:
            known = await action_known(connection, caller.tenant, action_of(caller, command, partner), command)
            return None if known is None else await load(connection, known, caller.tenant, partner)

    async def _breaches(
        self,
        connection: Connection,
        order: str,
        lines: Sequence[SoldLine],
        asked: Sequence[AskedBack],
        *,
        final: bool,
    ) -> Sequence[str]:
        """Which rules are broken; where that is `final`, more than is left to return is a `Conflict`."""
        taken = {row["line"]: row["amount"] for row in await connection.fetch(sql.taken, order, "")}
        pairs = list(zip(lines, asked, strict=True))
        if final:
            _check_left(pairs, taken)
        now: datetime = await connection.fetchval("select clock_timestamp()")
        found: list[str] = []
        for sold, back in pairs:
            found += breaches(sold, back, taken.get(sold.line, _ZERO), now, self._options.window(back.reason))
        return found

    def _location(self, tenant: str, wanted: str | None, lines: Sequence[SoldLine]) -> str:
        if wanted is None:
            return next(line.location for line in lines if line.location is not None)
        if self._locations.by_id(tenant, wanted) is None:
            raise Rejected(f"there is no location {wanted[:60]!r}", code="return.location_unknown")
        return wanted


def action_of(caller: Caller, command: AskReturn, partner: str | None) -> str:
    """What names this command for ever: a partner's are one, whichever of its clients asks."""
    return f"{partner or caller.principal.subject}/{command.action}"


def _check_left(pairs: Sequence[tuple[SoldLine, AskedBack]], taken: Mapping[int, Decimal]) -> None:
    said = [beyond_shipped(sold, back, taken.get(sold.line, _ZERO)) for sold, back in pairs]
    problems = [Problem(each, pointer=f"/lines/{index}/amount") for index, each in enumerate(said) if each]
    if problems:
        raise Conflict(
            "more is asked back than was shipped and is not on its way back already: read the order and its returns",
            problems=problems,
            code="return.beyond_shipped",
        )


def _lines_of(sold: SoldOrder, asked: Sequence[AskedBack]) -> tuple[Sequence[SoldLine], Sequence[AskedBack]]:
    """The order's lines in the order asked for, and what is asked in base units; nothing comes back that never left."""
    by_number = {line.line: line for line in sold.lines}
    numbers = [each.line for each in asked]
    if len(set(numbers)) != len(numbers):
        raise Rejected("name a line once", code="return.line_unknown")
    back = []
    for each in asked:
        line = by_number.get(each.line)
        if line is None:
            raise Rejected(f"the order has no line {each.line}", code="return.line_unknown")
        if not line.shipped or line.location is None:
            raise Conflict(f"nothing of line {each.line} has been shipped: cancel it", code="return.nothing_shipped")
        exact = in_base_units(line, each)
        if isinstance(exact, str):
            raise Rejected(exact, code="return.not_exact")
        back.append(exact)
    return [by_number[number] for number in numbers], back


def _check_lines(known: Return, amounts: Mapping[int, Decimal]) -> None:
    if unknown := sorted(amounts.keys() - {line.line for line in known.lines}):
        raise Rejected(f"the return has no line {unknown[0]}", code="return.line_unknown")
