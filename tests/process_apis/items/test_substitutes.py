from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gateway.canonical.item import Item, ReportedItem
from gateway.canonical.kit import Component
from gateway.canonical.substitute import ListedSubstitute, Substitute, substitute_book
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict, NotFound
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, import_rows
from process_apis.items.kits import Kits
from process_apis.items.substitute_rules import LAYOUT, Listing, unfit
from process_apis.items.substitutes import Substitutes

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ITEMS = {sku: Item(item=sku, sku=sku, name=sku, base_uom="EA") for sku in "ABCK"} | {
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


def listed(item, factor=1, both_ways=False, *channels):
    return ListedSubstitute(item, Decimal(str(factor)), both_ways, channels)


@pytest.mark.parametrize(
    ("item", "substitutes", "at", "code"),
    [
        ("A", [listed("B", "0.1", True), listed("M", "0.25")], NOW, None),
        ("A", [], NOW, None),
        ("A", [listed("A")], NOW, "substitute.itself"),
        ("A", [listed("B"), listed("B", 2)], NOW, "substitute.repeated"),
        ("A", [listed("Z")], NOW, "substitute.unknown"),
        ("A", [listed("B", 0)], NOW, "substitute.factor_invalid"),
        ("A", [listed("B", 3, True)], NOW, "substitute.one_way_only"),
        ("A", [listed("M", 1, True)], NOW, "substitute.not_counted"),
        ("M", [listed("A")], NOW, "substitute.not_counted"),
        ("A", [listed("K")], NOW, "substitute.kit"),
        ("K", [listed("A")], NOW, "substitute.kit"),
        ("A", [listed("B")], NOW - timedelta(seconds=1), "substitute.backdated"),
        ("A", [listed(f"I{n}") for n in range(11)], NOW, "substitute.too_many"),
    ],
)
def test_what_may_stand_in_is_a_known_item_that_is_no_kit_in_an_amount_that_exists(item, substitutes, at, code):
    found = unfit(Listing(item, at, tuple(substitutes)), ITEMS, {"K"}.__contains__, NOW)
    assert (found and found.code) == code


def test_the_other_way_round_comes_after_what_an_item_lists_itself_and_channels_have_their_own():
    tenth, half = Decimal("0.1"), Decimal("0.5")
    book = substitute_book([("A", [listed("B", tenth, True, "web"), listed("C")]), ("B", [listed("C", half)])])
    assert book.of("A", "web") == (Substitute("B", tenth, Decimal(10), ("web",)), Substitute("C", Decimal(1)))
    assert book.of("A", "shop") == (Substitute("C", Decimal(1)),)
    assert [each.item for each in book.of("B", "web")] == ["C", "A"]
    assert [(each.factor, each.step) for each in book.of("B", "web")] == [(half, 2), (10, 1)]
    assert book.of("C", "web") == ()


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
async def known(items):
    reported = [ReportedItem(source_code=sku, sku=sku, name=sku, base_uom=ITEMS[sku].base_uom) for sku in ITEMS]
    await items.adopt("acme", "erp", reported, correlation_id="c")
    return {sku: item.item for sku, item in (await items.by_sku("acme", list(ITEMS))).items()}


async def change(substitutes, item, listed, at=None):
    return await substitutes.change(CALLER, item, listed, effective_from=at, note="")


@pytest.mark.integration
async def test_what_stands_in_has_dates_is_audited_and_told_and_is_nobody_elses(store, clock, items, known):
    kits = Kits(store, clock, items)
    substitutes = Substitutes(store, clock, items, kits)
    both = [listed(known["B"], 2, True, "web"), listed(known["M"], "0.25")]
    await change(substitutes, known["A"], both)
    await change(substitutes, known["A"], both)
    await change(substitutes, known["A"], [listed(known["C"])], clock.now() + timedelta(days=1))
    other = Substitutes(store, clock, items, kits)
    book = await other.book("acme")
    assert [(each.item, each.factor, each.step) for each in book.of(known["A"], "web")] == [
        (known["B"], 2, 1), (known["M"], Decimal("0.25"), 1),
    ]  # fmt: skip
    assert [(each.item, each.step) for each in book.of(known["B"], "web")] == [(known["A"], 2)]
    clock.days = 1
    assert [each.item for each in (await other.book("acme")).of(known["A"], "web")] == [known["C"]]
    assert (await other.book("acme")).of(known["B"], "web") == ()
    versions = await substitutes.versions("acme", known["A"])
    assert [[each.item for each in row["listed"]] for row in versions] == [[known["C"]], [known["B"], known["M"]]]
    told = "select count(*) from store.event where type = 'item.substitutes_changed'"
    assert await store.fetchval(told) == 2
    assert await store.fetchval("select count(*) from store.audit where action = 'item.substitutes_changed'") == 2
    assert (await substitutes.book("other")).lists == {}
    with pytest.raises(NotFound):
        await substitutes.versions("other", known["A"])
    with pytest.raises(NotFound):
        await change(substitutes, "itm_none", [])
    await kits.change(CALLER, known["K"], [Component(known["A"], Decimal(1))], effective_from=None, note="")
    with pytest.raises(Conflict) as refused:
        await change(substitutes, known["B"], [listed(known["K"])])
    assert refused.value.code == "substitute.kit"


@pytest.mark.integration
async def test_a_file_of_substitutes_is_taken_whole_and_again_changes_nothing(store, clock, items, known):
    substitutes = Substitutes(store, clock, items, Kits(store, clock, items))

    async def imported(text, **more):
        order = Order(tenant="acme", domain="substitute", source="erp", actor="erp", correlation_id="c", **more)
        return await import_rows(store, substitutes, read_rows(io.BytesIO(text.encode()), LAYOUT), order)

    text = (
        "sku,substitute:2,substitute:1,factor:1,both_ways:1,channels:1\n"
        "A,C,B,0.1,yes,web; shop\nB,,C,,,\n"
    )  # fmt: skip
    assert (await imported(text, dry_run=True)).created == 2
    assert (await substitutes.book("acme")).lists == {}
    first, again = await imported(text), await imported(text)
    assert (first.created, first.applied, again.unchanged, again.applied) == (2, True, 2, False)
    book = await Substitutes(store, clock, items, Kits(store, clock, items)).book("acme")
    assert [(each.item, each.channels) for each in book.of(known["A"], "web")] == [
        (known["B"], ("shop", "web")), (known["C"], ()),
    ]  # fmt: skip
    assert [each.item for each in book.of(known["B"], "shop")] == [known["C"], known["A"]]
    wrong = "sku,substitute:1,factor:1\nA,A,1\nB,,3\nZ,B,1\nC,Q,1\nM,B,1\n"
    report = await imported(wrong, partial=True)
    assert [each.code for each in report.refused] == [
        "substitute.itself", "substitute.missing", "substitute.unknown", "substitute.unknown", "substitute.not_counted",
    ]  # fmt: skip
    assert ((await imported("sku\nB\n")).changed, (await imported("sku,both_ways:1\nB,maybe\n")).refusals) == (1, 1)
