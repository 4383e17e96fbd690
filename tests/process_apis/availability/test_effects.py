"""The table of effects, row by row: as its README tells it, as the code has it, as the books show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.canonical.stock import MovementType
from process_apis.availability.effects import EFFECTS

README = Path(__file__).parents[3] / "process_apis/availability/README.md"
SAME = {"sellable": 100, "receiving": 100, "picked": 100, "returned": 100}
# What one movement of 3 does to stock of 100 in each bucket, to (picked, shipped), and to (kind, opened, closed).
ROWS = {
    "receipt_posted": ({"receiving": 103}, None, ("receipt", 0, 3)),
    "put_away": ({"receiving": 97, "sellable": 103}, None, None),
    "pick_confirmed": ({"sellable": 97, "picked": 103}, (3, 0), None),
    "unpicked": ({"sellable": 103, "picked": 97}, (-3, 0), None),
    "shipment_confirmed": ({"sellable": 97}, (0, 3), None),
    "stock_adjusted": ({"sellable": 103}, None, None),
    "cycle_counted": ({"sellable": 3}, None, None),
    "transfer_dispatched": ({"sellable": 97}, (0, 3), ("transfer", 3, 0)),
    "transfer_received": ({"receiving": 103}, None, ("transfer", 0, 3)),
    "return_received": ({"returned": 103}, None, ("return", 3, 0)),
    "return_dispositioned": ({"returned": 97}, None, ("return", 0, 3)),
    "status_changed": ({"sellable": 97, "damaged": 3}, None, None),
}
# What the source may name instead of the usual bucket.
SAID = {
    "receipt_posted": ({"to_bucket": "sellable"}, {"sellable": 103}),
    "shipment_confirmed": ({"from_bucket": "picked"}, {"picked": 97}),
    "stock_adjusted": ({"to_bucket": "picked"}, {"picked": 103}),
    "cycle_counted": ({"from_bucket": "picked"}, {"picked": 3}),
    "transfer_dispatched": ({"from_bucket": "picked"}, {"picked": 97}),
    "transfer_received": ({"to_bucket": "sellable"}, {"sellable": 103}),
    "return_received": ({"to_bucket": "quality_hold"}, {"quality_hold": 3}),
    "return_dispositioned": ({"to_bucket": "sellable"}, {"returned": 97, "sellable": 103}),
}


def rows_of_readme():
    found = {}
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].strip("`") in set(MovementType):
            found[cells[0].strip("`")] = tuple(cells[1:])
    return found


def told(effect):
    """A row of the code, as the README writes it."""

    def bucket(value, side):
        name = value.value if value else "—"
        return f"*{name}*" if effect.said == side else name

    if effect.named:
        return "as named", "as named", "", ""
    if effect.signed:
        sign = "=" if effect.absolute else "±"
        return "", f"{sign} {bucket(effect.target, 'target')}", "", ""
    origin = bucket(effect.origin, "origin") if not effect.settles else "*picked, else sellable*"
    picks = {1: "+ picked", -1: "- picked", 0: "+ shipped" if effect.ships else ""}[effect.picks]
    return origin, bucket(effect.target, "target"), picks, " ".join(effect.balance or ())


def test_every_movement_has_its_row_in_code_readme_and_here():
    assert {kind.value for kind in MovementType} == EFFECTS.keys() == rows_of_readme().keys() == ROWS.keys()


@pytest.mark.parametrize("kind", list(MovementType))
def test_the_readme_tells_what_the_code_has(kind):
    assert rows_of_readme()[kind] == told(EFFECTS[kind])


@pytest.mark.integration
async def test_the_books_show_each_row_and_what_a_source_may_say_instead(world):
    cases = [(kind, {}, effect) for kind, effect in ROWS.items()]
    cases += [(kind, said, (after, *ROWS[kind][1:])) for kind, (said, after) in SAID.items()]
    for number, (kind, more, (after, handled, balance)) in enumerate(cases):
        owner, document, order = f"own{number}", f"D{number}", f"ord_{number}"
        both = {"from_bucket": "sellable", "to_bucket": "damaged"} if kind == "status_changed" else {}
        stock = [
            world.movement(f"{bucket}{number}", 1, "stock_adjusted", amount, to_bucket=bucket, owner=owner)
            for bucket, amount in SAME.items()
        ]
        await world.record(
            *stock,
            world.movement(f"e{number}", 2, kind, 3, owner=owner, document=document, order=order, **both, **more),
        )
        found = await world.store.fetch(
            "select bucket, amount from availability.position where owner = $1 and amount <> 0", owner
        )
        assert {row["bucket"]: row["amount"] for row in found} == SAME | after, (kind, more)
        found = await world.store.fetch("select picked, shipped from availability.progress where order_id = $1", order)
        assert [tuple(row) for row in found] == ([handled] if handled else []), kind
        found = await world.store.fetch(
            "select kind, opened, closed from availability.balance where document = $1", document
        )
        assert [tuple(row) for row in found] == ([balance] if balance else []), kind
    assert await world.broken_invariants() == []
