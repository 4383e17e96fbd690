"""Shipments that a warehouse made, told to S/4HANA: an outbound delivery, then its goods issue.

``DeliveryDocumentBySupplier`` of the delivery's header (LIFEX, "external identification") holds our posting id. A
repeated call finds the delivery by it and goes on where the first one stopped.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from gateway.kernel.errors import Conflict, NotFound
from system_apis.sap_s4 import mapping, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.canonical.order import ShipmentLine, SystemShipment
    from system_apis.sap_s4.client import Client
    from system_apis.sap_s4.orders import Found, Orders


class Postings:
    """Part of the adapter: what `PostsShipments` asks for."""

    def __init__(self, client: Client, orders: Orders) -> None:
        self._client = client
        self._orders = orders

    async def find(self, call: Call, reference: str, posting: str) -> SystemShipment | None:
        """The delivery of this posting once its goods issue is posted."""
        order = await self._order(call, reference)
        delivery = await self._of(call, posting)
        if delivery is None or delivery.goods_movement != mapping.POSTED:
            return None
        return mapping.system_shipment(delivery, order.order)

    async def post(
        self, call: Call, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment:
        """Deliver and post goods issue; repeated with the same posting it goes on where it stopped."""
        order = await self._order(call, reference)
        wanted: dict[int, Decimal] = defaultdict(Decimal)
        for line in lines:
            wanted[line.line] += line.amount
        wanted = {line: amount for line, amount in wanted.items() if amount}
        delivery = await self._of(call, posting)
        if delivery is None:
            await self._client.create(call, wire.Delivery, _new_delivery(order, posting, location, wanted))
            delivery = await self._of(call, posting)
        if delivery is None:
            raise Conflict(f"SAP took posting {posting} and does not show it: look there", code="erp.posting_differs")
        _refuse_other(delivery, order, posting, wanted)
        if delivery.goods_movement != mapping.POSTED:
            document = {"DeliveryDocument": delivery.delivery_document}
            await self._client.act(call, wire.DELIVERIES, "PostGoodsIssue", document, delivery.metadata.etag or "*")
            delivery = await self._of(call, posting) or delivery
        if delivery.goods_movement != mapping.POSTED:
            raise Conflict(
                f"delivery {mapping.number(delivery.delivery_document)} has no goods issue in SAP: look what holds it",
                code="erp.shipment_stuck",
            )
        return mapping.system_shipment(delivery, order.order)

    async def _order(self, call: Call, reference: str) -> Found:
        found = await self._orders.found(call, reference)
        if found is None:
            raise NotFound(f"SAP has no order {reference}", code="erp.order_not_found")
        return found

    async def _of(self, call: Call, posting: str) -> wire.Delivery | None:
        wanted = f"DeliveryDocumentBySupplier eq {wire.literal(posting)}"
        found = await self._client.rows(call, wire.Delivery, filter=wanted, expand="to_DeliveryDocumentItem")
        if len(found) > 1:
            raise Conflict(f"SAP has posting {posting} twice: reverse the younger", code="erp.twin_postings")
        return found[0] if found else None


def _new_delivery(found: Found, posting: str, location: str, wanted: Mapping[int, Decimal]) -> dict[str, object]:
    """The delivery to create: of each line what its items at the plant still have open."""
    left, items = dict(wanted), []
    still_open = mapping.open_quantities(found.order, found.deliveries)
    for item in found.order.items.results:
        line = mapping.line_of(item.sales_order_item)
        amount = min(left.get(line, Decimal(0)), still_open.get(int(item.sales_order_item), Decimal(0)))
        if amount <= 0 or mapping.plant_of(item) not in ("", location):
            continue
        left[line] -= amount
        items.append(
            {
                "ReferenceSDDocument": item.sales_order,
                "ReferenceSDDocumentItem": item.sales_order_item,
                "ActualDeliveryQuantity": mapping.quantity(amount),
                "DeliveryQuantityUnit": item.requested_quantity_unit,
            }
        )
    if any(left.values()):
        raise Conflict(
            f"sales order {mapping.number(found.order.sales_order)} has not so much open at {location}: compare them",
            code="erp.shipment_exceeds_order",
        )
    return {"DeliveryDocumentBySupplier": posting, "to_DeliveryDocumentItem": items}


def _refuse_other(delivery: wire.Delivery, order: Found, posting: str, wanted: Mapping[int, Decimal]) -> None:
    """One id, one content."""
    told: dict[int, Decimal] = defaultdict(Decimal)
    for line in mapping.system_shipment(delivery, order.order).lines:
        told[line.line] += line.amount
    if {line: amount for line, amount in told.items() if amount} != dict(wanted):
        document = mapping.number(delivery.delivery_document)
        raise Conflict(
            f"SAP has posting {posting} with other quantities as delivery {document}: compare them",
            code="erp.posting_differs",
        )
