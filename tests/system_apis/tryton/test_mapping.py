from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.stock import Bucket
from gateway.kernel.errors import Rejected
from system_apis.tryton import mapping, wire
from system_apis.tryton.settings import STANDARD_UNITS, Settings
from tests.system_apis.tryton.scenarios import HOME, order

UNITS = {**STANDARD_UNITS, "cs12": "CS", "cs6": "CS"}
EACH = wire.Unit(id=1, symbol="u", factor=Decimal("1.0"), rate=Decimal("1.0"))


def unit(number: int, symbol: str, factor: str, rate: str) -> wire.Unit:
    return wire.Unit(id=number, symbol=symbol, factor=Decimal(factor), rate=Decimal(rate))


def product(**fields) -> wire.Product:
    return wire.Product(**{"id": 1, "code": "SKU-1", "name": "Widget", "default_uom": EACH, **fields})


def sale(
    number: int, *sequences: int, state: str = "processing", shipments=(), shipment_state="waiting", warehouse="WH-N"
) -> wire.Sale:
    lines = [
        wire.SaleLine(
            id=number * 10 + n, sequence=n, quantity=Decimal(1), unit_price=Decimal(1), product=wire.Code(1, "SKU-1")
        )
        for n in sequences
    ]
    return wire.Sale(
        number, str(number), "ord_1", state, shipment_state, list(shipments), lines, wire.Code(5, warehouse)
    )


def shipment(number: int, state: str, *moves: wire.Move) -> wire.Shipment:
    return wire.Shipment(number, str(number), None, state, wire.Code(5, "WH-N"), list(moves), [])


def move(number: int, line: int, amount: str, state: str = "draft") -> wire.Move:
    return wire.Move(number, Decimal(amount), Decimal(amount), state, f"sale.line,{line}", wire.Code(1, "SKU-1"))


@given(st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1), st.integers(min_value=0, max_value=12))
def test_a_quantity_of_fifteen_digits_survives_trytons_float(digits, places):
    amount = Decimal(digits).scaleb(-places)
    assert Decimal(repr(mapping.to_float(amount))) == amount


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_a_quantity_is_carried_exactly_or_refused(amount):
    if Decimal(repr(float(amount))) == amount:
        assert Decimal(repr(mapping.to_float(amount))) == amount
    else:
        with pytest.raises(Rejected):
            mapping.to_float(amount)


@given(st.integers(min_value=1, max_value=10_000))
def test_a_case_of_n_is_n_units_whatever_rate_was_rounded(size):
    case = unit(9, "cs", f"{size}.0", str(round(1 / size, 12)))
    assert mapping.conversion(case, EACH) == size


@given(st.integers(min_value=1, max_value=1000), st.integers(min_value=1, max_value=12))
def test_packs_there_and_back_are_the_same_amount(packs, size):
    factor = mapping.conversion(unit(9, "cs", f"{size}.0", str(round(1 / size, 12))), EACH)
    assert factor is not None
    assert packs * factor / factor == packs


def test_a_gram_is_a_thousandth_of_a_kilogram():
    gram, kilogram = unit(3, "g", "0.001", "1000.0"), unit(2, "kg", "1.0", "1.0")
    assert mapping.conversion(gram, kilogram) == Decimal("0.001")
    assert mapping.conversion(kilogram, gram) == Decimal(1000)


def test_a_factor_that_no_decimal_says_exactly_makes_no_pack():
    third = unit(9, "cs3", "0.333333333333", "3.0")
    assert mapping.conversion(third, EACH) is None
    item = mapping.reported_item(product(purchase_uom=third), UNITS, "USD")
    assert item is not None
    assert item.packs == ()


def test_an_item_names_its_packs_by_rec_20():
    case = unit(37, "cs12", "12.0", "0.083333333333")
    item = mapping.reported_item(product(purchase_uom=case, list_price_used=Decimal("9.95"), salable=1), UNITS, "USD")
    assert item is not None
    assert (item.base_uom, item.packs[0].uom, item.packs[0].factor) == ("EA", "CS", Decimal(12))
    assert item.sellable
    assert str(item.list_price.amount) == "9.95"


def test_two_sizes_under_one_code_are_not_confused():
    six, twelve = unit(36, "cs6", "6.0", "0.166666666667"), unit(37, "cs12", "12.0", "0.083333333333")
    item = mapping.reported_item(product(sale_uom=six, purchase_uom=twelve), UNITS, "USD")
    assert item is not None
    assert [(pack.uom, pack.factor) for pack in item.packs] == [("CS", Decimal(6))]


def test_an_item_without_a_code_cannot_be_named():
    assert mapping.reported_item(product(code=None), UNITS, "USD") is None


def test_an_unknown_unit_keeps_its_own_symbol():
    assert mapping.unit_code("drum", UNITS) == "drum"


def test_settings_add_to_the_standard_units():
    settings = Settings(base_url="", database="", user="", password="env:X", units={"drum": "DR"})
    assert settings.unit_codes()["drum"] == "DR"
    assert settings.unit_codes()["kg"] == "KGM"


def test_figures_leave_zeros_to_silence_and_keep_negatives():
    rows = [wire.Stock(1, "A/B", Decimal("0.0"), EACH), wire.Stock(2, "C#", Decimal("-2.0"), EACH)]
    (figure,) = mapping.figures(rows, "WH-N", Bucket.SELLABLE, UNITS)
    assert (figure.source_item, figure.amount, figure.uom) == ("C#", Decimal(-2), "EA")


def test_a_line_in_another_unit_than_trytons_is_refused():
    with pytest.raises(Rejected) as refused:
        mapping.sale_line(order("o", ("SKU-1", "1", "WH-N"), uom="CS").lines[0], product(), UNITS)
    assert refused.value.code == "erp.unit_mismatch"


def test_a_line_carries_our_number_price_and_the_categorys_taxes():
    taxed = product(account_category=wire.Category(1, [7]))
    line = mapping.sale_line(order("o", ("SKU-1", "2.5", "WH-N")).lines[0], taxed, UNITS)
    assert (line["sequence"], line["quantity"], line["unit_price"]) == (1, 2.5, Decimal("9.9513"))
    assert line["taxes"] == [("add", [7])]


def test_an_order_is_split_by_warehouse_and_keeps_its_lines():
    asked = order("o", ("A", "1", "WH-N"), ("B", "1", "WH-W"), ("C", "1", "WH-N"))
    groups = mapping.by_warehouse(asked)
    assert {code: [line.sku for line in lines] for code, lines in groups.items()} == {"WH-N": ["A", "C"], "WH-W": ["B"]}


def test_an_address_is_recognised_whether_or_not_tryton_repeats_the_partys_name():
    known = wire.Address(1, None, "1 Main Street", "Springfield", "62701", wire.Code(1, "US"))
    assert mapping.same_place(known, HOME, "Retail Partner")
    assert not mapping.same_place(known, HOME, "Another Party")


def test_the_sales_of_two_warehouses_are_no_twins():
    assert mapping.twins([sale(1, 1, 2), sale(2, 3)]) == []


def test_a_line_that_leaves_from_two_warehouses_has_no_twin():
    north, west = sale(1, 1, warehouse="WH-N"), sale(2, 1, warehouse="WH-W")
    assert mapping.twins([north, west]) == []
    assert [row.id for row in mapping.twins([north, west, sale(3, 1, warehouse="WH-W")])] == [3]


def test_the_younger_of_two_sales_of_the_same_line_is_the_twin():
    assert [row.id for row in mapping.twins([sale(8, 1), sale(5, 1), sale(6, 2), sale(9, 2)])] == [9, 8]


def test_of_two_sales_of_the_same_line_the_one_that_is_less_far_on_is_the_twin():
    assert [row.id for row in mapping.twins([sale(5, 1, state="draft"), sale(8, 1)])] == [5]
    assert [row.id for row in mapping.twins([sale(5, 1), sale(8, 1, state="draft")])] == [8]


def test_a_processed_sale_counts_as_cancelled_when_nothing_will_be_shipped():
    gone = sale(1, 1, shipments=[4], shipment_state="none", state="done")
    assert mapping.is_cancelled(gone, [shipment(4, "cancelled")])
    assert not mapping.is_cancelled(sale(1, 1, shipments=[4], shipment_state="exception"), [shipment(4, "cancelled")])
    assert not mapping.is_cancelled(sale(1, 1, shipment_state="none"), [])


def test_an_order_is_ready_when_every_sale_of_it_is():
    described = mapping.system_order("ord_1", [sale(1, 1), sale(2, 2, state="quotation")], [])
    assert (described.number, described.state, described.ready) == ("1+2", "processing+quotation", False)


def test_a_shipment_tells_our_lines_and_leaves_out_what_others_added():
    rows = shipment(4, "done", move(1, 11, "3"), move(2, 11, "2"), move(3, 99, "5"), move(4, 12, "1", "cancelled"))
    told = mapping.system_shipment(rows, {"sale.line,11": 1, "sale.line,12": 2})
    assert [(line.line, line.amount) for line in told.lines] == [(1, Decimal(5))]


def test_a_sale_with_other_lines_is_not_the_order():
    asked = order("o", ("SKU-1", "1", "WH-N"))
    assert not mapping.holds([sale(1, 1)], asked)
    same = sale(1, 1)
    same.lines[0].unit_price = Decimal("9.9513")
    assert mapping.holds([same], asked)


def test_our_prefix_is_taken_literally_in_trytons_pattern():
    assert "ord\\\\_%" in repr(mapping.foreign_demand("ord_"))
