"""Rows that hold several events: as many and the same come out, by whatever way they are read."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.store
from gateway.canonical.events import Position
from gateway.kernel.errors import NotFound
from gateway.store.log import append
from gateway.store.log_reader import BEGINNING, LogReader, NewerRelease
from gateway.store.migrations import find_migrations, migrate
from gateway.store.rows import MOST, Shared, members_of, shares

from .conftest import MIGRATIONS, event

integration = pytest.mark.integration
CHANGED = "availability.changed"
FOLDER = Path(gateway.store.__file__).parent / "migrations"


def line(number, version=1, correlation="cor_1", **data):
    made = event(f"stock_line/main/{number}/W", version, type_=CHANGED, item=str(number), n=version, **data)
    return msgspec.structs.replace(made, correlation_id=correlation)


def shared(events, *, place=5_000, schema=2):
    return Shared(
        position=Position(1, 9, place), recorded_at=datetime(2026, 1, 2, tzinfo=UTC), version=schema, tenant="acme",
        type=CHANGED, stream="main", occurred_at=events[0].occurred_at,
        members=msgspec.Raw(members_of(events).encode()),
    )  # fmt: skip


_VALUES = st.one_of(st.none(), st.text(), st.integers(-(2**53), 2**53), st.booleans(), st.lists(st.text()))
_DATA = st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="?")), _VALUES)


@given(st.lists(st.tuples(st.text(), st.integers(0, 2**60), st.text(), _DATA), min_size=1, max_size=20))
def test_events_come_out_of_a_row_as_they_went_in(told):
    events = [
        msgspec.structs.replace(event(aggregate, version, type_=CHANGED), correlation_id=why, data=data)
        for aggregate, version, why, data in told
    ]
    optional = {name for each in events for name in each.data if any(name not in other.data for other in events)}
    for each in events:  # what only some of them have is not null where it is
        for name in [name for name in optional if each.data.get(name, "") is None]:
            each.data[name] = "a"
    found = shared(events).events()
    assert [each.event for each in found] == events
    assert [each.position.event for each in found] == list(range(5_001 - len(events), 5_001))


def test_what_differs_in_kind_or_time_or_is_too_much_goes_into_rows_of_its_own():
    later = [msgspec.structs.replace(line(n), occurred_at=datetime(2027, 1, 1, tzinfo=UTC)) for n in range(3)]
    elsewhere = [msgspec.structs.replace(line(n), stream="north") for n in range(2)]
    many = [line(n) for n in range(MOST + 1)]
    found = list(shares([*many, *later, *elsewhere]))
    assert [len(some) for some in found] == [MOST, 1, 3, 2]
    assert [each for some in found for each in some] == [*many, *later, *elsewhere]


def test_a_row_takes_more_numbers_than_it_can_hold_events():
    text = (FOLDER / "0005_told_together.sql").read_text(encoding="utf-8")
    assert int(re.search(r"set increment by (\d+)", text)[1]) >= MOST


def test_a_row_of_a_later_release_is_left_to_it_before_it_is_taken_apart():
    strange = msgspec.structs.replace(shared([line(1)], schema=3), members=msgspec.Raw(b'"in another way"'))
    with pytest.raises(NewerRelease):
        LogReader().events_of(strange)


async def _write(store, *groups):
    for events in groups:
        async with store.transaction() as connection:
            await append(connection, events)


GROUPS = (
    [event("ord_1"), *(line(n) for n in range(7)), event("ord_2")],
    [line(9, channels=[{"open": "1"}]), line(10)],
    [event("ord_3", stream="north"), event("ord_4")],
    [line(n, 2) for n in range(12)],
)


@integration
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 500])
async def test_whatever_the_limit_every_event_is_read_once_and_a_full_page_is_full(store, limit):
    await _write(store, *GROUPS)
    reader, position, found = LogReader(), BEGINNING, []
    async with store.connection() as connection:
        end = await reader.end(connection)
        while True:
            stretch = await reader.read_after(connection, position, limit=limit)
            found += stretch.events
            assert all(position < each.position <= stretch.reached for each in stretch.events)
            position = stretch.reached
            if len(stretch.events) < limit:
                break
        assert await reader.read_after(connection, position, limit=limit) == stretch.__class__((), position)
    assert position == end
    assert [each.event.aggregate for each in found if each.event.type != CHANGED] == ["ord_1", "ord_2", "ord_4"]
    told = [(each.event.aggregate, each.event.aggregate_version) for each in found if each.event.type == CHANGED]
    assert told == [
        (each.aggregate, each.aggregate_version) for group in GROUPS for each in group if each.type == CHANGED
    ]
    assert [each.event.data for each in found if each.event.data.get("item") in ("9", "10")][:2] == [
        {"item": "9", "n": 1, "channels": [{"open": "1"}]}, {"item": "10", "n": 1},
    ]  # fmt: skip


@integration
async def test_an_event_among_others_is_found_by_its_number_and_its_place(store):
    await _write(store, *GROUPS)
    reader = LogReader()
    async with store.connection() as connection:
        everything = (await reader.read_after(connection, BEGINNING)).events
        for each in everything:
            assert await reader.read_one(connection, each.position.event) == each
            assert await reader.is_recorded(connection, each.position)
            assert not await reader.is_recorded(connection, each.position, stream="north")
        numbers = {each.position.event for each in everything}
        first, last = min(numbers), max(numbers)
        for gap in (first - 1, last + 1, *(n for n in range(first, last) if n not in numbers and n + 1 in numbers)):
            if await store.fetchval("select stream from store.numbered($1)", gap) == "north":
                continue
            with pytest.raises(NotFound):
                await reader.read_one(connection, gap)
            assert not await reader.is_recorded(connection, Position(1, everything[0].position.transaction, gap))


@integration
async def test_sql_takes_rows_apart_as_we_do(store):
    await _write(store, *GROUPS)
    async with store.connection() as connection:
        ours = (await LogReader().read_after(connection, BEGINNING)).events
        told = await connection.fetch("select * from store.told where stream = 'main' order by transaction_id, id")
    assert [(row["id"], row["aggregate"], row["aggregate_version"], row["correlation_id"]) for row in told] == [
        (each.position.event, each.event.aggregate, each.event.aggregate_version, each.event.correlation_id)
        for each in ours
    ]
    assert [json.loads(row["data"]) for row in told] == [each.event.data for each in ours]
    for each in ours:
        [row] = await store.fetch("select aggregate, data from store.numbered($1)", each.position.event)
        assert (row["aggregate"], json.loads(row["data"])) == (each.event.aggregate, each.event.data)


@integration
async def test_what_shares_a_row_is_found_by_its_own_correlation_beside_what_caused_it(store):
    mine, yours = [line(n, correlation="mine") for n in range(2)], [line(n, correlation="yours") for n in range(2, 5)]
    caused = [msgspec.structs.replace(event(name), correlation_id=name) for name in ("mine", "yours")]
    await _write(store, [*caused, *mine, *yours], [line(7, correlation="ours")])
    for correlation, count in (("mine", 3), ("yours", 4), ("ours", 1), ("nobody's", 0)):
        found = await store.fetch("select * from store.correlated('acme', $1, 200)", correlation)
        assert [row["correlation_id"] for row in found] == [correlation] * count
    assert await store.fetch("select * from store.correlated('other', 'mine', 200)") == []


@integration
async def test_a_bulky_event_has_a_row_of_its_own_that_says_how_much_it_tells(store):
    data = {"fields": ["movement", "amount"], "movements": [["mov_1", "3"], ["mov_2", "4.5"]]}
    some = [
        msgspec.structs.replace(
            event(f"movements/{name}", type_="stock.movements_recorded"), data=data, correlation_id=name
        )
        for name in ("one", "two")
    ]
    await _write(store, [*some, line(1)])
    async with store.connection() as connection:
        found = (await LogReader().read_after(connection, BEGINNING)).events
    assert [each.event for each in found[:2]] == some
    rows = await store.fetch("select aggregate, data from store.event where aggregate like 'movements/%' order by id")
    assert [json.loads(row["data"]) for row in rows] == [{"fields": 2, "movements": 2}] * 2
    for each in some:
        [row] = await store.fetch("select * from store.correlated('acme', $1, 200)", each.correlation_id)
        assert (row["aggregate"], json.loads(row["data"])) == (each.aggregate, data)


@integration
async def test_a_log_from_before_is_read_on_in_one_order_with_what_comes_after(database):
    await migrate(database, [each for each in MIGRATIONS if each.number < 5])
    connection = await asyncpg.connect(database)
    old = (
        "insert into store.event (stream, tenant, type, version, aggregate, aggregate_version, occurred_at, "
        "correlation_id, data) select 'main', 'acme', 'availability.changed', 1, 'stock_line/main/' || n || '/W', 1, "
        "now(), 'cor', jsonb_build_object('item', n::text, 'n', 1) from generate_series(0, 4) n"
    )
    await connection.execute(old)
    reader = LogReader()
    await migrate(database, find_migrations([FOLDER]))
    between = Position(1, *await connection.fetchrow("select transaction_id, id from store.event where id = 3"))
    async with connection.transaction():
        await append(connection, [line(n, 2) for n in range(3)])
    await connection.execute(old)  # a process of the release from before, until the deploy is over
    found = (await reader.read_after(connection, BEGINNING)).events
    rest = (await reader.read_after(connection, between)).events
    last = [await reader.read_one(connection, each.position.event) for each in found]
    await connection.close()
    items = [(each.event.data["item"], each.event.data["n"]) for each in found]
    before = [(str(n), 1) for n in range(5)]
    assert items == [*before, *((str(n), 2) for n in range(3)), *before]
    assert {each.version for each in found} == {2}
    assert list(rest) == list(found[3:])
    assert last == list(found)
