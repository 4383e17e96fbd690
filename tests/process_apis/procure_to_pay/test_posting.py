"""What the ERP is told: each thing once, one at a time, and what it refuses goes to a person."""

import asyncio
from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict, OutcomeUnknown, Rejected, Throttled, Unavailable
from process_apis.procure_to_pay.models import Decision, SentBack
from tests.process_apis.procure_to_pay.drawing import bill

pytestmark = pytest.mark.integration


async def test_receipts_are_booked_as_they_come_and_the_invoice_behind_them(booked):
    made = await booked.approve("PO-1", 10, 4)
    await booked.receive("PO-1", 48)
    await booked.receive("PO-1", 72)
    await booked.receive("PO-1", 4, item=2)
    await booked.purchases.dialogue.bill(booked.caller, made.purchase, bill("I-1", (1, 10, 24), (2, 4, "3.5")))
    assert [row["state"] for row in await booked.tasks()] == ["pending", "waiting", "waiting", "waiting"]
    await booked.work()
    assert booked.books.came == [(1, 4, "CS"), (1, 6, "CS"), (2, 4, "EA")]
    assert list(booked.books.bills) == ["I-1"]
    assert [name for name in await booked.events() if name.endswith(".booked")] == [
        "goods.booked", "goods.booked", "goods.booked", "invoice.booked",
    ]  # fmt: skip
    assert await booked.troubles() == {}


async def test_pieces_of_a_case_wait_for_the_rest_of_it_and_go_to_a_person_when_none_comes(booked):
    made = await booked.approve("PO-1", 2)
    await booked.receive("PO-1", 7)
    assert await booked.tasks() == []
    await booked.receive("PO-1", 5)
    await booked.receive("PO-1", 13)
    await booked.work()
    assert booked.books.came == [(1, 1, "CS"), (1, 1, "CS")]
    told = (await booked.troubles())["purchase.not_booked"]
    assert "1 EA came that are no whole CS" in told.detail
    assert made.purchase in told.key


async def test_what_is_more_than_tolerated_is_booked_once_a_buyer_takes_it(booked):
    made = await booked.approve("PO-1", 1, 100)
    await booked.receive("PO-1", 104, item=2)
    await booked.work()
    assert booked.books.came == [(2, 104, "EA")]
    await booked.receive("PO-1", 6, item=2)
    await booked.work()
    assert sum(amount for _, amount, _ in booked.books.came) == 104
    taken = Decision(subject="over/2", accept=True, reason="we need them")
    await booked.purchases.deciding.decide(booked.caller, made.purchase, taken)
    await booked.work()
    assert sum(amount for _, amount, _ in booked.books.came) == 110


@pytest.mark.parametrize(
    "fails",
    [
        [("after", OutcomeUnknown("?"))],
        [("before", OutcomeUnknown("?")), ("after", OutcomeUnknown("?"))],
        [("before", Unavailable("down", retry_after=0.01)), ("before", Throttled("slow", retry_after=0.01))],
    ],
)
async def test_an_answer_that_is_lost_is_looked_up_and_booked_once(booked, fails):
    looks = any(isinstance(error, OutcomeUnknown) for _, error in fails)
    await booked.approve("PO-1", 10)
    booked.books.fails = list(fails)
    await booked.receive("PO-1", 24)
    await booked.work()
    assert booked.books.came == [(1, 2, "CS")]
    assert (booked.books.looked > 0) == looks


async def test_a_worker_that_died_after_it_asked_leaves_a_trace_that_the_next_looks_up(booked):
    await booked.approve("PO-1", 10)
    booked.books.fails = [("after", asyncio.CancelledError())]
    await booked.receive("PO-1", 24)
    [task] = await booked.tasks()
    with pytest.raises(asyncio.CancelledError):
        await booked.turns.run(task["subject"], 0)
    await booked.work()
    assert booked.books.came == [(1, 2, "CS")]
    assert booked.books.looked == 1


async def test_a_receipt_heard_by_two_workers_and_two_turns_at_once_books_once(booked):
    await booked.approve("PO-1", 10)
    await booked.receive("PO-1", 24, heard=False)
    await asyncio.gather(booked.hear(since=0), booked.hear(since=0))
    [task] = await booked.tasks()
    await asyncio.gather(*(booked.turns.run(task["subject"], 0) for _ in range(3)))
    await booked.work()
    assert booked.books.came == [(1, 2, "CS")]


async def test_what_the_erp_refuses_goes_to_a_person_and_the_next_goes_on(booked):
    await booked.approve("PO-1", 10)
    booked.books.fails = [("before", Rejected("period closed", code="erp.refused"))]
    await booked.receive("PO-1", 24)
    await booked.receive("PO-1", 12)
    await booked.work()
    assert booked.books.came == [(1, 1, "CS")]
    told = (await booked.troubles())["erp.refused"]
    assert "period closed" in told.detail
    async with booked.store.transaction() as connection:
        await booked.purchases.troubles().retry(connection, booked.caller, told.key)
    await booked.work()
    assert booked.books.came == [(1, 1, "CS"), (1, 2, "CS")]
    assert await booked.troubles() == {}


async def test_a_refusal_that_a_person_booked_by_hand_is_over_with_an_audit_entry(booked):
    await booked.approve("PO-1", 10)
    booked.books.fails = [("before", Rejected("period closed", code="erp.refused"))]
    await booked.receive("PO-1", 24)
    await booked.work()
    told = (await booked.troubles())["erp.refused"]
    async with booked.store.transaction() as connection:
        await booked.purchases.troubles().ignore(connection, booked.caller, told.key, "booked in July")
    assert await booked.troubles() == {}
    with pytest.raises(Conflict, match="done"):
        async with booked.store.transaction() as connection:
            await booked.purchases.troubles().retry(connection, booked.caller, told.key)
    reason = await booked.store.fetchval(
        "select detail->>'reason' from store.audit where tenant = $1 and action = 'purchase.booked_by_hand'",
        booked.tenant,
    )
    assert reason == "booked in July"


async def test_an_erp_that_stays_down_is_shown_and_books_once_it_is_back(booked):
    await booked.approve("PO-1", 10)
    booked.books.fails = [("before", Unavailable("down", code="erp.unavailable", retry_after=0.01))] * 3
    await booked.receive("PO-1", 24)
    [task] = await booked.tasks()
    for _ in range(200):
        await booked.turns.run(task["subject"], 0)
        if (known := (await booked.tasks())[0])["attempts"] >= 2:
            break
    assert known["state"] == "pending"
    assert (await booked.troubles())["erp.unavailable"].verbs == ()
    await booked.work()
    assert booked.books.came == [(1, 2, "CS")]


async def test_what_is_taken_back_or_sent_back_after_it_was_booked_is_a_persons(booked):
    made = await booked.approve("PO-1", 10)
    await booked.receive("PO-1", 24, event="r")
    await booked.work()
    await booked.receive("PO-1", 12, event="r", revision=1)
    sent = SentBack(number="RT-1", line=1, amount=Decimal(1), reason="damaged")
    await booked.purchases.deciding.send_back(booked.caller, made.purchase, sent)
    troubles = await booked.troubles()
    assert {"purchase.booked_too_much", "purchase.return_by_hand"} <= troubles.keys()
    for key in ("posted/1/1", "back/RT-1/1"):
        done = Decision(subject=key, accept=True, reason="corrected in the ERP")
        await booked.purchases.deciding.decide(booked.caller, made.purchase, done)
    assert await booked.troubles() == {}


async def test_nothing_is_told_to_an_erp_whose_books_people_keep(world):
    await world.approve("PO-1", 10)
    await world.receive("PO-1", 24)
    assert await world.tasks() == []


async def test_a_posting_whose_turn_was_lost_is_found_by_the_sweep(booked):
    await booked.approve("PO-1", 10)
    await booked.receive("PO-1", 24)
    [task] = await booked.tasks()
    await booked.store.execute(
        "update procure_to_pay.task set due_at = now() - interval '1 hour' where subject = $1", task["subject"]
    )
    await booked.store.execute("delete from dbos.workflow_status where workflow_uuid like $1", f"{task['subject']}%")
    assert await booked.purchases.sweep() >= 1


async def test_what_another_release_wrote_behind_it_is_begun_by_a_turn_of_that_release(booked):
    await booked.approve("PO-1", 10)
    for _ in range(2):
        await booked.receive("PO-1", 24)
    first, second = await booked.tasks()
    await booked.store.execute("update procure_to_pay.task set shape = '9' where subject = $1", second["subject"])
    await booked.turns.run(first["subject"], 0)
    first, second = await booked.tasks()
    assert (first["state"], second["state"]) == ("done", "waiting")
    turns = "select application_version from dbos.workflow_status where workflow_uuid = $1"
    assert await booked.store.fetchval(turns, f"{second['subject']}:{second['turn']}") == "9"
    await booked.work()
    assert [task["state"] for task in await booked.tasks()] == ["done", "done"]
