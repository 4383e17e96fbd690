"""Cases for capabilities that write: look first, once under one reference, never lost, never doubled."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from gateway.canonical.channel import ChannelUpdate, ProgressLine, Published, WantedFigure
from gateway.canonical.invoice import CreditLine, CreditOrder
from gateway.canonical.order import ShipmentLine, WorkState
from gateway.canonical.purchase import BilledLine, GoodsReceipt, ReceivedLine, SupplierInvoice
from gateway.canonical.stock import Bucket
from gateway.canonical.warehouse import CountOrder, CountOrderLine, StatusOrder, TransferOrder, TransferOrderLine
from gateway.kernel.errors import BrokenUpstream, Conflict, NotFound, OutcomeUnknown, Rejected, Unavailable
from tests.conformance.conftest import call
from tests.conformance.counterpart import FAULTS, live_only

UNKNOWN = (OutcomeUnknown, BrokenUpstream)


async def settled(look, seconds=60.0):
    """What `look` gives once the system has finished what it was asked: a bounded wait, as callers do."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                found = await look()
            except Unavailable:
                found = None
            if found is not None:
                return found
            await asyncio.sleep(0.1)


class TakesOrdersCases:
    async def test_an_order_is_not_found_before_and_found_after(self, bench):
        order = bench.order()
        assert await bench.adapter.find_order(call(), reference=order.order) is None
        made = await bench.adapter.submit_order(call(60), order=order)
        assert (made.reference, made.ready, made.cancelled) == (order.order, True, False)
        assert await bench.adapter.find_order(call(), reference=order.order) == made

    async def test_amounts_of_every_line_arrive_to_the_last_digit(self, bench):
        order = bench.order()
        made = await bench.adapter.submit_order(call(60), order=order)
        shipped = {line.line: line.amount for shipment in made.shipments for line in shipment.lines}
        assert shipped == {line.line: line.amount for line in order.lines}

    async def test_submitting_twice_under_one_reference_gives_one(self, bench):
        order = bench.order()
        first = await bench.adapter.submit_order(call(60), order=order)
        assert (await bench.adapter.submit_order(call(60), order=order)).number == first.number
        assert await bench.counterpart.count_orders(order.order) == 1

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_is_unknown_and_looking_before_repeating_gives_one(self, bench, fault):
        order = bench.order()
        with pytest.raises(UNKNOWN if fault == "garbage" else OutcomeUnknown):
            await bench.failing(fault).submit_order(call(60), order=order)
        await bench.line.quiet()
        await settled(lambda: bench.adapter.find_order(call(), reference=order.order))
        made = await settled(lambda: bench.adapter.submit_order(call(60), order=order))
        assert made.ready
        assert await bench.counterpart.count_orders(order.order) == 1

    @live_only
    async def test_a_second_write_that_is_lost_leaves_an_order_that_can_be_finished(self, bench):
        if bench.counterpart.deep_insert:
            return  # it has no second write
        order = bench.order()
        with pytest.raises(OutcomeUnknown):
            await bench.failing("cut", at=2).submit_order(call(60), order=order)
        made = await settled(lambda: bench.adapter.submit_order(call(60), order=order))
        assert made.ready
        assert await bench.counterpart.count_orders(order.order) == 1

    @live_only
    async def test_a_system_that_is_down_took_nothing(self, bench):
        order = bench.order()
        with pytest.raises(Unavailable):
            await (await bench.down()).submit_order(call(), order=order)
        assert await bench.counterpart.count_orders(order.order) == 0

    async def test_cancelling_is_harmless_to_repeat_and_visible(self, bench):
        order = bench.order()
        await bench.adapter.submit_order(call(60), order=order)
        for _ in range(2):
            assert (await bench.adapter.cancel_order(call(60), reference=order.order)).cancelled
        found = await bench.adapter.find_order(call(), reference=order.order)
        assert found is not None
        assert found.cancelled

    async def test_cancelling_what_does_not_exist_is_not_found(self, bench):
        with pytest.raises(NotFound):
            await bench.adapter.cancel_order(call(), reference=bench.ref("ord"))

    async def test_cancelling_is_refused_once_picking_began(self, bench):
        order = bench.order()
        await bench.adapter.submit_order(call(60), order=order)
        await bench.counterpart.begin_work(order.order)
        with pytest.raises(Conflict):
            await bench.adapter.cancel_order(call(60), reference=order.order)
        assert not (await bench.adapter.find_order(call(), reference=order.order)).cancelled


class CancelsTwinsCases:
    async def test_where_there_is_one_order_it_is_the_elder(self, bench):
        order = bench.order()
        made = await bench.adapter.submit_order(call(60), order=order)
        assert (await bench.adapter.cancel_twins(call(60), reference=order.order)).number == made.number
        assert await bench.counterpart.count_orders(order.order) == 1


class PostsShipmentsCases:
    async def test_a_posting_is_not_found_before_and_posted_once(self, bench):
        order = await self._ordered(bench)
        posting = bench.ref("pst")
        assert await bench.adapter.find_posting(call(), reference=order.order, posting=posting) is None
        first = await self._post(bench.adapter, order, posting, order.lines[:1])
        again = await self._post(bench.adapter, order, posting, order.lines[:1])
        assert first.number == again.number
        found = await bench.adapter.find_posting(call(), reference=order.order, posting=posting)
        assert found is not None
        assert found.number == first.number

    async def test_the_rest_is_posted_under_another_id(self, bench):
        order = await self._ordered(bench)
        first = await self._post(bench.adapter, order, bench.ref("pst"), order.lines[:1])
        second = await self._post(bench.adapter, order, bench.ref("pst"), order.lines[1:])
        assert first.number != second.number
        assert {line.line: line.amount for line in (*first.lines, *second.lines)} == {
            line.line: line.amount for line in order.lines
        }

    @live_only
    async def test_a_lost_answer_is_unknown_and_posting_again_posts_once(self, bench):
        order = await self._ordered(bench)
        posting = bench.ref("pst")
        with pytest.raises(OutcomeUnknown):
            await self._post(bench.failing("cut"), order, posting, order.lines)
        made = await settled(lambda: self._post(bench.adapter, order, posting, order.lines))
        assert sum((line.amount for line in made.lines), Decimal()) == sum(line.amount for line in order.lines)

    async def _ordered(self, bench):
        order = bench.order()
        await bench.adapter.submit_order(call(60), order=order)
        return order

    async def _post(self, adapter, order, posting, lines):
        return await adapter.post_shipment(
            call(60),
            reference=order.order,
            posting=posting,
            location=order.lines[0].location,
            lines=[ShipmentLine(line=line.line, item=line.item, amount=line.amount) for line in lines],
        )


class PostsAdjustmentsCases:
    """Each adds and takes away again, so that other cases find the stock they know."""

    async def test_a_correction_is_not_found_before_and_booked_once(self, bench):
        posting = bench.ref("rec")
        assert await bench.adapter.find_adjustment(call(), posting=posting) is None
        before = await self._shown(bench)
        first = await self._correct(bench.adapter, bench, posting, "3")
        assert await self._correct(bench.adapter, bench, posting, "3") == first
        assert await bench.adapter.find_adjustment(call(), posting=posting) == first
        assert (first.amount, await self._shown(bench)) == (3, before + 3)
        await self._correct(bench.adapter, bench, bench.ref("rec"), "-3")
        assert await self._shown(bench) == before

    @live_only
    async def test_a_lost_answer_is_unknown_and_correcting_again_corrects_once(self, bench):
        posting, before = bench.ref("rec"), await self._shown(bench)
        with pytest.raises(OutcomeUnknown):
            await self._correct(bench.failing("cut"), bench, posting, "2")
        made = await settled(lambda: self._correct(bench.adapter, bench, posting, "2"))
        assert (made.amount, await self._shown(bench)) == (2, before + 2)
        await self._correct(bench.adapter, bench, bench.ref("rec"), "-2")

    async def _shown(self, bench):
        location, code = bench.counterpart.location, self._code(bench)
        told = await bench.adapter.read_stock(call(60), locations=[location])
        return sum((each.amount for each in told.figures if each.source_item == code), Decimal())

    async def _correct(self, adapter, bench, posting, amount):
        location, code = bench.counterpart.location, self._code(bench)
        uom = next(uom for sku, _, uom in bench.counterpart.lines if sku == code)
        return await adapter.post_adjustment(
            call(60), posting=posting, location=location, code=code, amount=Decimal(amount), uom=uom
        )

    def _code(self, bench):
        return bench.counterpart.lines[0][0]


class ReadsInvoicesCases:
    @live_only
    async def test_an_order_that_nobody_knows_has_no_invoices(self, bench):
        assert list(await bench.adapter.read_invoices(call(), reference=bench.ref("ord"))) == []


class BillsShipmentsCases:
    @live_only
    async def test_a_shipment_is_billed_once_by_the_posting_it_was_told_under(self, bench):
        order, posting = await self._posted(bench)
        assert await bench.adapter.find_bill(call(), reference=order.order, posting=posting) is None
        billed = await settled(lambda: self._bill(bench.adapter, order, posting))
        assert (billed.owed, billed.currency, billed.net + billed.tax) == (True, order.currency, billed.total)
        assert {line.line: line.amount for line in billed.lines if line.posting == posting} == {
            line.line: line.amount for line in order.lines
        }
        assert await self._bill(bench.adapter, order, posting) == billed
        assert await bench.adapter.find_bill(call(), reference=order.order, posting=posting) == billed

    @live_only
    async def test_a_lost_answer_is_unknown_and_asking_again_bills_once(self, bench):
        order, posting = await self._posted(bench)
        with pytest.raises(OutcomeUnknown):
            await self._bill(bench.failing("cut"), order, posting)
        billed = await settled(lambda: self._bill(bench.adapter, order, posting))
        found = await bench.adapter.find_bill(call(), reference=order.order, posting=posting)
        assert (billed.number, found) == (found.number, billed)

    async def _posted(self, bench):
        order, posting = bench.order(), bench.ref("pst")
        await bench.adapter.submit_order(call(60), order=order)
        await bench.adapter.post_shipment(
            call(60), reference=order.order, posting=posting, location=order.lines[0].location,
            lines=[ShipmentLine(line=line.line, item=line.item, amount=line.amount) for line in order.lines],
        )  # fmt: skip
        return order, posting

    async def _bill(self, adapter, order, posting):
        return await adapter.bill_shipment(call(60), reference=order.order, posting=posting)


class IssuesCreditsCases:
    @live_only
    async def test_a_lost_answer_is_unknown_and_asking_again_credits_once(self, bench):
        order, credit = bench.order(), bench.ref("crd")
        await bench.adapter.submit_order(call(60), order=order)
        asked = CreditOrder(
            credit=credit,
            order=order.order,
            sold_to=order.sold_to,
            currency=order.currency,
            location=order.lines[0].location,
            lines=tuple(
                CreditLine(
                    line=line.line, item=line.item, sku=line.sku, amount=line.amount, uom=line.uom,
                    unit_price=line.unit_price, restocked=line.amount,
                )
                for line in order.lines[:1]
            ),
        )  # fmt: skip
        assert await bench.adapter.find_credit(call(), credit=credit) is None
        with pytest.raises(OutcomeUnknown):
            await bench.failing("cut").issue_credit(call(60), order=asked)
        made = await settled(lambda: bench.adapter.issue_credit(call(60), order=asked))
        assert (made.owed, made.is_credit, made.reference) == (True, True, credit)
        assert await bench.adapter.find_credit(call(), credit=credit) == made
        notes = await bench.adapter.read_invoices(call(), reference=order.order)
        assert [note.number for note in notes if note.is_credit] == [made.number]


class BooksReceiptsCases:
    @live_only
    async def test_a_lost_answer_is_unknown_and_asking_again_books_once(self, bench):
        _, asked = await receipt_of(bench)
        assert await bench.adapter.find_receipt(call(), receipt=asked.receipt) is None
        with pytest.raises(OutcomeUnknown):
            await bench.failing("cut").book_receipt(call(60), receipt=asked)
        await bench.line.quiet()
        booked = await bench.adapter.book_receipt(call(60), receipt=asked)
        assert await bench.adapter.find_receipt(call(), receipt=asked.receipt) == booked
        assert await bench.adapter.book_receipt(call(60), receipt=asked) == booked


class BooksSupplierInvoicesCases:
    @live_only
    async def test_a_lost_answer_is_unknown_and_asking_again_posts_once(self, bench):
        purchase, asked = await receipt_of(bench)
        await bench.adapter.book_receipt(call(60), receipt=asked)
        invoice = invoice_of(bench, purchase, asked)
        number = purchase.number
        assert await bench.adapter.find_supplier_invoice(call(), purchase=number, number=invoice.number) is None
        with pytest.raises(OutcomeUnknown):
            await bench.failing("cut").book_supplier_invoice(call(60), purchase=number, invoice=invoice)
        await bench.line.quiet()
        booked = await bench.adapter.book_supplier_invoice(call(60), purchase=number, invoice=invoice)
        found = await bench.adapter.find_supplier_invoice(call(), purchase=number, number=invoice.number)
        assert found == booked


class ReadsSupplierInvoicesCases:
    @live_only
    async def test_a_booked_invoice_is_told_once_with_what_it_bills_and_how_far_it_is(self, bench):
        purchase, asked = await receipt_of(bench)
        await bench.adapter.book_receipt(call(60), receipt=asked)
        invoice = invoice_of(bench, purchase, asked)
        await bench.adapter.book_supplier_invoice(call(60), purchase=purchase.number, invoice=invoice)
        found, cursor = [], None
        while (page := await bench.adapter.read_supplier_invoices(call(60), cursor=cursor, limit=2)).bills:
            found += page.bills
            cursor = page.next_cursor
        assert [each.sequence for each in found] == sorted(each.sequence for each in found)
        [told] = [each for each in found if each.number == invoice.number]
        assert (told.purchases, told.state, told.net) == ((purchase.number,), "posted", invoice.net)
        assert told.currency == purchase.currency
        again = await bench.adapter.read_supplier_invoices(call(60), cursor=page.resume)
        assert {each.number for each in again.bills} <= {each.number for each in found}


def invoice_of(bench, purchase, receipt):
    """An invoice over what came in, at the price of the purchase."""
    [line], [priced] = receipt.lines, [each for each in purchase.lines if each.line == receipt.lines[0].line]
    billed = BilledLine(line=line.line, amount=line.amount, unit_price=priced.unit_price.amount)
    return SupplierInvoice(
        number=bench.ref("INV"), invoiced=receipt.received_on, currency=purchase.currency, lines=(billed,)
    )


async def receipt_of(bench):
    """The purchase that the counterpart has, and a receipt of one unit of its first line."""
    page = await bench.adapter.read_purchases(call(60))
    [purchase] = [each for each in page.purchases if each.source_supplier == bench.counterpart.supplier]
    line = purchase.lines[0]
    asked = GoodsReceipt(
        receipt=bench.ref("rcv"),
        purchase=purchase.number,
        location=bench.counterpart.location,
        received_on=datetime.now(UTC).date(),
        lines=(ReceivedLine(line=line.line, amount=Decimal(1), uom=line.uom),),
    )
    return purchase, asked


class ReleasesWorkCases:
    async def test_work_is_not_found_before_and_released_once(self, bench):
        order = bench.order()
        assert await bench.adapter.find_work(call(), reference=order.order) is None
        made = await self._release(bench.adapter, order)
        assert (made.reference, made.state) == (order.order, WorkState.RELEASED)
        assert await self._release(bench.adapter, order) == made
        assert await bench.adapter.find_work(call(), reference=order.order) == made
        assert await bench.counterpart.count_orders(order.order) == 1

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_is_unknown_and_looking_before_repeating_gives_one(self, bench, fault):
        order = bench.order()
        with pytest.raises(UNKNOWN if fault == "garbage" else OutcomeUnknown):
            await self._release(bench.failing(fault), order, seconds=60.0)
        await bench.line.quiet()
        await settled(lambda: bench.adapter.find_work(call(), reference=order.order))
        await self._release(bench.adapter, order)
        assert await bench.counterpart.count_orders(order.order) == 1

    @live_only
    async def test_a_system_that_is_down_took_nothing(self, bench):
        order = bench.order()
        with pytest.raises(Unavailable):
            await self._release(await bench.down(), order)
        assert await bench.counterpart.count_orders(order.order) == 0

    async def test_cancelling_is_harmless_to_repeat_before_picking_and_refused_after(self, bench):
        order, begun = bench.order(), bench.order()
        await self._release(bench.adapter, order)
        for _ in range(2):
            assert (await bench.adapter.cancel_work(call(), reference=order.order)).state is WorkState.CANCELLED
        await self._release(bench.adapter, begun)
        await bench.counterpart.begin_work(begun.order)
        with pytest.raises(Conflict):
            await bench.adapter.cancel_work(call(), reference=begun.order)
        with pytest.raises(NotFound):
            await bench.adapter.cancel_work(call(), reference=bench.ref("ord"))

    async def _release(self, adapter, order, seconds=30.0):
        return await adapter.release_work(call(seconds), order=order, location=order.lines[0].location)


class ReleasesTransfersCases:
    async def test_a_transfer_is_not_found_before_and_released_once(self, bench):
        transfer = self._transfer(bench)
        assert await bench.adapter.find_transfer(call(), reference=transfer.transfer) is None
        made = await bench.adapter.release_transfer(call(), order=transfer)
        assert (made.reference, made.state) == (transfer.transfer, WorkState.RELEASED)
        assert await bench.adapter.release_transfer(call(), order=transfer) == made
        assert await bench.adapter.find_transfer(call(), reference=transfer.transfer) == made
        assert await bench.counterpart.count_orders(transfer.transfer) == 1
        elsewhere = structs.replace(transfer, destination="OTHER")
        with pytest.raises(Conflict):
            await bench.adapter.release_transfer(call(), order=elsewhere)

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_about_a_transfer_is_unknown_and_repeating_it_gives_one(self, bench, fault):
        transfer = self._transfer(bench)
        with pytest.raises(UNKNOWN if fault == "garbage" else OutcomeUnknown):
            await bench.failing(fault).release_transfer(call(), order=transfer)
        await bench.line.quiet()
        await settled(lambda: bench.adapter.find_transfer(call(), reference=transfer.transfer))
        await bench.adapter.release_transfer(call(), order=transfer)
        assert await bench.counterpart.count_orders(transfer.transfer) == 1

    async def test_cancelling_a_transfer_is_harmless_to_repeat_before_picking_and_refused_after(self, bench):
        transfer, begun = self._transfer(bench), self._transfer(bench)
        for each in (transfer, begun):
            await bench.adapter.release_transfer(call(), order=each)
        for _ in range(2):
            cancelled = await bench.adapter.cancel_transfer(call(), reference=transfer.transfer)
            assert cancelled.state is WorkState.CANCELLED
        await bench.counterpart.begin_work(begun.transfer)
        with pytest.raises(Conflict):
            await bench.adapter.cancel_transfer(call(), reference=begun.transfer)
        with pytest.raises(NotFound):
            await bench.adapter.cancel_transfer(call(), reference=bench.ref("trf"))

    def _transfer(self, bench):
        order = bench.order()
        return TransferOrder(
            transfer=bench.ref("trf"),
            origin=order.lines[0].location,
            destination="ELSEWHERE",
            lines=tuple(
                TransferOrderLine(line=each.line, item=each.item, sku=each.sku, amount=each.amount, uom=each.uom)
                for each in order.lines
            ),
        )


class ChangesStatusCases:
    """Each holds goods and releases them again, so that other cases find the stock they know."""

    async def test_a_change_is_not_found_before_and_made_once(self, bench):
        hold = self._hold(bench)
        assert await bench.adapter.find_status_change(call(), reference=hold.change) is None
        number = await bench.adapter.change_status(call(), order=hold)
        assert await bench.adapter.change_status(call(), order=hold) == number
        assert await bench.adapter.find_status_change(call(), reference=hold.change) == number
        with pytest.raises(Conflict):
            await bench.adapter.change_status(call(), order=structs.replace(hold, amount=hold.amount + 1))
        await self._unhold(bench, hold)

    async def test_what_is_not_there_is_refused_and_nothing_is_made(self, bench):
        much = structs.replace(self._hold(bench), from_bucket=Bucket.QUALITY_HOLD, to_bucket=Bucket.SELLABLE)
        with pytest.raises(Conflict):
            await bench.adapter.change_status(call(), order=much)
        assert await bench.adapter.find_status_change(call(), reference=much.change) is None

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_about_a_change_is_unknown_and_repeating_it_changes_once(self, bench, fault):
        hold = self._hold(bench)
        with pytest.raises(UNKNOWN if fault == "garbage" else OutcomeUnknown):
            await bench.failing(fault).change_status(call(), order=hold)
        await bench.line.quiet()
        number = await settled(lambda: bench.adapter.find_status_change(call(), reference=hold.change))
        assert await bench.adapter.change_status(call(), order=hold) == number
        await self._unhold(bench, hold)

    def _hold(self, bench):
        line = bench.order().lines[0]
        return StatusOrder(
            change=bench.ref("sch"), location=line.location, item=line.item, sku=line.sku, amount=Decimal(1),
            uom=line.uom, from_bucket=Bucket.SELLABLE, to_bucket=Bucket.QUALITY_HOLD, reason="conformance",
        )  # fmt: skip

    async def _unhold(self, bench, hold):
        back = structs.replace(hold, change=bench.ref("sch"), from_bucket=hold.to_bucket, to_bucket=hold.from_bucket)
        await bench.adapter.change_status(call(), order=back)


class TakesCountsCases:
    """Each counts what is there, so that other cases find the stock they know."""

    async def test_a_count_is_not_found_before_and_taken_over_once(self, bench):
        count = await self._count(bench)
        assert await bench.adapter.find_count(call(), reference=count.count) is None
        number = await bench.adapter.post_count(call(), order=count)
        assert await bench.adapter.post_count(call(), order=count) == number
        assert await bench.adapter.find_count(call(), reference=count.count) == number
        more = structs.replace(count.lines[0], amount=count.lines[0].amount + 1)
        with pytest.raises(Conflict):
            await bench.adapter.post_count(call(), order=structs.replace(count, lines=(more,)))

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_about_a_count_is_unknown_and_repeating_it_counts_once(self, bench, fault):
        count = await self._count(bench)
        with pytest.raises(UNKNOWN if fault == "garbage" else OutcomeUnknown):
            await bench.failing(fault).post_count(call(), order=count)
        await bench.line.quiet()
        number = await settled(lambda: bench.adapter.find_count(call(), reference=count.count))
        assert await bench.adapter.post_count(call(), order=count) == number

    async def test_a_count_is_refused_once_goods_have_moved(self, bench):
        count = await self._count(bench)
        await bench.adapter.post_count(call(), order=count)
        again = structs.replace(count, count=bench.ref("cnt"))
        with pytest.raises(Conflict):
            await bench.adapter.post_count(call(), order=again)
        assert await bench.adapter.find_count(call(), reference=again.count) is None

    async def _count(self, bench):
        line = bench.order().lines[0]
        stock = await bench.adapter.read_stock(call(), locations=[line.location])
        codes = {item.source_code for item in (await bench.adapter.read_items(call())).items if item.sku == line.sku}
        there = sum(
            (each.amount for each in stock.figures if each.source_item in codes and each.bucket is Bucket.SELLABLE),
            Decimal(0),
        )
        return CountOrder(
            count=bench.ref("cnt"), location=line.location, bucket=Bucket.SELLABLE, cut_off=stock.cut_off,
            lines=(CountOrderLine(line=1, item=line.item, sku=line.sku, amount=there, uom=line.uom),),
        )  # fmt: skip


class PublishesAvailabilityCases:
    async def test_what_is_shown_is_read_whatever_the_sku_and_what_is_not_sold_is_left_out(self, bench):
        known = bench.counterpart.shown
        found = await bench.adapter.read_figures(call(), skus=[*known, "not sold here"])
        assert {figure.sku: figure.quantity for figure in found} == known

    async def test_a_figure_is_set_while_it_is_as_it_was_read_and_never_over_a_sale(self, bench):
        known = bench.counterpart
        sku = next(sku for sku, quantity in known.shown.items() if quantity > 5)
        [before] = await bench.adapter.read_figures(call(), skus=[sku])
        await known.sell(sku, 2)
        wanted = [WantedFigure(sku=sku, quantity=99, version=before.version)]
        [refused] = await bench.adapter.publish_figures(call(), figures=wanted)
        assert (refused.became, refused.quantity) == (Published.CHANGED, before.quantity - 2)
        wanted = [WantedFigure(sku=sku, quantity=3, version=refused.version)]
        [applied] = await bench.adapter.publish_figures(call(), figures=wanted)
        assert (applied.became, applied.quantity) == (Published.APPLIED, 3)
        [after] = await bench.adapter.read_figures(call(), skus=[sku])
        assert (after.quantity, after.version) == (3, applied.version)

    async def test_an_sku_that_is_not_sold_is_named_and_holds_up_no_other(self, bench):
        sku = next(iter(bench.counterpart.shown))
        [before] = await bench.adapter.read_figures(call(), skus=[sku])
        wanted = [
            WantedFigure(sku="not sold here", quantity=1, version=1),
            WantedFigure(sku=sku, quantity=8, version=before.version),
        ]
        results = await bench.adapter.publish_figures(call(), figures=wanted)
        assert [result.became for result in results] == [Published.UNKNOWN, Published.APPLIED]

    @live_only
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_lost_answer_is_an_unknown_outcome_and_looking_tells(self, bench, fault):
        sku = next(iter(bench.counterpart.shown))
        [before] = await bench.adapter.read_figures(call(), skus=[sku])
        wanted = [WantedFigure(sku=sku, quantity=4, version=before.version)]
        with pytest.raises(OutcomeUnknown):
            await bench.failing(fault).publish_figures(call(), figures=wanted)
        await bench.line.quiet()
        [after] = await bench.adapter.read_figures(call(), skus=[sku])
        assert after.quantity == 4

    @live_only
    async def test_a_shop_that_is_down_was_told_nothing(self, bench):
        adapter = await bench.down()
        with pytest.raises(Unavailable):
            await adapter.publish_figures(call(), figures=[WantedFigure(sku="any", quantity=1, version=1)])


class TakesOrderUpdatesCases:
    async def test_an_update_counts_once_by_its_id_and_never_beyond_what_was_sold(self, bench):
        order = await self._sold(bench, 3)
        told = self._update(bench, order, fulfilled=2)
        await bench.adapter.update_order(call(), update=told)
        await bench.adapter.update_order(call(), update=told)
        with pytest.raises(Conflict):
            await bench.adapter.update_order(call(), update=structs.replace(told, promised_on=date(2027, 1, 1)))
        with pytest.raises(Rejected):
            await bench.adapter.update_order(call(), update=self._update(bench, order, fulfilled=2))
        await bench.adapter.update_order(call(), update=self._update(bench, order, cancelled=1))
        with pytest.raises(NotFound):
            await bench.adapter.update_order(call(), update=self._update(bench, "no such order"))

    @live_only
    async def test_a_lost_answer_is_unknown_and_telling_again_tells_once(self, bench):
        told = self._update(bench, await self._sold(bench, 1), fulfilled=1)
        with pytest.raises(OutcomeUnknown):
            await bench.failing("cut").update_order(call(60), update=told)
        await bench.adapter.update_order(call(60), update=told)

    async def _sold(self, bench, quantity):
        sku = next(sku for sku, shown in bench.counterpart.shown.items() if shown > quantity)
        return await bench.counterpart.sell(sku, quantity)

    def _update(self, bench, order, **amounts):
        lines = (ProgressLine(line=1, **{name: Decimal(amount) for name, amount in amounts.items()}),)
        return ChannelUpdate(
            update=bench.ref("upd"), reference=order, promised_on=date(2026, 12, 1), lines=lines if amounts else ()
        )
