"""Findings that wait for a person, in the queue of exceptions, and corrections that an ERP does not make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb, settled_meanwhile
from gateway.kernel.context import Caller
from gateway.store.queries import queries_beside
from process_apis.reconciliation.deciding import Desk
from process_apis.reconciliation.models import Cause, State, What
from process_apis.reconciliation.records import finding_of

_sql: Final = queries_beside(__file__, "trouble_queries.sql")
_PASSES: Final = 3
"""Attempts at a correction that may fail before anybody is told: an ERP is away for minutes at times."""


class FindingTroubles:
    """`key` is the finding. `retry` compares it again, or makes a correction again; ignoring it rejects it.

    To accept one is a decision of its own (``POST /process/reconciliation/v1/findings/{id}/acceptance``): it may take
    two people, and may correct an ERP.
    """

    kind = "reconciliation"
    mended = "correct the source's own figure and retry, or accept the finding where it is shown"

    def __init__(self, desk: Desk, items: ResolvesItems) -> None:
        self._desk = desk
        self._items = items

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """Each finding that nothing explained, the eldest first; its value is at list price."""
        rows = await connection.fetch(_sql.troubles, tenant, _PASSES, limit)
        valued = sorted({row["item"] for row in rows if row["value"] is not None})
        items = await self._items.by_id(tenant, valued) if valued else {}
        return [_trouble(row, items.get(row["item"])) for row in rows]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Have the worker compare it now, or make the correction now."""
        for again in (_sql.compare_again, _sql.correct_again):
            if await connection.fetchval(again, caller.tenant, key) is not None:
                return
        raise settled_meanwhile()

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Reject it: the difference stays, and is not raised again as it is."""
        await self._desk.decide_within(
            connection,
            caller.tenant,
            key,
            "reject",
            actor=caller.principal.subject,
            reason=reason,
            correlation_id=caller.correlation_id,
        )


def _trouble(row: Any, item: Item | None) -> Trouble:
    finding = finding_of(row)
    adjusting = finding.state is State.ADJUSTING
    unmapped = finding.cause is Cause.MAPPING
    priced = None if item is None or item.list_price is None else item.list_price
    said = finding.detail if finding.error is None else f"{finding.detail}. Its correction failed: {finding.error}"
    return Trouble(
        key=finding.finding,
        error_class=_class_of(adjusting=adjusting, unmapped=unmapped),
        effect=Effect.MISBOOKS,
        fault_domain=finding.source,
        code="reconciliation.not_corrected" if adjusting else f"reconciliation.{finding.what}_{finding.cause}",
        detail=said,
        about=finding.reference or finding.sku or finding.code or finding.location,
        count=row["attempts"] if adjusting else 1,
        raised_at=row["raised_at"],
        last_at=max(row["changed_at"], row["looked_at"] or row["changed_at"]),
        by_itself_at=row["not_before"] if adjusting else None,
        value=None if priced is None or finding.what is not What.STOCK else finding.value,
        currency=None if priced is None else priced.currency,
        verbs=(Verb.RETRY,) if adjusting or unmapped else (Verb.RETRY, Verb.IGNORE),
    )


def _class_of(*, adjusting: bool, unmapped: bool) -> TroubleClass:
    if adjusting:
        return TroubleClass.VENDOR_OUTAGE
    return TroubleClass.MAPPING if unmapped else TroubleClass.BUSINESS
