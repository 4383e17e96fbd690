"""How movements are told from what channels heard."""

from benchmarks.inventory.channels import _judge, _movements

EACH = 1_000


class Given:
    seed, items, seconds, movements = 7, 100, 2.0, 500


def test_the_same_seed_gives_the_same_movements_and_few_articles_have_most_of_them():
    movements = _movements(Given)
    assert movements == _movements(Given)
    assert len(movements) == 1_000
    counts = sorted((movements.count(item) for item in range(100)), reverse=True)
    assert sum(counts[:10]) > 400


def test_a_movement_is_told_by_the_first_figure_that_holds_it_and_counted_when_none_does():
    sku = "SKU-0000003"
    told = [
        ("stream", sku, EACH + 1, 10.1),
        ("stream", sku, EACH + 3, 10.5),  # stands for two
        ("webhook", sku, EACH + 2, 10.9),
        ("projection", sku, EACH + 2, 10.35),
    ]
    found = _judge([3, 3, 3], [10.0, 10.1, 10.2], told)
    assert found["stream"] == {"p50_ms": 300.0, "p99_ms": 400.0, "movements": 3, "missing": 0}
    assert (found["webhook"]["movements"], found["webhook"]["missing"]) == (2, 1)
    assert (found["projection"]["p50_ms"], found["projection"]["movements"]) == (250.0, 1)
    assert found["shop"]["missing"] == 3
