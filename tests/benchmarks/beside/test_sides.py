"""How the sides are driven, and what is said of one that is not there."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.beside import tryton, vendure
from benchmarks.beside.sides import PROMISED, Ran, press, wants

FOLDER = Path(vendure.__file__).parent


class ThirdTime:
    """Promises each order when it is asked for the third time."""

    name = about = url = ""
    refusals: frozenset[str] = frozenset()
    busy = frozenset({"later"})

    def __init__(self):
        self.asked = Counter()

    async def claim(self, _lane, order):
        self.asked[order] += 1
        if order == "gone":
            raise OSError("no whole answer")
        return PROMISED if self.asked[order] == 3 else "later"


async def test_an_order_that_was_answered_busy_comes_back_until_it_is_promised():
    side = ThirdTime()
    ran = await press(side, ["a", "b", "c"], clients=2, seconds=60, again=True)
    assert ran.outcomes == {PROMISED: 3, "later": 6}


async def test_buyers_of_one_piece_ask_once_and_a_broken_answer_is_counted():
    side = ThirdTime()
    ran = await press(side, ["a", "gone"], clients=4, seconds=60)
    assert ran.outcomes == {"later": 1, "no whole answer": 1}


def test_every_side_is_asked_for_orders_of_as_many_distinct_articles():
    given = SimpleNamespace(items=9, lines=5)
    orders = wants(random.Random(3), given, 4)
    assert orders == wants(random.Random(3), given, 4)
    assert all(len({sku for sku, _ in order}) == 5 for order in orders)


def test_a_percentile_of_nothing_is_nothing():
    assert Ran(1.0, Counter(), []).at(0.99) == 0.0


@pytest.mark.parametrize("side", [tryton, vendure], ids=["tryton", "vendure"])
def test_a_peer_that_is_not_installed_says_what_installs_it(side, monkeypatch, tmp_path):
    monkeypatch.setattr(side, "DRIVER" if side is tryton else "INSTALLED", tmp_path)
    assert "make bench-peers" in side.missing()


def test_versions_of_peers_are_pinned():
    content = json.loads((FOLDER / "vendure.json").read_text(encoding="utf-8"))
    pins = [*content["dependencies"].values(), *content["overrides"].values()]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", pin) for pin in pins)
