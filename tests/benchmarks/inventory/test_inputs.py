"""What the benchmark of inventory asks follows from its seed, and what it says from what was counted."""

from __future__ import annotations

import ast
from pathlib import Path

from benchmarks.inventory import checker
from benchmarks.inventory.drive import _sum
from benchmarks.inventory.load import baskets, reports

PLAN = {"seed": "1", "name": "n", "items": 50, "lines": 5, "count": 1_000}


def test_the_same_seed_asks_for_the_same_and_another_for_something_else():
    assert baskets(PLAN) == baskets(PLAN) != baskets(PLAN | {"seed": "2"})
    assert reports(PLAN) == reports(PLAN) != reports(PLAN | {"seed": "2"})


def test_a_basket_has_distinct_items_and_a_batch_five_hundred_movements_of_their_own():
    assert all(len({line.item for line in basket.lines}) == 5 for basket in baskets(PLAN))
    batches = reports(PLAN)
    assert [len(batch.movements) for batch in batches] == [500, 500]
    assert len({movement.event_id for batch in batches for movement in batch.movements}) == 1_000


def test_percentiles_are_over_all_processes_and_the_slowest_says_how_long_it_took():
    one = {"seconds": 2.0, "cpu_s": 1.0, "outcomes": {"reserved": 3}, "latencies_ms": [1.0] * 99}
    other = {"seconds": 3.0, "cpu_s": 2.0, "outcomes": {"reserved": 1, "no": 1}, "latencies_ms": [9.0]}
    one |= {"work_left": 1, "most_mb": 70}
    other |= {"work_left": 1, "most_mb": 90}
    found = _sum([one, other])
    assert (found["seconds"], found["cpu_s"], found["p50_ms"], found["p99_ms"]) == (3.0, 3.0, 1.0, 9.0)
    assert found["outcomes"] == {"reserved": 4, "no": 1}
    assert found["most_mb"] == 90


def test_the_checker_imports_nothing_of_ours():
    tree = ast.parse(Path(checker.__file__).read_text(encoding="utf-8"))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert named == {"__future__", "typing", "asyncpg"}
