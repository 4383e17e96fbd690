from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.canonical.order import SalesLine, SalesOrder
from gateway.canonical.party import Address
from gateway.canonical.stock import Bucket
from gateway.kernel.errors import Rejected
from gateway.kernel.money import Money
from system_apis.sap_s4 import mapping, wire
from system_apis.sap_s4.settings import Settings

SETTINGS = Settings(base_url="http://x", user="U", password="env:P", sales_organization="1710")
PRODUCTS = {"A": wire.Product("A", "EA"), "K": wire.Product("K", "KG")}
PLACE = Address(name="Zoë", street="1 Main St", city="Springfield", postal_code="62701", country="US")


def line(number=1, sku="A", amount="2", uom="EA", price="9.95", location="1710", currency="USD"):
    unit_price = Money(Decimal(price), currency)
    return SalesLine(
        line=number, item="i", sku=sku, amount=Decimal(amount), uom=uom, unit_price=unit_price, location=location
    )


def order(*lines, **changes):
    made = SalesOrder(
        order="ord_1", tenant="acme", sold_to="0001000004", external_number="PO-1", currency="USD",
        placed_at=datetime(2026, 11, 21, 23, tzinfo=UTC), ship_to=PLACE, lines=lines or (line(),),
    )  # fmt: skip
    return structs.replace(made, **changes)


def made(wanted, *, status="A", rejection=""):
    """SAP's order as it would show what it was sent."""
    sent = mapping.new_order(wanted, PRODUCTS, SETTINGS)
    items = [
        wire.Item(
            sales_order="0000000007", sales_order_item=item["SalesOrderItem"], material=item["Material"],
            requested_quantity=item["RequestedQuantity"], production_plant=item.get("ProductionPlant", ""),
            rejection=rejection,
        )
        for item in sent["to_Item"]
    ]  # fmt: skip
    return wire.Order(sales_order="0000000007", delivery_status=status, items=wire.Items(items))


@pytest.mark.parametrize(
    ("code", "number"), [("0001000004", "1000004"), ("CUST1", "CUST1"), ("0", "0"), ("007A", "007A"), ("٣", "٣")]
)
def test_a_customers_number_is_padded_only_inside_of_sap(code, number):
    assert mapping.number(code) == number


def test_an_order_is_one_insert_with_customer_items_places_and_dates():
    sent = mapping.new_order(order(requested_date=date(2026, 10, 25)), PRODUCTS, SETTINGS)
    assert (sent["SoldToParty"], sent["PurchaseOrderByCustomer"]) == ("1000004", "ord_1")
    assert sent["RequestedDeliveryDate"] == wire.day(date(2026, 10, 25))
    (item,) = sent["to_Item"]
    assert (item["SalesOrderItem"], item["ProductionPlant"], item["RequestedQuantity"]) == ("000010", "1710", 2)
    assert sent["to_Partner"][0]["to_Address"][0]["CityName"] == "Springfield"


def test_a_customer_who_has_another_number_there_is_called_by_it():
    known = structs.replace(SETTINGS, customers={"CUST1": "0001000009"})
    assert mapping.new_order(order(sold_to="CUST1"), PRODUCTS, known)["SoldToParty"] == "1000009"


def test_a_line_from_two_plants_becomes_two_items_that_both_say_which_line():
    wanted = order(line(3, location="1710"), line(3, location="1720"), line(4))
    given_numbers = mapping.numbers(wanted)
    assert given_numbers == ["000030", "000031", "000040"]
    assert [mapping.line_of(number) for number in given_numbers] == [3, 3, 4]
    with pytest.raises(Rejected, match="plants"):
        mapping.numbers(order(*(line(3) for _ in range(11))))


@pytest.mark.parametrize(
    ("amount", "currency", "rate"),
    [
        ("9.95", "USD", ("9.95", 1)),
        ("9.9513", "USD", ("995.13", 100)),
        ("0.0001", "EUR", ("0.01", 100)),
        ("12.5", "JPY", ("125", 10)),
        ("1.2345", "KWD", ("12.345", 10)),
        ("0", "USD", ("0", 1)),
    ],
)
def test_a_price_is_kept_exactly_for_as_many_units_as_the_currency_needs(amount, currency, rate):
    found, per = mapping.price(Money(Decimal(amount), currency))
    assert (found, per) == (Decimal(rate[0]), rate[1])
    assert found / per == Decimal(amount)


@given(st.decimals(min_value=0, max_value=10**6, places=6, allow_nan=False, allow_infinity=False))
def test_a_price_is_exact_or_refused(amount):
    try:
        rate, per = mapping.price(Money(amount, "USD"))
    except Rejected as error:
        assert error.code == "erp.price_precision"  # noqa: PT017 - either is right
    else:
        assert rate == amount * per
        assert rate == rate.quantize(Decimal("0.01"))


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (order(line(amount="1.0001", sku="K", uom="KGM")), "erp.quantity_precision"),
        (order(line(amount="1000000000000")), "erp.quantity_precision"),
        (order(line(uom="CS")), "erp.unit_mismatch"),
        (order(line(sku="none such")), "erp.unknown_item"),
        (order(line(price="0.0000001")), "erp.price_precision"),
        (order(order="o" * 36), "erp.reference_too_long"),
        (order(ship_to=structs.replace(PLACE, city="C" * 41)), "erp.address_too_long"),
        (order(ship_to=structs.replace(PLACE, street="S" * 101)), "erp.address_too_long"),
        (order(ship_to=structs.replace(PLACE, name="N" * 161)), "erp.address_too_long"),
    ],
)
def test_what_sap_cannot_hold_is_refused_and_never_cut_or_rounded(wanted, code):
    with pytest.raises(Rejected) as refused:
        mapping.new_order(wanted, PRODUCTS, SETTINGS)
    assert refused.value.code == code


def test_a_long_name_and_street_go_on_in_further_lines():
    place = structs.replace(PLACE, name="N" * 70, street="S" * 70)
    address = mapping.new_order(order(ship_to=place), PRODUCTS, SETTINGS)["to_Partner"][0]["to_Address"][0]
    assert address["OrganizationName1"] + address["OrganizationName2"] == "N" * 70
    assert address["StreetName"] + address["StreetSuffixName1"] == "S" * 70


def test_what_was_sent_is_recognised_and_anything_else_is_not():
    wanted = order(line(), line(2, "K", "1.001", "KGM"))
    there = made(wanted)
    assert mapping.holds(there, wanted)
    assert not mapping.holds(there, order(line(), line(2, "K", "1.002", "KGM")))
    assert not mapping.holds(there, order(line(location="1720"), line(2, "K", "1.001", "KGM")))
    assert not mapping.holds(there, order())


def test_what_no_delivery_holds_is_told_by_plant():
    wanted = order(line(1, amount="5"), line(2, location="1720"))
    part = wire.DeliveryItem(
        delivery_document="0080000001", delivery_document_item="000010", material="A", reference="7",
        reference_item="000010", actual_delivery_quantity=Decimal(3),
    )  # fmt: skip
    delivery = wire.Delivery("0080000001", goods_movement="C", items=wire.DeliveryItems([part]))
    found = mapping.system_order("ord_1", made(wanted, status="B"), [delivery])
    assert (found.number, found.state, found.ready, found.cancelled) == ("7", "partly delivered", True, False)
    told = [(s.number, s.state, s.location, [(x.line, x.amount) for x in s.lines]) for s in found.shipments]
    assert told == [
        ("80000001", "posted", "1710", [(1, 3)]),
        ("7 (no delivery)", "open", "1710", [(1, 2)]),
        ("7 (no delivery)", "open", "1720", [(2, 2)]),
    ]


def test_an_order_all_of_whose_items_are_rejected_is_cancelled():
    assert mapping.system_order("ord_1", made(order(), rejection="00"), []).cancelled
    assert not mapping.is_cancelled(wire.Order("7"))


def test_of_twins_the_furthest_delivered_stays_and_of_equals_the_elder():
    elder, younger = wire.Order("9", delivery_status="A"), wire.Order("10", delivery_status="A")
    assert mapping.one_of_twins([younger, elder]) is elder
    younger.delivery_status = "B"
    assert mapping.one_of_twins([younger, elder]) is younger


def test_packs_are_exact_or_left_out():
    packs = [
        wire.Alternative("A", "CS", Decimal(12), Decimal(1)),
        wire.Alternative("A", "PAK", Decimal(1), Decimal(3)),
        wire.Alternative("A", "KG", Decimal(1), Decimal(4)),
        wire.Alternative("A", "EA", Decimal(1), Decimal(1)),
        wire.Alternative("A", "BOX", Decimal(0), Decimal(1)),
    ]
    row = wire.Product("A", "EA", descriptions=wire.Descriptions([wire.Description("DE", "Ding")]))
    item = mapping.reported_item(row, packs, SETTINGS.unit_codes())
    assert {(pack.uom, pack.factor) for pack in item.packs} == {("CS", 12), ("KGM", Decimal("0.25"))}
    assert (item.name, item.base_uom, item.list_price) == ("Ding", "EA", None)


def test_stock_is_summed_over_storage_locations_and_what_belongs_to_others_is_left_out():
    def stock(kind, amount, *, special="", batch="", at="0001"):
        return wire.Stock("A", "1710", at, batch, kind, special, "PC", Decimal(amount))

    rows = [
        stock("01", "1.5"), stock("01", "2", at="0002"), stock("02", "3"), stock("07", "4"),
        stock("01", "9", batch="B"), stock("01", "5", special="K"), stock("04", "6"), stock("03", "0"),
    ]  # fmt: skip
    found = mapping.figures(rows, {**SETTINGS.unit_codes(), "PC": "EA"})
    assert {(figure.bucket, figure.lot, figure.amount, figure.uom) for figure in found} == {
        (Bucket.SELLABLE, None, Decimal("3.5"), "EA"), (Bucket.QUALITY_HOLD, None, Decimal(3), "EA"),
        (Bucket.DAMAGED, None, Decimal(4), "EA"), (Bucket.SELLABLE, "B", Decimal(9), "EA"),
    }  # fmt: skip


def test_a_block_of_the_partner_or_of_its_sales_area_stops_new_orders():
    partner = wire.Partner("1", "1", "Müller")
    assert not mapping.customer_account("1", partner, None).hold
    assert mapping.customer_account("1", partner, wire.SalesArea("1", "NT30", "01")).hold
    partner.blocked = True
    assert mapping.reported_customer(partner, wire.SalesArea("1", "NT30")).hold
