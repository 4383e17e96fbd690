from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.canonical.item import ReportedItem
from gateway.kernel.quantity import UnitConversion
from process_apis.items.models import Known, KnownItem, item_of_report
from process_apis.items.rules import plan


def reported(code, sku, name="name", **more):
    return ReportedItem(source_code=code, sku=sku, name=name, base_uom=more.pop("base_uom", "EA"), **more)


def planned(source, some, known=()):
    ids = iter(f"itm_{n}" for n in range(9))
    entries = [KnownItem(item_of_report(f"itm_{each.sku}", each), "erp", 1) for each in known]
    by_code = {each.source_code: entry for each, entry in zip(known, entries, strict=True)} if source == "erp" else {}
    return plan(source, some, Known(by_code=by_code, by_sku={e.item.sku: e for e in entries}), lambda: next(ids))


def test_a_new_sku_makes_an_item_and_its_code():
    made = planned("erp", [reported("1", "A")])
    assert [item.sku for item in made.described] == ["A"]
    assert made.codes == {"1": "itm_0"}


def test_the_same_report_again_changes_nothing():
    made = planned("erp", [reported("1", "A")], [reported("1", "A")])
    assert (made.described, made.codes, made.unchanged) == ([], {}, 1)


def test_another_source_adds_its_code_and_does_not_describe():
    made = planned("wms", [reported("W1", "A", "other name")], [reported("1", "A")])
    assert (made.described, made.codes, made.touched) == ([], {"W1": "itm_A"}, ["itm_A"])


def test_a_known_code_keeps_its_item_when_the_sku_changes():
    made = planned("erp", [reported("1", "A-new")], [reported("1", "A")])
    assert [(item.item, item.sku) for item in made.described] == [("itm_A", "A-new")]


def test_a_sku_that_another_item_has_is_refused():
    made = planned("erp", [reported("1", "B")], [reported("1", "A"), reported("2", "B")])
    assert [refused.code for refused in made.refused] == ["item.sku_taken"]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (reported("1", " "), "item.incomplete"),
        (reported("1", "A" * 65), "item.sku_unfit"),
        (reported("1", "A\u0085"), "item.sku_unfit"),
        (reported("1", "A", packs=(UnitConversion("EA", Decimal(2)),)), "item.unit_repeated"),
        (reported("1", "A", packs=(UnitConversion("CS", Decimal(0)),)), "item.factor_invalid"),
        (reported("1", "A", packs=(UnitConversion("CS", Decimal("NaN")),)), "item.factor_invalid"),
    ],
)
def test_what_cannot_be_taken_says_why(item, code):
    made = planned("erp", [item])
    assert [refused.code for refused in made.refused] == [code]
    assert made.described == []


def test_a_code_listed_twice_is_taken_once():
    made = planned("erp", [reported("1", "A"), reported("1", "B")])
    assert [refused.code for refused in made.refused] == ["item.code_repeated"]
