"""Findings that wait for a person, in the queue of exceptions."""

from decimal import Decimal

import pytest

from gateway.canonical.trouble import Effect, TroubleClass, Verb
from gateway.kernel.errors import Conflict, Unavailable
from process_apis.exceptions.models import State as Stands
from process_apis.reconciliation.models import Scope, State, What
from tests.process_apis.queued import Queue
from tests.process_apis.reconciliation.test_documents import World as Documents
from tests.process_apis.reconciliation.test_documents import sale
from tests.process_apis.reconciliation.test_ledgers import World as Ledgers
from tests.process_apis.reconciliation.test_ledgers import decide

pytestmark = pytest.mark.integration


def queue_of(world, made):
    return Queue(world.store, world.tenant, made.troubles())


@pytest.fixture
async def ledgers(store):
    world = Ledgers(store)
    await world.open()
    return world


async def test_a_difference_beyond_tolerance_waits_in_the_queue_with_its_money_until_the_erp_agrees(ledgers):
    made = ledgers.reconciliation()
    queue = queue_of(ledgers, made)
    ledgers.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    [entry] = await queue.look()
    assert (entry.kind, entry.code, entry.error_class, entry.effect, entry.fault_domain, entry.about) == (
        "reconciliation", "reconciliation.stock_source_only", TroubleClass.BUSINESS, Effect.MISBOOKS, "erp", "A",
    )  # fmt: skip
    assert (entry.value, entry.currency, entry.verbs) == (Decimal(-30), "USD", (Verb.RETRY, Verb.IGNORE))
    ledgers.erp.has["A"] = Decimal(100)
    await made.run(Scope(), asked_by="test")
    assert await queue.state(entry) is Stands.RESOLVED


async def test_a_retry_has_it_compared_at_once_and_says_whether_it_is_gone(ledgers):
    made = ledgers.reconciliation()
    queue = queue_of(ledgers, made)
    ledgers.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    await made.tick()
    [entry] = await queue.look()
    asked = ledgers.erp.asked
    assert await made.tick() == 0, "nothing is due"
    await queue.retry(entry)
    assert await queue.state(entry) is Stands.RETRYING
    assert await made.tick() == 1
    assert ledgers.erp.asked == asked + 1
    assert await made.tick() == 0, "once for each time it was asked for"
    assert await queue.state(entry) is Stands.OPEN
    ledgers.erp.has["A"] = Decimal(100)
    await queue.retry(entry)
    await made.tick()
    assert await queue.state(entry) is Stands.RESOLVED
    assert await queue.story(entry) == ["raised", "retry", "retry_failed", "retry", "resolved"]


async def test_ignoring_a_finding_rejects_it_with_the_reason_and_the_same_difference_stays_away(ledgers):
    made = ledgers.reconciliation()
    queue = queue_of(ledgers, made)
    ledgers.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    [entry] = await queue.look()
    await queue.ignore(entry, "counted by hand")
    finding = await made.get_finding(ledgers.tenant, entry.key)
    assert (finding.state, finding.decided_by, finding.reason) == (State.REJECTED, "ann", "counted by hand")
    await made.run(Scope(), asked_by="test")
    assert await queue.look() == []
    assert ("ann", "reconciliation.rejected", "rejected") in await ledgers.audited()


async def test_what_somebody_else_decided_meanwhile_is_not_decided_twice(ledgers):
    made = ledgers.reconciliation()
    queue = queue_of(ledgers, made)
    ledgers.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    [entry] = await queue.look()
    await decide(made, entry.key, "reject", "bob")
    for verb in (queue.retry(entry),
                 queue.ignore(entry, "late")):  # fmt: skip
        with pytest.raises(Conflict):
            await verb
    assert await queue.state(entry) is Stands.RESOLVED


async def test_a_correction_that_fails_again_and_again_is_told_and_a_retry_makes_it_at_once(ledgers):
    made = ledgers.reconciliation()
    queue = queue_of(ledgers, made)
    ledgers.erp.has["A"] = Decimal(97)
    await made.run(Scope(), asked_by="test")
    [entry] = await queue.look()
    ledgers.erp.refuses = Unavailable("away", code="erp.unavailable")
    await decide(made, entry.key, "accept", "ann")
    for attempt in range(1, 5):
        assert len(await queue.look()) == (attempt > 4)
        await ledgers.store.execute("update reconciliation.finding set not_before = null where finding = $1", entry.key)
        await made.desk.adjust_due(made._call())
    [told] = await queue.look()
    assert (told.code, told.state, told.count) == ("reconciliation.not_corrected", Stands.RETRYING, 4)
    ledgers.erp.refuses = None
    assert await made.desk.adjust_due(made._call()) == 0, "its time has not come"
    await queue.retry(told)
    assert await made.desk.adjust_due(made._call()) == 1
    assert await queue.state(told) is Stands.RESOLVED


async def test_an_unmapped_figure_of_an_erp_is_retried_not_ignored(ledgers):
    made = ledgers.reconciliation()
    queue = queue_of(ledgers, made)
    ledgers.erp.has["STRANGE"] = Decimal(5)
    await made.run(Scope(), asked_by="test")
    [entry] = await queue.look()
    assert (entry.error_class, entry.about, entry.verbs) == (TroubleClass.MAPPING, "STRANGE", (Verb.RETRY,))


async def test_an_order_that_is_compared_again_is_asked_for_though_its_turn_is_far_away(store):
    world = Documents(store)
    made = world.reconciliation(orders_per_run=2, stock_seconds=0.0, shipments_seconds=0.0)
    queue = queue_of(world, made)
    world.sales["ord_5"] = None
    for _ in range(3):
        await made.run(Scope(what=What.ORDERS), asked_by="test")
    [entry] = await queue.look()
    assert entry.about == "ord_5"
    world.sales["ord_5"] = sale(reference="ord_5")
    await queue.retry(entry)
    world.asked.clear()
    assert await made.tick() == 1
    assert sorted(world.asked) == ["ord_1", "ord_2", "ord_5"]
    assert await queue.state(entry) is Stands.RESOLVED
