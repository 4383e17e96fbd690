import asyncio

import pytest

from gateway.backbone.dead_letters import list_dead_letters, request_replay, resolve_dead_letter
from gateway.kernel.errors import Conflict, Invalid, NotFound, Rejected, Unavailable

from .conftest import keeper, order, running, seen, until, until_seen, write

pytestmark = pytest.mark.integration


class Fragile:
    """A handler that keeps what it gets, except that it raises `errors` for some aggregates while they are listed."""

    def __init__(self):
        self.errors = {}
        self.calls = []
        self._keep = keeper("c").handler

    async def __call__(self, connection, recorded):
        await self._keep(connection, recorded)
        self.calls.append(recorded.event.aggregate)
        if error := self.errors.get(recorded.event.aggregate):
            raise error


async def letters(store, **filters):
    async with store.connection() as connection:
        return await list_dead_letters(connection, **filters)


async def state_of(store, count):
    async def enough():
        found = await letters(store)
        return found if len(found) >= count else None

    return await until(enough)


@pytest.fixture
def fragile():
    return Fragile()


async def test_a_failing_event_is_set_aside_with_its_cause_and_the_others_go_on(store, nats_url, fragile):
    fragile.errors["bad"] = Rejected("no unit", code="mapping.unit", context={"system": "wms_north"})
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, order("a"), order("bad", sku="Ω"), order("b"))
        await write(store, order("d"))
        await until_seen(store, ["a", "b", "d"])
        (letter,) = await letters(store)
    assert (letter.state, letter.error_class, letter.error_code) == ("dead", "validation", "mapping.unit")
    assert (letter.fault_domain, letter.attempts, letter.aggregate, letter.consumer) == ("wms_north", 1, "bad", "c")
    assert letter.data == {"sku": "Ω"}
    assert letter.history[0]["detail"] == "no unit"


async def test_a_passing_outage_is_waited_out_and_leaves_no_letter(store, nats_url, fragile):
    fragile.errors["shaky"] = Unavailable("not now")
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, order("shaky"), order("next"))
        await until(lambda: asyncio.sleep(0, fragile.calls.count("shaky") >= 2))
        fragile.errors.clear()
        await until_seen(store, ["shaky", "next"])
        assert await letters(store) == []


async def test_a_longer_outage_sets_the_event_aside_and_tries_it_again_later(store, nats_url, fragile):
    fragile.errors["down"] = Unavailable("erp down", code="erp_na.unavailable")
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, order("down"), order("next"))
        (letter,) = await state_of(store, 1)
        assert (letter.state, letter.error_class, letter.attempts) == ("retrying", "outage", 4)
        await store.execute("update store.dead_letter set next_attempt_at = now()")
        await until(lambda: store.fetchval("select attempts = 5 from store.dead_letter"))
        fragile.errors.clear()
        await store.execute("update store.dead_letter set next_attempt_at = now()")
        await until_seen(store, ["next", "down"])
        (letter,) = await letters(store, state="resolved")
    assert letter.resolution == "replayed"


async def test_later_events_of_a_failed_aggregate_wait_behind_it_and_follow_in_order(store, nats_url, fragile):
    fragile.errors["x"] = Rejected("bad")
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, order("x", 1), order("y", 1))
        await state_of(store, 1)
        await write(store, order("x", 2), order("x", 3), order("y", 2))
        first, second, third = await state_of(store, 3)
        assert [each.state for each in (first, second, third)] == ["dead", "parked", "parked"]
        assert await seen(store) == ["y", "y"]
        async with store.transaction() as connection:
            with pytest.raises(Conflict):
                await request_replay(connection, second.id, actor="ops")
            fragile.errors.clear()
            await request_replay(connection, first.id, actor="ops")
        await until_seen(store, ["y", "y", "x", "x", "x"])
    rows = await store.fetch("select version from seen where aggregate = 'x' order by n")
    assert [row["version"] for row in rows] == [1, 2, 3]
    assert await letters(store) == []
    assert await store.fetchval("select count(*) from store.audit where action = 'dead_letter.replay'") == 1


async def test_resolving_a_letter_skips_its_event_and_lets_the_next_go(store, nats_url, fragile):
    fragile.errors["x"] = Rejected("bad")
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, order("x", 1))
        (first,) = await state_of(store, 1)
        await write(store, order("x", 2))
        await state_of(store, 2)
        fragile.errors.clear()
        async with store.transaction() as connection:
            with pytest.raises(Invalid):
                await resolve_dead_letter(connection, first.id, reason=" ", actor="ops")
            await resolve_dead_letter(connection, first.id, reason="cancelled by phone", actor="ops")
        await until_seen(store, ["x"])
        async with store.transaction() as connection:
            with pytest.raises(Conflict):
                await resolve_dead_letter(connection, first.id, reason="again", actor="ops")
            with pytest.raises(NotFound):
                await request_replay(connection, 999, actor="ops")
    assert await store.fetchval("select version from seen") == 2


async def test_a_replay_that_fails_again_waits_for_a_person_again(store, nats_url, fragile):
    fragile.errors["x"] = Rejected("bad")
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, order("x"))
        (letter,) = await state_of(store, 1)
        async with store.transaction() as connection:
            await request_replay(connection, letter.id, actor="ops")
        await until(lambda: store.fetchval("select attempts = 2 and state = 'dead' from store.dead_letter"))
        (letter,) = await letters(store)
    assert len(letter.history) == 2


async def test_an_unordered_consumer_takes_later_events_of_a_failed_aggregate(store, nats_url, fragile):
    async with running(store, nats_url, keeper("c", handler=fragile, ordered=False)):
        fragile.errors["x"] = Rejected("bad")
        await write(store, order("x", 1))
        await state_of(store, 1)
        fragile.errors.clear()
        await write(store, order("x", 2))
        await until_seen(store, ["x"])


async def test_when_nothing_gets_through_the_log_is_not_set_aside_whole(store, nats_url, fragile, monkeypatch):
    monkeypatch.setattr("gateway.backbone.consumer._OUTAGE_AFTER", 3)
    monkeypatch.setattr("gateway.backbone.consumer._OUTAGE_PAUSE_S", 0.05)
    monkeypatch.setattr("gateway.backbone.failures.Failure.pause_in_place", lambda *_: None)
    for number in range(30):
        fragile.errors[f"o{number}"] = Unavailable("all down")
    async with running(store, nats_url, keeper("c", handler=fragile)):
        await write(store, *(order(f"o{number}") for number in range(30)))
        await until(lambda: asyncio.sleep(0, fragile.calls.count("o3") > 5))
        assert [each.aggregate for each in await letters(store)] == ["o0", "o1", "o2"]
        fragile.errors.clear()
        await until(lambda: store.fetchval("select count(*) >= 27 from seen"))
    assert await store.fetchval("select count(*) from store.dead_letter") == 3


async def test_a_position_moved_by_another_process_is_taken_over_not_fought(store, nats_url):
    async with running(store, nats_url, keeper("c")):
        await write(store, order("a"))
        await until_seen(store, ["a"])
        await store.execute(
            "delete from seen; update store.consumer set transaction_id = '0', event_id = 0, log_epoch = 0"
        )
        await write(store, order("b"))
        await until_seen(store, ["a", "b"])


async def test_losing_the_leases_connection_hands_over_and_doubles_nothing(store, nats_url):
    async with running(store, nats_url, keeper("c")), running(store, nats_url, keeper("c")):
        for number in range(30):
            await write(store, order(f"o{number}"))
            if number % 10 == 5:
                await store.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = 'crossdock-leases' and datname = current_database()"
                )
        await until_seen(store, [f"o{number}" for number in range(30)])


async def test_what_is_handled_together_is_handled_one_by_one_where_one_of_it_fails(store, nats_url, fragile):
    fragile.errors["bad"] = Rejected("no unit", code="mapping.unit")
    batches = []

    async def together(connection, events):
        batches.append([recorded.event.aggregate for recorded in events])
        for recorded in events:
            await fragile(connection, recorded)

    await write(store, order("a"), order("bad"), order("b"))
    async with running(store, nats_url, keeper("c", handler=fragile, together=together)):
        await until_seen(store, ["a", "b"])
        (letter,) = await letters(store)
        del fragile.errors["bad"]
        await write(store, *(order(f"later-{number}") for number in range(5)))
        await until_seen(store, ["a", "b", *(f"later-{number}" for number in range(5))])
    assert letter.aggregate == "bad"
    assert batches[0] == ["a", "bad", "b"]


async def test_whoever_goes_on_is_told_when_it_is_committed_and_not_of_what_failed(store, nats_url, fragile):
    fragile.errors["bad"] = Rejected("no unit", code="mapping.unit")
    told = []

    def count():
        told.append(len(fragile.calls))

    async with running(store, nats_url, keeper("c", handler=fragile, afterwards=count)):
        await write(store, order("bad"))
        await state_of(store, 1)
        assert told == []
        await write(store, order("a"))
        await until_seen(store, ["a"])
        await until(lambda: asyncio.sleep(0, told))
    assert told == [len(fragile.calls)]


async def test_one_of_the_events_that_share_a_row_is_set_aside_alone_and_comes_back_by_its_number(
    store, nats_url, fragile
):
    lines = [order(f"line/{name}", type_="availability.changed", item=name) for name in "abcd"]
    fragile.errors["line/b"] = Rejected("no unit", code="mapping.unit")
    consumer = keeper("c", handler=fragile, types=frozenset({"availability.changed"}), batch=3)
    async with running(store, nats_url, consumer):
        await write(store, *lines)
        await until_seen(store, ["line/a", "line/c", "line/d"])
        (letter,) = await letters(store)
        assert (letter.aggregate, letter.type, letter.data) == ("line/b", "availability.changed", {"item": "b"})
        fragile.errors.clear()
        async with store.transaction() as connection:
            await request_replay(connection, letter.id, actor="ops")
        await until_seen(store, ["line/a", "line/c", "line/d", "line/b"])
    numbers = await store.fetch("select event_id, aggregate from seen order by event_id")
    assert [row["aggregate"] for row in numbers] == ["line/a", "line/b", "line/c", "line/d"]
    assert await store.fetchval("select count(*) from store.event") == 1
