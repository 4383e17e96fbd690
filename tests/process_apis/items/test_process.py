from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.capabilities import Call, Page
from gateway.canonical.item import ReportedItem
from gateway.kernel.errors import Conflict, NotFound, Unavailable
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from gateway.reference.readings import readings, refusals
from process_apis.items import known
from process_apis.items.models import DOMAIN
from process_apis.items.process import Items

pytestmark = pytest.mark.integration
CALL = Call(tenant="acme", correlation_id="c", deadline=float("inf"))
ODD = "A/1 #é %2F"


class Reader:
    """A system with its items in pages of two."""

    def __init__(self, items):
        self.items = items

    async def read_items(self, call, *, cursor=None, limit=200):
        start = int(cursor or 0)
        page = self.items[start : start + 2]
        return Page(tuple(page), str(start + 2) if start + 2 < len(self.items) else None)


def reported(code, sku, name="name", **more):
    more.setdefault("packs", (UnitConversion("CS", Decimal("12.5")), UnitConversion("BX", Decimal(3))))
    more.setdefault("list_price", Money(Decimal("1.2300"), "EUR"))
    return ReportedItem(source_code=code, sku=sku, name=name, base_uom="EA", **more)


async def test_sync_reads_every_page_and_again_changes_nothing(items, store):
    reader = Reader([reported(str(n), ODD if n == 3 else f"SKU-{n}") for n in range(5)])
    first = await items.sync(CALL, "erp", reader)
    version = await store.fetchval("select version from items.catalogue where tenant = 'acme'")
    again = await items.sync(CALL, "erp", reader)
    # Copies of the items look again for what changed when this moves.
    assert await store.fetchval("select version from items.catalogue where tenant = 'acme'") == version > 0
    assert (first.created, first.changed, first.unchanged) == (5, 0, 0)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 5)
    assert await store.fetchval("select count(*) from store.event where type = 'item.changed'") == 5
    item = (await items.by_sku("acme", [ODD, "none"]))[ODD]
    assert (await items.by_source("acme", "erp", ["3", "9"])) == {"3": item}
    assert item.list_price == Money(Decimal("1.23"), "EUR")
    assert item.factor("CS").factor == Decimal("12.5")
    assert await items.source_codes("acme", "erp", [item.item]) == {item.item: "3"}


async def test_it_is_known_of_which_systems_the_items_were_asked_at_least_once(items):
    class Down:
        async def read_items(self, call, *, cursor=None, limit=200):
            raise Unavailable("the ERP is down")

    assert await items.were_asked("acme", [])
    assert not await items.were_asked("acme", ["erp"])
    await items.sync(CALL, "erp", Reader([reported("1", "A")]))
    assert await items.were_asked("acme", ["erp"])
    assert not await items.were_asked("acme", ["erp", "other"])
    with pytest.raises(Unavailable):
        await items.sync(CALL, "other", Down())
    assert await items.were_asked("acme", ["erp", "other"])


async def test_several_syncs_at_once_make_each_item_once(store, clock):
    reader = Reader([reported(str(n), f"SKU-{n}") for n in range(6)])
    syncs = (Items(store, clock).sync(CALL, "erp", reader) for _ in range(5))
    ended = await asyncio.gather(*syncs, return_exceptions=True)
    # The one that began last goes on; who was overtaken is told so.
    stopped = {getattr(each, "code", "read") for each in ended}
    assert "read" in stopped <= {"read", "reference.reading_taken_over"}
    assert await store.fetchval("select count(*) from items.item") == 6


async def test_an_older_page_never_overwrites_what_a_newer_reading_said(items, store, clock):
    class Overtaken(Reader):
        async def read_items(self, call, *, cursor=None, limit=200):
            page = await super().read_items(call, cursor=cursor, limit=limit)
            await Items(store, clock).sync(CALL, "erp", Reader([reported("1", "A", "new")]))
            return page

    with pytest.raises(Conflict) as caught:
        await items.sync(CALL, "erp", Overtaken([reported("1", "A", "old")]))
    assert caught.value.code == "reference.reading_taken_over"
    assert (await items.by_sku("acme", ["A"]))["A"].name == "new"


async def test_what_of_a_list_is_refused_stays_told_until_it_is_mended_or_gone(items, store):
    strange = reported("2", "B", packs=(UnitConversion("??", Decimal(3)),))
    reader = Reader([reported("1", "A"), strange, reported("3", "tab\t"), reported("1", "A")])
    assert len((await items.sync(CALL, "erp", reader)).refused) == 2
    told = [(each.record, each.attribute, each.code) for each in await refusals(store, "acme", DOMAIN)]
    assert told == [("2", "packs", "item.unit_unknown"), ("3", "sku", "item.sku_unfit")]
    (known,) = await readings(store, "acme", DOMAIN)
    assert (known.source, known.listed, known.created, known.refused) == ("erp", 4, 2, 2)
    await items.sync(CALL, "erp", Reader([reported("2", "B")]))
    assert await refusals(store, "acme", DOMAIN) == []


async def test_another_process_sees_a_change_within_a_second(items, store, clock):
    await items.adopt("acme", "erp", [reported("1", "A", "before")], correlation_id="c")
    other = Items(store, clock)
    item = (await other.by_sku("acme", ["A"]))["A"]
    await items.adopt("acme", "erp", [reported("1", "B", "after", packs=())], correlation_id="c")
    assert (await items.get("acme", item.item)).name == "after"
    assert (await other.get("acme", item.item)).name == "before"
    clock.ahead = 1.1
    assert (await other.get("acme", item.item)).name == "after"
    assert (await other.get("acme", item.item)).packs == ()
    assert await other.by_sku("acme", ["A"]) == {}
    versions = await store.fetch("select aggregate_version from store.event order by id")
    assert [row["aggregate_version"] for row in versions] == [1, 2]


async def test_cross_references_give_other_systems_their_codes(items, clock):
    await items.adopt("acme", "erp", [reported("1", "A"), reported("2", "B")], correlation_id="c")
    unknown = await items.cross_reference("acme", "wms", {"W-1": "A", "W-9": "Z"}, correlation_id="c")
    assert unknown == ["W-9"]
    assert (await items.by_source("acme", "wms", ["W-1"]))["W-1"].sku == "A"
    await items.cross_reference("acme", "wms", {"W-1": "B"}, correlation_id="c")
    assert (await items.by_source("acme", "wms", ["W-1"]))["W-1"].sku == "B"


async def test_a_copy_that_is_full_takes_nothing_for_unknown(items, store, clock, monkeypatch):
    await items.adopt("acme", "erp", [reported(str(n), f"S{n}") for n in range(6)], correlation_id="c")
    monkeypatch.setattr(known, "_LIMIT", 4)
    copy = Items(store, clock)
    for codes in (["0", "1", "2"], ["2", "3", "4", "5"], ["5", "0"]):
        found = await copy.by_source("acme", "erp", codes)
        assert [found[code].sku for code in codes] == [f"S{code}" for code in codes]
        ids = [item.item for item in found.values()]
        assert list(await copy.by_id("acme", ids)) == ids
        assert len(await copy.by_sku("acme", [f"S{code}" for code in codes])) == len(codes)
    answers = await asyncio.gather(*(copy.by_source("acme", "erp", [str(n), str(n + 1)]) for n in range(5)))
    assert [len(found) for found in answers] == [2] * 5


async def test_tenants_see_their_own_items_only(items):
    await items.adopt("acme", "erp", [reported("1", "A")], correlation_id="c")
    item = (await items.by_sku("acme", ["A"]))["A"].item
    assert await items.by_id("other", [item]) == {}
    with pytest.raises(NotFound):
        await items.get("other", item)


async def test_items_are_listed_in_pages(items):
    await items.adopt("acme", "erp", [reported(str(n), f"S{n}") for n in range(5)], correlation_id="c")
    seen, after = [], None
    while page := await items.list_items("acme", after=after, limit=2):
        seen += [item.sku for item in page]
        after = page[-1].item
    assert sorted(seen) == [f"S{n}" for n in range(5)]


async def test_known_items_are_answered_from_the_copy_while_the_record_is_away(items, store, clock):
    await items.adopt("acme", "erp", [reported("1", "A")], correlation_id="c")
    item = (await items.by_sku("acme", ["A"]))["A"]
    await store.close()
    clock.ahead = 5
    assert await items.by_id("acme", [item.item]) == {item.item: item}
    await store.open()


async def test_a_factor_that_changes_holds_from_then_on_and_not_for_what_happened_before(items, clock, store):
    def packs(*factors):
        return tuple(UnitConversion(uom, Decimal(factor)) for uom, factor in factors)

    await items.adopt("acme", "erp", [reported("1", "A", packs=packs(("CS", 12), ("BX", 3)))], correlation_id="c")
    first = (await items.by_sku("acme", ["A"]))["A"]
    assert first.dated == ()
    changed = reported("1", "A", packs=packs(("CS", 10), ("PL", 100)))
    report = await items.adopt("acme", "erp", [changed], correlation_id="c")
    assert report.changed == 1
    clock.ahead = 1.1
    item = await items.get("acme", first.item)
    before, after = first_change(item) - timedelta(seconds=1), first_change(item)
    assert [item.factor(uom).factor for uom in ("CS", "PL", "EA")] == [10, 100, 1]
    assert item.factor("BX") is None
    assert [item.factor(uom, before).factor for uom in ("CS", "BX", "PL")] == [12, 3, 100]
    assert [item.factor("CS", after).factor, item.factor("BX", after)] == [10, None]
    again = await items.adopt("acme", "erp", [changed], correlation_id="c")
    assert (again.changed, again.unchanged) == (0, 1)
    back = reported("1", "A", packs=packs(("CS", 12), ("BX", 3)))
    await items.adopt("acme", "erp", [back], correlation_id="c")
    clock.ahead = 2.2
    item = await items.get("acme", first.item)
    assert [item.factor(uom).factor for uom in ("CS", "BX")] == [12, 3]
    assert item.factor("CS", after).factor == 10
    assert await store.fetchval("select count(*) from items.pack") == 6


def first_change(item):
    return min(pack.valid_until for pack in item.dated if pack.valid_until is not None)
