"""Who is called, and who waits where."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.durable.backlog_figures import backlog_families
from gateway.durable.calling import Calling
from gateway.pacing.options import SystemPace, Work
from gateway.pacing.places import Visit
from gateway.pacing.visits import Visits, drain_rate

pytestmark = pytest.mark.integration
MORNING = datetime(2026, 11, 22, 8, tzinfo=UTC)


def visit(subject, work=Work.ORDINARY, age=0, system="erp"):
    return Visit(
        system=system, subject=subject, work=work, since=MORNING - timedelta(minutes=age), workflow="turn",
        queue="orders", args=(subject, 1), shape="1",
    )  # fmt: skip


async def enter(store, visits, *args, **more):
    async with store.transaction() as connection:
        return await visits.enter(connection, visit(*args, **more))


async def leave(store, visits, subject, **more):
    async with store.transaction() as connection:
        await visits.leave(connection, subject, **more)


async def called(store):
    rows = await store.fetch("select workflow_uuid from dbos.workflow_status order by created_at, workflow_uuid")
    return {row["workflow_uuid"].split(":")[0] for row in rows}


@pytest.fixture
def visits(store):
    return Visits(store, {"erp": SystemPace(visits=1)})


async def test_there_is_room_for_so_many_and_the_rest_have_their_places(store, visits):
    assert await enter(store, visits, "a")
    assert await enter(store, visits, "a"), "who was called goes on"
    assert not await enter(store, visits, "b", age=1)
    assert not await enter(store, visits, "c", age=2)
    assert [(await visits.standing(each)).place for each in "cb"] == [1, 2]
    assert await visits.standing("a") is None
    assert await visits.standing("nobody") is None


async def test_the_most_urgent_come_first_then_the_oldest(store, visits):
    await enter(store, visits, "now")
    for subject, work, age in (
        ("young", Work.ORDINARY, 1),
        ("old", Work.ORDINARY, 9),
        ("posted", Work.POSTING, 0),
        ("lost", Work.UNCERTAIN, 0),
        ("sold", Work.COMMITTED, 0),
        ("undone", Work.UNDO, 0),
    ):
        assert not await enter(store, visits, subject, work, age)
    calling, order = Calling(store, visits), []
    for _ in range(6):
        assert await calling.look() == 0, "nobody is called while there is no room"
        await leave(store, visits, [*order, "now"][-1 if not order else len(order) - 1])
        assert await calling.look() == 1
        row = await store.fetchrow("select subject from pacing.place where called_at is not null")
        order.append(row["subject"])
    assert order == ["lost", "sold", "undone", "posted", "old", "young"]
    assert await called(store) == set(order)


async def test_a_changed_order_of_work_and_more_room_hold_for_those_who_wait(store, visits):
    await enter(store, visits, "now")
    await enter(store, visits, "order", Work.ORDINARY)
    await enter(store, visits, "posting", Work.POSTING)
    visits.paces = {"erp": SystemPace(visits=2, first=(Work.ORDINARY,))}
    assert (await visits.standing("order")).place == 1
    await Calling(store, visits).look()
    assert await called(store) == {"order"}


async def test_who_is_no_longer_paced_is_let_go_and_has_left(store, visits):
    await enter(store, visits, "now")
    await enter(store, visits, "later")
    visits.paces = {}
    calling = Calling(store, visits)
    assert await calling.look() == 0
    await calling.tidy()
    assert await called(store) == {"now", "later"}
    assert await store.fetchval("select count(*) from pacing.place") == 0


async def test_nobody_passes_those_who_wait_and_nobody_is_called_in_a_pause(store, visits):
    await enter(store, visits, "a")
    await enter(store, visits, "b", age=5)
    await leave(store, visits, "a")
    assert not await enter(store, visits, "c")
    await store.execute("insert into pacing.pause (system, until) values ('erp', now() + interval '1 hour')")
    assert await Calling(store, visits).look() == 0
    [backlog] = await visits.backlogs()
    assert (backlog.waiting, backlog.called) == (2, 0)
    assert backlog.paused_until is not None
    await store.execute("update pacing.pause set until = now()")
    assert await Calling(store, visits).look() == 1
    assert await called(store) == {"b"}


async def test_a_system_that_nobody_waits_for_has_no_backlog(visits):
    [backlog] = await visits.backlogs()
    assert (backlog.system, backlog.waiting, backlog.called, backlog.oldest) == ("erp", 0, 0, None)
    figures = await backlog_families(visits)
    assert [family.name for family in figures] == [
        "crossdock_pacing_waiting", "crossdock_pacing_visits", "crossdock_pacing_drain_per_second",
    ]  # fmt: skip
    visits.paces = {}
    assert await backlog_families(visits) == []


async def test_who_has_no_room_for_its_calls_waits_again_where_its_age_puts_it(store, visits):
    await enter(store, visits, "a", age=9)
    await enter(store, visits, "b", age=5)
    async with store.transaction() as connection:
        await visits.step_back(connection, "erp", "a", 0.0)
    assert [(await visits.standing(each)).place for each in "ab"] == [1, 2]


async def test_workers_that_look_at_once_call_nobody_twice_and_nobody_too_many(store, visits):
    visits.paces = {"erp": SystemPace(visits=3)}
    await asyncio.gather(*(enter(store, visits, f"s{n}") for n in range(12)))
    await asyncio.gather(*(Calling(store, visits).look() for _ in range(6)))
    await Calling(store, visits).look()
    assert await store.fetchval("select count(*) from pacing.place where called_at is not null") == 3
    assert await store.fetchval("select count(*) from dbos.workflow_status") <= 3


async def test_a_visit_of_which_nothing_is_heard_is_called_once_more(store):
    visits = Visits(store, {"erp": SystemPace(visits=1)}, lost_after=60)
    await enter(store, visits, "a")
    assert not await visits.anybody()
    await store.execute("update pacing.place set called_at = now() - interval '5 minutes'")
    assert await visits.anybody()
    assert await Calling(store, visits).look() == 1
    assert await called(store) == {"a"}


async def test_leaving_one_system_for_another_makes_room_and_tells_how_fast_it_drains(store, visits):
    for subject in "abc":
        assert await enter(store, visits, subject)
        await leave(store, visits, subject, but="wms")
    await store.execute("update pacing.visit set ended_at = ended_at - interval '10 seconds'")
    await enter(store, visits, "d")
    await enter(store, visits, "e")
    waiting = await visits.standing("e")
    now = await store.fetchval("select clock_timestamp()")
    assert waiting.expected_at > now
    [backlog] = await visits.backlogs()
    assert backlog.drain_per_second > 0
    assert backlog.last_expected_at >= waiting.expected_at
    await Calling(store, visits).tidy()
    assert await store.fetchval("select count(*) from pacing.visit") == 3


async def test_a_backlog_tells_what_is_used_of_the_limits_and_who_waits_by_work(store):
    pace = SystemPace(calls=5, window_seconds=2.0, visits=1, first=(Work.POSTING,))
    visits = Visits(store, {"erp": pace})
    await enter(store, visits, "a")
    await enter(store, visits, "b")
    await enter(store, visits, "c", work=Work.POSTING)
    await store.execute(
        "insert into pacing.call (system, call, until) values ('erp', 'one', now() - interval '1 second')"
    )
    await store.execute(
        "insert into pacing.call (system, call, until) values ('erp', 'two', now() - interval '9 seconds')"
    )
    [backlog] = await visits.backlogs()
    assert (backlog.calls, backlog.window_seconds, backlog.counted, backlog.visits, backlog.called) == (5, 2.0, 1, 1, 1)
    assert list(backlog.by_work.items()) == [(Work.POSTING, 1), (Work.ORDINARY, 1)]
    assert backlog.last_expected_at is None, "nothing ended lately"
    assert (await visits.standing("c")).work is Work.POSTING
    assert await visits.are_open("1")
    assert not await visits.are_open("2")
    visits.paces = {}
    [left] = await visits.backlogs()
    assert (left.calls, left.visits, left.counted, left.waiting) == (0, 0, 0, 2)


def test_too_few_visits_tell_no_rate():
    assert drain_rate(0, None) is None
    assert drain_rate(1, 5.0) is None
    assert drain_rate(10, 5.0) == 2.0
