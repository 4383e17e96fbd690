"""A business unit moves from one ERP to another while its orders are open: each ends live in exactly one of them."""

from datetime import UTC, datetime, timedelta

import pytest
from order_world import CALLER, ask
from test_faults import FAULTS, Case, in_turn

from gateway.canonical.order import OrderState
from gateway.kernel.errors import Conflict, Misconfigured, NotFound, Rejected
from process_apis.order_to_ship.moving import Mover

pytestmark = pytest.mark.integration
CALL_TIMEOUT = 0.3
MOVER = Mover(tenant="acme", actor="shell/ops", correlation_id="cor_9", from_erp="erp_na", to_erp="erp_new")


async def live(world, order):
    """The systems in which the order is live, once per sale."""
    return [row["system"] for row in await world.sales(order) if not row["cancelled"]]


async def placed(world, number, amount="5", **changes):
    await world.stock(100, "itm_1")
    placed = await world.process.place_order(ask(number, ("SKU-1", amount), **changes))
    return placed.order.order_id


async def cut_over(world, seconds):
    """A cut-over that holds since, or from, so many seconds."""
    await world.store.execute(
        "insert into order_to_ship.cut_over values ($1, 'acme', 'erp_na', 'erp_new', '{}', now() + $2, null, 'ops')",
        f"cut_{seconds}", timedelta(seconds=seconds),
    )  # fmt: skip


async def complete(world, order):
    await world.ship(order, 1, 2, item="itm_1", event=f"{order}1")
    await world.drain(order)
    await world.ship(order, 1, 3, item="itm_1", event=f"{order}2")
    done = await world.drain(order)
    assert done.state is OrderState.COMPLETED
    return {row["system"] for row in await world.postings(order)}


async def test_orders_go_where_they_go_by_the_instant_they_were_placed_at(world):
    before = await placed(world, "PO-1")
    await cut_over(world, 0)
    after = await placed(world, "PO-2")
    for order in (after, before):
        await world.drain(order)
    assert (await live(world, before), await live(world, after)) == (["erp_na"], ["erp_new"])
    assert (await complete(world, before), await complete(world, after)) == ({"erp_na"}, {"erp_new"})


async def test_after_a_rollback_new_orders_go_where_they_went_and_those_of_the_time_between_stay(world):
    await cut_over(world, -10)
    between = await placed(world, "PO-1")
    await world.store.execute("update order_to_ship.cut_over set ended_at = now()")
    after = await placed(world, "PO-2")
    for order in (after, between):
        await world.drain(order)
    assert (await live(world, between), await live(world, after)) == (["erp_new"], ["erp_na"])
    assert await complete(world, between) == {"erp_new"}


async def test_a_cut_over_needs_notice_two_erps_that_are_there_and_is_rolled_back_once(world):
    moving = world.process.moving
    made = await moving.cut_over(MOVER, at=None)
    at = datetime.fromisoformat(made["effective_at"])
    assert at > datetime.now(UTC) - timedelta(minutes=5)
    for wrong, error, code in (
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, Conflict, "cut_over.too_soon"),
        ({"at": datetime(2126, 1, 1)}, Rejected, "cut_over.no_zone"),  # noqa: DTZ001 - that is what is wrong
    ):
        with pytest.raises(error) as refused:
            await moving.cut_over(MOVER, **wrong)
        assert refused.value.code == code
    nowhere = Mover(tenant="acme", actor="x", correlation_id="c", from_erp="erp_na", to_erp="erp_moon")
    with pytest.raises(Misconfigured):
        await moving.cut_over(nowhere, at=None)
    await moving.roll_back(MOVER, made["cut_over"])
    with pytest.raises(NotFound):
        await moving.roll_back(MOVER, made["cut_over"])
    [told] = await moving.cut_overs("acme")
    assert told["ended_at"] >= told["effective_at"]
    actions = await world.store.fetch("select action from store.audit where action like 'erp.%' order by id")
    assert [row["action"] for row in actions] == ["erp.cut_over", "erp.roll_back"]


async def test_orders_in_every_state_are_moved_or_stay_and_each_is_live_in_one_erp(world):
    await world.store.execute("insert into fake.customer (code, credit_limit) values ('POOR', 1)")
    held = await placed(world, "PO-1", sold_to="POOR")
    fresh, released, picked, shipped, done, gone = [await placed(world, f"PO-{n}") for n in range(2, 8)]
    for order in (held, released, picked, shipped, done, gone):
        await world.drain(order)
    await world.ship(picked, 1, 1, item="itm_1", kind="pick_confirmed")
    await world.ship(shipped, 1, 2, item="itm_1", event="s1")
    await complete(world, done)
    await world.process.cancel_order(CALLER, gone, reason="mistake")
    for order in (picked, shipped, gone):
        await world.drain(order)
    plan = {each.order: each.stays for each in await world.process.moving.plan(MOVER)}
    begun = "the warehouse has begun"
    assert plan == {held: None, fresh: None, released: None, picked: begun, shipped: begun}
    assert await world.process.moving.move(MOVER) == {"asked": 3, begun: 2}
    before = (await world.process.get_order("acme", released)).state
    for order in (held, fresh, released):
        await world.drain(order)
    assert (await world.process.get_order("acme", released)).state is before is OrderState.RELEASED
    assert (await live(world, released), await live(world, fresh)) == (["erp_new"], ["erp_new"])
    assert [row["cancelled"] for row in await world.sales(released)] == [True, False]
    assert (await live(world, picked), await live(world, shipped)) == (["erp_na"], ["erp_na"])
    await world.process.release_hold(CALLER, held, reason="paid")
    await world.drain(held)
    assert await live(world, held) == ["erp_new"]
    told = await world.process.moving.progress(MOVER)
    assert (told["moves"], told["under_way"]) == ({"moved": 3}, 0)
    assert [row["state"] for row in await world.works(released)] == ["released"]
    assert await complete(world, released) == {"erp_new"}
    assert await world.process.moving.move(MOVER) == {begun: 2}


class MovedCase(Case):
    """An order that is released in the first ERP, and moves under faults."""

    async def move(self, faults=()):
        await self.place()
        await self.world.drain(self.order)
        for name, kind in faults:
            await self.fault(name, kind)
        await self.world.process.moving._ask(MOVER, self.order)
        order = await self.world.drain(self.order)
        if order.state is OrderState.EXCEPTION:
            for found in await self.world.process.list_exceptions("acme", order_id=self.order):
                await self.world.process.retry_exception(CALLER, found.exception_id)
            await self.world.drain(self.order)
        assert await live(self.world, self.order) == ["erp_new"]
        assert [row["state"] for row in await self.world.works(self.order)] == ["released"]
        await self.world.ship(self.order, 1, 5, item=self.item, event="e1")
        order = await self.world.drain(self.order)
        assert order.state is OrderState.COMPLETED
        assert [row["system"] for row in await self.world.postings(self.order)] == ["erp_new"]
        moved = await self.world.store.fetchval(
            "select state from order_to_ship.erp_move where order_id = $1", self.order
        )
        assert moved == "moved"
        await self.nothing_is_left_open()


async def test_a_move_whose_every_answer_is_lost_ends_in_the_new_erp_alone(shared_world):
    await MovedCase(shared_world).move((("cancel_order", "unknown_after"), ("erp_new.submit_order", "unknown_after")))


@pytest.mark.long
async def test_each_call_of_a_move_fails_in_each_way_and_the_order_is_live_in_the_new_erp_alone(
    shared_world, monkeypatch
):
    monkeypatch.setattr("test_faults.Case", MovedCase)
    clean = MovedCase(shared_world)
    await clean.move()
    calls = [name for name in await clean.calls() if name in ("cancel_order", "erp_new.submit_order")]
    assert calls == ["cancel_order", "erp_new.submit_order"]
    plans = [((name, fault),) for name in calls for fault in [*FAULTS, *(["rejected"] if "submit" in name else [])]]
    plans += [((calls[0], first), (calls[1], second)) for first in FAULTS[1:3] for second in FAULTS[1:3]]
    await in_turn(shared_world, "move", plans)


async def test_what_the_first_erp_does_not_cancel_stays_there_and_goes_on(world):
    order = await placed(world, "PO-1")
    await world.drain(order)
    await world.store.execute("update fake.sale set picking = true")
    await world.process.moving.move(MOVER)
    await world.drain(order)
    assert await live(world, order) == ["erp_na"]
    told = await world.process.moving.progress(MOVER)
    assert (told["moves"], told["orders"][0]["detail"]) == ({"stayed": 1}, "work has begun")
    assert (await world.process.get_order("acme", order)).state is OrderState.RELEASED
    assert await complete(world, order) == {"erp_na"}


async def test_an_order_that_was_never_found_in_the_first_erp_is_looked_for_after_its_settle_time(world):
    order = await placed(world, "PO-1")
    await world.fault("submit_order", "crash_after")
    await world.process.moving._ask(MOVER, order)
    await world.drain(order)
    assert await live(world, order) == ["erp_new"]


async def test_what_the_new_erp_refuses_is_a_persons_case_and_never_lost(world):
    order = await placed(world, "PO-1")
    await world.drain(order)
    await world.fault("erp_new.submit_order", "rejected")
    await world.process.moving.move(MOVER)
    stopped = await world.drain(order)
    assert stopped.state is OrderState.EXCEPTION
    [found] = await world.process.list_exceptions("acme", order_id=order)
    assert (found.code, found.fault_domain) == ("order.move_refused", "erp_new")
    assert await world.available("itm_1") == 95
    assert await live(world, order) == []
    await world.process.retry_exception(CALLER, found.exception_id)
    assert (await world.drain(order)).state is OrderState.RELEASED
    assert await live(world, order) == ["erp_new"]


async def test_an_order_that_is_cancelled_on_its_way_is_in_neither_and_its_claims_are_free(world):
    order = await placed(world, "PO-1")
    await world.drain(order)
    await world.fault("cancel_order", "error")
    await world.process.moving.move(MOVER)
    await world.process.cancel_order(CALLER, order, reason="mistake")
    assert (await world.drain(order)).state is OrderState.CANCELLED
    assert await live(world, order) == []
    assert await world.available("itm_1") == 100


async def test_goods_that_leave_while_an_order_is_on_its_way_are_told_to_the_erp_that_takes_it(world):
    order = await placed(world, "PO-1")
    await world.drain(order)
    await world.fault("erp_new.submit_order", "rejected")
    await world.process.moving.move(MOVER)
    await world.drain(order)
    await world.ship(order, 1, 5, item="itm_1", event="x1")
    await world.drain(order)
    assert await world.postings(order) == []
    [found] = [f for f in await world.process.list_exceptions("acme", order_id=order) if f.blocking]
    await world.process.retry_exception(CALLER, found.exception_id)
    assert (await world.drain(order)).state is OrderState.COMPLETED
    assert [row["system"] for row in await world.postings(order)] == ["erp_new"]


async def test_an_order_that_came_from_an_erp_does_not_go_back_there(world):
    order = await placed(world, "PO-1")
    await world.drain(order)
    await world.process.moving.move(MOVER)
    await world.drain(order)
    back = Mover(tenant="acme", actor="ops", correlation_id="c", from_erp="erp_new", to_erp="erp_na")
    assert await world.process.moving.move(back) == {"erp_na had it before and keeps it as cancelled": 1}
    assert await live(world, order) == ["erp_new"]
