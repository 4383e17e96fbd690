"""What a report tells that is known already, found before anything of it is mapped or locked.

What a system is asked for again has mostly come by webhook before. Telling that in the transaction that records the
rest costs the whole way in, per line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.canonical.stock import Outcome, Receipt, ReceiptLine, ReportedMovement
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.translating import fingerprint

_sql: Final = queries_beside(__file__)
_BATCH: Final = 500


async def sift(
    store: Store, tenant: str, reported: Sequence[ReportedMovement]
) -> tuple[tuple[ReportedMovement, ...], Receipt]:
    """The movements that were not recorded with this content, in their order, and the receipt of the others."""
    known: set[int] = set()
    for start in range(0, len(reported), _BATCH):
        batch = reported[start : start + _BATCH]
        rows = await store.fetch(
            _sql.known_equal,
            tenant,
            start,
            [each.source for each in batch],
            [each.event_id for each in batch],
            [each.line for each in batch],
            [each.revision for each in batch],
            [fingerprint(each) for each in batch],
        )
        known.update(row["place"] for row in rows)
    others = tuple(_duplicate(each) for place, each in enumerate(reported) if place in known)
    return tuple(each for place, each in enumerate(reported) if place not in known), Receipt(others=others)


def _duplicate(each: ReportedMovement) -> ReceiptLine:
    return ReceiptLine(source=each.source, event_id=each.event_id, line=each.line, outcome=Outcome.DUPLICATE)
