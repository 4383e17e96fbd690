import asyncio

import pytest

from gateway.canonical.item import ReportedItem
from gateway.canonical.purchase import PurchaseStatus
from gateway.kernel.errors import Conflict, NotFound
from process_apis.procure_to_pay.models import Decision, LineClosure, PurchaseState
from tests.process_apis.procure_to_pay.drawing import ASKED, LATER, ack, bill, notice

pytestmark = pytest.mark.integration


async def test_an_approved_order_is_its_suppliers_and_supply_of_its_place(world):
    made = await world.approve("PO-1", 10, 4)
    assert (made.state, made.supplier, made.location) == (PurchaseState.APPROVED, world.supplier, "north")
    assert await world.supply() == [(120, ASKED)]
    assert await world.events() == ["purchase_order.approved"]


async def test_the_same_version_again_changes_nothing_and_older_news_neither(world):
    await world.approve("PO-1", 10, 4, version=2)
    assert await world.take("PO-1", 10, 4, version=2) == []
    assert await world.take("PO-1", 9, 4, version=1) == []
    [read_later] = await world.take("PO-1", 9, 4, version=2)
    assert read_later.lines[0].amount == 9


async def test_a_version_that_says_the_same_is_kept_and_nobody_is_told(world):
    made = await world.approve("PO-1", 10)
    assert await world.take("PO-1", 10, version=2) == []
    known = await world.purchases.dialogue.get(world.tenant, made.purchase)
    assert (known.version, known.sequence) == (made.version, 2), "a supplier may still answer what it saw"
    assert await world.events() == ["purchase_order.approved"]
    assert await world.take("PO-1", 8, version=1) == []
    assert [each.version for each in await world.take("PO-1", 8, version=3)] == [made.version + 1]


async def test_a_waiting_order_is_tried_again_when_its_version_moves(world):
    assert (await world.approve("PO-1", 10, item="V-9")).cause == "purchase.item_unknown"
    known = [ReportedItem(source_code="V-9", sku=f"{world.tenant}-9", name="", base_uom="CS")]
    await world.items.adopt(world.tenant, "erp", known, correlation_id="mend")
    assert (await world.approve("PO-1", 10, item="V-9", version=2)).cause is None


async def test_an_order_that_was_over_before_it_was_heard_of_is_left_out(world):
    for status in (PurchaseStatus.CANCELLED, PurchaseStatus.CLOSED):
        assert await world.take("PO-1", 10, status=status) == []
    assert await world.events() == []


async def test_a_change_in_the_erp_changes_supply_and_a_line_that_is_gone_counts_nothing(world):
    await world.approve("PO-1", 10, 4)
    await world.approve("PO-1", 6, version=2)
    assert await world.supply() == [(72, ASKED)]
    assert await world.supply(2) == []
    await world.approve("PO-1", 6, version=3, status=PurchaseStatus.CANCELLED)
    assert await world.supply() == []
    assert await world.events() == ["purchase_order.approved", "purchase_order.changed", "purchase_order.cancelled"]


async def test_a_way_from_order_to_match(world):
    made = await world.approve("PO-1", 10, 4)
    dialogue, one = world.purchases.dialogue, made.purchase
    await dialogue.acknowledge(world.caller, one, ack("A", (1, "IA", 6), (1, "IB", 4), (2, "IA", 4)))
    assert await world.supply() == [(72, ASKED)]
    await dialogue.advise(world.caller, one, notice("N", (1, 6)))
    assert await world.supply() == [(72, LATER)]
    await world.receive("PO-1", 72)
    assert await world.supply() == []
    await dialogue.acknowledge(world.caller, one, ack("B", (1, "IA", 10), (2, "IA", 4), sequence=2))
    assert await world.supply() == [(48, ASKED)]
    await world.receive("PO-1", 48)
    await world.receive("PO-1", 4, item=2)
    done = await dialogue.bill(world.caller, one, bill("I-1", (1, 10, 24), (2, 4, "3.5")))
    assert done.state is PurchaseState.MATCHED
    assert done.acknowledged_at <= done.received_at <= done.matched_at
    assert (await world.events())[-2:] == ["invoice.received", "invoice.matched"]


async def test_goods_that_came_before_the_order_was_known_count_when_it_is(world):
    await world.receive("PO-1", 12)
    made = await world.approve("PO-1", 10)
    assert made.standing.lines[0].received == 12
    assert await world.supply() == [(108, ASKED)]


async def test_a_movement_heard_twice_counts_once_and_its_revision_in_its_place(world):
    made = await world.approve("PO-1", 10)
    await world.receive("PO-1", 24, event="r")
    await world.hear(since=0)
    await world.receive("PO-1", 36, event="r", revision=1)
    [line] = (await world.purchases.dialogue.get(world.tenant, made.purchase)).standing.lines
    assert (line.received, line.open) == (36, 84)


async def test_what_cannot_be_mapped_waits_with_its_cause_and_goes_on_once_it_can(world):
    waiting = await world.approve("PO-1", 10, item="V-9")
    assert waiting.cause == "purchase.item_unknown"
    troubles = world.purchases.troubles()
    async with world.store.transaction() as connection:
        [told] = await troubles.troubles(connection, world.tenant, limit=10)
        with pytest.raises(Conflict, match="V-9"):
            await troubles.retry(connection, world.caller, told.key)
    known = [ReportedItem(source_code="V-9", sku=f"{world.tenant}-9", name="", base_uom="CS")]
    await world.items.adopt(world.tenant, "erp", known, correlation_id="mend")
    async with world.store.transaction() as connection:
        await troubles.retry(connection, world.caller, told.key)
    mended = await world.purchases.dialogue.get(world.tenant, waiting.purchase)
    assert (mended.cause, mended.state) == (None, PurchaseState.APPROVED)
    assert await world.events() == ["purchase_order.unmapped", "purchase_order.approved"]


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ({"supplier": "SUP9"}, "purchase.supplier_unknown"),
        ({"location": "WH-9"}, "purchase.location_unknown"),
    ],
    ids=["supplier", "location"],
)
async def test_nothing_goes_out_that_names_what_nobody_knows(world, what, cause):
    assert (await world.approve("PO-1", 10, **what)).cause == cause
    assert await world.supply() == []


async def test_an_order_of_a_supplier_in_onboarding_waits_until_its_test_order_is_answered(world):
    purchases, caller = world.purchases, world.caller
    made = await purchases.suppliers.make_known(caller, name="New", codes={"erp": "SUP2"})
    assert (await world.approve("PO-1", 10, supplier="SUP2")).cause == "purchase.supplier_not_active"
    with pytest.raises(Conflict, match="documents"):
        await purchases.samples.send(caller, made.supplier)
    for step in ("documents", "terms"):
        await purchases.suppliers.finish_step(caller, made.supplier, step)
    sample = await purchases.samples.send(caller, made.supplier)
    assert (await purchases.samples.send(caller, made.supplier)).purchase == sample.purchase
    await purchases.dialogue.acknowledge(caller, sample.purchase, ack("T", (1, "IA", 1)), supplier=made.supplier)
    assert (await purchases.suppliers.get(world.tenant, made.supplier)).state == "active"
    assert await purchases.intake.mend_all(world.tenant, "c") == 1
    assert await world.supply() == [(120, ASKED)]


async def test_a_supplier_sees_no_order_of_another(world):
    other = await world.onboard("SUP2")
    made = await world.approve("PO-1", 10)
    with pytest.raises(NotFound):
        await world.purchases.dialogue.get(world.tenant, made.purchase, supplier=other)
    with pytest.raises(NotFound):
        await world.purchases.dialogue.acknowledge(world.caller, made.purchase, ack("A", (1, "IA", 10)), supplier=other)


async def test_an_answer_counts_once_and_another_under_its_number_is_refused(world):
    made = await world.approve("PO-1", 10)
    dialogue = world.purchases.dialogue
    first = await dialogue.acknowledge(world.caller, made.purchase, ack("A", (1, "IA", 10)), expected=made.version)
    again = await dialogue.acknowledge(world.caller, made.purchase, ack("A", (1, "IA", 10)), expected=made.version)
    assert again.version == first.version
    with pytest.raises(Conflict) as refused:
        await dialogue.acknowledge(world.caller, made.purchase, ack("A", (1, "IR", 10)))
    assert refused.value.code == "purchase.reference_reused"
    with pytest.raises(Conflict) as late:
        await dialogue.acknowledge(world.caller, made.purchase, ack("B", (1, "IR", 10)), expected=made.version)
    assert late.value.code == "precondition.failed"


async def test_an_invoice_number_of_a_supplier_is_used_once_over_all_its_orders(world):
    one, two = await world.approve("PO-1", 10), await world.approve("PO-2", 10)
    dialogue = world.purchases.dialogue
    await dialogue.bill(world.caller, one.purchase, bill("I", (1, 10, 24)))
    await dialogue.bill(world.caller, one.purchase, bill("I", (1, 10, 24)))
    with pytest.raises(Conflict) as used:
        await dialogue.bill(world.caller, two.purchase, bill("I", (1, 10, 24)))
    assert used.value.code == "invoice.number_used"


async def test_of_answers_at_once_each_is_kept_and_one_way_of_standing_comes_of_them(world):
    made = await world.approve("PO-1", 10, 4)
    said = [
        ack(name, (1, code, 10), sequence=n)
        for n, (name, code) in enumerate(zip("ABCD", ("IR", "IB", "IH", "IA"), strict=True))
    ]
    say = world.purchases.dialogue.acknowledge
    await asyncio.gather(*(say(world.caller, made.purchase, each) for each in (*said, *said)))
    found = await world.purchases.dialogue.get(world.tenant, made.purchase)
    assert (found.standing.lines[0].acknowledged, found.standing.lines[0].rejected) == (120, 0)
    assert await world.supply() == [(120, ASKED)]
    kept = await world.store.fetchval("select count(*) from procure_to_pay.fact where purchase = $1", made.purchase)
    assert kept == len(said)


async def test_of_one_invoice_for_two_orders_at_once_one_is_taken(world):
    made = [await world.approve(number, 10) for number in ("PO-1", "PO-2")]
    bills = (world.purchases.dialogue.bill(world.caller, each.purchase, bill("I", (1, 1, 24))) for each in made)
    results = await asyncio.gather(*bills, return_exceptions=True)
    assert sorted(isinstance(each, Conflict) for each in results) == [False, True]


async def test_a_buyer_decides_what_only_people_can(world):
    made = await world.approve("PO-1", 10)
    deciding, dialogue = world.purchases.deciding, world.purchases.dialogue
    late = await dialogue.acknowledge(world.caller, made.purchase, ack("A", (1, "DR", 10), on=LATER))
    [kept] = late.needs
    decision = Decision(subject=kept.need.key, accept=False, reason="too late")
    refused = await deciding.decide(world.caller, made.purchase, decision)
    assert (refused.needs, refused.standing.lines[0].rejected) == ((), 120)
    assert await world.supply() == []
    assert (await deciding.decide(world.caller, made.purchase, decision)).version == refused.version
    with pytest.raises(Conflict) as other:
        await deciding.decide(world.caller, made.purchase, Decision(subject="over/1", accept=True, reason="x"))
    assert other.value.code == "purchase.nothing_to_decide"


async def test_a_blocked_invoice_is_an_exception_and_ignoring_it_lets_it_pass(world):
    made = await world.approve("PO-1", 10)
    await world.receive("PO-1", 120)
    await world.purchases.dialogue.bill(world.caller, made.purchase, bill("I", (1, 10, 25)))
    troubles = world.purchases.troubles()
    async with world.store.transaction() as connection:
        [told] = await troubles.troubles(connection, world.tenant, limit=10)
        assert (told.code, told.effect, told.value) == ("invoice.price", "misbooks", 250)
        await troubles.ignore(connection, world.caller, told.key, "agreed by telephone")
        assert await troubles.troubles(connection, world.tenant, limit=10) == []
    assert (await world.events())[-3:] == ["invoice.blocked", "purchase_order.decided", "invoice.matched"]


async def test_a_line_that_is_closed_is_waited_for_no_more(world):
    made = await world.approve("PO-1", 10)
    closed = await world.purchases.deciding.close_line(
        world.caller, made.purchase, LineClosure(line=1, reason="discontinued")
    )
    assert (closed.state, await world.supply()) == (PurchaseState.CLOSED, [])
    with pytest.raises(Conflict):
        await world.purchases.deciding.close_line(world.caller, made.purchase, LineClosure(line=7, reason="x"))


async def test_what_was_said_in_another_order_ends_in_the_same_place(world):
    facts = [
        lambda one: world.purchases.dialogue.acknowledge(world.caller, one, ack("A", (1, "IA", 10))),
        lambda one: world.purchases.dialogue.acknowledge(world.caller, one, ack("B", (1, "IB", 10), sequence=2)),
        lambda one: world.purchases.dialogue.advise(world.caller, one, notice(f"N-{one}", (1, 5))),
        lambda one: world.purchases.dialogue.bill(world.caller, one, bill(f"I-{one}", (1, 4, 24))),
    ]
    ends = []
    for number, turn in enumerate((facts, facts[::-1], facts[2:] + facts[:2] + facts)):
        made = await world.approve(f"PO-{number}", 10)
        for said in turn:
            await said(made.purchase)
        await world.receive(f"PO-{number}", 48)
        found = await world.purchases.dialogue.get(world.tenant, made.purchase)
        ends.append((found.state, found.standing.lines, found.standing.supply))
        assert [each.verdict for each in found.standing.invoices] == ["matched"]
    assert ends[0] == ends[1] == ends[2]
