import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.events import Position, Recorded
from gateway.kernel.errors import NotFound
from gateway.store.log import append
from gateway.store.log_reader import BEGINNING, LogReader, NewerRelease, in_version_order, sql

from .conftest import event

integration = pytest.mark.integration


def recorded(number, *, aggregate="a", version=1, schema=1, **data):
    return Recorded(
        position=Position(1, number, number),
        recorded_at=datetime(2026, 1, 2, tzinfo=UTC),
        event=event(aggregate, version, **data),
        version=schema,
    )


def test_an_old_version_is_lifted_step_by_step_and_a_newer_one_is_left_alone(monkeypatch):
    taxonomy = {"order.accepted": msgspec.structs.replace(_type("order.accepted"), version=3)}
    monkeypatch.setattr("gateway.store.log_reader.TAXONOMY", taxonomy)
    upcasts = {
        ("order.accepted", 1): lambda data: {**data, "second": 2},
        ("order.accepted", 2): lambda data: {**data, "third": data["second"] + 1},
    }
    lifted = LogReader(upcasts).current(recorded(1, first=1))
    assert (lifted.version, lifted.event.data) == (3, {"first": 1, "second": 2, "third": 3})
    with pytest.raises(NewerRelease):
        LogReader(upcasts).current(recorded(1, schema=4))


def _type(name):
    from gateway.canonical.events import TAXONOMY  # noqa: PLC0415 - the test above replaces the module's own

    return TAXONOMY[name]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), unique=True))
def test_version_order_permutes_only_within_an_aggregate(entries):
    events = [recorded(number, aggregate=key, version=v) for number, (key, v) in enumerate(entries)]
    ordered = in_version_order(events)
    assert [each.event.aggregate for each in ordered] == [each.event.aggregate for each in events]
    assert sorted(each.position for each in ordered) == [each.position for each in events]
    for key in "abc":
        versions = [each.event.aggregate_version for each in ordered if each.event.aggregate == key]
        assert versions == sorted(versions)


@integration
async def test_an_event_comes_back_as_it_was_written_to_the_last_digit(store):
    async with store.transaction() as connection:
        await append(connection, [event(amount=Decimal("0.10000000000000000001"), name='Ω \\ " / #')])
    async with store.connection() as connection:
        (found,) = (await LogReader().read_after(connection, BEGINNING)).events
        assert found == await LogReader().read_one(connection, found.position.event)
        with pytest.raises(NotFound):
            await LogReader().read_one(connection, 999)
    assert found.event.data == {"amount": "0.10000000000000000001", "name": 'Ω \\ " / #'}
    assert found.event.occurred_at == datetime(2026, 1, 2, tzinfo=UTC)


@integration
async def test_reading_some_types_still_reaches_the_end_so_that_nothing_is_scanned_twice(store):
    async with store.transaction() as connection:
        kinds = ["order.accepted", "order.held", "order.accepted", "order.held"]
        await append(connection, [event(version=n, type_=kind) for n, kind in enumerate(kinds)])
        await append(connection, [event(stream="north")])
    reader = LogReader()
    async with store.connection() as connection:
        end = await reader.end(connection)
        some = await reader.read_after(connection, BEGINNING, types=frozenset({"order.accepted"}))
        first = await reader.read_after(connection, BEGINNING, types=frozenset({"order.accepted"}), limit=1)
        none = await reader.read_after(connection, BEGINNING, types=frozenset({"item.changed"}))
        assert await reader.read_after(connection, end) == await reader.read_after(connection, some.reached)
        assert await reader.streams(connection) == {"main", "north"}
        assert await reader.end(connection, stream="nowhere") == BEGINNING
    assert [each.event.aggregate_version for each in some.events] == [0, 2]
    assert some.reached == none.reached == end
    assert first.reached == first.events[-1].position < end


@integration
async def test_a_slow_transaction_beside_fast_ones_holds_them_back_and_is_not_skipped(store):
    reader = LogReader()
    async with store.transaction() as slow:
        await append(slow, [event("slow")])
        async with store.transaction() as fast:
            await append(fast, [event("fast")])
        async with store.connection() as connection:
            assert (await reader.read_after(connection, BEGINNING)).events == ()
    async with store.connection() as connection:
        found = (await reader.read_after(connection, BEGINNING)).events
    assert [each.event.aggregate for each in found] == ["slow", "fast"]


@integration
async def test_the_later_version_of_a_transaction_with_the_older_id_is_put_right(store):
    await store.execute("create table t (n int); insert into t values (0)")
    async with store.transaction() as older, store.transaction() as younger:
        await older.fetchval("select pg_current_xact_id()")
        await younger.execute("update t set n = 1")
        await append(younger, [event(version=1)])
        waiting = asyncio.create_task(older.execute("update t set n = 2"))
        await asyncio.sleep(0.05)
        await younger.execute("commit")
        await younger.execute("begin")
        await waiting
        await append(older, [event(version=2)])
    async with store.connection() as connection:
        found = (await LogReader().read_after(connection, BEGINNING)).events
    assert [each.event.aggregate_version for each in found] == [2, 1]
    assert [each.event.aggregate_version for each in in_version_order(found)] == [1, 2]


@integration
@pytest.mark.parametrize("seed", range(3))
async def test_no_reader_misses_or_repeats_an_event_while_writers_dawdle_and_abort(store, seed):
    chance = random.Random(seed)
    written: set[str] = set()
    done = asyncio.Event()

    async def write(writer):
        for turn in range(25):
            name, pause, fails = f"{writer}-{turn}", chance.random() ** 6 * 0.2, chance.random() < 0.1
            try:
                async with store.transaction() as connection:
                    await append(connection, [event(name, part) for part in range(chance.randrange(1, 3))])
                    await asyncio.sleep(pause)
                    1 // (not fails)
                written.add(name)
            except ZeroDivisionError:
                pass

    async def read(limit):
        reader, position, seen = LogReader(), BEGINNING, []
        while True:
            last = done.is_set()
            async with store.connection() as connection:
                stretch = await reader.read_after(connection, position, limit=limit)
            seen += [each.position for each in stretch.events if each.event.aggregate_version == 0]
            names.setdefault(limit, []).extend(each.event.aggregate for each in stretch.events)
            position = stretch.reached
            if last and not stretch.events:
                return seen
            await asyncio.sleep(0.002)

    names: dict[int, list[str]] = {}
    readers = [asyncio.create_task(read(limit)) for limit in (1, 7, 500)]
    await asyncio.gather(*(write(writer) for writer in range(8)))
    done.set()
    for order in await asyncio.gather(*readers):
        assert order == sorted(order)
        assert len(order) == len(set(order)) == len(written)
    assert all(set(found) == written for found in names.values())
    assert names[1] == names[7] == names[500]


@integration
async def test_the_history_of_an_aggregate_is_found_by_an_index_that_stock_lines_stay_out_of(store):
    changed = event("stock_line/main/A/W", 1, type_="availability.changed")
    async with store.transaction() as connection:
        await append(connection, [event("ord_1", 1), changed])
        await connection.execute("set local enable_seqscan = off")
        plan = await connection.fetch("explain (costs off) " + sql.read_aggregate, "acme", "ord_1", 10)
        [found] = await LogReader().read_aggregate(connection, "acme", "ord_1")
        kept = await connection.fetchval("select pg_get_indexdef('store.event_aggregate'::regclass)")
    assert any("event_aggregate" in line[0] for line in plan)
    assert found.event.aggregate == "ord_1"
    assert "availability.changed" in kept
