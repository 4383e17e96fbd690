"""The last step of a supplier's onboarding: a test order that it answers as it would answer a real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.purchase import PurchaseStatus, ReportedPurchase, ReportedPurchaseLine
from gateway.canonical.stock import OWN_SOURCE, OrderKey
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.kernel.money import Money
from gateway.store.postgres import Store
from process_apis.procure_to_pay.intake import begin
from process_apis.procure_to_pay.models import Purchase, PurchaseLine, PurchaseState
from process_apis.procure_to_pay.records import load, lock, purchase_of_text, sql
from process_apis.procure_to_pay.settling import Settling
from process_apis.procure_to_pay.suppliers import Suppliers

_NOWHERE: Final = "test"
_IN: Final = timedelta(days=14)
_ONE: Final = Decimal(1)


class SampleOrders:
    """Sends test orders, and notes the step once one is answered. They are no supply, and no goods come under them."""

    def __init__(self, store: Store, items: ResolvesItems, suppliers: Suppliers, settling: Settling) -> None:
        self._store = store
        self._items = items
        self._suppliers = suppliers
        self._settling = settling

    async def send(self, caller: Caller, supplier: str) -> Purchase:
        """The supplier's test order, over one piece of the first item there is. Again returns the same.

        Raises `Conflict`: ``supplier.step_early``, ``supplier.no_items``.
        """
        known = await self._suppliers.get(caller.tenant, supplier)
        if known.missing and known.missing[0] != "test_order":
            raise Conflict(f"a test order comes behind {known.missing[0]}: finish that", code="supplier.step_early")
        items = await self._items.list_items(caller.tenant, after=None, limit=1)
        if not items:
            raise Conflict("there is no item to order: add one first", code="supplier.no_items")
        item = items[0]
        price = item.list_price or Money(_ONE, "USD")
        line = ReportedPurchaseLine(line=1, source_item=item.item, amount=_ONE, uom=item.base_uom, unit_price=price)
        told = ReportedPurchase(
            source=OWN_SOURCE,
            number=_number(supplier),
            order_key=OrderKey(0, 1),
            status=PurchaseStatus.APPROVED,
            source_supplier=supplier,
            source_location=_NOWHERE,
            currency=price.currency,
            lines=(line,),
        )
        async with self._store.transaction() as connection:
            purchase = await begin(connection, caller.tenant, told, test=True)
            now = await lock(connection, purchase)
            before = await load(connection, purchase)
            if before.approved_at is not None:
                return before
            mapped = PurchaseLine(
                line=1, item=item.item, sku=item.sku, source_item=item.item, amount=_ONE, uom=item.base_uom,
                factor=_ONE, base_uom=item.base_uom, unit_price=price.amount, requested=now.date() + _IN,
            )  # fmt: skip
            ready = replace(before, supplier=supplier, lines=(mapped,), approved_at=now)
            events = [("purchase_order.approved", {"status": told.status, "lines": [{"line": 1, "item": item.item}]})]
            return await self._settling.settle(connection, ready, events, now, caller.correlation_id)

    async def sent(self, tenant: str, suppliers: Sequence[str]) -> Mapping[str, Purchase]:
        """The test orders that went out to any of `suppliers`, by supplier."""
        numbers = {_number(supplier): supplier for supplier in suppliers}
        rows = await self._store.fetch(sql.purchases_of_numbers, tenant, OWN_SOURCE, list(numbers))
        found = [purchase_of_text(row["body"]) for row in rows]
        return {numbers[each.number]: each for each in found}

    async def answered(self, connection: Connection, caller: Caller, purchase: Purchase) -> None:
        """An acknowledged test order is the step done, in the transaction of the acknowledgement."""
        if purchase.test and purchase.supplier and purchase.state is PurchaseState.ACKNOWLEDGED:
            await self._suppliers.finish_within(connection, caller, purchase.supplier, "test_order", purchase.number)


def _number(supplier: str) -> str:
    return f"TEST-{supplier}"
