import asyncio

import pytest

from gateway.backbone.letter_troubles import LetterTroubles
from gateway.canonical.trouble import Effect
from gateway.kernel.context import Caller, Principal
from gateway.kernel.errors import Conflict, Rejected

from .conftest import keeper, order, running, until, until_seen, write

pytestmark = pytest.mark.integration
CALLER = Caller(
    principal=Principal(tenant="acme", subject="ada", credential="k", zones=frozenset(), scopes=frozenset()),
    request_id="r",
    correlation_id="c",
    deadline=float("inf"),
)
TROUBLES = LetterTroubles(lambda consumer: Effect.DELAYS)


def picky(seen):
    """Takes an event only with a unit in its data."""

    async def take(connection, recorded):
        if "uom" not in recorded.event.data:
            raise Rejected("no unit", code="mapping.unit", context={"system": "wms_north"})
        await seen(connection, recorded)

    return take


async def told(store):
    async with store.connection() as connection:
        return await TROUBLES.troubles(connection, "acme", limit=10)


async def test_a_line_that_is_held_up_is_one_trouble_with_all_that_waits_behind_it(store, nats_url):
    async with running(store, nats_url, keeper("c", handler=picky(keeper("c").handler))):
        await write(store, order("x", 1))
        await until(lambda: told(store))
        await write(store, order("x", 2), order("x", 3), order("y", 1, uom="EA"))
        await until_seen(store, ["y"])
    [trouble] = await told(store)
    assert (trouble.key, trouble.count, trouble.about) == ("c/x", 3, "x")
    assert (trouble.error_class, trouble.fault_domain, trouble.code) == ("validation", "wms_north", "mapping.unit")


async def test_an_edited_letter_is_taken_with_the_new_data_and_the_log_keeps_the_old(store, nats_url):
    async with running(store, nats_url, keeper("c", handler=picky(keeper("c").handler))):
        await write(store, order("x", 1, sku="A"))
        await until(lambda: told(store))
        async with store.transaction() as connection:
            assert await TROUBLES.payload(connection, "acme", "c/x") == {"sku": "A"}
            before = await TROUBLES.edit(connection, CALLER, "c/x", {"sku": "A", "uom": "EA"})
        await until_seen(store, ["x"])
    assert before == {"sku": "A"}
    assert await told(store) == []
    assert await store.fetchval("select data::text from store.event") == '{"sku": "A"}'


async def test_what_comes_while_a_letter_is_closed_is_not_parked_behind_it(store, nats_url):
    begun, may_end = asyncio.Event(), asyncio.Event()
    take = picky(keeper("c").handler)

    async def held_up(connection, recorded):
        if recorded.event.aggregate == "z":
            begun.set()
            await may_end.wait()
        await take(connection, recorded)

    async with running(store, nats_url, keeper("c", handler=held_up)):
        await write(store, order("x", 1))
        await until(lambda: told(store))
        await write(store, order("z", 1, uom="EA"))
        await begun.wait()
        await write(store, order("x", 2, uom="EA"))
        async with store.transaction() as connection:
            await TROUBLES.ignore(connection, CALLER, "c/x", "by phone")
            may_end.set()
            waits_or_stands = (
                "select exists (select from pg_locks where not granted) "
                "or exists (select from store.dead_letter where state = 'parked')"
            )
            await until(lambda: connection.fetchval(waits_or_stands))
        await until_seen(store, ["z", "x"])


async def test_ignoring_a_line_lets_what_waited_go_and_another_tenant_has_none(store, nats_url):
    async with running(store, nats_url, keeper("c", handler=picky(keeper("c").handler))):
        await write(store, order("x", 1))
        await until(lambda: told(store))
        await write(store, order("x", 2, uom="EA"))
        async with store.transaction() as connection:
            assert await TROUBLES.troubles(connection, "other", limit=10) == []
            await TROUBLES.ignore(connection, CALLER, "c/x", "by phone")
        await until_seen(store, ["x"])
    async with store.transaction() as connection:
        with pytest.raises(Conflict):
            await TROUBLES.retry(connection, CALLER, "c/x")
