"""S/4HANA's entities to canonical objects and back. Pure: no I/O, no clock.

Our line number stands in the number of SAP's item: line 3 is item 30, and where one line leaves from several plants
30, 31, 32 and so on, which SAP lets its callers choose.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, Inexact, localcontext
from typing import Final

from gateway.canonical.item import ReportedItem
from gateway.canonical.order import SalesLine, SalesOrder, ShipmentLine, SystemOrder, SystemShipment
from gateway.canonical.party import Address, CustomerAccount, ReportedCustomer
from gateway.canonical.stock import Bucket, ReportedFigure
from gateway.kernel.errors import Rejected
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion, plain
from system_apis.sap_s4 import wire
from system_apis.sap_s4.settings import Settings

POSTED: Final = "C"
_QUANTITY_SCALE: Final = 3  # QUAN 15,3
_LARGEST: Final = Decimal(10) ** 12
_PLACES_OF_A_LINE: Final = 10
_LAST_LINE: Final = 99_999
_MOST_PER: Final = 10_000  # ConditionQuantity has five digits
_DECIMALS: Final = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "ISK": 0, "KWD": 3, "BHD": 3, "JOD": 3, "OMR": 3, "TND": 3}
_USUAL_DECIMALS: Final = 2
_REFERENCE: Final = 35
_NAME, _STREET, _SUFFIX, _CITY, _POSTAL_CODE = 40, 60, 40, 40, 10
# InventoryStockType: unrestricted, in quality inspection, returns, blocked. The others are on the way between plants.
_BUCKETS: Final = {
    "01": Bucket.SELLABLE,
    "02": Bucket.QUALITY_HOLD,
    "03": Bucket.RETURNED,
    "07": Bucket.DAMAGED,
}


def number(code: str) -> str:
    """A customer's or document's number as OData shows it: SAP pads those of digits only with zeros inside (ALPHA)."""
    return code.lstrip("0") or code if code.isascii() and code.isdigit() else code


def unit_code(unit: str, units: Mapping[str, str]) -> str:
    """The Rec 20 code of an SAP unit; SAP's own where the settings name none."""
    return units.get(unit, unit)


# --- items and stock ------------------------------------------------------------------------------------------------


def reported_item(row: wire.Product, packs: Sequence[wire.Alternative], units: Mapping[str, str]) -> ReportedItem:
    """A product with its further units; SAP keeps prices apart from it, so it has none."""
    known: dict[str, UnitConversion] = {}
    for pack in packs:
        code, factor = unit_code(pack.alternative_unit, units), _factor(pack)
        # A unit whose factor no decimal says exactly, or whose code already means another size, is left out.
        if pack.alternative_unit != row.base_unit and factor is not None:
            known.setdefault(code, UnitConversion(code, factor))
    texts = {each.language: each.product_description for each in row.descriptions.results}
    return ReportedItem(
        source_code=row.product,
        sku=row.product,
        name=texts.get("EN") or next(iter(texts.values()), "") or row.product,
        base_uom=unit_code(row.base_unit, units),
        packs=tuple(known.values()),
        sellable=not row.is_marked_for_deletion,
        group=row.product_group or None,
    )


def _factor(pack: wire.Alternative) -> Decimal | None:
    if pack.quantity_numerator <= 0 or pack.quantity_denominator <= 0:
        return None
    with localcontext() as context:
        context.traps[Inexact] = True
        try:
            return pack.quantity_numerator / pack.quantity_denominator
        except Inexact:
            return None


def figures(rows: Iterable[wire.Stock], units: Mapping[str, str]) -> list[ReportedFigure]:
    """A plant's own stock by material, batch and stock type, over its storage locations; zeros are left out.

    Special stock (consignment, a project's, a customer's) is somebody else's or spoken for, and is left out too.
    """
    amounts: dict[tuple[str, str, str, str, Bucket], Decimal] = defaultdict(Decimal)
    for row in rows:
        bucket = _BUCKETS.get(row.stock_type)
        if bucket is not None and not row.special.strip():
            amounts[row.plant, row.material, row.batch, row.material_base_unit, bucket] += row.quantity
    return [
        ReportedFigure(
            source_item=material, source_location=plant, bucket=bucket, amount=amount, uom=unit_code(unit, units),
            lot=batch or None,
        )
        for (plant, material, batch, unit, bucket), amount in amounts.items()
        if amount
    ]  # fmt: skip


# --- customers ------------------------------------------------------------------------------------------------------


def customer_account(code: str, row: wire.Partner, area: wire.SalesArea | None) -> CustomerAccount:
    """Terms and holds. SAP checks credit itself when it takes an order: no limit of it is told here."""
    return CustomerAccount(
        code=code,
        name=_name(row),
        payment_term=area.customer_payment_terms or None if area else None,
        credit_limit=None,
        balance=None,
        hold=_holds(row, area),
    )


def reported_customer(row: wire.Partner, area: wire.SalesArea | None) -> ReportedCustomer:
    """A business partner that is a customer, with its first address."""
    place = row.addresses.results[0] if row.addresses.results else wire.Address()
    return ReportedCustomer(
        source_code=number(row.customer),
        number=number(row.customer),
        name=_name(row),
        roles=("sold_to", "ship_to", "bill_to"),
        hold=_holds(row, area),
        street=" ".join(part for part in (place.street_name, place.house_number) if part) or None,
        city=place.city_name or None,
        postal_code=place.postal_code or None,
        country=place.country or None,
        payment_term=area.customer_payment_terms or None if area else None,
    )


def _name(row: wire.Partner) -> str:
    return row.business_partner_full_name or row.business_partner_name or row.business_partner


def _holds(row: wire.Partner, area: wire.SalesArea | None) -> bool:
    return row.blocked or (area is not None and bool(area.order_is_blocked_for_customer))


# --- orders ---------------------------------------------------------------------------------------------------------


def quantity(amount: Decimal) -> Decimal:
    """`amount` as SAP's ``QUAN 15,3``. Raises `Rejected` rather than have SAP round it."""
    if amount != amount.quantize(Decimal(1).scaleb(-_QUANTITY_SCALE)) or amount >= _LARGEST:
        raise Rejected(
            f"SAP holds three decimals and twelve digits before them: it cannot hold the quantity {amount}",
            code="erp.quantity_precision",
        )
    return amount


def price(unit_price: Money) -> tuple[Decimal, int]:
    """A price per unit as SAP keeps it: an amount in the currency's own decimals, and for how many units it is."""
    decimals = _DECIMALS.get(unit_price.currency, _USUAL_DECIMALS)
    per = 1
    while per <= _MOST_PER:
        rate = unit_price.amount * per
        if rate == rate.quantize(Decimal(1).scaleb(-decimals)):
            return rate, per
        per *= 10
    raise Rejected(
        f"SAP keeps a price for at most {_MOST_PER} units: {plain(unit_price.amount)} {unit_price.currency} has too "
        "many decimals",
        code="erp.price_precision",
    )


def line_of(item: str) -> int:
    """Our line by the number of SAP's item."""
    return int(item) // _PLACES_OF_A_LINE if item.isascii() and item.isdigit() else 0


def new_order(order: SalesOrder, products: Mapping[str, wire.Product], settings: Settings) -> dict[str, object]:
    """The order as one deep insert. Raises `Rejected` for what S/4HANA cannot hold as it stands."""
    if len(order.order) > _REFERENCE:
        raise Rejected(f"SAP takes references of at most {_REFERENCE} characters", code="erp.reference_too_long")
    sold_to = number(settings.customers.get(order.sold_to, order.sold_to))
    dates = {} if order.requested_date is None else {"RequestedDeliveryDate": wire.day(order.requested_date)}
    return {
        "SalesOrderType": settings.order_type,
        "SalesOrganization": settings.sales_organization,
        "DistributionChannel": settings.distribution_channel,
        "OrganizationDivision": settings.division,
        "SoldToParty": sold_to,
        "PurchaseOrderByCustomer": order.order,
        "CustomerPurchaseOrderDate": wire.day(order.placed_at.date()),
        "TransactionCurrency": order.currency,
        **dates,
        "to_Partner": [{"PartnerFunction": "SH", "Customer": sold_to, "to_Address": [_address(order.ship_to)]}],
        "to_Item": [
            _item(line, at, products, order, settings) for line, at in zip(order.lines, numbers(order), strict=True)
        ],
    }


def numbers(order: SalesOrder) -> list[str]:
    """SAP's item number of each of the order's lines, in their order."""
    seen: dict[int, int] = defaultdict(int)
    given = []
    for line in order.lines:
        if seen[line.line] >= _PLACES_OF_A_LINE or line.line > _LAST_LINE:
            raise Rejected(
                f"line {line.line} leaves from more than {_PLACES_OF_A_LINE} plants, or has too high a number for SAP",
                code="erp.too_many_items",
            )
        given.append(f"{line.line * _PLACES_OF_A_LINE + seen[line.line]:06d}")
        seen[line.line] += 1
    return given


def _item(
    line: SalesLine, at: str, products: Mapping[str, wire.Product], order: SalesOrder, settings: Settings
) -> dict[str, object]:
    product = products.get(line.sku)
    if product is None:
        raise Rejected(f"SAP has no product {line.sku}: create it there", code="erp.unknown_item")
    base = unit_code(product.base_unit, settings.unit_codes())
    if line.uom != base:
        raise Rejected(
            f"line {line.line} is in {line.uom}, but SAP counts {line.sku} in {base}: convert it first",
            code="erp.unit_mismatch",
        )
    rate, per = price(line.unit_price)
    place: dict[str, object] = {} if line.location is None else {settings.plant_field: line.location}
    return {
        "SalesOrderItem": at,
        "Material": line.sku,
        "PurchaseOrderByCustomer": order.external_number[:_REFERENCE],
        "RequestedQuantity": quantity(line.amount),
        "RequestedQuantityUnit": product.base_unit,
        **place,
        "to_PricingElement": [
            {
                "ConditionType": settings.price_condition,
                "ConditionRateValue": rate,
                "ConditionCurrency": line.unit_price.currency,
                "ConditionQuantity": str(per),
                "ConditionQuantityUnit": product.base_unit,
            }
        ],
    }


def _address(place: Address) -> dict[str, str]:
    """A one-time address: a long name and street go on in SAP's further lines, nothing is cut off."""
    names = _split(place.name, _NAME, 4, "name")
    street, *rest = _split(place.street, _STREET, 1, "street", then=_SUFFIX)
    return {
        **{f"OrganizationName{at}": part for at, part in enumerate(names, start=1)},
        "StreetName": street,
        **({"StreetSuffixName1": rest[0]} if rest else {}),
        "CityName": _split(place.city, _CITY, 1, "city")[0],
        "PostalCode": _split(place.postal_code, _POSTAL_CODE, 1, "postal code")[0],
        "Country": place.country,
    }


def _split(text: str, width: int, most: int, what: str, then: int = 0) -> list[str]:
    widths = [width] * most + ([then] if then else [])
    parts, left = [], text
    for each in widths:
        parts.append(left[:each])
        left = left[each:]
    if left:
        raise Rejected(f"SAP has no room for the {what} {text[:40]!r}…: shorten it", code="erp.address_too_long")
    return [parts[0], *(part for part in parts[1:] if part)]


def holds(row: wire.Order, order: SalesOrder) -> bool:
    """Whether SAP's order says the same as ours, item by item."""
    there = {
        (int(i.sales_order_item), i.material, i.requested_quantity, plant_of(i) or None) for i in row.items.results
    }
    asked = {
        (int(at), line.sku, line.amount, line.location)
        for at, line in zip(numbers(order), order.lines, strict=True)
    }  # fmt: skip
    return there == asked


def plant_of(item: wire.Item) -> str:
    """The plant that an item leaves from."""
    return item.production_plant or item.plant


def is_cancelled(row: wire.Order) -> bool:
    """Every item is rejected: S/4HANA has no other word for an order that is cancelled."""
    return bool(row.items.results) and all(item.rejection for item in row.items.results)


def one_of_twins(live: Sequence[wire.Order]) -> wire.Order:
    """The one that stays: the furthest delivered, of equals the elder."""
    return max(live, key=lambda row: (row.delivery_status or "A", -int(number(row.sales_order))))


def system_order(reference: str, row: wire.Order, deliveries: Sequence[wire.Delivery]) -> SystemOrder:
    """SAP's order with its deliveries, and what of it no delivery holds yet as one more for each plant."""
    cancelled = is_cancelled(row)
    made = [system_shipment(each, row) for each in deliveries]
    rest = [] if cancelled else _undelivered(row, deliveries)
    words = {"B": "partly delivered", "C": "delivered"}
    return SystemOrder(
        reference=reference,
        number=number(row.sales_order),
        state="rejected" if cancelled else words.get(row.delivery_status, "open"),
        ready=True,
        cancelled=cancelled,
        shipments=(*made, *rest),
    )


def open_quantities(row: wire.Order, deliveries: Iterable[wire.Delivery]) -> dict[int, Decimal]:
    """By SAP's item number how much of it no delivery holds yet."""
    left = {int(item.sales_order_item): item.requested_quantity for item in row.items.results if not item.rejection}
    for delivery in deliveries:
        for part in _parts(delivery, row):
            if int(part.reference_item) in left:
                left[int(part.reference_item)] -= part.quantity
    return left


def _undelivered(row: wire.Order, deliveries: Sequence[wire.Delivery]) -> list[SystemShipment]:
    left = open_quantities(row, deliveries)
    by_plant: dict[str, list[ShipmentLine]] = defaultdict(list)
    for item in row.items.results:
        amount = left.get(int(item.sales_order_item), Decimal(0))
        if amount > 0:
            line = ShipmentLine(line=line_of(item.sales_order_item), item=item.material, amount=amount)
            by_plant[plant_of(item)].append(line)
    return [
        SystemShipment(number=f"{number(row.sales_order)} (no delivery)", state="open", location=plant, lines=tuple(x))
        for plant, x in by_plant.items()
    ]


def _parts(delivery: wire.Delivery, row: wire.Order) -> list[wire.DeliveryItem]:
    mine = number(row.sales_order)
    return [part for part in delivery.items.results if number(part.reference) == mine and part.reference_item.isdigit()]


def system_shipment(delivery: wire.Delivery, row: wire.Order) -> SystemShipment:
    """A delivery by our lines; what is not of this order is left out."""
    amounts: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    plants = {int(item.sales_order_item): plant_of(item) for item in row.items.results}
    parts = _parts(delivery, row)
    for part in parts:
        amounts[line_of(part.reference_item), part.material] += part.quantity
    places = [part.plant or plants.get(int(part.reference_item), "") for part in parts]
    return SystemShipment(
        number=number(delivery.delivery_document),
        state="posted" if delivery.goods_movement == POSTED else "not posted",
        location=places[0] if places else "",
        lines=tuple(ShipmentLine(line=line, item=item, amount=amount) for (line, item), amount in amounts.items()),
    )
