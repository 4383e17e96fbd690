"""Whatever is injected is what reconciliation says: lost, late, not mapped, or known to the source alone."""

from __future__ import annotations

import os
from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from process_apis.reconciliation.models import Cause, Scope
from tests.process_apis.availability.warehouse_world import Action
from tests.process_apis.reconciliation.troubled_world import FATES, VERBS, TroubledWorld

pytestmark = pytest.mark.integration

WORLDS = int(os.environ.get("TRUTH_WORLDS", "400"))
CAUSES = {"lost": Cause.LOSS, "late": Cause.TIMING, "garbled": Cause.MAPPING}
actions = st.builds(
    Action,
    verb=st.sampled_from(VERBS),
    place=st.integers(0, 3),
    sku=st.integers(0, 2),
    amount=st.integers(1, 24),
    choice=st.integers(0, 5),
    misreported=st.just(False),
)
worlds = given(
    played=st.lists(st.tuples(actions, st.sampled_from([*FATES, "told", "told", "told"])), min_size=16, max_size=48)
)
quietly = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


async def check(store, played):
    world = TroubledWorld(store, played)
    await world.tell()
    await world.mend()
    reconciliation = world.reconciliation()
    run, _ = await reconciliation.run(Scope(), asked_by="test")
    assert run.error is None
    rows = await store.fetch("select * from reconciliation.finding where tenant = $1", world.books.tenant)
    drifted = await drift_of(store, world.books.tenant)
    assert {key: amount for key, amount in summed(rows).items() if amount} == drifted
    # To the last digit: what only the warehouse knows is what it did in silence.
    silent = summed(row for row in rows if row["class"] == Cause.SOURCE_ONLY)
    place = {f"loc_{code.lower()}": code for code in "NSWE"}
    assert {(place[where], world.books.sku[item], bucket, lot): amount
            for (where, item, bucket, lot), amount in silent.items() if amount} == {
        key: amount for key, amount in world.hidden.items() if amount and key[:2] != ("N", "C")
    }  # fmt: skip
    # Every event that is shown is one that met that fate.
    for finding in await reconciliation.findings(world.books.tenant, limit=10_000):
        for event in finding.evidence:
            assert CAUSES[world.fates[event["source"], event["event_id"]]] is finding.cause
    return world, rows


async def drift_of(store, tenant):
    rows = await store.fetch("select * from availability.drift where tenant = $1", tenant)
    return {key: amount for key, amount in summed(rows).items() if amount}


def summed(rows):
    found = defaultdict(Decimal)
    for row in rows:
        found[row["location"], row["item"], row["bucket"], row["lot"]] += row["amount"]
    return found


@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=quietly)
@worlds
async def test_every_injected_cause_is_classed_as_injected(store, played):
    await check(store, played)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=WORLDS, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=quietly)
@worlds
async def test_every_injected_cause_is_classed_as_injected_in_many_worlds(store, played):
    await check(store, played)


async def test_of_one_in_a_hundred_webhooks_that_never_came_all_are_found(store):
    adjusted = Action("adjust", 0, 0, 5, 1, misreported=False)
    played = [
        (
            adjusted._replace(place=number % 4, sku=number % 2, amount=1 + number % 9),
            "lost" if number % 100 == 7 else "told",
        )
        for number in range(200)
    ]
    world, rows = await check(store, played)
    lost = sorted(event for event, fate in world.fates.items() if fate == "lost")
    assert len(lost) == 2
    found = await store.fetch("select * from reconciliation.recovered where tenant = $1", world.books.tenant)
    assert sorted((row["source"], row["event_id"]) for row in found) == lost
    assert {row["class"] for row in rows} == {"loss"}
    assert {row["state"] for row in rows} == {"explained"}
