"""What ERPs say of suppliers' invoices, taken in: each change of one is a fact of the purchases that it bills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.canonical.purchase import ReportedBill
from gateway.kernel.quantity import plain
from gateway.store.postgres import Store
from process_apis.procure_to_pay.booked_bills import latest_bills
from process_apis.procure_to_pay.records import keep_fact, load, load_facts, lock, sql
from process_apis.procure_to_pay.settling import Settling

_COMPARED: Final = ("state", "net", "currency", "purchases")


class Bookkeeping:
    """Takes what was read of an ERP's books, in any order and again: what changed is kept once, older news never."""

    def __init__(self, store: Store, settling: Settling) -> None:
        self._store = store
        self._settling = settling

    async def take(self, tenant: str, source: str, bills: Sequence[ReportedBill], correlation: str) -> int:
        """Keep what is new of purchases of `source` that we know; returns how many purchases heard something new."""
        heard = 0
        for bill in bills:
            for number in bill.purchases:
                known = await self._store.fetchval(sql.purchase_of_number, tenant, source, number)
                if known is not None:
                    heard += await self._hear(known, bill, correlation)
        return heard

    async def _hear(self, known: str, bill: ReportedBill, correlation: str) -> bool:
        async with self._store.transaction() as connection:
            now = await lock(connection, known)
            purchase = await load(connection, known)
            before = latest_bills((await load_facts(connection, known)).bills).get(bill.number)
            if before is not None and (before.sequence >= bill.sequence or _same(before, bill)):
                return False
            await keep_fact(connection, purchase, "erp_bill", bill.number, bill.sequence, bill, purchase.source)
            if purchase.approved_at is None:  # weighed, with all that was said meanwhile, once it is mapped
                return True
            told = {"invoice": bill.number, "erp_state": bill.state, "net": plain(bill.net), "currency": bill.currency}
            await self._settling.settle(connection, purchase, [("invoice.state_reported", told)], now, correlation)
        return True


def _same(before: ReportedBill, bill: ReportedBill) -> bool:
    return all(getattr(before, name) == getattr(bill, name) for name in _COMPARED)
