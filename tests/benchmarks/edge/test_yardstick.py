"""Which windows of a measurement count as undisturbed, and what a request cost in them."""

from __future__ import annotations

import pytest

from benchmarks.edge.yardstick import Reading, Window, at_full_speed, between, quickest


def test_only_whole_windows_within_the_load_are_taken():
    answered = dict.fromkeys(range(1000, 1100), 2)
    readings = [
        Reading(at, 100, spent) for at, spent in ((0.98, 0), (1.02, 400), (1.04, 900), (1.08, 1500), (1.2, 9000))
    ]

    assert between(readings, answered) == [Window(100, 500, 40), Window(100, 600, 80)]


def test_a_window_is_as_slow_as_the_slower_of_its_ends():
    answered = dict.fromkeys(range(1000, 1200), 1)
    readings = [Reading(1.02, 100, 0), Reading(1.04, 200, 10), Reading(1.06, 100, 20), Reading(1.08, 100, 30)]

    assert [window.yardstick for window in between(readings, answered)] == [200, 200, 100]


def test_a_request_costs_what_it_cost_while_the_core_was_ours():
    ours, disturbed = Window(104, 20_000_000, 1000), Window(190, 40_000_000, 1000)
    found = [ours, disturbed, disturbed, disturbed]

    assert quickest(found) == 104
    assert at_full_speed(found, quickest(found)) == (pytest.approx(20.0), 0.25)


def test_too_few_requests_at_full_speed_give_no_figure():
    found = [Window(100, 2_000_000, 100), Window(200, 40_000_000, 1000)]

    assert at_full_speed(found, quickest(found)) == (None, 0.5)
