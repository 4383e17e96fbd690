from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gateway.canonical.item import Item, ReportedItem
from gateway.canonical.kit import Component
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict, NotFound
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, import_rows
from process_apis.items.kit_rules import LAYOUT, Recipe, unfit
from process_apis.items.kits import Kits

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ONE = Decimal(1)
ITEMS = {sku: Item(item=sku, sku=sku, name=sku, base_uom="EA") for sku in "ABCKL"} | {
    "M": Item(item="M", sku="M", name="M", base_uom="KGM")
}
CALLER = Caller(
    principal=Principal(
        tenant="acme", subject="steward", credential="c", zones=frozenset({Zone.PROCESS}), scopes=frozenset()
    ),
    request_id="r",
    correlation_id="c",
    deadline=float("inf"),
)


def recipe(kit, *parts, at=NOW):
    return Recipe(kit, at, tuple(Component(item, Decimal(amount)) for item, amount in parts))


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (recipe("K", ("A", 2), ("M", "0.5")), None),
        (recipe("K"), None),
        (recipe("K", ("K", 1)), "kit.contains_itself"),
        (recipe("K", ("A", 1), ("A", 2)), "kit.component_repeated"),
        (recipe("K", ("Z", 1)), "kit.component_unknown"),
        (recipe("K", ("A", 0)), "kit.amount_invalid"),
        (recipe("K", ("A", "0.5")), "kit.amount_invalid"),
        (recipe("M", ("A", 1)), "kit.not_counted"),
        (recipe("K", ("L", 1)), "kit.nested"),
        (recipe("C", ("A", 1)), "kit.nested"),
        (recipe("K", ("A", 1), at=NOW - timedelta(seconds=1)), "kit.backdated"),
        (recipe("K", *((f"I{n}", 1) for n in range(21))), "kit.too_many_components"),
    ],
)
def test_a_kit_is_made_of_other_known_items_that_are_no_kits_in_amounts_that_exist(wanted, code):
    others = [recipe("L", ("C", 1), at=NOW + timedelta(days=9))]
    found = unfit(wanted, ITEMS, others, NOW)
    assert (found and found.code) == code


class DayClock(SystemClock):
    days = 0

    def now(self):
        return super().now() + timedelta(days=self.days)

    def monotonic(self):
        return super().monotonic() + self.days * 86_400


@pytest.fixture
def clock():
    return DayClock()


@pytest.fixture
async def kits(store, clock, items):
    reported = [ReportedItem(source_code=sku, sku=sku, name=sku, base_uom=ITEMS[sku].base_uom) for sku in ITEMS]
    await items.adopt("acme", "erp", reported, correlation_id="c")
    return Kits(store, clock, items)


async def ids(items):
    return {sku: item.item for sku, item in (await items.by_sku("acme", list(ITEMS))).items()}


@pytest.mark.integration
async def test_what_a_kit_is_made_of_has_dates_and_is_told_when_it_begins(store, clock, items, kits):
    known = await ids(items)
    part = [Component(known["A"], Decimal(2)), Component(known["B"], ONE)]
    await kits.change(CALLER, known["K"], part, effective_from=None, note="first")
    await kits.change(CALLER, known["K"], part, effective_from=None, note="the same again is nothing")
    soon = clock.now() + timedelta(days=1)
    await kits.change(CALLER, known["K"], [Component(known["C"], ONE)], effective_from=soon, note="")
    other = Kits(store, clock, items)
    book = await other.book("acme")
    assert {each.item for each in book.kits[known["K"]].components} == {known["A"], known["B"]}
    assert await kits.tell_begun() == 0
    clock.days = 1
    assert (await other.book("acme")).concerned(known["C"]) == (known["C"], known["K"])
    assert (await other.book("acme")).concerned(known["A"]) == (known["A"],)
    assert await kits.tell_begun() == 1
    assert await kits.tell_begun() == 0
    assert len(await kits.versions("acme", known["K"])) == 2
    told = await store.fetch("select aggregate_version from store.event where type = 'item.kit_changed' order by id")
    assert len({row["aggregate_version"] for row in told}) == 2
    assert await store.fetchval("select count(*) from store.audit where action = 'item.kit_changed'") == 2
    await kits.change(CALLER, known["K"], [], effective_from=None, note="no more")
    assert (await kits.book("acme")).kits == {}
    assert (await kits.book("other")).kits == {}


@pytest.mark.integration
async def test_kits_are_not_nested_and_another_tenant_has_none_of_them(items, kits):
    known = await ids(items)
    await kits.change(CALLER, known["K"], [Component(known["A"], ONE)], effective_from=None, note="")
    for kit, component in (("L", "K"), ("A", "B")):
        with pytest.raises(Conflict) as refused:
            await kits.change(CALLER, known[kit], [Component(known[component], ONE)], effective_from=None, note="")
        assert refused.value.code == "kit.nested"
    with pytest.raises(NotFound):
        await kits.change(CALLER, "itm_none", [], effective_from=None, note="")
    with pytest.raises(NotFound):
        await kits.versions("other", known["K"])


async def imported(kits, text, **more):
    order = Order(tenant="acme", domain="kit", source="erp", actor="erp", correlation_id="c", **more)
    return await import_rows(kits.store, kits, read_rows(io.BytesIO(text.encode()), LAYOUT), order)


@pytest.mark.integration
async def test_a_file_of_kits_is_taken_whole_and_again_changes_nothing(items, kits):
    known = await ids(items)
    text = "sku,component:1,amount:1,component:2,amount:2\nK,A,2,B,1\nL,C,1,,\n"
    assert (await imported(kits, text, dry_run=True)).created == 2
    assert (await kits.book("acme")).kits == {}
    first, again = await imported(kits, text), await imported(kits, text)
    assert (first.created, first.applied, again.unchanged, again.applied) == (2, True, 2, False)
    kits._forget("acme")
    book = await kits.book("acme")
    assert set(book.kits[known["K"]].components) == {(known["A"], 2), (known["B"], 1)}
    wrong = "sku,component:1,amount:1\nK,L,1\nA,B,\nZ,B,1\nB,Q,1\nM,B,1\n"
    report = await imported(kits, wrong, partial=True)
    assert [each.code for each in report.refused] == [
        "kit.nested", "kit.amount_missing", "kit.unknown", "kit.component_unknown", "kit.not_counted",
    ]  # fmt: skip
    gone = await imported(kits, "sku\nL\n")
    assert (gone.changed, gone.refusals) == (1, 0)
