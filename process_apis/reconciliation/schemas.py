"""The shapes of reconciliation on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.kernel.quantity import plain
from process_apis.reconciliation.models import Finding, Run

Figure = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$(?!\n)", examples=["-2", "0.5"])]
Text = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["counted twice"])
]
Instant = Annotated[datetime, Meta(tz=True)]


class RunView(Struct, kw_only=True):
    """One comparison. What was `in_flight` moved meanwhile and is looked at the next time."""

    id: str
    what: str
    source: str | None
    location: str | None
    asked_by: str
    state: str
    started_at: Instant
    ended_at: Instant | None
    compared: int
    differing: int
    recovered: int
    in_flight: int
    error: str | None


class RunPage(Struct, kw_only=True):
    """Runs, newest first."""

    items: list[RunView]
    next_cursor: str | None


class EvidenceView(Struct, kw_only=True):
    """One event that shows the cause; `effect` is what it adds to what was expected, absent where nobody can tell."""

    source: str
    event_id: str
    line: int
    bearing: str
    type: str
    effect: Figure | None
    occurred_at: Instant
    cause: str | None


class FindingView(Struct, kw_only=True):
    """One cause of one difference: `amount` is what it explains of reported less expected.

    `class` is why: timing, mapping, loss or source_only. `against` is who says otherwise: the owner of the stock, whom
    the books follow, or an ERP, which they don't. `value` is at list price.
    """

    id: str
    run: str
    what: str
    against: str
    cause: Annotated[str, Meta(description="timing, mapping, loss or source_only.")]
    state: str
    source: str
    location: str | None
    item: str | None
    sku: str | None
    code: str | None
    owner: str | None
    bucket: str | None
    lot: str | None
    reference: str | None
    reported: Figure | None
    expected: Figure | None
    amount: Figure
    value: Figure | None
    detail: str
    evidence: list[EvidenceView]
    raised_at: Instant | None
    proposed_by: str | None
    decided_by: str | None
    decided_at: Instant | None
    reason: str | None
    number: Annotated[str | None, Meta(description="Of the correction in the ERP.")]
    error: str | None


class FindingPage(Struct, kw_only=True):
    """Findings, newest first."""

    items: list[FindingView]
    next_cursor: str | None


class DecisionInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it is accepted or rejected: kept, and audited."""

    reason: Text


def run_view(run: Run) -> RunView:
    """A run on the wire."""
    return RunView(
        id=run.run,
        what=run.what.value,
        source=run.source,
        location=run.location,
        asked_by=run.asked_by,
        state=run.state,
        started_at=run.started_at,
        ended_at=run.ended_at,
        compared=run.compared,
        differing=run.differing,
        recovered=run.recovered,
        in_flight=run.in_flight,
        error=run.error,
    )


def finding_view(finding: Finding) -> FindingView:
    """A finding on the wire."""
    return FindingView(
        id=finding.finding,
        run=finding.run,
        what=finding.what.value,
        against=finding.against,
        cause=finding.cause.value,
        state=finding.state.value,
        source=finding.source,
        location=finding.location or None,
        item=finding.item or None,
        sku=finding.sku or None,
        code=finding.code or None,
        owner=finding.owner or None,
        bucket=finding.bucket or None,
        lot=finding.lot or None,
        reference=finding.reference or None,
        reported=_plain(finding.reported),
        expected=_plain(finding.expected),
        amount=plain(finding.amount),
        value=_plain(finding.value),
        detail=finding.detail,
        evidence=[_evidence(each) for each in finding.evidence],
        raised_at=finding.raised_at,
        proposed_by=finding.proposed_by,
        decided_by=finding.decided_by,
        decided_at=finding.decided_at,
        reason=finding.reason,
        number=finding.number,
        error=finding.error,
    )


def _evidence(kept: dict[str, Any]) -> EvidenceView:
    effect = kept.get("effect")
    return EvidenceView(
        source=kept["source"],
        event_id=kept["event_id"],
        line=kept["line"],
        bearing=kept["bearing"],
        type=kept["type"],
        effect=None if effect is None else plain(Decimal(effect)),
        occurred_at=datetime.fromisoformat(kept["occurred_at"]),
        cause=kept.get("cause"),
    )


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
