"""Cases for capabilities that read."""

import asyncio
from datetime import UTC, datetime

import pytest

from gateway.canonical.order import SystemOrder
from gateway.canonical.stock import ReportedMovement
from gateway.kernel.errors import BrokenUpstream, NotAuthenticated, NotFound, Unavailable
from tests.conformance.conftest import call
from tests.conformance.counterpart import live_only


class ChecksHealthCases:
    async def test_a_healthy_system_is_healthy(self, bench):
        await bench.adapter.check_health(call())

    @live_only
    async def test_a_system_that_is_down_is_unavailable(self, bench):
        with pytest.raises(Unavailable):
            await (await bench.down()).check_health(call())

    @live_only
    @pytest.mark.parametrize(("fault", "expected"), [("cut", Unavailable), ("garbage", BrokenUpstream)])
    async def test_a_failing_read_says_whether_to_try_again_or_to_page_someone(self, bench, fault, expected):
        bench.line.fail(fault, always=True)
        with pytest.raises(expected):
            await bench.adapter.check_health(call())

    @live_only
    async def test_a_system_that_answers_500_is_unavailable_or_broken_and_never_healthy(self, bench):
        bench.line.fail("status_500", always=True)
        with pytest.raises((Unavailable, BrokenUpstream)):
            await bench.adapter.check_health(call())

    @live_only
    async def test_silence_ends_at_the_deadline(self, bench):
        bench.line.fail("hang", always=True)
        async with asyncio.timeout(30):  # the line is silent for twice as long
            with pytest.raises(Unavailable):
                await bench.adapter.check_health(call(0.3))

    @live_only
    async def test_nothing_is_sent_after_the_deadline(self, bench):
        with pytest.raises(Unavailable):
            await bench.adapter.check_health(call(-1))
        assert bench.line.forwarded == 0


class ReadsItemsCases:
    async def test_items_page_without_gap_or_repetition_whatever_their_codes(self, bench):
        found, cursor = [], None
        while True:
            page = await bench.adapter.read_items(call(), cursor=cursor, limit=60)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        codes = [item.source_code for item in found]
        assert len(codes) == len(set(codes))
        assert bench.counterpart.items <= {item.sku for item in found}
        assert all(pack.factor > 0 for item in found for pack in item.packs)

    async def test_a_small_page_leads_to_the_next(self, bench):
        first = await bench.adapter.read_items(call(), limit=2)
        second = await bench.adapter.read_items(call(), cursor=first.next_cursor, limit=2)
        assert len(first.items) == len(second.items) == 2
        assert not {item.source_code for item in first.items} & {item.source_code for item in second.items}


class ReadsStockCases:
    async def test_figures_are_exact_and_bear_the_systems_codes(self, bench):
        known = bench.counterpart
        snapshot = await bench.adapter.read_stock(call(), locations=[known.location])
        figures = {figure.source_item: figure.amount for figure in snapshot.figures if figure.amount}
        assert {code: figures[code] for code in known.figures} == known.figures
        assert {figure.source_location for figure in snapshot.figures} == {known.location}
        assert (snapshot.source, snapshot.full, snapshot.locations) == ("instance", True, (known.location,))
        assert snapshot.taken_at.tzinfo is not None

    @live_only
    async def test_a_later_snapshot_is_cut_off_no_earlier_and_bears_another_id(self, bench):
        locations = [bench.counterpart.location]
        first = await bench.adapter.read_stock(call(), locations=locations)
        second = await bench.adapter.read_stock(call(), locations=locations)
        assert first.cut_off <= second.cut_off
        assert first.event_id != second.event_id


class ReadsCustomersCases:
    async def test_a_customer_is_found_by_code(self, bench):
        account = await bench.adapter.read_customer(call(), code=bench.counterpart.customer)
        assert account.code == bench.counterpart.customer
        assert account.name

    @pytest.mark.parametrize("code", ["no such", "A/B #é", "%"])
    async def test_an_unknown_customer_is_not_found(self, bench, code):
        with pytest.raises(NotFound):
            await bench.adapter.read_customer(call(), code=code)


class ListsCustomersCases:
    async def test_customers_page_without_gap_or_repetition(self, bench):
        found, cursor = [], None
        while True:
            page = await bench.adapter.list_customers(call(), cursor=cursor, limit=2)
            found += page.customers
            cursor = page.next_cursor
            if cursor is None:
                break
        codes = [each.source_code for each in found]
        assert len(codes) == len(set(codes))
        assert bench.counterpart.customer in codes
        assert all(each.number and each.roles for each in found)
        assert {each.parent for each in found} - {None} <= set(codes)

    async def test_one_that_is_listed_is_the_one_that_is_read_by_its_code(self, bench):
        page = await bench.adapter.list_customers(call(), limit=200)
        (listed,) = (each for each in page.customers if each.source_code == bench.counterpart.customer)
        account = await bench.adapter.read_customer(call(), code=listed.source_code)
        assert (account.name, account.payment_term, account.credit_limit, account.hold) == (
            listed.name, listed.payment_term, listed.credit_limit, listed.hold
        )  # fmt: skip

    async def test_nothing_has_changed_since_a_day_that_is_to_come(self, bench):
        page = await bench.adapter.list_customers(call(), changed_since=datetime(2126, 1, 1, tzinfo=UTC))
        assert (page.customers, page.next_cursor) == ((), None)


class ReadsDemandCases:
    async def test_demand_of_our_own_orders_is_not_told_again(self, bench):
        before = await bench.adapter.read_demand(call())
        made = await bench.adapter.submit_order(call(60), order=bench.order())
        assert isinstance(made, SystemOrder)
        assert list(await bench.adapter.read_demand(call())) == list(before)
        assert all(line.amount > 0 for line in before)


class ReportsMovementsCases:
    async def test_a_cursor_misses_nothing_and_repeats_nothing(self, bench):
        _, start = await self._drain(bench, None)
        for _ in range(3):
            await bench.counterpart.cause_movement()
        first, cursor = await self._drain(bench, start)
        assert len(first) == 3
        await bench.counterpart.cause_movement()
        second, cursor = await self._drain(bench, cursor)
        assert len(second) == 1
        assert {m.event_id for m in first}.isdisjoint(m.event_id for m in second)
        assert await self._drain(bench, cursor) == ([], cursor)

    async def test_reading_again_tells_the_same(self, bench):
        await bench.counterpart.cause_movement()
        again = [await self._drain(bench, None) for _ in range(2)]
        assert again[0] == again[1]

    async def test_movements_are_in_the_order_of_their_keys_and_exact(self, bench):
        await bench.counterpart.cause_movement()
        await bench.counterpart.cause_movement()
        found, _ = await self._drain(bench, None)
        keys = [movement.order_key for movement in found]
        assert keys == sorted(keys)
        assert all(movement.source == "instance" and movement.occurred_at.tzinfo for movement in found)
        assert format(found[-1].amount, "f") == "0.000000001"

    async def _drain(self, bench, cursor) -> tuple[list[ReportedMovement], str | None]:
        found = []
        while True:
            report, cursor = await bench.adapter.read_movements(call(), cursor=cursor)
            if not report.movements:
                return found, cursor
            found += report.movements


class SendsWebhooksCases:
    async def test_a_genuine_webhook_is_read_and_a_changed_one_refused(self, bench):
        webhook = await bench.counterpart.genuine_webhook()
        report = bench.adapter.parse_webhook(webhook)
        assert report.movements or report.milestones
        kind = type(webhook)
        for forged in (
            kind(headers=webhook.headers, body=webhook.body + b" "),
            kind(headers={}, body=webhook.body),
            kind(headers={**webhook.headers, **dict.fromkeys(webhook.headers, "0")}, body=webhook.body),
        ):
            with pytest.raises(NotAuthenticated):
                bench.adapter.parse_webhook(forged)


class ReadsChannelOrdersCases:
    async def test_a_cursor_reaches_every_order_once_with_the_version_that_each_line_made(self, bench):
        known = bench.counterpart
        sku = next(sku for sku, quantity in known.shown.items() if quantity > 5)
        for quantity in (2, 1):
            await known.sell(sku, quantity)
        found, cursor = await self._drain(bench, None)
        assert [line.quantity for order in found for line in order.lines] == [2, 1]
        assert {line.sku for order in found for line in order.lines} == {sku}
        versions = [line.version for order in found for line in order.lines]
        assert versions == sorted(set(versions))
        await known.sell(sku, 1)
        later, end = await self._drain(bench, cursor)
        assert len(later) == 1
        assert later[0].event not in {order.event for order in found}
        assert await self._drain(bench, end) == ([], end)

    async def _drain(self, bench, cursor):
        found = []
        while True:
            page = await bench.adapter.read_channel_orders(call(), cursor=cursor)
            if not page.orders:
                return found, page.cursor
            found, cursor = found + list(page.orders), page.cursor


class ReadsPurchasesCases:
    async def test_purchases_page_in_the_order_of_their_changes_without_gap_or_repetition(self, bench):
        found, cursor = [], None
        while (page := await bench.adapter.read_purchases(call(60), cursor=cursor, limit=2)).purchases:
            found += page.purchases
            cursor = page.next_cursor
        numbers = [each.number for each in found]
        assert len(numbers) == len(set(numbers)) >= 3
        assert [each.order_key for each in found] == sorted(each.order_key for each in found)
        assert page.next_cursor == cursor

    async def test_an_approved_purchase_says_from_whom_what_comes_where_at_which_price(self, bench):
        page = await bench.adapter.read_purchases(call(60))
        [found] = [each for each in page.purchases if each.source_supplier == bench.counterpart.supplier]
        assert (found.source, found.status, found.currency) == ("instance", "approved", "USD")
        assert found.source_location == bench.counterpart.location
        told = [(line.source_item, line.amount, line.uom, line.unit_price.amount) for line in found.lines]
        assert told == list(bench.counterpart.purchased)
        assert len({line.line for line in found.lines}) == len(found.lines)

    async def test_reading_purchases_is_taken_up_where_nothing_can_have_been_missed(self, bench):
        page = await bench.adapter.read_purchases(call(60))
        again = await bench.adapter.read_purchases(call(60), cursor=page.resume)
        assert {each.number for each in again.purchases} <= {each.number for each in page.purchases}
