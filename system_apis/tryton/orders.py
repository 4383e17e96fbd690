"""Sales in Tryton under our reference: found, made, brought to processing, cancelled.

``sale.reference`` holds our order id. Tryton can search it and keeps nobody from writing it twice, so the manifest
says ``searchable`` and callers hold a lock per order. A Tryton sale has one warehouse: an order from two becomes two
sales, made and moved on together, each step being one request and therefore one transaction for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from system_apis.tryton import mapping, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.canonical.order import SalesLine, SalesOrder, SystemOrder
    from gateway.kernel.clock import Clock
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.settings import Settings

_STEPS: Final = (("draft", "quote"), ("quotation", "confirm"), ("confirmed", "process"))
_BEGUN: Final = frozenset({"picked", "packed", "shipped", "done"})


class Found(NamedTuple):
    """What Tryton holds of one order: its live sales, else the cancelled ones, with their shipments."""

    sales: list[wire.Sale]
    shipments: list[wire.Shipment]


class Orders:
    """Part of the adapter: what `TakesOrders` asks for."""

    def __init__(self, client: Client, directory: Directory, settings: Settings, clock: Clock) -> None:
        self._client = client
        self._directory = directory
        self._settings = settings
        self._clock = clock

    async def find(self, call: Call, reference: str) -> SystemOrder | None:
        """Raises `Conflict` (``erp.twin_orders``) when a line of ours stands in two live sales."""
        found = await self.found(call, reference)
        return mapping.system_order(reference, *found) if found.sales else None

    async def found(self, call: Call, reference: str) -> Found:
        """The sales of our order; raises `Conflict` for twins."""
        found, live = await self._all(call, reference)
        if young := mapping.twins(live):
            numbers = ", ".join(sale.number or f"(id {sale.id})" for sale in young)
            raise Conflict(
                f"Tryton holds {reference} more than once: cancel {numbers}",
                code="erp.twin_orders",
                context={"reference": reference, "twins": [sale.id for sale in young]},
            )
        sales = live or found.sales
        numbers_of_shipments = {number for sale in sales for number in sale.shipments}
        return Found(sales, [row for row in found.shipments if row.id in numbers_of_shipments])

    async def submit(self, call: Call, order: SalesOrder) -> SystemOrder:
        """Make the sales, or find them, and bring them to processing; every step may be repeated."""
        found = await self.found(call, order.order)
        if not found.sales:
            made = await self._create(call, order)
            for _, button in _STEPS[:2]:
                await self.press(call, wire.Sale.MODEL, button, made)
            found = await self.found(call, order.order)
        while True:
            described = mapping.system_order(order.order, *found)
            if described.cancelled:
                raise Conflict(f"Tryton has {order.order} as a cancelled order", code="erp.order_cancelled")
            if described.ready:
                return described
            if not mapping.holds(found.sales, order):
                raise Conflict(
                    f"sale {described.number} in Tryton bears our reference but other lines: compare it with the order",
                    code="erp.order_differs",
                )
            found = await self._move_on(call, order.order, found)

    async def cancel(self, call: Call, reference: str) -> SystemOrder:
        """Cancel what Tryton has not begun to pick. Raises `Conflict` (``erp.work_begun``) or `NotFound`."""
        found = await self.found(call, reference)
        if not found.sales:
            raise NotFound(f"Tryton has no order {reference}", code="erp.order_not_found")
        await self._cancel(call, reference, found)
        described = mapping.system_order(reference, *await self.found(call, reference))
        if not described.cancelled:
            raise Conflict(
                f"sale {described.number} is {described.state} in Tryton and cannot be cancelled", code="erp.work_begun"
            )
        return described

    async def cancel_twins(self, call: Call, reference: str) -> SystemOrder:
        """Cancel all but one of the sales of the same lines; raises `Conflict` when such a one is being picked."""
        found, live = await self._all(call, reference)
        await self._cancel(call, reference, Found(mapping.twins(live), found.shipments))
        order = await self.find(call, reference)
        if order is None:
            raise NotFound(f"Tryton has no order {reference}", code="erp.order_not_found")
        return order

    async def press(self, call: Call, model: str, button: str, ids: Sequence[int], **context: object) -> None:
        """Press a button of Tryton's client on these records, in one transaction."""
        whole = {**await self._directory.context(call), **context}
        await self._client.write(call, f"model.{model}.{button}", list(ids), context=whole)

    async def _all(self, call: Call, reference: str) -> tuple[Found, list[wire.Sale]]:
        sales = await self._directory.rows(call, wire.Sale, [("reference", "=", reference)])
        numbers = sorted({number for sale in sales for number in sale.shipments})
        shipments = await self._directory.rows(call, wire.Shipment, [("id", "in", numbers)]) if numbers else []
        return Found(sales, shipments), [sale for sale in sales if not mapping.is_cancelled(sale, shipments)]

    async def _move_on(self, call: Call, reference: str, found: Found) -> Found:
        for state, button in _STEPS:
            if waiting := [sale.id for sale in found.sales if sale.state == state]:
                await self.press(call, wire.Sale.MODEL, button, waiting)
                after = await self.found(call, reference)
                if [sale.state for sale in after.sales] == [sale.state for sale in found.sales]:
                    raise Unavailable(
                        f"Tryton has not moved {reference} on from {state} yet: its queue may be behind",
                        code="erp.not_processed",
                        retry_after=5.0,
                    )
                return after
        raise Conflict(f"the sale of {reference} is in a state that we do not know", code="erp.order_differs")

    async def _create(self, call: Call, order: SalesOrder) -> list[int]:
        products = await self._directory.products(call, {line.sku for line in order.lines})
        groups = mapping.by_warehouse(order)
        head = await self._head(call, order)
        records = []
        for code, lines in groups.items():
            place = {} if code is None else {"warehouse": (await self._directory.warehouse(call, code)).id}
            records.append({**head, **place, "lines": [("create", self._lines(lines, products))]})
        context = await self._directory.context(call)
        made = await self._client.write(call, "model.sale.sale.create", records, context=context)
        return [int(number) for number in made]

    def _lines(self, lines: Sequence[SalesLine], products: Mapping[str, wire.Product]) -> list[dict[str, object]]:
        units = self._settings.unit_codes()
        return [mapping.sale_line(line, products[line.sku], units) for line in lines]

    async def _head(self, call: Call, order: SalesOrder) -> dict[str, Any]:
        try:
            party = await self._directory.party(call, order.sold_to)
        except NotFound as error:
            raise Rejected(error.detail, code=error.code) from None
        head: dict[str, Any] = {
            **await self._directory.context(call),
            "party": party.id,
            "reference": order.order,
            "description": f"Order {order.external_number}",
            "currency": await self._directory.currency(call, order.currency),
            "shipment_address": await self._address(call, order, party),
            "payment_term": party.payment_term.id if party.payment_term else None,
        }
        bills = [row for row in party.addresses if row.invoice] or party.addresses
        head["invoice_address"] = bills[0].id if bills else head["shipment_address"]
        # Tryton refuses a date before its own today, which may already be tomorrow for us.
        if order.requested_date and order.requested_date > self._clock.now().date():
            head["shipping_date"] = order.requested_date
        return head

    async def _address(self, call: Call, order: SalesOrder, party: wire.Party) -> int:
        place = order.ship_to
        for row in party.addresses:
            if mapping.same_place(row, place, party.name):
                return row.id
        record = {
            "party": party.id,
            "party_name": place.name,
            "street": place.street,
            "city": place.city,
            "postal_code": place.postal_code,
            "country": await self._directory.country(call, place.country),
        }
        context = await self._directory.context(call)
        made = await self._client.write(call, "model.party.address.create", [record], context=context)
        return int(made[0])

    async def _cancel(self, call: Call, reference: str, found: Found) -> None:
        sales = [sale for sale in found.sales if not mapping.is_cancelled(sale, found.shipments)]
        theirs = {number for sale in sales for number in sale.shipments}
        shipments = [row for row in found.shipments if row.id in theirs and row.state != "cancelled"]
        for row in shipments:
            if row.state in _BEGUN or row.reference:
                raise Conflict(
                    f"shipment {row.number} of {reference} is {row.state} in Tryton: too late to cancel",
                    code="erp.work_begun",
                )
        if confirmed := [sale.id for sale in sales if sale.state == "confirmed"]:
            await self.press(call, wire.Sale.MODEL, "draft", confirmed)
        if early := [sale.id for sale in sales if sale.state in ("draft", "quotation", "confirmed")]:
            await self.press(call, wire.Sale.MODEL, "cancel", early)
        if shipments:
            # The stamps make Tryton refuse when someone began to pick since we looked.
            stamps = {f"{wire.Shipment.MODEL},{row.id}": row.timestamp for row in shipments}
            await self.press(call, wire.Shipment.MODEL, "cancel", [row.id for row in shipments], _timestamp=stamps)
        for sale in sales:
            if sale.id not in early:
                await self._ship_nothing_instead(call, sale)

    async def _ship_nothing_instead(self, call: Call, sale: wire.Sale) -> None:
        """Answer Tryton's question what to do about cancelled moves: ignore them."""
        context = await self._directory.context(call)
        domain = [("sale", "=", sale.id), ("state", "=", "cancelled"), ("sale_exception_state", "=", "")]
        moves = await self._client.search_read(
            call, mapping.MOVE, domain[:2], ["sale_exception_state"], context=context
        )
        waiting = [row["id"] for row in moves if not row["sale_exception_state"]]
        if not waiting:
            return
        wizard = "wizard.sale.handle.shipment.exception"
        about = {**context, "active_model": wire.Sale.MODEL, "active_id": sale.id, "active_ids": [sale.id]}
        session, *_ = await self._client.write(call, f"{wizard}.create", context=about)
        answer = {"ask": {"domain_moves": waiting, "ignore_moves": waiting, "recreate_moves": []}}
        await self._client.write(call, f"{wizard}.execute", session, answer, "handle", context=about)
        await self._client.write(call, f"{wizard}.delete", session, context=about)
