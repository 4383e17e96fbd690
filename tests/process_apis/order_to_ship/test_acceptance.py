import asyncio
from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace
from order_world import SHIP_TO, ask

from gateway.canonical.order import OrderState
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.exchange import Reply
from process_apis.order_to_ship.models import PlacedAnswer

HALF = Decimal("1.5")
pytestmark = pytest.mark.integration


async def test_an_accepted_order_is_promised_priced_and_enqueued(world):
    await world.stock(100, "itm_1", "itm_2")
    placed = await world.process.place_order(ask("PO-1", ("SKU-1", "2", "CS"), ("SKU-2", "1.5")))
    order = await world.process.get_order("acme", placed.order.order_id, partner="P1")
    assert placed.created
    assert order.state is OrderState.PROMISED
    assert [(line.ordered, line.open, line.uom) for line in order.lines] == [
        (24, 24, "EA"),
        (Decimal("1.5"), Decimal("1.5"), "EA"),
    ]
    assert order.total == Decimal("63.75")
    assert await world.available("itm_1") == 76
    assert await world.events(order.order_id) == ["accepted"]
    enqueued = await world.store.fetchrow("select * from dbos.workflow_status")
    assert (enqueued["workflow_uuid"], enqueued["status"]) == (order.order_id, "ENQUEUED")
    audit = await world.store.fetchrow("select * from store.audit")
    assert (audit["action"], audit["subject"], audit["actor"]) == ("order.place", order.order_id, "app")


async def test_the_same_order_again_returns_the_first_and_promises_nothing_more(world):
    await world.stock(100, "itm_1")
    first = await world.process.place_order(ask("PO-1"))
    again = await world.process.place_order(ask("PO-1", ("SKU-1", "2.0")))
    assert (again.created, again.order.order_id) == (False, first.order.order_id)
    assert await world.available("itm_1") == 98


@pytest.mark.parametrize("day", [date.min, date(2028, 2, 29), date.max])
async def test_an_order_may_ask_for_any_date_there_is_and_is_read_with_it(world, day):
    await world.stock(100, "itm_1")
    placed = await world.process.place_order(ask("PO-1", requested_date=day))
    order = await world.process.get_order("acme", placed.order.order_id, partner="P1")
    assert (placed.order.requested_date, order.requested_date) == (day, day)


async def test_a_line_that_comes_later_than_it_was_needed_says_when_until_it_has_left(world):
    await world.stock(100, "itm_1", "itm_2")
    far = replace(SHIP_TO, country="NZ")
    asked = ask("PO-1", ("SKU-1", "2"), ("SKU-2", "1"), requested_date=date(2028, 2, 28), ship_to=far)
    order_id = (await world.process.place_order(asked)).order.order_id
    order = await world.process.get_order("acme", order_id)
    assert [line.expected for line in order.lines] == [date(2028, 3, 1), None]
    assert (order.state, order.exceptions) == (OrderState.PROMISED, ())
    await world.drain(order_id)
    await world.ship(order_id, 1, 1)
    assert (await world.process.get_order("acme", order_id)).lines[0].expected == date(2028, 3, 1)
    await world.ship(order_id, 1, 1, event="e2")
    assert (await world.process.get_order("acme", order_id)).lines[0].expected is None


@pytest.mark.parametrize("change", [{"lines": (("SKU-1", "3"),)}, {"ship_to": "elsewhere"}, {"currency": "EUR"}])
async def test_the_same_number_with_other_content_is_a_conflict(world, change):
    await world.stock(100, "itm_1")
    await world.process.place_order(ask("PO-1"))
    lines = change.pop("lines", ())
    if "ship_to" in change:
        change = {"ship_to": type(SHIP_TO)(name="X", street="B 1", city="C", postal_code="1", country="US")}
    with pytest.raises(Conflict) as refused:
        await world.process.place_order(ask("PO-1", *lines, **change))
    assert refused.value.code == "order.number_reused"


@pytest.mark.parametrize(
    "change", [{"release": "2"}, {"sold_to": "CUST2"}, {"channel": "edi"}, {"external_number": "PO-2"}]
)
async def test_another_identity_is_another_order(world, change):
    await world.stock(100, "itm_1")
    one = await world.process.place_order(ask("PO-1"))
    two = await world.process.place_order(
        ask(number="PO-1") if not change else ask(change.pop("external_number", "PO-1"), **change)
    )
    assert two.created
    assert one.order.order_id != two.order.order_id


async def test_ten_times_at_once_is_one_order(world):
    await world.stock(100, "itm_1")
    answers = await asyncio.gather(*(world.process.place_order(ask("PO-1")) for _ in range(10)))
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.order.order_id for answer in answers}) == 1
    assert await world.available("itm_1") == 98
    assert await world.store.fetchval("select count(*) from dbos.workflow_status") == 1


async def test_ten_contents_at_once_under_one_number_are_one_order_and_nine_conflicts(world):
    await world.stock(100, "itm_1")
    answers = await asyncio.gather(
        *(world.process.place_order(ask("PO-1", ("SKU-1", str(n)))) for n in range(1, 11)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert [conflict.code for conflict in refused] == ["order.number_reused"] * 9
    [won] = [answer for answer in answers if not isinstance(answer, Exception)]
    assert await world.available("itm_1") == 100 - won.order.lines[0].ordered


async def test_one_unit_and_many_buyers_make_one_order(world):
    await world.stock(1, "itm_1")
    answers = await asyncio.gather(
        *(world.process.place_order(ask(f"PO-{n}", ("SKU-1", "1"))) for n in range(12)), return_exceptions=True
    )
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"stock.insufficient"}
    assert await world.store.fetchval("select count(*) from order_to_ship.sales_order") == 1


async def test_of_orders_accepted_together_only_those_that_do_not_fit_are_refused_and_leave_nothing(world):
    await world.stock(10, "itm_1")
    await world.stock(2, "itm_2")
    amounts = [("SKU-1", "1"), ("SKU-2", "3"), ("SKU-1", "2"), ("SKU-3", "1"), ("SKU-2", "2")]
    answers = await asyncio.gather(
        *(world.process.place_order(ask(f"PO-{n}", line)) for n, line in enumerate(amounts)), return_exceptions=True
    )
    refused = [n for n, answer in enumerate(answers) if isinstance(answer, Conflict)]
    assert refused == [1, 3]
    kept = {answers[n].order.order_id for n in (0, 2, 4)}
    for column, table in (
        ("order_id", "order_to_ship.sales_order"), ("subject", "store.audit"), ("order_id", "order_to_ship.line"),
        ("workflow_uuid", "dbos.workflow_status"), ("order_id", "order_to_ship.allocation"),
    ):  # fmt: skip
        assert {row[0] for row in await world.store.fetch(f"select {column} from {table}")} == kept
    assert [await world.available("itm_1"), await world.available("itm_2")] == [7, 0]
    for order_id in kept:
        assert await world.events(order_id) == ["accepted"]


async def test_what_cannot_be_promised_leaves_nothing_behind(world):
    await world.stock(5, "itm_1")
    with pytest.raises(Conflict, match="lines"):
        await world.process.place_order(ask("PO-1", ("SKU-1", "5"), ("SKU-2", "1")))
    assert await world.available("itm_1") == 5
    for table in ("order_to_ship.sales_order", "store.event", "store.audit", "dbos.workflow_status"):
        assert await world.store.fetchval(f"select count(*) from {table}") == 0
    await world.stock(5, "itm_2")
    assert (await world.process.place_order(ask("PO-1", ("SKU-1", "5"), ("SKU-2", "1")))).created


async def test_every_wrong_line_is_named(world):
    wrong = ask("PO-1", ("SKU-1", "1"), ("nothing/#", "1"), ("SKU-2", "1", "PAL"), ("SKU-3", "0"), ("SKU-4", "1E+30"))
    with pytest.raises(Conflict) as refused:
        await world.process.place_order(wrong)
    assert refused.value.code == "order.lines_invalid"
    assert [problem.pointer for problem in refused.value.problems] == [
        "/lines/1/sku", "/lines/2/uom", "/lines/3/amount", "/lines/4/amount",
    ]  # fmt: skip


async def test_what_was_accepted_once_stays_accepted_when_its_item_is_no_longer_sold(world, monkeypatch):
    await world.stock(100, "itm_1")
    first = await world.process.place_order(ask("PO-1"))

    async def nothing(tenant, skus):
        return {}

    monkeypatch.setattr(world.process._acceptance._items, "by_sku", nothing)
    again = await world.process.place_order(ask("PO-1"))
    assert (again.created, again.order.order_id) == (False, first.order.order_id)
    with pytest.raises(Conflict):
        await world.process.place_order(ask("PO-2"))


async def test_a_partner_sees_its_own_orders_only(world):
    await world.stock(100, "itm_1")
    mine = (await world.process.place_order(ask("PO-1"))).order.order_id
    theirs = (await world.process.place_order(ask("PO-2", partner="P2"))).order.order_id
    assert [summary.order_id for summary in await world.process.list_orders("acme", partner="P1")] == [mine]
    assert [summary.order_id for summary in await world.process.list_orders("acme")] == [theirs, mine]
    assert [summary.order_id for summary in await world.process.list_orders("acme", before=theirs)] == [mine]
    for read in (world.process.get_order("acme", theirs, partner="P1"), world.process.get_order("other", mine)):
        with pytest.raises(NotFound):
            await read


async def test_an_answer_that_was_lost_is_recalled_by_identity(world):
    await world.stock(100, "itm_1")
    assert await world.process.recall_order(ask("PO-1")) is None
    placed = await world.process.place_order(ask("PO-1"))
    recalled = await world.process.recall_order(ask("PO-1"))
    assert recalled.order_id == placed.order.order_id
    assert await world.process.recall_order(ask("PO-1", ("SKU-1", "9"))) is None


async def waiting_for_locks(world, count):
    """Until so many of the record's sessions wait for a lock."""
    asked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while await world.store.fetchval(asked) < count:  # noqa: ASYNC110 - the server tells nobody of it
            await asyncio.sleep(0.01)


async def test_recalling_waits_for_the_request_that_is_still_under_way(world):
    await world.stock(100, "itm_1")
    async with world.store.transaction() as connection:
        held = asyncio.create_task(world.process.place_order(ask("PO-1")))
        await connection.execute("lock table fake.stock in access exclusive mode")
        await waiting_for_locks(world, 1)
        recall = asyncio.create_task(world.process.recall_order(ask("PO-1")))
        await waiting_for_locks(world, 2)
        assert not held.done()
        assert not recall.done()
    placed = await held
    assert (await recall).order_id == placed.order.order_id


class Keeper:
    """Keeps answers in a table; whoever says so has lost the right to."""

    def __init__(self, *, lost=False):
        self.completed = False
        self.lost = Conflict("taken over", code="idempotency.lost")
        self._is_lost = lost

    def keep(self, writes, reply):
        writes.row(KEEP, reply.body, returning="body")
        self._body = reply.body

    def is_kept(self, results):
        return not self._is_lost and self._body in results[KEEP]


KEEP = "insert into fake.answer select * from unnest($1::bytea[]) returning body"


async def test_an_answer_is_kept_with_its_order_or_neither_is_and_neighbours_go_on(world):
    await world.stock(100, "itm_1")
    await world.store.execute("create table if not exists fake.answer (body bytea)")
    await world.store.execute("truncate fake.answer")
    keepers = [Keeper(), Keeper(lost=True), Keeper()]
    answers = await asyncio.gather(
        *(
            world.process.place_order(
                ask(f"PO-{n}"), PlacedAnswer(keeper, lambda order: Reply(201, [], order.order_id.encode()))
            )
            for n, keeper in enumerate(keepers)
        ),
        return_exceptions=True,
    )
    assert answers[1].code == "idempotency.lost"
    assert [keeper.completed for keeper in keepers] == [True, False, True]
    kept = {answers[n].order.order_id for n in (0, 2)}
    assert {row["body"].decode() for row in await world.store.fetch("select body from fake.answer")} == kept
    assert {row[0] for row in await world.store.fetch("select order_id from order_to_ship.sales_order")} == kept
    assert await world.available("itm_1") == 96
