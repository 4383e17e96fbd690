"""Returns from authorisation to credit: by rule or by a person, at a real warehouse system and at a place of ours."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict, NotFound, OutcomeUnknown, Rejected
from process_apis.returns.disposing import Came
from process_apis.returns.models import CreditState, ReturnState

pytestmark = pytest.mark.integration


async def test_what_comes_back_to_a_warehouse_is_counted_put_away_and_credited_once(world):
    known = await world.ask("a", (1, 3), reason="not_needed")
    assert known.state is ReturnState.AUTHORISED
    assert (await world.ask("a", (1, 3), reason="not_needed")).return_id == known.return_id
    await world.control("return", warehouse="NOR1", item_code="W-000001", quantity="3", document=known.return_id)
    await world.listen()
    assert (await world.known(known.return_id)).state is ReturnState.RECEIVED
    await world.control("faults", rules=[{"match": "POST /api/v2/status-changes", "do": "drop_after", "times": 1}])
    again = await world.dispose(known, "d1", 2, "sellable")
    assert await world.dispose(known, "d1", 2, "sellable") == again
    await world.work(again)
    await world.control(
        "disposition", warehouse="NOR1", item_code="W-000001", quantity="1", document=known.return_id, to_state="DMG"
    )
    await world.listen()
    await world.hear(again=True)
    done = await world.known(known.return_id)
    [line], [credit] = done.lines, done.credits
    assert (line.received, line.sellable, line.damaged, line.credited) == (3, 2, 1, 3)
    assert (done.state, credit.net, credit.fee) == (ReturnState.DISPOSITIONED, 30, 0)
    await world.work(credit.credit)
    [credit] = (await world.known(known.return_id)).credits
    assert (credit.state, credit.number, credit.total) == (CreditState.ISSUED, "CN-1", 30)
    assert (await world.known(known.return_id)).state is ReturnState.CREDITED
    assert await world.buckets() == {"sellable": 2, "damaged": 1}
    [order] = world.creditor.issued.values()
    assert [(one.line, one.amount, one.restocked) for one in order.lines] == [(1, 3, 3)]
    for kind, times in (("authorised", 1), ("received", 1), ("dispositioned", 2), ("credited", 1)):
        assert len(await world.told(f"return.{kind}")) == times, kind
    assert await world.troubles() == {}


async def test_after_an_unknown_outcome_the_credit_note_is_looked_up_and_not_issued_twice(world):
    known = await world.ask("a", (1, 2), location="depot")
    await world.returns.dispositions.receive(
        world.caller(), known.return_id, action="r", at=world.clock.now(), lines=[Came(1, Decimal(2))]
    )
    await world.hear()
    await world.work(await world.dispose(known, "d", 1, "out"))
    await world.work(await world.dispose(known, "e", 1, "sellable"))
    await world.hear()
    [credit] = (await world.known(known.return_id)).credits
    world.creditor.fails = [("after", OutcomeUnknown("no answer", code="erp.outcome_unknown"))]
    await world.work(credit.credit)
    assert (len(world.creditor.issued), world.creditor.looked) == (1, 1)
    assert (await world.known(known.return_id)).state is ReturnState.CREDITED
    assert await world.buckets("depot") == {"sellable": 1}
    [order] = world.creditor.issued.values()
    assert [(one.amount, one.restocked) for one in order.lines] == [(2, 1)]


async def test_a_turn_that_dies_while_the_erp_issues_the_credit_note_is_followed_by_one_that_finds_it(world):
    known = await world.ask("a", (1, 1), location="south")
    await world.tell("return_received", 1, document=known.return_id)
    await world.tell("return_dispositioned", 1, document=known.return_id, to_bucket="damaged")
    [credit] = (await world.known(known.return_id)).credits
    world.creditor.fails = [("after", asyncio.CancelledError())]
    with pytest.raises(asyncio.CancelledError):
        await world.turns.run(credit.credit, 1)
    state = await world.store.fetchval("select state from returns.task where subject = $1", credit.credit)
    assert (state, len(world.creditor.issued)) == ("asked", 1)
    await world.work(credit.credit)
    assert (await world.known(known.return_id)).state is ReturnState.CREDITED
    assert (len(world.creditor.issued), len(await world.told("return.credited"))) == (1, 1)


async def test_what_an_erp_issues_no_credit_notes_for_is_left_to_a_person(world):
    order = await world.sell(place="south", system="another")
    known = await world.ask("a", (1, 1), location="south", order=order)
    await world.tell("return_received", 1, document=known.return_id)
    await world.tell("return_dispositioned", 1, document=known.return_id)
    [credit] = (await world.known(known.return_id)).credits
    for _ in range(2):
        await world.work(credit.credit)
    assert (await world.known(known.return_id)).credits[0].state is CreditState.BY_HAND
    assert list(await world.troubles()) == ["return.credit_by_hand"]
    settled = await world.returns.credits.settle(world.caller(), credit.credit, number="CN-9")
    assert (settled.state, settled.credits[0].number) == (ReturnState.CREDITED, "CN-9")
    assert await world.troubles() == {}


async def test_a_refused_credit_note_waits_for_a_person_who_has_it_tried_again(world):
    known = await world.ask("a", (1, 1), location="south")
    await world.tell("return_received", 1, document=known.return_id)
    await world.tell("return_dispositioned", 1, document=known.return_id)
    [credit] = (await world.known(known.return_id)).credits
    assert (await world.known(known.return_id)).lines[0].out == 1
    world.creditor.fails = [("before", Rejected("no open period", code="erp.refused"))]
    await world.work(credit.credit)
    trouble = (await world.troubles())["return.credit_refused"]
    async with world.store.transaction() as connection:
        await world.returns.troubles().retry(connection, world.caller(), trouble.key)
    await world.work(credit.credit)
    assert (await world.known(known.return_id)).state is ReturnState.CREDITED
    assert await world.troubles() == {}


async def test_beyond_the_rules_a_person_decides_and_no_two_returns_take_the_same_goods(world):
    first, second = await asyncio.gather(world.ask("a", (1, 4)), world.ask("b", (1, 4)))
    states = sorted((first.state, second.state))
    assert states == [ReturnState.AUTHORISED, ReturnState.REQUESTED]
    over = first if first.state is ReturnState.REQUESTED else second
    assert over.over == "line 1: 4 asked, 2 of it left to return"
    assert "return.to_decide" in await world.troubles()
    decided = await world.returns.authorisations.decide(
        world.caller("boss"), over.return_id, authorise=True, reason="good customer", amounts={1: Decimal(3)}
    )
    assert (decided.state, decided.lines[0].amount, decided.decided_by) == (ReturnState.AUTHORISED, 3, "boss")
    audited = await world.store.fetchval("select detail->>'reason' from store.audit where action = 'return.decide'")
    assert audited == "good customer"
    late = await world.ask("c", (2, 1), order=await world.sell(days=40))
    assert late.over == "line 2: shipped 40 days ago, damaged allows 30"
    refused = await world.returns.authorisations.decide(
        world.caller(), late.return_id, authorise=False, reason="too late", amounts={}
    )
    assert refused.state is ReturnState.REFUSED


async def test_a_partner_reaches_its_own_orders_and_returns_only(world):
    with pytest.raises(NotFound) as unknown:
        await world.ask("a", partner="ptn_2")
    assert unknown.value.code == "order.not_found"
    own = await world.ask("a", partner="ptn_1")
    with pytest.raises(NotFound):
        await world.returns.get(world.tenant, own.return_id, partner="ptn_2")
    with pytest.raises(NotFound):
        await world.returns.authorisations.cancel(world.caller(), own.return_id, reason="r", partner="ptn_2")
    assert await world.returns.listed(world.tenant, partner="ptn_2") == []
    cancelled = await world.returns.authorisations.cancel(world.caller(), own.return_id, reason="r", partner="ptn_1")
    assert cancelled.state is ReturnState.CANCELLED
    assert (await world.ask("b", (1, 6))).state is ReturnState.AUTHORISED


async def test_goods_without_a_return_of_ours_wait_for_a_person_who_says_which_it_is(world):
    known = await world.ask("a", (1, 2), location="south")
    await world.tell("return_received", 2, document="RMA-OF-THE-BUYER")
    await world.tell("return_received", 1, document=known.return_id, sku=3)
    found = await world.troubles()
    assert sorted(found) == ["return.unknown_document", "return.unknown_item"]
    stray, queue = found["return.unknown_document"], world.returns.troubles()
    async with world.store.transaction() as connection:
        payload = await queue.payload(connection, world.tenant, stray.key)
        await queue.edit(connection, world.caller(), stray.key, {**payload, "return": known.return_id})
        await queue.ignore(connection, world.caller(), found["return.unknown_item"].key, "a gift")
    assert (await world.known(known.return_id)).state is ReturnState.RECEIVED
    assert await world.troubles() == {}
    await world.hear(again=True)
    assert (await world.known(known.return_id)).lines[0].received == 2
    with pytest.raises(Conflict):
        async with world.store.transaction() as connection:
            await queue.edit(connection, world.caller(), stray.key, payload)


async def test_too_much_too_little_and_revised_goods_are_credited_as_people_decide(world):
    known = await world.ask("a", (1, 2), (2, 2), location="south")
    await world.tell("return_received", 3, document=known.return_id, event_id="r", sequence=5)
    await world.tell("return_dispositioned", 3, document=known.return_id, to_bucket="sellable")
    assert "return.too_much" in await world.troubles()
    assert (await world.known(known.return_id)).credits == ()
    closed = await world.returns.authorisations.close(world.caller(), known.return_id, reason="rest was kept")
    assert [(each.net, each.lines[0].amount) for each in closed.credits] == [(20, 2)]
    more = await world.returns.authorisations.decide(
        world.caller(), known.return_id, authorise=True, reason="all of it", amounts={1: Decimal(3)}
    )
    assert [each.net for each in more.credits] == [20, 10]
    await world.tell("return_received", 2, document=known.return_id, event_id="r", sequence=5, revision=1)
    assert "return.over_dispositioned" in await world.troubles()


async def test_without_an_erp_that_credits_a_person_issues_the_note_and_tells_its_number(world):
    known = await world.ask("a", (1, 1), order=await world.sell(system=None), location="south")
    await world.tell("return_dispositioned", 1, document=known.return_id, to_bucket="sellable")
    await world.tell("return_received", 1, document=known.return_id)
    [credit] = (await world.known(known.return_id)).credits
    assert "return.credit_by_hand" in await world.troubles()
    for _ in range(2):
        settled = await world.returns.credits.settle(world.caller(), credit.credit, number="GS-7")
    assert settled.state is ReturnState.CREDITED
    with pytest.raises(Conflict):
        await world.returns.credits.settle(world.caller(), credit.credit, number="GS-8")


async def test_what_is_refused_at_arrival_is_not_credited(world):
    known = await world.ask("a", (1, 2), location="south")
    await world.tell("return_received", 2, document=known.return_id)
    with pytest.raises(Conflict):
        await world.returns.authorisations.refuse_lines(
            world.caller(), known.return_id, amounts={1: Decimal(3)}, reason="r"
        )
    await world.returns.authorisations.refuse_lines(
        world.caller(), known.return_id, amounts={1: Decimal(2)}, reason="not ours"
    )
    await world.tell("return_dispositioned", 2, document=known.return_id)
    assert (await world.known(known.return_id)).state is ReturnState.CLOSED
    with pytest.raises(Conflict) as arrived:
        await world.returns.authorisations.cancel(world.caller(), known.return_id, reason="r")
    assert arrived.value.code == "return.arrived"


async def test_a_disposition_is_refused_for_more_than_came_and_by_whom_takes_no_orders(world):
    known = await world.ask("a", (1, 2), location="depot")
    with pytest.raises(Conflict) as short:
        await world.dispose(known, "d", 1, "sellable")
    assert short.value.code == "return.not_there"
    elsewhere = await world.ask("b", (2, 2), location="south")
    with pytest.raises(Conflict) as nobody:
        await world.dispose(elsewhere, "e", 1, "sellable", line=2)
    assert nobody.value.code == "return.nobody_to_ask"
    with pytest.raises(Rejected):
        await world.ask("c", (3, 1))
    with pytest.raises(Rejected):
        await world.ask("d", (1, 1), reason="bored")
