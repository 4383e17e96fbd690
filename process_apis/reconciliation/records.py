"""Runs and findings, to and from their rows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.canonical.capabilities import Connection
from gateway.canonical.item import Item
from gateway.kernel.ids import new_id
from gateway.store.queries import queries_beside
from process_apis.reconciliation.models import Cause, Finding, Part, Run, State, What

sql: Final = queries_beside(__file__)
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_MOST_EVIDENCE: Final = 50


def run_of(row: Any) -> Run:
    """A row of the runs."""
    return Run(**{**dict(row), "what": What(row["what"])})


def finding_of(row: Any) -> Finding:
    """A row of the findings."""
    fields = {name: row[name] for name in Finding.__struct_fields__ if name not in _TYPED}
    return Finding(
        what=What(row["what"]),
        cause=Cause(row["class"]),
        state=State(row["state"]),
        evidence=msgspec.json.decode(row["evidence"]),
        **fields,
    )


_TYPED: Final = frozenset({"what", "cause", "state", "evidence"})


async def write_finding(connection: Connection, tenant: str, finding: Finding) -> str | None:
    """Raise it, or bring the one that is about the same up to date; its id, None where nothing is new."""
    name: str | None = await connection.fetchval(
        sql.write_finding, tenant, finding.finding or new_id("rec"), finding.run, finding.what.value, finding.against,
        finding.scope, finding.cause.value, finding.source, finding.location, finding.item, finding.sku, finding.code,
        finding.owner, finding.bucket, finding.lot, finding.reference, finding.reported, finding.expected,
        finding.amount, finding.value, finding.detail, _encode(finding.evidence).decode(), finding.state.value,
    )  # fmt: skip
    return name


def evidence_of(part: Part) -> Sequence[dict[str, Any]]:
    """The events that show a cause, as they are kept; the first fifty of them."""
    return [
        {name: value for name, value in structs.asdict(event).items() if value is not None}
        for event in part.events[:_MOST_EVIDENCE]
    ]


def value_of(amount: Decimal, item: Item | None) -> Decimal | None:
    """`amount` at list price; None where there is none."""
    if item is None or item.list_price is None:
        return None
    return amount * item.list_price.amount
