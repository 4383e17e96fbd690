"""Whatever arrives in whatever order, the books end equal to the simulated truth."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.process_apis.availability.books import Books, true_of
from tests.process_apis.availability.warehouse_world import VERBS, Action, Truth

pytestmark = pytest.mark.integration

WORLDS = int(os.environ.get("TRUTH_WORLDS", "400"))
actions = st.builds(
    Action,
    verb=st.sampled_from(VERBS),
    place=st.integers(0, 3),
    sku=st.integers(0, 3),
    amount=st.integers(1, 24),
    choice=st.integers(0, 5),
    misreported=st.sampled_from([False, False, False, True]),
)
promises = st.lists(st.integers(0, 9), min_size=3, max_size=3)


def truth_of(played, first, second, released):
    truth = Truth()
    truth.open()
    for action in played:
        truth.play(action)
    truth.close()
    truth.promise("ord_1", first, released=False, place="N")
    truth.promise("ord_2", second, released=released, place="W")
    truth.promise("ord_1-E", first, released=released, place="E")
    return truth


async def found_and_true(store, truth, random):
    books = Books(store)
    books.remembers = True
    await books.open(truth)
    await books.hear(truth, random)
    # What was known at an instant can be asked for ever after.
    for instant, known in books.remembered:
        assert await books.positions(as_known_at=instant) == known
    return await books.read(), true_of(truth)


worlds = given(
    played=st.lists(actions, min_size=12, max_size=48),
    first=promises,
    second=promises,
    released=st.booleans(),
    seed=st.integers(0, 2**32),
)
quietly = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=quietly)
@worlds
async def test_the_books_end_equal_to_the_truth(world, played, first, second, released, seed):
    found, true = await found_and_true(world.store, truth_of(played, first, second, released), Random(seed))
    assert found == true
    assert await world.broken_invariants() == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=WORLDS, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=quietly)
@worlds
async def test_the_books_end_equal_to_the_truth_in_many_worlds(world, played, first, second, released, seed):
    found, true = await found_and_true(world.store, truth_of(played, first, second, released), Random(seed))
    assert found == true
