"""Random stories over the real record, held against what was done."""

from __future__ import annotations

import random

import pytest

from gateway.kernel.errors import Conflict

pytestmark = [pytest.mark.integration, pytest.mark.long]
KEYS = ("a", "b", "c", "d")
MOVES = ("put", "put", "take", "look", "look", "assign", "retry", "retry", "ignore", "edit")


@pytest.mark.parametrize("seed", range(8))
async def test_the_queue_is_what_stands_still_and_every_verb_was_done_once_and_audited(desk, seed):
    chance = random.Random(seed)
    tries = verbs = 0
    for _ in range(80):
        move, key = chance.choice(MOVES), chance.choice(KEYS)
        if move == "put":
            await desk.put(key)
        elif move == "take":
            tries -= await desk.store.fetchval("select coalesce(sum(tries), 0) from box where key = $1", key)
            await desk.take(key)
        elif move == "look":
            await desk.look()
        elif await desk.store.fetchval("select exists (select from exceptions.entry where key = $1)", key):
            before = await desk.store.fetchval("select coalesce(sum(tries), 0) from box")
            try:
                verbs += await _decide(desk, chance, move, await desk.one(key))
            except Conflict:
                assert await desk.store.fetchval("select coalesce(sum(tries), 0) from box") == before
            else:
                tries += move in ("retry", "edit")
                tries = (
                    await desk.store.fetchval("select coalesce(sum(tries), 0) from box") if move == "ignore" else tries
                )
        assert await desk.store.fetchval("select coalesce(sum(tries), 0) from box") == tries
        told = "select count(*) from store.audit where action like 'exceptions.%'"
        assert await desk.store.fetchval(told) == verbs
    await desk.look()
    there = {row["key"] for row in await desk.store.fetch("select key from box")}
    assert set(await desk.listed()) == there
    ended = await desk.store.fetch("select key, state from exceptions.entry where ended_at is not null")
    assert {row["key"] for row in ended}.isdisjoint(there)


async def _decide(desk, chance, move, known):
    caller = desk.caller(chance.choice(("ada", "bob")))
    if move == "assign":
        to = chance.choice(("ada", "bob", None))
        after = await desk.exceptions.assign(caller, known.entry, to)
        return after.version != known.version
    if move == "retry":
        await desk.exceptions.retry(caller, known.entry)
    elif move == "ignore":
        await desk.exceptions.ignore(caller, known.entry, reason="r")
    else:
        await desk.exceptions.edit(caller, known.entry, {"n": 1}, reason="r", version=known.version)
    return True
