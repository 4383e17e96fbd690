from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.item import ReportedItem
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from gateway.reference.survivorship import Ownership
from process_apis.items.models import Change, Known
from process_apis.items.rules import changes_of, plan, recounted

START = datetime(2026, 11, 22, tzinfo=UTC)


def reported(code, sku, name="name", **more):
    return ReportedItem(source_code=code, sku=sku, name=name, base_uom=more.pop("base_uom", "EA"), **more)


class Books:
    """What is known, and what follows when sources say more."""

    def __init__(self):
        self.known = Known(items={}, skus={}, codes={}, said={})
        self.owners = {}
        self.now = START

    def say(self, source, changes):
        self.now += timedelta(seconds=1)
        return plan(source, changes, self.known, self.owners, self.now, lambda: f"itm_{len(self.known.items)}")

    def list(self, source, *some):
        changes, refused = changes_of(some)
        made = self.say(source, changes)
        return made, [each.code for each in refused] + [each.code for each in made.refused]

    def item(self, item="itm_0"):
        return self.known.items[item].item


def packs(**factors):
    return tuple(UnitConversion(uom, Decimal(factor)) for uom, factor in factors.items())


def test_a_new_sku_makes_an_item_and_its_code():
    made, _ = Books().list("erp", reported("1", "A"))
    assert [item.sku for item in made.described.values()] == ["A"]
    assert made.codes == {("erp", "1"): "itm_0"}


def test_the_same_report_again_changes_nothing():
    books = Books()
    books.list("erp", reported("1", "A", packs=packs(CS="12.50")))
    made, _ = books.list("erp", reported("1", "A", packs=packs(CS="12.5")))
    assert (made.described, made.codes, made.said, made.unchanged) == ({}, {}, {}, ["1"])


def test_another_source_adds_its_code_and_counts_where_the_first_says_nothing():
    books = Books()
    books.list("erp", reported("1", "A", packs=packs(CS="12")))
    made, _ = books.list("pim", reported("P1", "A", "other name", packs=packs(CS="10", PK="3"), group="bolts"))
    assert made.codes == {("pim", "P1"): "itm_0"}
    item = books.item()
    assert (item.name, item.group, item.packs) == ("name", "bolts", packs(CS="12", PK="3"))
    assert made.changed == ["P1"]


def test_factors_of_a_source_with_another_base_unit_do_not_count():
    books = Books()
    books.list("erp", reported("1", "A"))
    _, refused = books.list("wms", reported("W1", "A", base_uom="CS", packs=packs(PX="40")))
    assert refused == []
    assert (books.item().base_uom, books.item().packs) == ("EA", ())


def test_whoever_is_ranked_better_describes_the_item_from_then_on():
    books = Books()
    books.list("erp", reported("1", "A", "of the ERP", packs=packs(CS="12"), list_price=Money(Decimal(5), "EUR")))
    books.list("pim", reported("P1", "A", "of the PIM", packs=packs(CS="10")))
    owners = {"name": Ownership(publishes=("pim",)), "packs": Ownership(publishes=("pim", "*"))}
    made = recounted(books.known, owners)
    item = made.described["itm_0"]
    assert (item.name, item.packs, item.list_price) == ("of the PIM", packs(CS="10"), Money(Decimal(5), "EUR"))
    assert recounted(books.known, {"name": Ownership(publishes=("nobody",))}).described == {}


def test_an_ownership_that_gives_two_items_one_sku_is_refused():
    books = Books()
    books.list("erp", reported("1", "A"), reported("2", "B"))
    books.say("pim", [Change(record="A", sku=None, item="itm_0", attributes={"sku": "B"})])
    made = recounted(books.known, {"sku": Ownership(publishes=("pim", "*"))})
    assert [(each.record, each.code) for each in made.refused] == [("A", "item.sku_taken")]


def test_an_item_from_before_statements_were_kept_is_as_its_publisher_said():
    books = Books()
    books.list("erp", reported("1", "A", "of the ERP", packs=packs(CS="12")))
    books.known.said.clear()
    made, _ = books.list("erp", reported("1", "A", "of the ERP", packs=packs(CS="12")))
    assert (made.said, made.unchanged) == ({}, ["1"])
    made, _ = books.list("pim", reported("P1", "A", "of the PIM"))
    assert {source for _, source in made.said} == {"erp", "pim"}
    assert books.item().name == "of the ERP"


def test_a_known_code_keeps_its_item_when_the_sku_changes():
    books = Books()
    books.list("erp", reported("1", "A"))
    made, _ = books.list("erp", reported("1", "A-new"))
    assert [(name, item.sku) for name, item in made.described.items()] == [("itm_0", "A-new")]


def test_a_sku_that_another_item_has_is_refused():
    books = Books()
    books.list("erp", reported("1", "A"), reported("2", "B"))
    assert books.list("erp", reported("1", "B"))[1] == ["item.sku_taken"]


def test_a_base_unit_never_changes_for_stock_is_counted_in_it():
    books = Books()
    books.list("erp", reported("1", "A"))
    made, refused = books.list("erp", reported("1", "A", "renamed", base_uom="KGM"))
    assert (refused, made.described, made.said) == (["item.base_unit_fixed"], {}, {})


def test_what_a_person_takes_back_lets_the_next_one_count():
    books = Books()
    books.list("erp", reported("1", "A", "of the ERP"))
    books.say("steward", [Change(record="A", sku="A", attributes={"name": "of a person", "pack:CS": "6"})])
    assert (books.item().name, books.item().packs) == ("of a person", packs(CS="6"))
    books.say("steward", [Change(record="A", sku=None, item="itm_0", attributes={}, whole=True)])
    assert (books.item().name, books.item().packs) == ("of the ERP", ())


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (reported("1", " "), "item.incomplete"),
        (reported("1", "A" * 65), "item.sku_unfit"),
        (reported("1", "A\u0085"), "item.sku_unfit"),
        (reported("1", "A", base_uom="KG"), "item.unit_unknown"),
        (reported("1", "A", packs=packs(EA="2")), "item.unit_repeated"),
        (reported("1", "A", packs=packs(CS="0")), "item.factor_invalid"),
        (reported("1", "A", packs=packs(CS="NaN")), "item.factor_invalid"),
    ],
)
def test_what_cannot_be_taken_says_why(item, code):
    made, refused = Books().list("erp", item)
    assert refused == [code]
    assert made.described == {}


def test_an_item_is_taken_without_a_unit_that_nobody_knows_and_the_report_names_the_nearest():
    changes, refused = changes_of([reported("1", "A", packs=packs(CS="12", PCS="1"))])
    assert [(each.code, "nearest: H87" in each.detail) for each in refused] == [("item.unit_unknown", True)]
    assert {name for name in changes[0].attributes if name.startswith("pack:")} == {"pack:CS"}


def test_a_code_listed_twice_is_taken_once():
    assert Books().list("erp", reported("1", "A"), reported("1", "B"))[1] == ["item.code_repeated"]


def test_a_sku_that_a_source_lists_under_two_codes_is_taken_once():
    made, refused = Books().list("erp", reported("1", "A"), reported("2", "A", "other"))
    assert (refused, made.created) == (["item.sku_taken"], ["1"])


NAMES = st.sampled_from(["bolt", "nut", "washer"])


@given(st.lists(st.tuples(st.sampled_from(["erp", "pim", "wms"]), NAMES, st.sampled_from("236")), max_size=12))
def test_what_counts_is_the_same_whether_told_step_by_step_or_counted_anew(told):
    books = Books()
    books.owners = {
        "name": Ownership(publishes=("pim", "*")),
        "packs": Ownership(publishes=("wms",), enriches=("erp",)),
    }
    for source, name, factor in told:
        books.list(source, reported("1", "A", name, packs=packs(CS=factor)))
    assert recounted(books.known, books.owners).described == {}
