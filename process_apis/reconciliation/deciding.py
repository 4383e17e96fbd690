"""What people decide about findings, and the corrections that follow, once each.

Accepting a difference with the owner acknowledges it: the books follow the owner as they are. Accepting one with an
ERP corrects the ERP. Above the size that one person may settle, a second one must accept as well. Who rejects says why
the difference stays.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

from gateway.canonical.capabilities import Call, Connection, FindsAccounts, ResolvesItems
from gateway.kernel.errors import (
    Conflict,
    CrossdockError,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from process_apis.reconciliation.models import Cause, Finding, State
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.reconciliation.records import finding_of, sql
from process_apis.reconciliation.rules import alone

_log: Final = logging.getLogger(__name__)
_AGAIN_S: Final = 60.0
_PASSING: Final = (Unavailable, Throttled, OutcomeUnknown)
Verdict = Literal["accept", "reject"]


class Desk:
    """Decisions in one transaction each; corrections under a lock per finding, looked up before they are repeated."""

    def __init__(
        self, store: Store, *, accounts: FindsAccounts, items: ResolvesItems, options: ReconciliationOptions
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._items = items
        self._options = options

    async def decide(
        self, tenant: str, finding: str, verdict: Verdict, *, actor: str, reason: str, correlation_id: str
    ) -> Finding:
        """Accept or reject an open finding. Deciding again in the same way changes nothing; otherwise is `Conflict`."""
        async with self._store.transaction() as connection:
            return await self.decide_within(
                connection, tenant, finding, verdict, actor=actor, reason=reason, correlation_id=correlation_id
            )

    async def decide_within(
        self,
        connection: Connection,
        tenant: str,
        finding: str,
        verdict: Verdict,
        *,
        actor: str,
        reason: str,
        correlation_id: str,
    ) -> Finding:
        """`decide`, in the caller's transaction."""
        row = await connection.fetchrow(sql.lock_finding, tenant, finding)
        if row is None:
            raise NotFound(f"there is no finding {finding[:40]!r}", code="reconciliation.finding_not_found")
        known = finding_of(row)
        outcome = self._outcome(known, verdict, actor)
        if outcome is None:
            return known
        if outcome == "proposed":
            await connection.execute(sql.propose_finding, tenant, finding, actor, reason)
        else:
            await connection.execute(sql.decide_finding, tenant, finding, outcome.value, actor, reason)
        await _audit(connection, tenant, known, verdict, str(outcome), actor, reason, correlation_id)
        return finding_of(await connection.fetchrow(sql.get_finding, tenant, finding))

    def _outcome(self, known: Finding, verdict: Verdict, actor: str) -> State | Literal["proposed"] | None:
        """What follows; None when it was decided so before."""
        if known.state is not State.OPEN:
            done = (State.REJECTED,) if verdict == "reject" else (State.ACCEPTED, State.ADJUSTING, State.ADJUSTED)
            if known.state in done and known.decided_by == actor:
                return None
            raise Conflict(
                f"this finding is {known.state} already: nothing is left to decide", code="reconciliation.decided"
            )
        if known.cause is Cause.MAPPING:
            raise Conflict(
                "this waits for a mapping: add the code or unit to the item, then it closes by itself",
                code="reconciliation.mend_mapping",
            )
        if verdict == "reject":
            return State.REJECTED
        tolerance = self._options.tolerance(known.location, known.sku)
        if not alone(known.amount, value=known.value, tolerance=tolerance):
            if known.proposed_by is None:
                return "proposed"
            if known.proposed_by == actor:
                raise NotAllowed(
                    f"{actor} has accepted this already, and it is too large for one person: ask a second one",
                    code="reconciliation.second_person",
                )
        corrects = known.against == "erp" and known.what.value == "stock"
        return State.ADJUSTING if corrects else State.ACCEPTED

    # --- corrections ----------------------------------------------------------------------------------------------

    async def adjust_due(self, call: Call, limit: int = 200) -> int:
        """Make the corrections that are due; how many were made. What fails passingly is tried again in a minute."""
        made = 0
        for row in await self._store.fetch(sql.due_adjustments, call.tenant, limit):
            made += await self._adjust(call, row["finding"])
        return made

    async def _adjust(self, call: Call, name: str) -> bool:
        async with self._alone(name) as held:
            row = await self._store.fetchrow(sql.get_finding, call.tenant, name) if held else None
            if row is None or row["state"] != State.ADJUSTING.value:
                return False
            # Written before the ERP is asked: who comes after a crash waits as long as the ERP may still be at it.
            await self._store.execute(sql.begin_attempt, call.tenant, name, _AGAIN_S)
            finding = finding_of(row)
            try:
                number = await self._post(call, finding)
            except _PASSING as error:
                await self._failed(call.tenant, name, error, final=False)
                return False
            except CrossdockError as error:
                _log.warning("the correction %s is not made: %s (%s)", name, error.detail, error.code)
                await self._failed(call.tenant, name, error, final=True)
                return False
            await self._made(call, finding, number)
            return True

    async def _post(self, call: Call, finding: Finding) -> str:
        erp = self._accounts.posts_adjustments(finding.source)
        if erp is None:
            raise Rejected(
                f"{finding.source} takes no corrections: correct it by hand, then reject this finding",
                code="reconciliation.no_adjustments",
            )
        found = await erp.find_adjustment(call, posting=finding.finding)
        if found is None:
            codes = await self._items.source_codes(call.tenant, finding.source, [finding.item])
            items = await self._items.by_id(call.tenant, [finding.item])
            if finding.item not in codes or finding.item not in items:
                raise Rejected(
                    f"{finding.source} has no code of {finding.sku or finding.item}: add it to the item's "
                    "cross-references",
                    code="reconciliation.item_unknown",
                )
            place = next(
                account.codes[finding.location]
                for account in self._accounts.ledgers(call.tenant)
                if account.name == finding.source
            )
            found = await erp.post_adjustment(
                call,
                posting=finding.finding,
                location=place,
                code=codes[finding.item],
                amount=-finding.amount,
                uom=items[finding.item].base_uom,
            )
        if found.amount != -finding.amount:
            raise Conflict(
                f"{finding.source} booked {found.amount} as {found.number} where {-finding.amount} was asked: compare",
                code="reconciliation.adjustment_differs",
            )
        return found.number

    async def _made(self, call: Call, finding: Finding, number: str) -> None:
        async with self._store.transaction() as connection:
            if await connection.fetchval(sql.adjusted, call.tenant, finding.finding, number) is not None:
                await record_audit(
                    connection,
                    tenant=call.tenant,
                    actor=finding.decided_by or "policy",
                    action="reconciliation.adjusted",
                    subject=f"finding/{finding.finding}",
                    outcome="done",
                    correlation_id=call.correlation_id,
                    detail={
                        "source": finding.source,
                        "location": finding.location,
                        "item": finding.item,
                        "amount": str(-finding.amount),
                        "number": number,
                    },
                )

    async def _failed(self, tenant: str, name: str, error: CrossdockError, *, final: bool) -> None:
        await self._store.execute(sql.adjustment_failed, tenant, name, f"{error.detail} ({error.code})"[:500], final)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[bool]:
        async with self._store.connection() as connection:
            held = await connection.fetchval(sql.try_adjusting_lock, name)
            try:
                yield held
            finally:
                if held:
                    await connection.fetchval(sql.free_adjusting_lock, name)


async def _audit(
    connection: Connection,
    tenant: str,
    finding: Finding,
    verdict: Verdict,
    outcome: str,
    actor: str,
    reason: str,
    correlation_id: str,
) -> None:
    detail: dict[str, Any] = {
        "what": finding.what.value,
        "source": finding.source,
        "location": finding.location,
        "item": finding.item,
        "amount": str(finding.amount),
        "reason": reason,
    }
    await record_audit(
        connection,
        tenant=tenant,
        actor=actor,
        action=f"reconciliation.{verdict}ed",
        subject=f"finding/{finding.finding}",
        outcome=outcome,
        correlation_id=correlation_id,
        detail=detail,
    )
