"""Returns that partners ask for themselves: of their own orders, never more than was shipped, each once."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict, NotFound, Rejected
from process_apis.order_to_ship.reading import Reading
from process_apis.returns.disposing import Came
from process_apis.returns.models import AskedBack, AskReturn, ReturnState
from process_apis.returns.returned import Returned

pytestmark = pytest.mark.integration
PARTNER = "ptn_1"


async def test_a_partner_asks_in_the_unit_that_it_ordered_in_or_the_base_unit(world):
    pairs = await asked(world, "r-1", line=2, amount="1", uom="PR")
    assert [line.amount for line in pairs.lines] == [Decimal(2)]
    assert (pairs.state, pairs.reference, pairs.partner) == (ReturnState.AUTHORISED, "r-1", PARTNER)
    assert [line.amount for line in (await asked(world, "r-2", line=2, amount="1", uom="EA")).lines] == [Decimal(1)]
    for amount, uom in (("1", "CS"), ("0.5", "EA")):
        with pytest.raises(Rejected) as refused:
            await asked(world, "r-3", line=2, amount=amount, uom=uom)
        assert refused.value.code == "return.not_exact"
    half_a_pair = await asked(world, "r-4", line=2, amount="0.5", uom="PR")
    assert [line.amount for line in half_a_pair.lines] == [Decimal(1)]


async def test_more_than_is_left_is_refused_with_the_lines_and_nothing_is_kept(world):
    await asked(world, "r-1", amount="4")
    with pytest.raises(Conflict) as refused:
        await asked(world, "r-2", amount="3")
    assert refused.value.code == "return.beyond_shipped"
    assert [(each.pointer, each.detail) for each in refused.value.problems] == [
        ("/lines/0/amount", "line 1: 3 asked, 2 of it left to return")
    ]
    assert [each.reference for each in await world.returns.listed(world.tenant, partner=PARTNER)] == ["r-1"]
    by_service = await world.ask("by-hand", (1, 3))
    assert by_service.state is ReturnState.REQUESTED, "customer service may go on: a person decides"


async def test_of_many_at_once_no_more_is_authorised_than_was_shipped(world):
    made = await asyncio.gather(
        *(asked(world, f"r-{number}", amount="2") for number in range(8)), return_exceptions=True
    )
    refused = [each for each in made if isinstance(each, Conflict)]
    assert len(made) - len(refused) == 3
    assert {each.code for each in refused} == {"return.beyond_shipped"}


async def test_the_same_reference_is_the_same_return_whichever_client_asks(world):
    first = await asked(world, "r-1", amount="2")
    again = await asyncio.gather(*(asked(world, "r-1", amount="2", subject=f"client-{n}") for n in range(4)))
    assert {each.return_id for each in again} == {first.return_id}
    with pytest.raises(Conflict) as refused:
        await asked(world, "r-1", amount="1")
    assert refused.value.code == "operation.action_reused"
    known = await world.returns.authorisations.recall(world.caller(), command(world, "r-1", "2"), partner=PARTNER)
    assert known is not None
    assert known.return_id == first.return_id
    never = command(world, "r-9", "2")
    assert await world.returns.authorisations.recall(world.caller(), never, partner=PARTNER) is None


async def test_another_partner_finds_neither_order_nor_return(world):
    known = await asked(world, "r-1", amount="2")
    for partner in ("ptn_2", ""):
        with pytest.raises(NotFound):
            await asked(world, "r-1", amount="2", partner=partner)
        with pytest.raises(NotFound):
            await world.returns.get(world.tenant, known.return_id, partner=partner)
        with pytest.raises(NotFound):
            await world.returns.authorisations.cancel(world.caller(), known.return_id, reason="r", partner=partner)
        assert await world.returns.listed(world.tenant, partner=partner) == []


async def test_what_left_too_long_ago_waits_for_a_person(world):
    late = await world.sell(days=40)
    known = await asked(world, "r-1", amount="2", order=late)
    assert known.state is ReturnState.REQUESTED
    assert known.over == "line 1: shipped 40 days ago, damaged allows 30"


async def test_the_order_tells_what_came_back_and_what_of_it_was_credited(world):
    order = await world.sell(place="depot", system=None)
    reading = Reading(world.store, Returned())
    known = await asked(world, "r-1", amount="3", order=order)
    assert await told(reading, world, order) == [(0, 0), (0, 0)]
    receive = world.returns.dispositions.receive
    at = world.clock.now()
    await receive(world.caller(), known.return_id, action="in", at=at, lines=[Came(1, Decimal(3))])
    await world.hear()
    assert await told(reading, world, order) == [(3, 0), (0, 0)]
    await world.work(await world.dispose(known, "d", 3, "sellable"))
    await world.hear()
    credit = (await world.known(known.return_id)).credits[0]
    assert await told(reading, world, order) == [(3, 0), (0, 0)], "asked for, not issued"
    await world.returns.credits.settle(world.caller(), credit.credit, number="CN-1")
    assert await told(reading, world, order) == [(3, 3), (0, 0)]
    found = await reading.order(world.tenant, order, PARTNER)
    assert all(line.returned <= line.shipped for line in found.lines)


async def told(reading: Reading, world, order: str) -> list[tuple[Decimal, Decimal]]:
    found = await reading.order(world.tenant, order, PARTNER)
    return [(line.returned, line.credited) for line in found.lines]


def command(world, reference: str, amount: str, *, line: int = 1, uom: str | None = None, order: str = "") -> AskReturn:
    back = AskedBack(line=line, amount=Decimal(amount), reason="damaged", uom=uom)
    return AskReturn(action=reference, order=order or world.order, lines=(back,))


async def asked(world, reference: str, *, partner: str = PARTNER, subject: str = "client", **more):
    caller = world.caller(subject, partner)
    return await world.returns.authorisations.ask(caller, command(world, reference, **more), partner=partner)
