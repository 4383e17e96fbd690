"""Condensing what is long past changes no figure, whatever comes after it, and whenever it stops."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import ReportedMovement
from process_apis.availability.condensing import begin, condense_next
from tests.process_apis.availability.books import Books
from tests.process_apis.availability.test_truth import actions, promises, quietly
from tests.process_apis.availability.warehouse_world import Truth

pytestmark = pytest.mark.integration

WORLDS = int(os.environ.get("TRUTH_WORLDS", "60"))


async def instant_of(store):
    return await store.fetchval("select clock_timestamp()")


async def told(books, each):
    """Tell one report; whether it came too late."""
    movements = (each,) if isinstance(each, ReportedMovement) else ()
    snapshots = () if movements else (each,)
    receipt = await books.availability.record(books.tenant, Report(movements=movements, snapshots=snapshots))
    return any(line.cause == "stock.too_late" for line in receipt.others)


async def figures(books, **instants):
    rows = await books.availability.positions(books.tenant, items=list(books.sku), location=None, **instants)
    names = ("location", "bucket", "lot", "amount")
    return {(books.sku[row["item"]], *(row[name] for name in names)) for row in rows if row["amount"]}


async def outcome(books):
    found = await books.read()
    del found["movements"]
    return found


def reports(played, turning, random):
    """What is told before and after the turning, late and twice."""
    truth = Truth()
    truth.open()
    for action in played[:turning]:
        truth.play(action)
    past = list(truth.reports)
    for action in played[turning:]:
        truth.play(action)
    truth.close()
    coming = [each for each in truth.reports if each not in past]
    for some in (past, coming):
        some.extend(random.choices(some, k=len(some) // 3) if some else [])
        random.shuffle(some)
    return truth, past, coming


async def live_through(store, played, turning, orders, seed):
    """The same reports to two tenants, of which one condenses what it was told on the way."""
    random = Random(seed)
    truth, past, coming = reports(played, turning, random)
    condensed, whole = Books(store), Books(store)
    for books in (condensed, whole):
        await books.open(truth)
        await books._mend()
        for each in past:
            await told(books, each)
    since = await instant_of(store)
    await begin(store, condensed.tenant, since)
    cut_short = random.randint(0, 6)
    too_late, asked = [], []
    for number, each in enumerate(coming):
        if number >= cut_short:
            await condense_next(store, condensed.tenant, lines=random.randint(1, 4), steps=random.randint(1, 3))
        if number % 5 == 2:
            asked.append(await instant_of(store))
        if await told(condensed, each):
            too_late.append(each)
        elif each not in too_late:
            await told(whole, each)
    while await condense_next(store, condensed.tenant, lines=3):
        pass
    return condensed, whole, [since, *asked], too_late


def laws(examples):
    def both(test):
        given_worlds = given(
            played=st.lists(actions, min_size=12, max_size=40), turning=st.integers(4, 36), orders=promises,
            seed=st.integers(0, 2**32),
        )  # fmt: skip
        chosen = settings(
            max_examples=examples, deadline=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=[*quietly, HealthCheck.too_slow],
        )  # fmt: skip
        return chosen(given_worlds(test))

    return both


async def check(world, played, turning, orders, seed):
    condensed, whole, instants, _ = await live_through(world.store, played, turning, orders, seed)
    assert await outcome(condensed) == await outcome(whole)
    for instant in instants:
        assert await figures(condensed, as_known_at=instant) == await figures(whole, as_known_at=instant)
    now = await instant_of(world.store)
    for books in (condensed, whole):
        # What is kept reckons to what stands.
        assert await figures(books, as_known_at=now) == await figures(books)
    assert await world.broken_invariants() == []
    assert await left_of(world.store, condensed.tenant, instants[0]) == []


async def left_of(store, tenant, since):
    return await store.fetch(
        "select * from availability.movement where tenant = $1 and moves and carried is null and recorded_at < $2"
        " and occurred_at < $2 and (live or retired_at < $2)",
        tenant,
        since,
    )


@laws(3)
async def test_condensing_changes_no_figure(world, played, turning, orders, seed):
    await check(world, played, turning, orders, seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
@laws(WORLDS)
async def test_condensing_changes_no_figure_in_many_worlds(world, played, turning, orders, seed):
    await check(world, played, turning, orders, seed)
