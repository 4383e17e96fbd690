"""Who calls which version is counted beside the calls, and added up in the record."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

import gateway.store
import policies.version
from gateway.kernel.context import Principal
from gateway.kernel.errors import Unavailable
from gateway.kernel.exchange import Exchange, Route
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from policies.version.policy import Version
from policies.version.usage import Usage, read_usage, writes_to

PARTS = (gateway.store, policies.version)


def a_call(client="cli_1", version="v1", partner="par_1"):
    exchange = Exchange({"type": "http", "method": "GET", "path": "/"}, None, 0.0)
    exchange.route = Route(id="x", method="GET", template="/", api="shop", version=version, zone=None)
    if client is not None:
        exchange.principal = Principal(
            tenant="acme", subject=client, credential=client, zones=frozenset(), scopes=frozenset(), partner=partner
        )
    return exchange


class Kept:
    """Remembers what was written; `down` refuses."""

    def __init__(self):
        self.down = False
        self.written = []

    async def __call__(self, counted):
        if self.down:
            raise Unavailable("the record is away")
        self.written += [(key[1:], cell.calls, cell.partner) for key, cell in counted]


async def test_calls_are_counted_by_client_and_version_and_written_once():
    kept = Kept()
    usage = Usage(kept)
    for call in (a_call(), a_call(), a_call(version="v2"), a_call(client="cli_2", partner=None)):
        usage.count(call)
    await usage.flush()
    await usage.flush()
    assert kept.written == [
        (("cli_1", "shop", "v1"), 2, "par_1"),
        (("cli_1", "shop", "v2"), 1, "par_1"),
        (("cli_2", "shop", "v1"), 1, None),
    ]


async def test_what_nobody_called_or_has_no_version_is_not_counted():
    kept = Kept()
    usage = Usage(kept)
    for call in (a_call(client=None), a_call(version="")):
        usage.count(call)
    await usage.flush()
    assert kept.written == []


async def test_while_the_record_is_away_counts_wait_and_add_up():
    kept = Kept()
    usage = Usage(kept)
    kept.down = True
    usage.count(a_call())
    with pytest.raises(Unavailable):
        await usage.flush()
    usage.count(a_call())
    kept.down = False
    await usage.flush()
    assert kept.written == [(("cli_1", "shop", "v1"), 2, "par_1")]


async def test_no_more_callers_wait_than_there_is_room_for():
    kept = Kept()
    usage = Usage(kept, largest=100)
    for number in range(1000):
        usage.count(a_call(client=f"cli_{number}"))
    await usage.flush()
    assert (len(kept.written), usage.uncounted) == (100, 900)


async def test_what_is_left_at_the_end_is_written():
    kept = Kept()
    usage = Usage(kept, every=3600)
    async with usage.counting():
        usage.count(a_call())
    assert len(kept.written) == 1


def test_the_version_policy_counts_on_the_way_out_only_where_it_is_asked_to():
    usage = Usage(Kept())
    counting, silent = Version(Nowhere(), None, None, usage), Version(Nowhere(), None)
    assert (counting.concludes, silent.concludes) == (True, False)
    counting.conclude(a_call())
    silent.conclude(a_call())
    assert [cell.calls for cell in usage._tally._cells.values()] == [1]


class Nowhere:
    def locate(self, method, path):
        raise AssertionError


@pytest.mark.integration
async def test_processes_that_write_at_once_add_up_by_day(database):
    await migrate(database, find_migrations([Path(part.__file__).parent / "migrations" for part in PARTS]))
    store = Store(database, size=8)
    await store.open()
    counters = [Usage(writes_to(store)) for _ in range(4)]
    for _ in range(5):
        for usage in counters:
            for number in range(50):
                usage.count(a_call(client=f"cli_{number:02}"))
                usage.count(a_call(client=f"cli_{number:02}", version="v2"))
        await asyncio.gather(*(usage.flush() for usage in counters))
    await store.execute(
        "insert into version.usage values (current_date - 500, 'acme', 'old', 'shop', 'v1', null, 1, now())"
    )
    usage = Usage(writes_to(store))  # one that has not dropped anything today
    usage.count(a_call(client="cli_00"))
    await usage.flush()
    async with store.connection() as connection:
        found = await read_usage(connection, tenant="acme", days=2)
        others = await read_usage(connection, tenant="other", days=2)
        stored = await store.fetchval("select count(*) from version.usage where client = 'old'")
    await store.close()
    assert others == []
    assert stored == 0
    assert len(found) == 100
    assert {each.calls for each in found} == {20, 21}
    assert (found[0].client, found[0].version, found[0].partner) == ("cli_00", "v1", "par_1")
    assert sum(found[0].days.values()) == 21
    assert abs((datetime.now(UTC) - found[0].last_seen_at).total_seconds()) < 3600
