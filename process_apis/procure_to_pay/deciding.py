"""What buyers decide: a departure from the order is taken or not, a line is waited for no more, goods went back."""

from __future__ import annotations

from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.procure_to_pay.models import Decision, LineClosure, Purchase, SentBack
from process_apis.procure_to_pay.records import keep_fact, load, lock, sql
from process_apis.procure_to_pay.settling import Settling

_EVENTS: Final = {
    "decision": "purchase_order.decided",
    "closure": "purchase_order.line_closed",
    "sent_back": "goods.sent_back",
}


class Deciding:
    """Commands of purchasing; each may be repeated as it is."""

    def __init__(self, store: Store, settling: Settling) -> None:
        self._store = store
        self._settling = settling

    async def decide(self, caller: Caller, purchase: str, decision: Decision) -> Purchase:
        """Settle one need. Raises `Conflict`: ``purchase.nothing_to_decide``, or once it was decided otherwise."""
        async with self._store.transaction() as connection:
            return await self.decide_within(connection, caller, purchase, decision)

    async def decide_within(
        self, connection: Connection, caller: Caller, purchase: str, decision: Decision
    ) -> Purchase:
        """`decide` in the caller's transaction."""
        await lock(connection, purchase, caller.tenant)
        before = await load(connection, purchase)
        open_ones = {each.need.key for each in before.needs if each.need.decidable}
        told = {"subject": decision.subject, "accept": decision.accept, "reason": decision.reason}
        known = await self._known(connection, before, decision)
        if not known and decision.subject not in open_ones:
            raise Conflict(
                f"{before.number} has nothing open under {decision.subject[:60]!r}: read it again",
                code="purchase.nothing_to_decide",
            )
        return await self._say(connection, caller, before, "decision", decision.subject, decision, told)

    async def close_line(self, caller: Caller, purchase: str, closure: LineClosure) -> Purchase:
        """Wait no more for what is open of a line. Raises `Conflict` (``purchase.line_over``)."""
        async with self._store.transaction() as connection:
            await lock(connection, purchase, caller.tenant)
            before = await load(connection, purchase)
            lines = () if before.standing is None else before.standing.lines
            known = await self._known_of(connection, before, "closure", str(closure.line))
            if not known and not any(line.line == closure.line and line.open for line in lines):
                raise Conflict(f"nothing is open of line {closure.line}: read the order", code="purchase.line_over")
            told = {"line": closure.line, "reason": closure.reason}
            return await self._say(connection, caller, before, "closure", str(closure.line), closure, told)

    async def send_back(self, caller: Caller, purchase: str, sent: SentBack) -> Purchase:
        """Note goods that went back to the supplier: they are not to be billed. Raises `Conflict`."""
        async with self._store.transaction() as connection:
            await lock(connection, purchase, caller.tenant)
            before = await load(connection, purchase)
            lines = () if before.standing is None else before.standing.lines
            if not any(line.line == sent.line and line.received for line in lines):
                raise Conflict(f"nothing of line {sent.line} came in: read the order", code="purchase.line_over")
            told = {"sent_back": sent.number, "line": sent.line, "amount": sent.amount}
            return await self._say(connection, caller, before, "sent_back", f"{sent.number}/{sent.line}", sent, told)

    async def _known(self, connection: Connection, purchase: Purchase, decision: Decision) -> bool:
        return await self._known_of(connection, purchase, "decision", decision.subject)

    async def _known_of(self, connection: Connection, purchase: Purchase, kind: str, reference: str) -> bool:
        row = await connection.fetchrow(
            sql.known_fact, purchase.tenant, purchase.purchase, purchase.supplier, kind, reference, 0
        )
        return row is not None

    async def _say(
        self,
        connection: Connection,
        caller: Caller,
        before: Purchase,
        kind: str,
        reference: str,
        said: Any,
        told: dict[str, Any],
    ) -> Purchase:
        if not await keep_fact(connection, before, kind, reference, 0, said, caller.principal.subject):
            return before
        now = await connection.fetchval(sql.now)
        after = await self._settling.settle(connection, before, [(_EVENTS[kind], told)], now, caller.correlation_id)
        await record_act(connection, caller, f"purchase.{kind}", before.purchase, after.state, told)
        return after
