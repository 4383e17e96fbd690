from __future__ import annotations

import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.item import ReportedItem
from gateway.kernel.clock import SystemClock
from gateway.kernel.money import Money
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, import_rows
from process_apis.items.files import gtin
from process_apis.items.process import Items

FILE = """sku,name,base_uom,list_price,currency,pack:CS,gtin,code:wms_n
A/1 #e,"Bolt, 8 mm",EA,1.25,USD,12,4006381333931,W-1
B,Nut,EA,,,,,W-2
"""


@pytest.mark.parametrize("text", ["4006381333931", "96385074", "614141000036", "10614141000415"])
def test_barcodes_are_kept_with_fourteen_digits(text):
    assert gtin(text) == text.zfill(14)


@pytest.mark.parametrize("text", ["4006381333932", "4006381333913", "1", "", "40063813339\u06631", "123456789"])
def test_a_barcode_whose_check_digit_does_not_fit_is_none(text):
    with pytest.raises(ValueError, match="GTIN"):
        gtin(text)


@given(st.integers(0, 10**13 - 1), st.integers(0, 12), st.integers(1, 9))
def test_every_mistyped_digit_is_found(number, place, by):
    body = str(number).zfill(13)
    valid = next(body + str(digit) for digit in range(10) if _holds(body + str(digit)))
    wrong = valid[:place] + str((int(valid[place]) + by) % 10) + valid[place + 1 :]
    assert not _holds(wrong)


def _holds(text):
    try:
        return gtin(text) == text
    except ValueError:
        return False


@pytest.fixture
def items(reference_store):
    return Items(reference_store, SystemClock())


@pytest.fixture
def take(items, reference_store, tenant):
    async def taken(text, **more):
        source = more.pop("source", "steward")
        order = Order(tenant=tenant, domain="item", source=source, actor="cli/kim", correlation_id="c", **more)
        return await import_rows(reference_store, items, read_rows(io.BytesIO(text.encode()), items.layout), order)

    return taken


@pytest.mark.integration
async def test_a_file_makes_items_with_packs_prices_barcodes_and_codes_and_again_changes_nothing(take, items, tenant):
    report = await take(FILE)
    assert (report.created, report.refusals, report.applied) == (2, 0, True)
    again = await take(FILE)
    assert (again.unchanged, again.changed, again.applied) == (2, 0, False)
    item = (await items.by_source(tenant, "gtin", ["04006381333931"]))["04006381333931"]
    assert (item.sku, item.name, item.list_price) == ("A/1 #e", "Bolt, 8 mm", Money(Decimal("1.25"), "USD"))
    assert item.factor("CS").factor == 12
    assert (await items.by_source(tenant, "wms_n", ["W-2"]))["W-2"].sku == "B"
    more = await take("sku,pack:CS,name\nB,6,\n")
    assert more.changed == 1
    other = Items(items.store, SystemClock())
    assert (await other.by_sku(tenant, ["B"]))["B"].name == "Nut"


@pytest.mark.integration
async def test_what_cannot_be_taken_is_told_row_by_row_and_a_row_is_taken_whole_or_not(take, items, tenant):
    described = [ReportedItem(source_code="1", sku="ERP", name="As the ERP has it", base_uom="EA")]
    await items.adopt(tenant, "erp", described, correlation_id="c")
    report = await take(
        FILE
        + "C,,EA,,,,,\n"
        + "D,Washer,EA,,,,,W-1\n"
        + "E,Pin,EA,2.00,,,,\n"
        + "F,Pin,Each,,,,,\n"
        + "G,Pin,EA,,,0,,\n"
        + "H,Pin,EA,,,,4006381333932,\n"
        + "I,Pin,CS,,,12,,\n"
        + "ERP,Mine,,,,,,W-9\n",
        partial=True,
    )
    assert [(each.line, each.column, each.code) for each in report.refused] == [
        (4, "name", "item.incomplete"),
        (5, "code:wms_n", "item.code_taken"),
        (6, "currency", "item.incomplete"),
        (7, "base_uom", "import.value"),
        (8, "pack:CS", "import.value"),
        (9, "gtin", "import.value"),
        (10, "pack:CS", "item.unit_repeated"),
    ]
    assert "nearest: EA, each" in report.refused[3].detail
    assert (report.created, report.changed, report.unchanged) == (2, 1, 0)
    assert (await Items(items.store, SystemClock()).by_sku(tenant, ["ERP"]))["ERP"].name == "Mine"
    assert (await Items(items.store, SystemClock()).by_source(tenant, "wms_n", ["W-9"]))["W-9"].sku == "ERP"


@pytest.mark.integration
async def test_a_dry_run_changes_nothing(take, items, tenant):
    assert (await take(FILE, dry_run=True)).created == 2
    assert await items.list_items(tenant, after=None, limit=9) == []
