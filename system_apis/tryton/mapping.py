"""Tryton's rows to canonical objects and back. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Final

from gateway.canonical.item import ReportedItem
from gateway.canonical.order import SalesLine, SalesOrder, ShipmentLine, SystemOrder, SystemShipment
from gateway.canonical.party import Address, CustomerAccount
from gateway.canonical.stock import Bucket, DemandLine, ReportedFigure
from gateway.kernel.errors import Rejected
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from system_apis.tryton import wire

SALE_LINE: Final = "sale.line"
MOVE: Final = "stock.move"
_READY: Final = frozenset({"processing", "done"})
_CANCELLED: Final = "cancelled"
_PROGRESS: Final = {"draft": 0, "quotation": 1, "confirmed": 2, "processing": 3, "done": 4}


def to_float(amount: Decimal) -> float:
    """`amount` as Tryton's ``Float``. Raises `Rejected` when a double cannot carry it to the last digit."""
    number = float(amount)
    if Decimal(repr(number)) != amount:
        raise Rejected(
            f"Tryton cannot hold the quantity {amount} exactly: give at most 15 significant digits",
            code="erp.quantity_precision",
        )
    return number


def unit_code(symbol: str, units: Mapping[str, str]) -> str:
    """The Rec 20 code of a Tryton unit; its own symbol when the settings name none."""
    return units.get(symbol, symbol)


def conversion(pack: wire.Unit, base: wire.Unit) -> Decimal | None:
    """How many `base` are one `pack`, exactly; None when no decimal number says it exactly."""
    ratio = _reference_units(pack) / _reference_units(base)
    with localcontext() as context:
        context.traps[Inexact] = True
        try:
            return Decimal(ratio.numerator) / Decimal(ratio.denominator)
        except Inexact:
            return None


def _reference_units(unit: wire.Unit) -> Fraction:
    # Tryton keeps factor and rate, one of them rounded to 12 places: the whole number of the two is the true one.
    factor, rate = Fraction(unit.factor), Fraction(unit.rate)
    return 1 / rate if rate.denominator == 1 and factor.denominator != 1 else factor


def reported_item(row: wire.Product, units: Mapping[str, str], currency: str) -> ReportedItem | None:
    """An item with the packs it is bought and sold in; None without a code, by which it could be named."""
    if not row.code:
        return None
    packs: dict[str, UnitConversion] = {}
    for pack in (row.sale_uom, row.purchase_uom):
        if pack is not None and pack.id != row.default_uom.id:
            factor = conversion(pack, row.default_uom)
            code = unit_code(pack.symbol, units)
            # A pack whose factor is not exact, or whose code already means another size, is left out: never rounded.
            if factor is not None and code not in packs:
                packs[code] = UnitConversion(code, factor)
    return ReportedItem(
        source_code=row.code,
        sku=row.code,
        name=row.name,
        base_uom=unit_code(row.default_uom.symbol, units),
        packs=tuple(packs.values()),
        list_price=None if row.list_price_used is None else Money(row.list_price_used, currency),
        sellable=bool(row.salable),
    )


def figures(
    rows: Iterable[wire.Stock], warehouse: str, bucket: Bucket, units: Mapping[str, str]
) -> list[ReportedFigure]:
    """What one zone of one warehouse holds; zeros are left out, as a full snapshot says them by silence."""
    return [
        ReportedFigure(
            source_item=row.code,
            source_location=warehouse,
            bucket=bucket,
            amount=row.quantity,
            uom=unit_code(row.default_uom.symbol, units),
        )
        for row in rows
        if row.code and row.quantity
    ]


def customer_account(row: wire.Party, currency: str, hold_category: str) -> CustomerAccount:
    """Terms, limit and what is owed, in the company's currency."""
    currency = row.currency.code if row.currency and row.currency.code else currency
    limit, owed = row.credit_limit_amount, row.credit_amount
    return CustomerAccount(
        code=row.code,
        name=row.name,
        payment_term=row.payment_term.rec_name if row.payment_term else None,
        credit_limit=None if limit is None else Money(limit, currency),
        balance=None if owed is None else Money(owed, currency),
        # A category's rec_name is its path ("Sales / Credit hold").
        hold=any(category.rec_name.rpartition(" / ")[2] == hold_category for category in row.categories),
    )


def foreign_demand(prefix: str) -> list[object]:
    """The domain of moves to customers that are not ours and whose goods are still in storage.

    https://docs.tryton.org/latest/server/topics/domain.html: the fourth element names the model behind a reference.
    """
    ours = prefix.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + "%"
    reference = "origin.sale.reference"
    not_ours = ["OR", (reference, "=", None, SALE_LINE), (reference, "not like", ours, SALE_LINE)]
    no_sale = ["OR", ("origin", "=", None), ("origin", "not like", f"{SALE_LINE},%")]
    in_storage = ("shipment.state", "in", ["draft", "waiting", "assigned"], wire.Shipment.MODEL)
    return [
        ("to_location.type", "=", "customer"),
        ("state", "in", ["draft", "assigned"]),
        ["OR", no_sale, not_ours],
        ["OR", ("shipment", "=", None), in_storage],
    ]


def demand_line(row: wire.Demand, warehouse: str, units: Mapping[str, str]) -> DemandLine:
    """One open move to a customer."""
    sale = row.sale
    return DemandLine(
        source_reference=(sale.number or sale.reference if sale else None) or f"{MOVE},{row.id}",
        source_item=row.product.code or str(row.product.id),
        source_location=warehouse,
        amount=row.internal_quantity,
        uom=unit_code(row.product.default_uom.symbol, units),
        due=row.planned_date,
    )


def same_place(row: wire.Address, address: Address, party_name: str) -> bool:
    """Whether Tryton already knows this address of the party."""
    return (
        (row.party_name or party_name) == address.name
        and (row.street or "").strip() == address.street.strip()
        and row.city == address.city
        and row.postal_code == address.postal_code
        and (row.country.code if row.country else None) == address.country
    )


def by_warehouse(order: SalesOrder) -> dict[str | None, list[SalesLine]]:
    """The lines by warehouse code, in order: a Tryton sale has one warehouse."""
    groups: dict[str | None, list[SalesLine]] = defaultdict(list)
    for line in order.lines:
        groups[line.location].append(line)
    return dict(groups)


def sale_line(line: SalesLine, product: wire.Product, units: Mapping[str, str]) -> dict[str, object]:
    """A line to create. Raises `Rejected` when the order is not in the product's default unit."""
    base = unit_code(product.default_uom.symbol, units)
    if line.uom != base:
        raise Rejected(
            f"line {line.line} is in {line.uom}, but Tryton counts {line.sku} in {base}: convert it first",
            code="erp.unit_mismatch",
        )
    taxes = product.account_category.customer_taxes if product.account_category else []
    return {
        "sequence": line.line,
        "product": product.id,
        "quantity": to_float(line.amount),
        "unit": product.default_uom.id,
        "unit_price": line.unit_price.amount,
        "taxes": [("add", taxes)],
    }


def holds(sales: Iterable[wire.Sale], order: SalesOrder) -> bool:
    """Whether the sales say the same as the order, line by line."""
    there = {
        (line.sequence, line.product.code if line.product else None, line.quantity, line.unit_price)
        for sale in sales
        for line in sale.lines
    }
    return there == {(line.line, line.sku, line.amount, line.unit_price.amount) for line in order.lines}


def twins(sales: Sequence[wire.Sale]) -> list[wire.Sale]:
    """Of live sales that hold the same line of our order all but one, the first to be cancelled first.

    What stays is the furthest on, whose shipment a warehouse may be at work on; of those equally far the elder.
    """
    seen: set[tuple[str | None, int | None]] = set()
    found = []
    for sale in sorted(sales, key=lambda sale: (-_PROGRESS.get(sale.state, 0), sale.id)):
        # One line may leave from two warehouses: then it stands in a sale of each, and rightly.
        place = sale.warehouse.code if sale.warehouse else None
        lines = {(place, line.sequence) for line in sale.lines}
        if lines & seen or not lines:
            found.append(sale)
        seen |= lines
    return found[::-1]


def is_cancelled(sale: wire.Sale, shipments: Iterable[wire.Shipment]) -> bool:
    """Cancelled as a sale, or all its shipments are and Tryton was told to ship nothing in their place."""
    own = [shipment for shipment in shipments if shipment.id in sale.shipments]
    gone = len(own) > 0 and all(shipment.state == _CANCELLED for shipment in own)
    return sale.state == _CANCELLED or (gone and sale.shipment_state == "none")


def system_order(reference: str, sales: Sequence[wire.Sale], shipments: Sequence[wire.Shipment]) -> SystemOrder:
    """The sales of one order (one per warehouse) as one; numbers and states are joined by ``+`` where they differ."""
    lines = sequence_by_line(sales)
    return SystemOrder(
        reference=reference,
        number="+".join(sale.number or f"(id {sale.id})" for sale in sales),
        state="+".join(dict.fromkeys(sale.state for sale in sales)),
        ready=all(sale.state in _READY for sale in sales),
        cancelled=all(is_cancelled(sale, shipments) for sale in sales),
        shipments=tuple(system_shipment(shipment, lines) for shipment in shipments),
    )


def sequence_by_line(sales: Iterable[wire.Sale]) -> dict[str, int]:
    """Our line number by Tryton's ``sale.line,<id>``; lines without one were added by others."""
    return {f"{SALE_LINE},{row.id}": row.sequence for sale in sales for row in sale.lines if row.sequence is not None}


def system_shipment(row: wire.Shipment, lines: Mapping[str, int]) -> SystemShipment:
    """What leaves the warehouse, by our line; `item` is Tryton's product code. Lines of others are left out."""
    amounts: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for move in row.outgoing:
        line = lines.get(move.origin or "")
        if line is not None and (move.state != _CANCELLED or row.state == _CANCELLED):
            amounts[line, move.product.code or str(move.product.id)] += move.internal_quantity
    return SystemShipment(
        number=row.number or f"(id {row.id})",
        state=row.state,
        location=row.warehouse.code or "",
        lines=tuple(ShipmentLine(line=line, item=item, amount=amount) for (line, item), amount in amounts.items()),
    )
