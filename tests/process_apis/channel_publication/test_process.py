"""What a shop shows is what may be sold, whatever it sells meanwhile and wherever we die."""

import asyncio
from decimal import Decimal

import pytest

from gateway.canonical.item import ReportedItem
from gateway.kernel.errors import NotFound, Unavailable
from gateway.kernel.quantity import UnitConversion
from process_apis.channel_publication.figures import Reckoning
from tests.conformance.counterpart import Line

pytestmark = pytest.mark.integration


async def test_a_movement_reaches_the_shop_and_what_is_as_it_should_be_is_not_sent(world):
    await world.stock_of({"A": 25, "B": 4, "SKU/1 #é": 7})
    await world.settle()
    assert await world.shown() == {"A": 25, "B": 4, "SKU/1 #é": 7, "SKU%2F+&=?": 3}
    sent = [change["sku"] for change in (await world.shop.look("history"))["changes"]]
    assert sorted(sent) == ["A", "B"]  # the third was right, the fourth is not ours
    await world.stock_of({"A": 25})
    await world.settle()
    assert len((await world.shop.look("history"))["changes"]) == 2
    assert await world.disagreements() == []


async def test_a_sale_under_way_is_never_overwritten_and_is_promised(world):
    await world.stock_of({"A": 20, "B": 1})
    await world.settle()
    await world.shop.control("feed", delay_s=0.2)
    await world.buy("A", 3)  # took from the figure, and is not told yet
    await world.stock_of({"A": 30})
    await world.settle()
    assert (await world.shown())["A"] == 27 == (await world.sellable())["A"]
    assert await world.disagreements() == []
    sets = [c for c in (await world.shop.look("history"))["changes"] if c["sku"] == "A" and c["cause"] == "set"]
    assert [(c["was"], c["quantity"]) for c in sets][-1] == (17, 27)


@pytest.mark.long
async def test_what_the_shop_sold_is_promised_to_its_order_and_a_cancelled_one_gives_it_back(world):
    await world.stock_of({"A": 20})
    await world.settle()
    number = await world.buy("A", 5)
    await world.publication.read_back("shop")
    claims = await world.availability.claims_of("acme", f"channel/shop/{number}")
    assert [(claim["amount"], claim["state"]) for claim in claims] == [(5, "allocated")]
    await world.settle()
    assert (await world.shown())["A"] == 15
    await world.shop.control("cancel", order=number)
    await world.publication.read_back("shop")
    await world.settle()
    assert (await world.shown())["A"] == 20 == (await world.sellable())["A"]
    assert await world.disagreements() == []


async def test_what_stock_cannot_give_is_told_as_oversold_and_the_rest_is_promised(world):
    await world.stock_of({"A": 20})
    await world.settle()
    await world.sell_to("A", 18)
    number = await world.buy("A", 5)  # the shop has not heard yet
    await world.settle()
    claims = await world.availability.claims_of("acme", f"channel/shop/{number}")
    assert sum(claim["amount"] for claim in claims) == 2
    [told] = await world.store.fetch("select data::text from store.event where type = 'channel.oversold'")
    assert '"sold": 5' in told["data"]
    assert '"promised": 2' in told["data"]
    assert (await world.shown())["A"] == 0
    [row] = await world.publication.standing("acme")
    assert (row["oversold"], row["waiting"], row["disagreements"]) == (3, 0, 0)


@pytest.mark.long
async def test_a_shop_that_sells_cases_shows_whole_ones_and_what_it_sells_is_claimed_in_pieces(world):
    packs = (UnitConversion("CS", Decimal(12)),)
    cased = [ReportedItem(source_code="A", sku="A", name="A", base_uom="EA", packs=packs)]
    await world.items.adopt("acme", "erp", cased, correlation_id="setup")
    world.begin(selling_unit="CS")
    await world.stock_of({"A": 47, "B": 5})
    await world.settle()
    assert ((await world.shown())["A"], (await world.shown())["B"]) == (3, 5)
    number = await world.buy("A", 2)
    await world.sell_to("A", 12)
    await world.settle()
    claims = await world.availability.claims_of("acme", f"channel/shop/{number}")
    assert sum(claim["amount"] for claim in claims) == 24
    assert (await world.shown())["A"] == 0
    assert await world.store.fetchval("select count(*) from store.event where type = 'channel.oversold'") == 0
    assert await world.disagreements() == []


@pytest.mark.long
async def test_what_falls_to_zero_is_told_first_and_one_call_takes_many(world, shop_settings):
    await world.stock_of({"A": 20, "B": 5, "SKU/1 #é": 30})
    await world.settle()
    world.begin(adapter=OneByOne(world.shop_adapter(world.shop.url)))
    await world.stock_of({"A": 19, "B": 0, "SKU/1 #é": 29})
    await world.settle()
    changes = (await world.shop.look("history"))["changes"]
    assert changes[-3]["sku"] == "B"
    assert (changes[-3]["was"], changes[-3]["quantity"]) == (5, 0)


class OneByOne:
    """A vendor that takes one figure in a call."""

    figures_per_call, compares = 1, True

    def __init__(self, inner):
        self.read_figures, self.publish_figures = inner.read_figures, inner.publish_figures
        self.read_channel_orders = inner.read_channel_orders


@pytest.mark.long
async def test_the_latest_value_wins_and_stands_for_all_before_it(world):
    await world.stock_of({"A": 20})
    await world.settle()
    for amount in range(21, 41):
        await world.stock_of({"A": amount})
    await world.settle()
    sets = [c["quantity"] for c in (await world.shop.look("history"))["changes"] if c["sku"] == "A"]
    assert sets == [20, 40]


@pytest.mark.long
async def test_what_changes_faster_than_it_is_reckoned_is_published_all_the_same(world, monkeypatch):
    await world.stock(A=5)
    await world.settle()
    reckoned = Reckoning.wanted
    amounts = iter(range(6, 100))

    async def meanwhile(reckoning, items):
        wanted = await reckoned(reckoning, items)
        await world.stock(A=next(amounts))
        await world.hear()
        return wanted

    monkeypatch.setattr(Reckoning, "wanted", meanwhile)
    await world.stock(A=next(amounts))
    await world.hear()
    for _ in range(3):
        await world.publication.step("shop")
    assert (await world.shown())["A"] > 5  # it has changed again each time, between the look and the write
    monkeypatch.undo()
    await world.settle()
    assert (await world.shown())["A"] == next(amounts) - 1


async def test_a_hand_in_the_shop_is_raised_once_and_set_right(world):
    await world.stock_of({"A": 20})
    await world.settle()
    await world.shop.control("adjust", sku="A", amount=15)
    assert await world.publication.read_back("shop") == 1
    await world.settle()
    assert (await world.shown())["A"] == 20
    assert await world.disagreements() == [("A", "changed_there", 20, 35)]
    assert await world.publication.read_back("shop") == 0
    [row] = await world.publication.standing("acme")
    assert row["disagreements"] == 0


@pytest.mark.long
async def test_an_item_that_the_shop_sells_no_longer_is_raised_and_one_that_it_never_sold_is_not(world):
    await world.list_items("A", "B", "not sold there")
    await world.stock_of({"A": 20, "not sold there": 3})
    await world.settle()
    await world.shop.control("remove", sku="A")
    await world.stock_of({"A": 21})
    await world.settle()
    assert await world.disagreements() == [("A", "vanished", 20, None)]
    [row] = await world.publication.standing("acme")
    assert row["unlisted"] == 2


@pytest.mark.long
@pytest.mark.parametrize("fault", ["cut", "status_500", "garbage"])
async def test_a_lost_answer_is_looked_at_before_anything_is_written(world, fault):
    await world.stock_of({"A": 20, "B": 2})
    await world.settle()
    line = Line(world.shop.url)
    await line.open()
    try:
        world.begin(adapter=LostAnswer(world.shop_adapter(line.url), line, fault))
        await world.stock_of({"A": 50})
        await world.settle()
    finally:
        await line.close()
    assert (await world.shown())["A"] == 50
    sets = [c for c in (await world.shop.look("history"))["changes"] if c["sku"] == "A" and c["quantity"] == 50]
    assert len(sets) == 1
    assert await world.disagreements() == []


class LostAnswer:
    """The first answer to a change is lost on the way."""

    figures_per_call, compares = 250, True

    def __init__(self, inner, line, fault):
        self._inner, self._line, self._fault = inner, line, fault
        self.read_figures, self.read_channel_orders = inner.read_figures, inner.read_channel_orders

    async def publish_figures(self, call, *, figures):
        if self._fault is not None:
            self._line.fail(self._fault)
            self._fault = None
        return await self._inner.publish_figures(call, figures=figures)


@pytest.mark.parametrize("moment", [pytest.param("before the call", marks=pytest.mark.long), "after the call"])
async def test_whoever_takes_over_after_a_crash_ends_with_the_right_figure(world, moment):
    await world.stock_of({"A": 20})
    await world.settle()
    world.begin(adapter=Dies(world.shop_adapter(world.shop.url), moment))
    await world.stock_of({"A": 50})
    await world.hear()
    with pytest.raises(Killed):
        await world.settle()
    await world.buy("A", 2)
    world.begin()
    await world.settle()
    assert (await world.shown())["A"] == 48 == (await world.sellable())["A"]
    assert await world.disagreements() == []


class Killed(BaseException):
    pass


class Dies:
    """The process ends at this point."""

    figures_per_call, compares = 250, True

    def __init__(self, inner, moment):
        self._inner, self._moment = inner, moment
        self.read_figures, self.read_channel_orders = inner.read_figures, inner.read_channel_orders

    async def publish_figures(self, call, *, figures):
        if self._moment == "after the call":
            await self._inner.publish_figures(call, figures=figures)
        raise Killed


@pytest.mark.long
async def test_of_two_workers_one_publishes_and_the_other_takes_over(world):
    await world.stock_of({"A": 20})
    first, second = world.publication, world.again()
    stops = [asyncio.Event(), asyncio.Event()]
    running = [asyncio.create_task(each.run(stop)) for each, stop in zip((first, second), stops, strict=True)]
    try:
        await world.shows("A", 20)
        for amount, stop in ((31, stops[0]), (42, None)):
            await world.stock_of({"A": amount})
            await world.shows("A", amount)
            if stop is not None:
                stop.set()
    finally:
        for stop in stops:
            stop.set()
        await asyncio.gather(*running)
    sets = [c["quantity"] for c in (await world.shop.look("history"))["changes"] if c["sku"] == "A"]
    assert sets == [20, 31, 42]
    assert await world.disagreements() == []


@pytest.mark.long
async def test_orders_read_twice_after_a_crash_are_promised_once(world):
    await world.stock_of({"A": 20})
    await world.settle()
    number = await world.buy("A", 4)
    await world.publication.read_back("shop")
    await world.store.execute("update channel_publication.channel set cursor = null")
    world.begin()
    await world.publication.read_back("shop")
    await world.settle()
    claims = await world.availability.claims_of("acme", f"channel/shop/{number}")
    assert [claim["amount"] for claim in claims] == [4]
    assert (await world.shown())["A"] == 16


@pytest.mark.long
async def test_a_shop_that_is_down_is_told_when_it_is_back(world):
    await world.stock_of({"A": 20})
    await world.settle()
    await world.shop.kill()
    await world.stock_of({"A": 33})
    await world.hear()
    world.begin()
    with pytest.raises(Unavailable):
        await world.publication.step("shop")
    await world.shop.start()
    await world.settle()
    assert (await world.shown())["A"] == 33


@pytest.mark.long
async def test_every_figure_is_reckoned_again_when_the_rule_changes_or_somebody_asks(world):
    await world.stock_of({"A": 20})
    await world.settle()
    with pytest.raises(NotFound):
        await world.publication.compare_all("acme", "no such", actor="op", correlation_id="cor_1")
    await world.store.execute("update channel_publication.figure set base = 3 where sku = 'A'")
    await world.publication.compare_all("acme", "shop", actor="op", correlation_id="cor_1")
    world.begin()  # a lane looks for what is due by time once a second
    await world.settle()
    [audited] = await world.store.fetch("select subject from store.audit where action = 'publication.compare'")
    assert audited["subject"] == "channel/shop"
    assert (await world.shown())["A"] == 20


@pytest.mark.long
async def test_shoppers_buy_while_stock_moves_and_the_end_is_the_ledgers(world):
    """The shop's own log judges: every set replaced the figure that it was compared with, and no sale was lost."""
    await world.stock_of({"A": 160, "B": 160})
    await world.settle()
    await world.shop.control("feed", delay_s=0.15)
    await world.shop.control("shoppers", skus=["A", "B"], per_second=60, orders=60, seed=7)
    for amount in (155, 164, 158, 170, 166):
        await world.stock_of({"A": amount, "B": amount})
        await world.hear()
        for _ in range(6):
            await world.publication.step("shop")
            await asyncio.sleep(0.03)
    async with asyncio.timeout(60):
        while sum((await world.shop.look("shoppers")).values()) < 60:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.05)
    await world.publication.read_back("shop")
    await world.settle()
    await asyncio.sleep(0.2)  # the feed's delay
    await world.publication.read_back("shop")
    await world.settle()
    shown, truth = await world.shown(), await world.sellable()
    assert {sku: shown[sku] for sku in "AB"} == {sku: truth[sku] for sku in "AB"}
    assert await world.disagreements() == []
    events = (await world.shop.look("orders"))["events"]
    sold = sum(line["quantity"] for event in events for line in event["lines"])
    promised = await world.store.fetchval("select sum(promised) from channel_publication.sale")
    assert promised == sold


@pytest.mark.long
class TestByFeed:
    @pytest.fixture
    def shop_settings(self):
        return {"writes": "feed"}

    async def test_a_feed_that_says_success_is_read_back_and_what_it_did_not_know_is_raised(self, world):
        await world.stock_of({"A": 20, "B": 5})
        await world.settle()
        assert {sku: (await world.shown())[sku] for sku in "AB"} == {"A": 20, "B": 5}
        await world.shop.control("remove", sku="B")
        await world.stock_of({"B": 6})
        await world.settle()
        await asyncio.sleep(0.35)  # the feed has settled
        await world.publication.read_back("shop")
        assert await world.disagreements() == [("B", "vanished", 6, None)]

    async def test_a_sale_that_a_feed_overwrote_is_found_and_taken_off_again(self, world):
        world.begin(in_flight_buffer=2)
        await world.stock_of({"A": 20})
        await world.settle()
        assert (await world.shown())["A"] == 18
        await world.shop.control("feed", delay_s=0.25)
        await world.buy("A", 2)
        await world.stock_of({"A": 30})
        await world.settle()
        assert (await world.shown())["A"] == 28  # the two that were sold are in the buffer
        await asyncio.sleep(0.6)
        await world.publication.read_back("shop")
        await world.settle()
        await asyncio.sleep(0.4)
        await world.publication.read_back("shop")
        await world.settle()
        assert (await world.shown())["A"] == 26
        assert await world.disagreements() == []
