"""Cases for carriers: what is offered can be booked, once under one reference, never lost, never doubled."""

from datetime import date
from decimal import Decimal

import pytest
from msgspec import structs

from gateway.canonical.freight import Consignment
from gateway.canonical.party import Address
from gateway.kernel.errors import Conflict, NotFound, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.quantity import Quantity
from tests.conformance.conftest import call
from tests.conformance.counterpart import FAULTS, live_only
from tests.conformance.writing import UNKNOWN, settled


def consignment(bench, **changes):
    ship_to = Address(
        name="Zoë & Söhne", street="1/2 Main St #é", city="Springfield", postal_code="62701", country="US"
    )
    made = Consignment(
        reference=bench.ref("ord"), ship_from=bench.counterpart.location, ship_to=ship_to,
        weight=Quantity(Decimal("2.0001"), "KGM"), ready_on=date(2026, 11, 23),
    )  # fmt: skip
    return structs.replace(made, **changes)


class OffersFreightCases:
    async def test_every_offer_has_a_price_and_a_day_that_is_not_before_the_goods_are_ready(self, bench):
        goods = consignment(bench)
        offers = await bench.adapter.quote_freight(call(), consignment=goods)
        assert len({offer.service for offer in offers}) == len(offers) > 1
        assert all(offer.price.amount > 0 and offer.arrives_on >= goods.ready_on for offer in offers)

    async def test_more_weight_never_costs_less_and_is_never_rounded_down(self, bench):
        exact = consignment(bench, weight=Quantity(Decimal(2), "KGM"))
        lighter, heavier = [
            {
                offer.service: offer.price.amount
                for offer in await bench.adapter.quote_freight(call(), consignment=goods)
            }
            for goods in (exact, consignment(bench, weight=Quantity(Decimal("2.0000001"), "KGM")))
        ]
        assert all(heavier[service] > price for service, price in lighter.items())

    async def test_goods_without_a_weight_are_refused_before_anybody_is_asked(self, bench):
        for amount, unit in (("0", "KGM"), ("1", "EA")):
            goods = consignment(bench, weight=Quantity(Decimal(amount), unit))
            with pytest.raises(Rejected):
                await bench.adapter.quote_freight(call(), consignment=goods)

    @live_only
    async def test_a_carrier_that_is_down_can_be_asked_again(self, bench):
        with pytest.raises(Unavailable):
            await (await bench.down()).quote_freight(call(), consignment=consignment(bench))


class BooksFreightCases:
    async def test_a_booking_is_not_found_before_and_found_after_at_the_price_offered(self, bench):
        goods = consignment(bench)
        assert await bench.adapter.find_booking(call(), reference=goods.reference) is None
        offer = (await bench.adapter.quote_freight(call(), consignment=goods))[0]
        made = await bench.adapter.book_freight(call(), consignment=goods, service=offer.service)
        assert (made.reference, made.service, made.price) == (goods.reference, offer.service, offer.price)
        assert made.arrives_on == offer.arrives_on
        assert made.tracking
        assert not made.cancelled
        assert await bench.adapter.find_booking(call(), reference=goods.reference) == made

    async def test_booking_twice_under_one_reference_gives_one_and_other_goods_clash(self, bench):
        goods = consignment(bench)
        service = await self._service(bench, goods)
        first = await bench.adapter.book_freight(call(), consignment=goods, service=service)
        assert await bench.adapter.book_freight(call(), consignment=goods, service=service) == first
        later = structs.replace(goods, ready_on=date(2026, 11, 24))
        assert await bench.adapter.book_freight(call(), consignment=later, service=service) == first
        heavier = structs.replace(goods, weight=Quantity(Decimal(9), "KGM"))
        with pytest.raises(Conflict):
            await bench.adapter.book_freight(call(), consignment=heavier, service=service)
        assert await bench.counterpart.count_orders(goods.reference) == 1

    async def test_a_service_that_there_is_not_is_refused_and_books_nothing(self, bench):
        goods = consignment(bench)
        with pytest.raises(Rejected):
            await bench.adapter.book_freight(call(), consignment=goods, service="no such service")
        assert await bench.adapter.find_booking(call(), reference=goods.reference) is None

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_is_unknown_and_repeating_it_books_once(self, bench, fault):
        goods = consignment(bench)
        service = await self._service(bench, goods)
        with pytest.raises(UNKNOWN if fault == "garbage" else OutcomeUnknown):
            await bench.failing(fault).book_freight(call(), consignment=goods, service=service)
        await bench.line.quiet()
        found = await settled(lambda: bench.adapter.find_booking(call(), reference=goods.reference))
        assert await bench.adapter.book_freight(call(), consignment=goods, service=service) == found
        assert await bench.counterpart.count_orders(goods.reference) == 1

    @live_only
    async def test_a_carrier_that_is_down_booked_nothing(self, bench):
        goods = consignment(bench)
        with pytest.raises(Unavailable):
            await (await bench.down()).book_freight(call(), consignment=goods, service="any")
        assert await bench.counterpart.count_orders(goods.reference) == 0

    async def test_cancelling_is_harmless_to_repeat_and_visible(self, bench):
        goods = consignment(bench)
        await self._booked(bench, goods)
        for _ in range(2):
            assert (await bench.adapter.cancel_booking(call(), reference=goods.reference)).cancelled
        assert (await bench.adapter.find_booking(call(), reference=goods.reference)).cancelled

    async def test_cancelling_what_was_never_booked_is_not_found(self, bench):
        with pytest.raises(NotFound):
            await bench.adapter.cancel_booking(call(), reference=bench.ref("ord"))

    async def test_cancelling_is_refused_once_the_goods_were_collected(self, bench):
        goods = consignment(bench)
        await self._booked(bench, goods)
        await bench.counterpart.begin_work(goods.reference)
        with pytest.raises(Conflict):
            await bench.adapter.cancel_booking(call(), reference=goods.reference)
        assert not (await bench.adapter.find_booking(call(), reference=goods.reference)).cancelled

    async def _service(self, bench, goods):
        return (await bench.adapter.quote_freight(call(), consignment=goods))[0].service

    async def _booked(self, bench, goods):
        service = await self._service(bench, goods)
        return await bench.adapter.book_freight(call(), consignment=goods, service=service)


class ReportsMilestonesCases:
    async def test_a_cursor_misses_nothing_and_repeats_nothing(self, bench):
        _, start = await self._drain(bench, None)
        for _ in range(2):
            await bench.counterpart.cause_movement()
        first, cursor = await self._drain(bench, start)
        assert len(first) == 2
        await bench.counterpart.cause_movement()
        second, cursor = await self._drain(bench, cursor)
        assert len(second) == 1
        assert {each.event_id for each in first}.isdisjoint(each.event_id for each in second)
        assert await self._drain(bench, cursor) == ([], cursor)
        assert all(each.source == "instance" and each.occurred_at.tzinfo for each in [*first, *second])

    async def _drain(self, bench, cursor):
        found = []
        while True:
            report, following = await bench.adapter.read_milestones(call(), cursor=cursor)
            if not report.milestones:
                return found, following
            found += report.milestones
            cursor = following
