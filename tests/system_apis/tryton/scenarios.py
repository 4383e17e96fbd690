"""What is played against the live server to record its answers, and against the records to test the adapter.

Scenarios use fixed references, so that their requests are the same every time; a fresh sandbox is expected.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from gateway.canonical.capabilities import Call
from gateway.canonical.order import SalesLine, SalesOrder, ShipmentLine
from gateway.canonical.party import Address
from gateway.kernel.errors import CrossdockError
from gateway.kernel.money import Money
from system_apis.tryton.adapter import Adapter

HOME: Final = Address(
    name="Retail Partner", street="1 Main Street", city="Springfield", postal_code="62701", country="US"
)


def call(seconds: float = 60.0) -> Call:
    return Call(tenant="acme", correlation_id="test", deadline=time.monotonic() + seconds)


def order(
    reference: str, *lines: tuple[str, str, str], sold_to: str = "CUST1", ship_to: Address = HOME, uom: str = "EA"
) -> SalesOrder:
    """Lines are (SKU, amount, warehouse code)."""
    return SalesOrder(
        order=reference,
        tenant="acme",
        sold_to=sold_to,
        external_number=f"PO-{reference[-4:]}",
        currency="USD",
        placed_at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
        ship_to=ship_to,
        lines=tuple(
            SalesLine(
                line=number,
                item=f"itm_{number}",
                sku=sku,
                amount=Decimal(amount),
                uom=uom,
                unit_price=Money(Decimal("9.9513"), "USD"),
                location=location,
            )
            for number, (sku, amount, location) in enumerate(lines, start=1)
        ),
    )


def shipped(*lines: tuple[int, str]) -> list[ShipmentLine]:
    return [ShipmentLine(line=line, item="", amount=Decimal(amount)) for line, amount in lines]


async def items(adapter: Adapter) -> Any:
    first = await adapter.read_items(call(), limit=150)
    return [first, await adapter.read_items(call(), cursor=first.next_cursor, limit=150)]


async def stock(adapter: Adapter) -> Any:
    return await adapter.read_stock(call(), locations=["WH-N", "WH-W"])


async def customers(adapter: Adapter) -> Any:
    found = [await adapter.read_customer(call(), code=f"CUST{number}") for number in range(1, 6)]
    return found, await refusal(adapter.read_customer(call(), code="NOBODY"))


async def demand(adapter: Adapter) -> Any:
    await adapter.submit_order(call(), order=order("ord_recorded_demand", ("SKU-0151", "4", "WH-N")))
    return await adapter.read_demand(call())


async def shipping(adapter: Adapter) -> Any:
    reference = "ord_recorded_shipping"
    asked = order(reference, ("SKU-0020", "10", "WH-N"), ("A/B-100", "3", "WH-N"), ("GRÖßE-Ü-300", "2", "WH-W"))
    before = await adapter.find_order(call(), reference=reference)
    submitted = await adapter.submit_order(call(), order=asked)
    again = await adapter.submit_order(call(), order=asked)
    part = await adapter.post_shipment(
        call(), reference=reference, posting="pst_recorded_1", location="WH-N", lines=shipped((1, "4"))
    )
    rest = await adapter.post_shipment(
        call(), reference=reference, posting="pst_recorded_2", location="WH-N", lines=shipped((1, "6"), (2, "3"))
    )
    late = await refusal(adapter.cancel_order(call(), reference=reference))
    after = await adapter.find_order(call(), reference=reference)
    return before, submitted, again, part, rest, late, after


async def cancelling(adapter: Adapter) -> Any:
    reference = "ord_recorded_cancelling"
    await adapter.submit_order(call(), order=order(reference, ("SKU-0021", "1", "WH-N"), ("SKU-0022", "1", "WH-W")))
    cancelled = await adapter.cancel_order(call(), reference=reference)
    again = await adapter.cancel_order(call(), reference=reference)
    return cancelled, again, await adapter.find_order(call(), reference=reference)


async def refusals(adapter: Adapter) -> Any:
    def submit(*lines: tuple[str, str, str], **more: Any) -> Awaitable[Any]:
        return refusal(adapter.submit_order(call(), order=order("ord_recorded_refused", *lines, **more)))

    return {
        "sku": await submit(("NOPE", "1", "WH-N")),
        "location": await submit(("SKU-0023", "1", "WH-X")),
        "customer": await submit(("SKU-0023", "1", "WH-N"), sold_to="NOBODY"),
        "unit": await submit(("SKU-0023", "1", "WH-N"), uom="CS"),
        "digits": await submit(("SKU-0023", "1.5", "WH-N")),
        "precision": await submit(("SKU-0023", "1.00000000000000000001", "WH-N")),
        "unknown order": await refusal(adapter.cancel_order(call(), reference="ord_recorded_unknown")),
    }


async def refusal(work: Awaitable[Any]) -> str:
    try:
        await work
    except CrossdockError as error:
        return f"{type(error).__name__} {error.code}"
    return "none"


SCENARIOS: Final[dict[str, Callable[[Adapter], Awaitable[Any]]]] = {
    "items": items,
    "stock": stock,
    "customers": customers,
    "demand": demand,
    "shipping": shipping,
    "cancelling": cancelling,
    "refusals": refusals,
}
