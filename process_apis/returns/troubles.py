"""What only a person can settle about returns, in the queue of exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import OURS, Effect, Trouble, TroubleClass, Verb, decided_on, settled_meanwhile
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.kernel.quantity import plain
from gateway.store.audit import record_act
from process_apis.returns.crediting import retry_credit
from process_apis.returns.disposing import retry_disposition
from process_apis.returns.hearing import adopt
from process_apis.returns.models import CreditState, Need, Return
from process_apis.returns.records import listed, lock, sql, tasks
from process_apis.returns.rules import FIGURES, needs_of

_STRAY: Final = "stray"
_RETRIED: Final = frozenset({"return.credit_refused", "return.disposition_refused"})
_EFFECTS: Final = {
    "return.credit_refused": Effect.MISBOOKS,
    "return.credit_by_hand": Effect.MISBOOKS,
    "return.over_credited": Effect.MISBOOKS,
    "return.over_dispositioned": Effect.MISBOOKS,
    "return.disposition_refused": Effect.HIDES_STOCK,
}
_PASSING: Final = "return.credit_unanswered"


class ReturnTroubles:
    """`key` is ``<return>/<code of the need>``, or ``stray/<movement>`` for goods that name no return of ours."""

    kind = "return"

    def __init__(self, clock: Clock, *, expected_days: int, alert_after: int) -> None:
        self._clock = clock
        self._expected_days = expected_days
        self._alert_after = alert_after

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """Goods without a return first, then what returns need."""
        found = [_stray(row) for row in await connection.fetch(sql.strays, tenant, limit)]
        rows = await connection.fetch(sql.open_with_troubles, tenant, self._expected_days, limit)
        now = self._clock.now()
        for known in await listed(connection, rows):
            found += [_trouble(known, need) for need in needs_of(known, now, self._expected_days, self._alert_after)]
        return found[:limit]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Ask the system again; goods without a return look for the one that they name."""
        owner, _, rest = key.partition("/")
        if owner == _STRAY:
            row = await self._stray(connection, caller.tenant, rest)
            try:
                await adopt(connection, caller.tenant, rest, row["document"] or "")
            except NotFound:
                raise Conflict(
                    "there is still no such return: say which one it is (edit)", code="return.unknown_document"
                ) from None
            return
        known = await self._known(connection, caller.tenant, owner, rest)
        if rest not in _RETRIED:
            raise decided_on("return")
        await self._ask_again(connection, caller.tenant, known, of_credits=rest == "return.credit_refused")

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Goods without a return stay in the books as they are; what a return needs is decided on it."""
        owner, _, rest = key.partition("/")
        if owner != _STRAY:
            raise decided_on("return")
        await self._stray(connection, caller.tenant, rest)
        await connection.execute(sql.ignore_stray, rest, caller.principal.subject)
        await record_act(connection, caller, "return.ignore_goods", rest, "ignored", {"reason": reason})

    async def payload(self, connection: Connection, tenant: str, key: str) -> Mapping[str, Any] | None:
        """Of goods without a return: what came, and the return they are to count for."""
        owner, _, rest = key.partition("/")
        if owner != _STRAY:
            return None
        row = await connection.fetchrow(sql.lock_stray, tenant, rest)
        return None if row is None else _payload(row)

    async def edit(
        self, connection: Connection, caller: Caller, key: str, payload: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Count the goods for the return that `payload` names."""
        owner, _, rest = key.partition("/")
        if owner != _STRAY:
            raise decided_on("return")
        before = _payload(await self._stray(connection, caller.tenant, rest))
        wanted = payload.get("return")
        if not isinstance(wanted, str) or {**payload, "return": None} != {**before, "return": None}:
            raise Invalid("name the return that the goods belong to, and change nothing else", code="return.named")
        await adopt(connection, caller.tenant, rest, wanted)
        await record_act(connection, caller, "return.adopt_goods", wanted, "adopted", {"movement": rest})
        return before

    async def _stray(self, connection: Connection, tenant: str, movement: str) -> Any:
        row = await connection.fetchrow(sql.lock_stray, tenant, movement)
        if row is None:
            raise settled_meanwhile()
        return row

    async def _known(self, connection: Connection, tenant: str, return_id: str, code: str) -> Return:
        found = await listed(connection, [{"return_id": return_id}])
        known = found[0] if found else None
        needs = () if known is None else needs_of(known, self._clock.now(), self._expected_days, self._alert_after)
        if known is None or known.tenant != tenant or all(need.code != code for need in needs):
            raise settled_meanwhile()
        return known

    async def _ask_again(self, connection: Connection, tenant: str, known: Return, *, of_credits: bool) -> None:
        # The locks of tasks come before that of their return, always.
        refused = (
            [each.credit for each in known.credits if each.state is CreditState.REFUSED]
            if of_credits
            else [each.disposition for each in known.dispositions]
        )
        for subject in refused:
            await tasks.lock(connection, subject, tenant)
        before, now = await lock(connection, known.return_id, tenant)
        for subject in refused:
            before = await _again(connection, before, subject, now)


async def _again(connection: Connection, before: Return, subject: str, now: datetime) -> Return:
    for credit in before.credits:
        if credit.credit == subject:
            return await retry_credit(connection, before, credit, now)
    each = next(one for one in before.dispositions if one.disposition == subject)
    return await retry_disposition(connection, before, each, now)


def _trouble(known: Return, need: Need) -> Trouble:
    value = sum((line.amount * line.unit_price for line in known.lines), start=known.lines[0].unit_price * 0)
    system = next((each.system for each in known.credits if each.state is CreditState.REFUSED), None)
    verbs = (Verb.RETRY,) if need.code in _RETRIED else ()
    return Trouble(
        key=f"{known.return_id}/{need.code}",
        error_class=TroubleClass.VENDOR_OUTAGE if need.code == _PASSING else TroubleClass.BUSINESS,
        effect=_EFFECTS.get(need.code, Effect.DELAYS),
        fault_domain=system or OURS,
        code=need.code,
        detail=need.detail,
        about=known.return_id,
        count=1,
        raised_at=known.changed_at,
        last_at=known.changed_at,
        value=value,
        currency=known.currency,
        verbs=verbs,
    )


def _stray(row: Any) -> Trouble:
    named = f"the return {row['document'][:60]!r}" if row["document"] else "no return"
    said = f"{row['item']} came back to {row['location']} under {named}"
    what = "that has it" if row["code"] == "return.unknown_item" else "that we know"
    return Trouble(
        key=f"{_STRAY}/{row['movement']}",
        error_class=TroubleClass.MAPPING,
        effect=Effect.DELAYS,
        fault_domain=row["source"],
        code=row["code"],
        detail=f"{said}, none {what}: say which return it is (edit), or leave it in the books (ignore)",
        about=row["document"] or row["item"],
        count=1,
        raised_at=row["heard_at"],
        last_at=row["heard_at"],
        verbs=(Verb.RETRY, Verb.EDIT, Verb.IGNORE),
    )


def _payload(row: Any) -> dict[str, Any]:
    figures = {name: plain(row[name]) for name in FIGURES if row[name]}
    return {"return": row["document"], "item": row["item"], "location": row["location"], **figures}
