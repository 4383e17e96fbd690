"""Sales orders in S/4HANA under our reference: found, made in one deep insert, cancelled by rejecting every item.

``PurchaseOrderByCustomer`` holds our order id. SAP searches it and keeps nobody from writing it twice (a message of
class V4 may warn people, where the customising wants it), so the manifest says ``searchable`` and callers hold a lock
per order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.kernel.errors import Conflict, NotFound
from system_apis.sap_s4 import mapping, wire

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.canonical.order import SalesOrder, SystemOrder
    from system_apis.sap_s4.client import Client
    from system_apis.sap_s4.settings import Settings

_AT_ONCE: Final = 20  # how many codes one $filter names: SAP's gateways limit the length of a URL


class Found(NamedTuple):
    """One order of ours in SAP with its deliveries."""

    order: wire.Order
    deliveries: list[wire.Delivery]


class Orders:
    """Part of the adapter: what `TakesOrders` and `CancelsTwins` ask for."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    async def find(self, call: Call, reference: str) -> SystemOrder | None:
        """Raises `Conflict` (``erp.twin_orders``) when two live orders bear the reference."""
        found = await self.found(call, reference)
        return None if found is None else mapping.system_order(reference, *found)

    async def found(self, call: Call, reference: str) -> Found | None:
        """The live order, else the one that was cancelled last."""
        everything = await self._all(call, reference)
        live = [row for row in everything if not mapping.is_cancelled(row)]
        if len(live) > 1:
            stays = mapping.one_of_twins(live)
            others = [mapping.number(row.sales_order) for row in live if row is not stays]
            raise Conflict(
                f"SAP holds {reference} more than once: reject {', '.join(others)}",
                code="erp.twin_orders",
                context={"reference": reference, "twins": others},
            )
        if not everything:
            return None
        row = live[0] if live else everything[-1]
        return Found(row, await self._deliveries(call, row))

    async def submit(self, call: Call, order: SalesOrder) -> SystemOrder:
        """Make the order, or find it and see that it says the same."""
        found = await self.found(call, order.order)
        if found is None:
            products = await self._products(call, {line.sku for line in order.lines})
            await self._client.create(call, wire.Order, mapping.new_order(order, products, self._settings))
            found = await self.found(call, order.order)
        if found is None:
            raise Conflict(f"SAP took {order.order} and does not show it: look there", code="erp.order_differs")
        described = mapping.system_order(order.order, *found)
        if described.cancelled:
            raise Conflict(f"SAP has {order.order} as a rejected order", code="erp.order_cancelled")
        if not mapping.holds(found.order, order):
            raise Conflict(
                f"sales order {described.number} in SAP bears our reference but other items: compare it with the order",
                code="erp.order_differs",
            )
        return described

    async def cancel(self, call: Call, reference: str) -> SystemOrder:
        """Reject every item. Raises `Conflict` (``erp.work_begun``) once there is a delivery, or `NotFound`."""
        found = await self.found(call, reference)
        if found is None:
            raise NotFound(f"SAP has no order {reference}", code="erp.order_not_found")
        await self._reject(call, found)
        after = await self.found(call, reference)
        if after is None:
            raise Conflict(f"{reference} was deleted in SAP meanwhile", code="erp.order_differs")
        _refuse_begun(after)
        return mapping.system_order(reference, *after)

    async def cancel_twins(self, call: Call, reference: str) -> SystemOrder:
        """Reject all live orders of a reference but one; raises `Conflict` when such a one has a delivery."""
        live = [row for row in await self._all(call, reference) if not mapping.is_cancelled(row)]
        stays = mapping.one_of_twins(live) if live else None
        for row in live:
            if row is not stays:
                await self._reject(call, Found(row, await self._deliveries(call, row)))
        order = await self.find(call, reference)
        if order is None:
            raise NotFound(f"SAP has no order {reference}", code="erp.order_not_found")
        return order

    async def _all(self, call: Call, reference: str) -> list[wire.Order]:
        return await self._client.rows(
            call,
            wire.Order,
            filter=f"PurchaseOrderByCustomer eq {wire.literal(reference)}",
            expand="to_Item",
            orderby="SalesOrder",
        )

    async def _deliveries(self, call: Call, row: wire.Order) -> list[wire.Delivery]:
        if row.delivery_status not in ("B", "C"):
            return []
        reference = wire.literal(row.sales_order)
        parts = await self._client.rows(call, wire.DeliveryItem, filter=f"ReferenceSDDocument eq {reference}")
        documents = sorted({part.delivery_document for part in parts})
        found: list[wire.Delivery] = []
        for named in _chunks(documents):
            wanted = " or ".join(f"DeliveryDocument eq {wire.literal(each)}" for each in named)
            found += await self._client.rows(call, wire.Delivery, filter=wanted, expand="to_DeliveryDocumentItem")
        return found

    async def _products(self, call: Call, skus: Collection[str]) -> dict[str, wire.Product]:
        known: dict[str, wire.Product] = {}
        for named in _chunks(sorted(skus)):
            wanted = " or ".join(f"Product eq {wire.literal(sku)}" for sku in named)
            known |= {row.product: row for row in await self._client.rows(call, wire.Product, filter=wanted)}
        return known

    async def _reject(self, call: Call, found: Found) -> None:
        _refuse_begun(found)
        waiting = [item for item in found.order.items.results if not item.rejection]
        etag = waiting[0].metadata.etag if waiting else ""
        for item in waiting:
            key = {"SalesOrder": item.sales_order, "SalesOrderItem": item.sales_order_item}
            reason = {"SalesDocumentRjcnReason": self._settings.rejection_reason}
            await self._client.patch(call, wire.Item, key, reason, etag)
            # Where an item has an etag it is the whole document's, which the first rejection has moved on.
            etag = "*" if etag else ""


def _refuse_begun(found: Found) -> None:
    if found.order.delivery_status in ("B", "C") or found.deliveries:
        documents = ", ".join(mapping.number(each.delivery_document) for each in found.deliveries) or "a delivery"
        raise Conflict(
            f"sales order {mapping.number(found.order.sales_order)} has {documents} in SAP: too late to cancel",
            code="erp.work_begun",
        )


def _chunks(codes: Sequence[str]) -> list[Sequence[str]]:
    return [codes[at : at + _AT_ONCE] for at in range(0, len(codes), _AT_ONCE)]
