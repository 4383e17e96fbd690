"""The adapter against the real Tryton of this session. Each test has items and references of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC
from decimal import Decimal

import pytest

from gateway.canonical.party import Address
from gateway.canonical.stock import Bucket
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, NotAuthenticated, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.ids import new_id
from system_apis.tryton import sandbox_data
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.client import Client
from system_apis.tryton.settings import Settings
from tests.system_apis.tryton.scenarios import call, order, shipped

pytestmark = pytest.mark.integration


class Meddled:
    """A line to Tryton on which somebody does something just before one call passes."""

    def __init__(self, inner, *, before, first):
        self._inner = inner
        self._before = before
        self._first = first

    async def request(self, method, path, *, body=b"", **more):
        if self._first is not None and json.loads(body)["method"] == self._before:
            first, self._first = self._first, None
            await first()
        return await self._inner.request(method, path, body=body, **more)


class Lossy:
    """A line to Tryton that loses the answer to one write, or the write itself."""

    def __init__(self, inner, *, lose: int, sent: bool):
        self._inner = inner
        self._lose = lose
        self._sent = sent
        self.writes = 0

    async def request(self, method, path, *, safe, **more):
        self.writes += not safe
        if safe or self.writes != self._lose:
            return await self._inner.request(method, path, safe=safe, **more)
        if not self._sent:
            raise Unavailable("not sent")
        await self._inner.request(method, path, safe=safe, **more)
        raise OutcomeUnknown("sent, and the answer lost")


class Overtaken:
    """A line to Tryton on which each change of a record is made by somebody else just before we make it."""

    def __init__(self, inner):
        self._inner = inner
        self.refused = 0

    async def request(self, method, path, *, safe, body=b"", **more):
        if safe or json.loads(body)["method"].endswith(".create"):
            return await self._inner.request(method, path, safe=safe, body=body, **more)
        await self._inner.request(method, path, safe=safe, body=body, **more)
        late = await self._inner.request(method, path, safe=safe, body=body, **more)
        self.refused += b"error" in late.body
        return late


async def in_the_end(act):
    """What `act` comes to, begun again whenever somebody else was faster."""
    for _ in range(12):
        try:
            return await act()
        except Unavailable as busy:
            if busy.code != "erp.changed_meanwhile":
                raise
    pytest.fail("never got through")


def also(*cases):
    """Cases that `make test` leaves to `make test-all`."""
    return [pytest.param(*case, marks=pytest.mark.long) for case in cases]


@pytest.fixture
async def admin(tryton, session):
    """Rows as Tryton has them, read past the adapter."""
    client = Client(session, database=tryton.database, user="admin", password=tryton.admin_password)

    async def rows(model, domain, fields, **context):
        return await client.search_read(call(), model, domain, fields, context={"company": 1, **context})

    return rows


@pytest.fixture
def person(tryton, session):
    """Somebody at Tryton's own client, pressing a button on the shipment of one number."""
    client = Client(session, database=tryton.database, user="admin", password=tryton.admin_password)

    async def press(number, *buttons):
        domain = [("number", "=", number)]
        (row,) = await client.search_read(call(), "stock.shipment.out", domain, ["state"], context={"company": 1})
        for button in buttons:
            await client.write(call(), f"model.stock.shipment.out.{button}", [row["id"]], context={"company": 1})

    return press


async def sales_of(admin, reference):
    return await admin(
        "sale.sale", [("reference", "=", reference), ("state", "!=", "cancelled")], ["state", "shipments"]
    )


async def test_health_tells_a_wrong_password(adapter, tryton, session, tmp_path):
    await adapter.check_health(call())
    (tmp_path / "password").write_text("wrong")
    settings = tryton.settings()
    wrong = Settings(
        base_url=tryton.url, database=settings.database, user=settings.user, password=f"file:{tmp_path / 'password'}"
    )
    with pytest.raises(NotAuthenticated):
        await Adapter("erp", wrong, session, SystemClock()).check_health(call())


async def test_odd_skus_pass_through_every_capability(adapter):
    reference = new_id("ord")
    asked = order(reference, *((sku, "1", "WH-N") for sku in sandbox_data.ODD_SKUS))
    found = await adapter.submit_order(call(), order=asked)
    assert {line.item for line in found.shipments[0].lines} == set(sandbox_data.ODD_SKUS)
    posted = await adapter.post_shipment(
        call(),
        reference=reference,
        posting=new_id("pst"),
        location="WH-N",
        lines=shipped(*((n, "1") for n in range(1, 5))),
    )
    assert posted.state == "done"


async def test_a_new_address_with_any_letters_is_added_to_the_customer_once(adapter, admin):
    place = Address(name="Zoë & Söhne", street="Gasse 5 #2\nHinterhaus", city="Köln", postal_code="50667", country="DE")
    for _ in range(2):
        await adapter.submit_order(
            call(), order=order(new_id("ord"), ("SKU-0030", "1", "WH-N"), sold_to="CUST2", ship_to=place)
        )
    found = await admin("party.address", [("city", "=", "Köln")], ["street", "party_name", "country.code"])
    assert [(row["street"], row["party_name"]) for row in found] == [(place.street, place.name)]


async def test_a_price_and_a_weight_arrive_to_the_last_digit(adapter, admin):
    reference = new_id("ord")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0181", "12.35", "WH-N"), uom="KGM"))
    (line,) = await admin("sale.line", [("sale.reference", "=", reference)], ["quantity", "unit_price"])
    assert (line["quantity"], line["unit_price"]) == (Decimal("12.35"), Decimal("9.9513"))


async def test_stock_follows_a_shipment_and_agrees_with_trytons_own_figure(adapter, admin):
    reference, sku = new_id("ord"), "SKU-0031"
    await adapter.submit_order(call(), order=order(reference, (sku, "10", "WH-W")))
    await adapter.post_shipment(
        call(), reference=reference, posting=new_id("pst"), location="WH-W", lines=shipped((1, "4"))
    )
    snapshot = await adapter.read_stock(call(), locations=["WH-W"])
    figures = {f.bucket: f.amount for f in snapshot.figures if f.source_item == sku}
    assert figures == {Bucket.SELLABLE: Decimal(36)}
    (zone,) = await admin("stock.location", [("code", "=", "WH-W")], ["storage_location"])
    (own,) = await admin("product.product", [("code", "=", sku)], ["quantity"], locations=[zone["storage_location"]])
    assert own["quantity"] == 36


async def test_goods_that_left_are_booked_even_where_tryton_counts_none(adapter):
    reference, sku = new_id("ord"), sandbox_data.NONE_ANYWHERE[0]
    await adapter.submit_order(call(), order=order(reference, (sku, "5", "WH-N")))
    posted = await adapter.post_shipment(
        call(), reference=reference, posting=new_id("pst"), location="WH-N", lines=shipped((1, "5"))
    )
    assert posted.state == "done"
    snapshot = await adapter.read_stock(call(), locations=["WH-N"])
    assert [f.amount for f in snapshot.figures if f.source_item == sku] == [Decimal(-5)]


@pytest.mark.parametrize(("lose", "sent"), [(2, False), (3, True), *also((1, True), (1, False), (2, True), (3, False))])
async def test_an_order_cut_off_at_any_step_is_finished_as_one_sale(tryton, session, adapter, admin, lose, sent):
    reference = new_id("ord")
    asked = order(reference, ("SKU-0032", "2", "WH-N"), ("SKU-0033", "1", "WH-W"))
    lossy = Adapter("erp", tryton.settings(), Lossy(session, lose=lose, sent=sent), SystemClock())
    with pytest.raises(OutcomeUnknown if sent else Unavailable):
        await lossy.submit_order(call(), order=asked)
    finished = await adapter.submit_order(call(), order=asked)
    assert finished.ready
    sales = await sales_of(admin, reference)
    assert [(sale["state"], len(sale["shipments"])) for sale in sales] == [("processing", 1), ("processing", 1)]


@pytest.mark.parametrize(
    ("lose", "sent"),
    [(3, False), (4, True), *also((1, True), (1, False), (2, True), (2, False), (3, True), (4, False), (5, True))],
)
async def test_a_posting_cut_off_at_any_step_ships_once(tryton, session, adapter, lose, sent):
    reference, posting = new_id("ord"), new_id("pst")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0034", "3", "WH-N"), ("SKU-0035", "1", "WH-N")))
    lossy = Adapter("erp", tryton.settings(), Lossy(session, lose=lose, sent=sent), SystemClock())
    told = {"reference": reference, "posting": posting, "location": "WH-N", "lines": shipped((1, "2"))}
    with pytest.raises(OutcomeUnknown if sent else Unavailable):
        await lossy.post_shipment(call(), **told)
    posted = await adapter.post_shipment(call(), **told)
    assert await adapter.find_posting(call(), reference=reference, posting=posting) == posted
    order_now = await adapter.find_order(call(), reference=reference)
    assert sorted((s.state, sum(line.amount for line in s.lines)) for s in order_now.shipments) == [
        ("done", 2),
        ("waiting", 2),
    ]


@pytest.mark.parametrize("lose", [2, *also((1,), (3,))])
async def test_a_cancellation_cut_off_at_any_step_is_finished(tryton, session, adapter, lose):
    reference = new_id("ord")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0036", "3", "WH-N")))
    lossy = Adapter("erp", tryton.settings(), Lossy(session, lose=lose, sent=True), SystemClock())
    with pytest.raises(OutcomeUnknown):
        await lossy.cancel_order(call(), reference=reference)
    assert (await adapter.cancel_order(call(), reference=reference)).cancelled
    with pytest.raises(Conflict) as refused:
        await adapter.submit_order(call(), order=order(reference, ("SKU-0036", "3", "WH-N")))
    assert refused.value.code == "erp.order_cancelled"


async def test_creates_that_race_past_the_lock_are_found_as_twins_and_all_but_one_are_cancelled(adapter, admin):
    reference = new_id("ord")
    asked = order(reference, ("SKU-0037", "1", "WH-N"))
    await asyncio.gather(*[adapter.submit_order(call(), order=asked) for _ in range(3)], return_exceptions=True)
    made = await admin("sale.sale", [("reference", "=", reference)], ["number"])
    assert len(made) > 1
    with pytest.raises(Conflict) as twins:
        await adapter.find_order(call(), reference=reference)
    assert twins.value.code == "erp.twin_orders"
    await adapter.cancel_twins(call(), reference=reference)
    stays = await adapter.find_order(call(), reference=reference)
    assert stays.ready
    assert stays.number in {sale["number"] for sale in made}
    assert [shipment.state for shipment in stays.shipments] == ["waiting"]


async def test_a_posting_repeated_with_other_quantities_or_another_order_is_refused(adapter):
    first, second, posting = new_id("ord"), new_id("ord"), new_id("pst")
    for reference in (first, second):
        await adapter.submit_order(call(), order=order(reference, ("SKU-0043", "3", "WH-N")))
    told = {"posting": posting, "location": "WH-N"}
    await adapter.post_shipment(call(), reference=first, lines=shipped((1, "2")), **told)
    for reference, amount in ((first, "1"), (second, "2")):
        with pytest.raises(Conflict) as refused:
            await adapter.post_shipment(call(), reference=reference, lines=shipped((1, amount)), **told)
        assert refused.value.code == "erp.posting_differs"


async def test_postings_keep_their_order(tryton, session, adapter):
    reference, first = new_id("ord"), new_id("pst")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0038", "3", "WH-N")))
    stopped = Adapter("erp", tryton.settings(), Lossy(session, lose=2, sent=False), SystemClock())
    with pytest.raises(Unavailable):
        await stopped.post_shipment(
            call(), reference=reference, posting=first, location="WH-N", lines=shipped((1, "1"))
        )
    with pytest.raises(Conflict) as refused:
        await adapter.post_shipment(
            call(), reference=reference, posting=new_id("pst"), location="WH-N", lines=shipped((1, "1"))
        )
    assert refused.value.code == "erp.posting_in_progress"
    with pytest.raises(Conflict) as late:
        await adapter.cancel_order(call(), reference=reference)
    assert late.value.code == "erp.work_begun"


async def test_more_than_was_ordered_is_not_shipped(adapter):
    reference = new_id("ord")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0039", "3", "WH-N")))
    with pytest.raises(Conflict) as refused:
        await adapter.post_shipment(
            call(), reference=reference, posting=new_id("pst"), location="WH-N", lines=shipped((1, "4"))
        )
    assert refused.value.code == "erp.shipment_exceeds_order"


async def test_a_remainder_that_tryton_never_made_is_made_when_it_is_shipped(tryton, adapter):
    reference, first, rest = new_id("ord"), new_id("pst"), new_id("pst")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0044", "3", "WH-N")))
    await adapter.post_shipment(call(), reference=reference, posting=first, location="WH-N", lines=shipped((1, "1")))
    lose_the_remainder(tryton.database_file, reference)
    posted = await adapter.post_shipment(
        call(), reference=reference, posting=rest, location="WH-N", lines=shipped((1, "2"))
    )
    assert [line.amount for line in posted.lines] == [Decimal(2)]
    found = await adapter.find_order(call(), reference=reference)
    assert [shipment.state for shipment in found.shipments] == ["done", "done"]


def lose_the_remainder(database, reference):
    """As if the server had died after the request that shipped the first part and before the task that follows it."""
    open_moves = """
        select move.shipment from stock_move move join sale_line line on move.origin = 'sale.line,' || line.id
        join sale_sale sale on sale.id = line.sale where sale.reference = ? and move.state <> 'done'"""
    with sqlite3.connect(database, timeout=10) as books:
        ((shipment,),) = books.execute(f"select distinct shipment from ({open_moves})", (reference,)).fetchall()
        books.execute("delete from stock_move where shipment = ?", (shipment,))
        books.execute("delete from stock_shipment_out where id = ?", (int(shipment.rpartition(",")[2]),))
    books.close()


async def test_a_shipment_that_a_person_assigned_first_is_posted_all_the_same(adapter, person):
    reference = new_id("ord")
    found = await adapter.submit_order(call(), order=order(reference, ("SKU-0040", "3", "WH-N")))
    await person(found.shipments[0].number, "assign_try")
    posted = await adapter.post_shipment(
        call(), reference=reference, posting=new_id("pst"), location="WH-N", lines=shipped((1, "2"))
    )
    assert [line.amount for line in posted.lines] == [Decimal(2)]


async def test_a_price_with_more_digits_than_tryton_keeps_is_refused_whole(adapter, admin):
    reference = new_id("ord")
    asked = order(reference, ("SKU-0182", "1.234", "WH-N"), uom="KGM")
    with pytest.raises(Rejected):
        await adapter.submit_order(call(), order=asked)
    assert await sales_of(admin, reference) == []


async def test_an_ended_session_is_opened_again_in_the_middle(adapter, tryton, session):
    await adapter.check_health(call())
    adapter._client._authorization = "Session Y3Jvc3Nkb2NrOjI6bm90LWEtdG9rZW4="
    await adapter.check_health(call())


async def test_a_deadline_is_kept(adapter):
    with pytest.raises(Unavailable):
        await adapter.read_stock(call(0.01), locations=["WH-N"])


async def test_a_cancellation_loses_against_a_person_who_began_to_pick_meanwhile(tryton, session, adapter, person):
    reference = new_id("ord")
    found = await adapter.submit_order(call(), order=order(reference, ("SKU-0041", "3", "WH-N")))

    async def pick():
        await person(found.shipments[0].number, "assign_try", "pick")

    line = Meddled(session, before="model.stock.shipment.out.cancel", first=pick)
    overtaken = Adapter("erp", tryton.settings(), line, SystemClock())
    with pytest.raises(Unavailable) as late:
        await overtaken.cancel_order(call(), reference=reference)
    assert late.value.code == "erp.changed_meanwhile"
    with pytest.raises(Conflict) as begun:
        await overtaken.cancel_order(call(), reference=reference)
    assert begun.value.code == "erp.work_begun"
    assert [s.state for s in (await adapter.find_order(call(), reference=reference)).shipments] == ["picked"]


async def test_a_request_that_outlives_our_patience_is_found_after_the_settle_time(tryton, adapter, admin):
    reference = new_id("ord")
    asked = order(reference, ("SKU-0042", "1", "WH-N"))
    await adapter.find_order(call(), reference=reference)
    database = sqlite3.connect(tryton.database_file, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(OutcomeUnknown):
            await adapter.submit_order(call(1.0), order=asked)
        # Tryton still waits to write: whoever only looks, finds nothing yet.
        assert await adapter.find_order(call(), reference=reference) is None
    finally:
        database.execute("ROLLBACK")
        database.close()
    end = asyncio.get_running_loop().time() + adapter.settle_time.total_seconds() + 10
    while await adapter.find_order(call(), reference=reference) is None:
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.1)
    assert (await adapter.submit_order(call(), order=asked)).ready
    assert len(await sales_of(admin, reference)) == 1


async def test_a_customer_is_listed_again_when_it_or_one_of_its_addresses_changed(adapter, tryton, session):
    admin = Client(session, database=tryton.database, user="admin", password=tryton.admin_password)
    whole = (await adapter.list_customers(call())).customers
    assert {"CUST1", "CUST5"} <= {each.source_code for each in whole}
    assert not [each for each in whole if each.source_code.startswith(("SUP", "COMPANY"))]

    async def change(model, method, *values):
        return await admin.write(call(), f"model.{model}.{method}", *values, context={"company": 1})

    (party,) = await change("party.party", "create", [{"name": "Nook", "code": "NOOK"}])
    address = {"party": party, "street": "Dock 4\nGate B", "delivery": True}
    (office,) = await change("party.address", "create", [{"party": party, "city": "Office", "invoice": True}])
    (dock,) = await change("party.address", "create", [address])
    assert "NOOK" not in {each.source_code for each in (await adapter.list_customers(call())).customers}
    (category,) = await change("party.category", "create", [{"name": "Customer"}])
    await change("party.party", "write", [party], {"categories": [("add", [category])]})

    (row,) = await admin.search_read(call(), "party.party", [("id", "=", party)], ["create_date"], context={})
    since = row["create_date"].replace(tzinfo=UTC)

    async def listed():
        found = (await adapter.list_customers(call(), changed_since=since)).customers
        return {each.source_code: each for each in found if each.number.startswith("NOOK")}

    found = await listed()
    assert {code: each.roles for code, each in found.items()} == {
        "NOOK": ("sold_to", "bill_to"),
        f"party.address,{dock}": ("ship_to",),
    }
    assert (found[f"party.address,{dock}"].street, found["NOOK"].city) == ("Dock 4, Gate B", "Office")
    await change("party.address", "write", [dock], {"active": False})
    assert not (await listed())[f"party.address,{dock}"].active
    await change("party.party", "write", [party], {"active": False})
    assert not (await listed())["NOOK"].active
    assert office != dock


async def test_an_order_that_somebody_moves_on_before_us_is_neither_refused_nor_made_twice(tryton, session, admin):
    reference, posting = new_id("ord"), new_id("pst")
    line = Overtaken(session)
    late = Adapter("erp", tryton.settings(), line, SystemClock())
    asked = order(reference, ("SKU-0043", "2", "WH-N"))
    found = await in_the_end(lambda: late.submit_order(call(), order=asked))
    assert found.ready
    told = {"reference": reference, "posting": posting, "location": "WH-N", "lines": shipped((1, "2"))}
    booked = await in_the_end(lambda: late.post_shipment(call(), **told))
    assert [(each.line, each.amount) for each in booked.lines] == [(1, 2)]
    assert len(await sales_of(admin, reference)) == 1
    assert line.refused


async def test_a_cancellation_that_somebody_makes_before_us_is_done(tryton, session, adapter):
    reference = new_id("ord")
    await adapter.submit_order(call(), order=order(reference, ("SKU-0044", "2", "WH-N")))
    late = Adapter("erp", tryton.settings(), Overtaken(session), SystemClock())
    assert (await in_the_end(lambda: late.cancel_order(call(), reference=reference))).cancelled
