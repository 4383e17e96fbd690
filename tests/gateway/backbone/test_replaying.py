"""A consumer goes through a stretch of the log once more: what it handled is dropped, what it set aside is not."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from gateway.backbone import replaying
from gateway.backbone.dead_letters import list_dead_letters, resolve_dead_letter
from gateway.backbone.replaying import Listener, Window
from gateway.kernel.errors import Conflict, Invalid, NotFound, Rejected
from gateway.store.log_reader import LogReader

from .conftest import ACCEPTED, order, running, until, write
from .conftest import keeper as _keeper

pytestmark = pytest.mark.integration
LISTENER = Listener(name="c", types=ACCEPTED)
ALL = Window(from_at=datetime(2026, 1, 1, tzinfo=UTC), to_at=datetime(2100, 1, 1, tzinfo=UTC))


class Counts:
    """Writes down what it gets as often as it gets it, but for what it was told to refuse."""

    def __init__(self, store):
        self._store = store
        self.refused = set()

    async def __call__(self, connection, recorded):
        if recorded.event.aggregate in self.refused:
            raise Rejected("no unit", code="mapping.unit")
        await connection.execute("insert into handled (aggregate) values ($1)", recorded.event.aggregate)

    async def got(self):
        return [row["aggregate"] for row in await self._store.fetch("select aggregate from handled order by n")]


@pytest.fixture
async def handler(store):
    await store.execute("create table handled (n bigint generated always as identity, aggregate text)")
    return Counts(store)


def keeper(handler):
    return _keeper("c", handler=handler)


async def asked(store, window=ALL, *, again=False, tenant="acme"):
    async with store.transaction() as connection:
        return await replaying.ask(connection, tenant, "c", window, again=again, actor="ada", reason="lost")


async def ended(store, name):
    async def over():
        async with store.connection() as connection:
            found = await replaying.progress(connection, "acme", name)
        return found if found["state"] != "running" else None

    return await until(over)


async def planned(store, window=ALL):
    async with store.connection() as connection:
        return await replaying.plan(connection, "acme", LISTENER, window, LogReader())


async def letters(store, **filters):
    async with store.connection() as connection:
        return await list_dead_letters(connection, **filters)


async def test_what_was_handled_is_dropped_and_with_again_it_is_handled_once_more(store, nats_url, handler):
    async with running(store, nats_url, keeper(handler)):
        await write(store, order("a"), order("b"), order("other", type_="order.held"))
        await until(lambda: _len(handler, 2))
        plan = await planned(store)
        assert (dict(plan.by_type), plan.seen, plan.unseen) == ({"order.accepted": 2}, 2, 0)
        done = await ended(store, await asked(store))
        assert (done["matched"], done["handled"], done["dropped"]) == (2, 0, 2)
        assert await handler.got() == ["a", "b"]
        done = await ended(store, await asked(store, again=True))
        assert (done["handled"], done["dropped"]) == (2, 0)
        assert await handler.got() == ["a", "b", "a", "b"]
        one = Window(from_at=ALL.from_at, to_at=ALL.to_at, aggregate="b")
        assert (await ended(store, await asked(store, one, again=True)))["handled"] == 1
    assert (await handler.got())[4:] == ["b"]
    assert await store.fetchval("select count(*) from store.audit where action = 'replay.asked'") == 3


async def test_what_was_set_aside_or_closed_unhandled_is_handled_without_again(store, nats_url, handler):
    handler.refused = {"x", "y"}
    async with running(store, nats_url, keeper(handler)):
        await write(store, order("x"), order("y"), order("z"))
        await until(lambda: _letters(store, 2))
        first = next(each for each in await letters(store) if each.aggregate == "x")
        async with store.transaction() as connection:
            await resolve_dead_letter(connection, first.id, reason="by phone", actor="ada")
        assert (await planned(store)).unseen == 2
        handler.refused = set()
        done = await ended(store, await asked(store))
        assert (done["matched"], done["handled"], done["dropped"]) == (3, 2, 1)
        await until(lambda: _len(handler, 3))
        await until(lambda: _letters(store, 0))
        assert (await planned(store)).unseen == 0
        assert (await ended(store, await asked(store)))["handled"] == 0
    assert sorted(await handler.got()) == ["x", "y", "z"]


async def test_what_fails_once_more_is_passed_over_and_told(store, nats_url, handler):
    async with running(store, nats_url, keeper(handler)):
        await write(store, *(order(name) for name in "abc"))
        await until(lambda: _len(handler, 3))
        handler.refused = {"b"}
        done = await ended(store, await asked(store, again=True))
    assert (done["state"], done["handled"], done["failed"]) == ("done", 2, 1)
    assert "mapping.unit" in done["error"]
    assert await letters(store) == []


async def test_a_consumer_that_begins_again_goes_on_where_the_replay_was(store, nats_url, handler, monkeypatch):
    monkeypatch.setattr("gateway.backbone.consumer._REPLAY_BATCH", 1)
    async with running(store, nats_url, keeper(handler)):
        await write(store, *(order(f"a{number}") for number in range(20)))
        await until(lambda: _len(handler, 20))
        name = await asked(store, again=True)
        await until(lambda: store.fetchval("select handled > 0 from store.replay"))
    async with running(store, nats_url, keeper(handler)):
        done = await ended(store, name)
    assert (done["matched"], done["handled"]) == (20, 20)
    assert Counter(await handler.got()) == {f"a{number}": 2 for number in range(20)}


async def test_what_cannot_be_replayed_is_said(store, nats_url, handler):
    async with running(store, nats_url, keeper(handler)):
        await write(store, order("a"))
        await until(lambda: _len(handler, 1))
    keep, now = timedelta(days=30), datetime.now(UTC)
    fits = Window(from_at=now - timedelta(days=1), to_at=now + timedelta(days=1))
    async with store.transaction() as connection:
        await replaying.check(connection, "c", fits, now=now, keep=keep)
        for window in (
            Window(from_at=now - timedelta(days=31), to_at=now),
            Window(from_at=now - timedelta(days=2), to_at=now - timedelta(days=1)),
            Window(from_at=now, to_at=now),
        ):
            with pytest.raises(Invalid):
                await replaying.check(connection, "c", window, now=now, keep=keep)
        with pytest.raises(NotFound, match="known are c"):
            await replaying.check(connection, "nobody", fits, now=now, keep=keep)
    name = await asked(store)
    with pytest.raises(Conflict):
        await asked(store)
    async with store.transaction() as connection:
        with pytest.raises(Conflict):
            await replaying.cancel(connection, "other", name, actor="eve")
        await replaying.cancel(connection, "acme", name, actor="ada")
        assert (await replaying.progress(connection, "acme", name))["state"] == "cancelled"
        with pytest.raises(NotFound):
            await replaying.progress(connection, "other", name)


async def _len(handler, number):
    return len(await handler.got()) >= number


async def _letters(store, number):
    return len(await letters(store)) == number
